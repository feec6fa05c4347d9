"""What the timed programs share: common flags, the line protocol, one-line errors.

Every timed program (time_reference.py, time_biggan.py, ...) builds its networks, runs its warm-up
iterations and prints one JSON line, {"ready": true, "program": ..., "batch": ...}. After that every
line on standard input asks for one training iteration, answered by one JSON line,
{"seconds": s, "peak_mb": p}; the end of input ends the program. side_by_side.py is the other end.

It needs nothing but Python; the programs import it from the folder they lie in.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path


class Parser(argparse.ArgumentParser):
    """An argument parser that answers bad input with one line and exit code 1."""

    def error(self, message):
        fail(message)


def fail(message):
    """Ends the program with one line on standard error."""
    sys.stderr.write("error: " + " ".join(str(message).split()) + "\n")
    sys.exit(1)


def at_least(smallest):
    """An argparse type: a whole number that is not below smallest."""

    def number(text):
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} is less than {smallest}")
        return value

    number.__name__ = "int"
    return number


def parser(description, batch):
    """A parser with the flags that all timed programs have; batch is the default batch size."""
    flags = Parser(description=description)
    flags.add_argument("--batch", type=at_least(2), default=batch, help="images per batch")
    flags.add_argument("--gf-dim", type=at_least(4), default=64, help="channels of the generator")
    flags.add_argument(
        "--df-dim", type=at_least(4), default=64, help="channels of the discriminator"
    )
    flags.add_argument("--classes", type=at_least(1), default=1000, help="number of classes")
    flags.add_argument(
        "--warmup", type=at_least(0), default=1, help="iterations before the ready line"
    )
    flags.add_argument("--threads", type=at_least(0), default=0, help="0: the library's choice")
    return flags


def checked_folder(folder, needed):
    """The folder as an absolute path; ValueError unless it holds the needed files."""
    folder = Path(folder).expanduser().resolve()
    for name in needed:
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}: not a checkout of that repository")
    return folder


@contextlib.contextmanager
def replaced_modules(modules):
    """While this holds, importing a name of `modules` gives that module."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def peak_mb():
    """The most memory this process has held so far (VmHWM), in units of 1e6 bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    raise OSError("/proc/self/status has no VmHWM line")


def take_stdout():
    """The real standard output, for the protocol; whatever else is printed goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def serve(answers, iterate, warmup, facts):
    """Warms up, says ready with the facts, then runs one iteration for every line read."""

    def answer(**fields):
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    for _ in range(warmup):
        iterate()
    answer(ready=True, **facts)
    for _ in sys.stdin:
        start = time.perf_counter()
        iterate()
        answer(seconds=round(time.perf_counter() - start, 6), peak_mb=peak_mb())


def run(args, prepare):
    """Runs a timed program: prepare(args) gives the iteration, a function, and facts about it."""
    answers = take_stdout()
    try:
        iterate, facts = prepare(args)
    except (ImportError, OSError, ValueError) as error:
        fail(error)
    serve(answers, iterate, args.warmup, {"batch": args.batch, **facts})
