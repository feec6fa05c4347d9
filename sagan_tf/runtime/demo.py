"""The demo: its files, wherever this package lies, and the two commands that it runs."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from sagan_tf import config, errors

_PACKAGE = pathlib.Path(__file__).parent.parent
# The run's name below --checkpoint_dir, by the batch size in configs/digits.flags.
_RUN = "imagenet_12"
# The generator that the demo scores: the moving average, with statistics of its own.
_AVERAGE = "--use_ema --standing_statistics"
# Measured on two CPU cores: starting and scoring, and one iteration.
_FIXED_SECONDS = 50
_SECONDS_PER_STEP = 0.08


def folder(package: pathlib.Path = _PACKAGE) -> pathlib.Path:
    """The folder with `data` and `configs`: in an installed package, or beside it in a checkout.

    Args:
      package: the folder of this package.
    Raises:
      errors.UserError: it is in neither place.
    """
    for place in (package / "demo", package.parent):
        if (place / "data" / "digits").is_dir():
            return place
    raise errors.UserError(
        f"{package}: the digits are not there; install the package again, from its wheel or from a "
        "checkout"
    )


def commands(options: config.DemoConfig, files: pathlib.Path) -> list[list[str]]:
    """The words of both commands: training, then evaluation.

    Args:
      options: what to train.
      files: the folder with `data` and `configs`.
    """
    # The flag files name their files as seen from a checkout. These names hold everywhere.
    configs = files / "configs"
    data = files / "data"
    data_dir = f"--data_dir={data / 'digits'}"

    train = [
        "train",
        f"--flagfile={configs / 'digits.flags'}",
        data_dir,
        f"--checkpoint_dir={options.checkpoint_dir}",
        f"--max_steps={options.max_steps}",
        f"--seed={options.seed}",
    ]
    evaluate = [
        "eval",
        f"--flagfile={configs / 'digits_eval.flags'}",
        data_dir,
        f"--run={os.path.join(options.checkpoint_dir, _RUN)}",
        f"--inception={data / 'digits_classifier'}",
        f"--stats_dir={os.path.join(options.checkpoint_dir, 'real_statistics')}",
    ]
    return [train, evaluate]


def run(options: config.DemoConfig) -> None:
    """Trains and scores; leaves with the exit code of a command that fails.

    Raises:
      errors.UserError: the demo's files are missing.
    """
    # Say what comes.
    words_of_both = commands(options, folder())
    minutes = round((_FIXED_SECONDS + _SECONDS_PER_STEP * options.max_steps) / 60)
    print(
        "The demo trains a small SAGAN on 1,797 handwritten digits, "
        f"{options.max_steps} iterations, and scores it.\n"
        f"On two CPU cores that takes about {minutes} minute{'s' if minutes > 1 else ''}.\n"
        f"Everything goes into {os.path.abspath(options.checkpoint_dir)}.",
        flush=True,
    )

    # Train, then score.
    for words in words_of_both:
        print(f"\n$ sagan {shlex.join(words)}", flush=True)
        code = finish([sys.executable, "-m", f"sagan_tf.tools.{words[0]}", *words[1:]])
        if code:
            sys.exit(code)

    # Say what to do with the result.
    program = _program()
    run_directory = os.path.join(options.checkpoint_dir, _RUN)
    print(
        "\nThe demo is done. To look at what it has learnt:\n"
        f"  {program} sample {run_directory} {_AVERAGE}\n"
        f"  {program} attention-maps {run_directory} {_AVERAGE}\n"
        f"  {program} report {run_directory}"
    )


def _program() -> str:
    """The command as a user of this environment writes it."""
    if shutil.which("sagan"):
        return "sagan"
    beside = os.path.join(os.path.dirname(sys.executable), "sagan")
    if os.path.exists(beside):
        return os.path.relpath(beside)
    return f"{sys.executable} -m sagan_tf.tools.main"


def finish(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit code; signals are the command's to answer."""
    # It writes past what holds this process's own log back, and has a filter of its own.
    process = subprocess.Popen(command, stderr=sys.stderr)

    # Ctrl-C reaches both processes; another request to end is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return code if code >= 0 else 128 - code
