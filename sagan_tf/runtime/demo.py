"""The demo: its files, wherever this package lies, and the two commands that it runs."""

import os
import pathlib
import signal
import subprocess
import sys

from sagan_tf import config, errors

_PACKAGE = pathlib.Path(__file__).parent.parent
_MEASURED_STEPS = 2600
_MEASURED = "about six minutes on two CPU cores"


def folder() -> pathlib.Path:
    """The folder with `data` and `configs`: in an installed package, or beside it in a checkout.

    Raises:
      errors.UserError: it is in neither place.
    """
    for place in (_PACKAGE / "demo", _PACKAGE.parent):
        if (place / "data" / "digits").is_dir():
            return place
    raise errors.UserError(
        f"{_PACKAGE}: the digits are missing there; install the package again, from a wheel or "
        "from a checkout"
    )


def commands(options: config.DemoConfig) -> list[list[str]]:
    """The words of both commands: training, then evaluation."""
    files = folder()
    configs = files / "configs"

    # The flag files name their files relative to the checkout; these names hold everywhere.
    places = [
        f"--data_dir={files / 'data' / 'digits'}",
        f"--checkpoint_dir={options.checkpoint_dir}",
    ]
    train = [
        "train",
        f"--flagfile={configs / 'digits.flags'}",
        *places,
        f"--max_steps={options.max_steps}",
        f"--seed={options.seed}",
    ]
    evaluate = [
        "eval",
        f"--flagfile={configs / 'digits_eval.flags'}",
        *places,
        f"--inception={files / 'data' / 'digits_classifier'}",
    ]
    return [train, evaluate]


def run(options: config.DemoConfig) -> None:
    """Trains and scores; leaves with the exit code of a command that fails.

    Raises:
      errors.UserError: the demo's files are missing.
    """
    # Say what comes.
    steps = commands(options)
    length = (
        _MEASURED if options.max_steps == _MEASURED_STEPS else "less or more by its --max_steps"
    )
    print(
        f"The demo trains a small SAGAN on 1,797 handwritten digits for {options.max_steps} "
        "iterations, then scores it.\n"
        f"Time: {length}. Everything it makes goes into {os.path.abspath(options.checkpoint_dir)}.",
        flush=True,
    )

    # Run both.
    for number, words in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] sagan {' '.join(words)}", flush=True)
        code = _finish([sys.executable, "-m", f"sagan_tf.tools.{words[0]}", *words[1:]])
        if code:
            sys.exit(code)


def _finish(command: list[str]) -> int:
    """Runs a command to its end and returns its exit code; signals are the command's to answer."""
    process = subprocess.Popen(command)

    # Ctrl-C reaches both processes; any other wish to end is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return code if code >= 0 else 128 - code
