"""Files of results with one JSON line for each run, and one-line errors. Nothing but Python."""

import argparse
import hashlib
import json
import os
import sys


class Parser(argparse.ArgumentParser):
    """An argument parser that answers bad input with one line and exit code 1."""

    def error(self, message):
        fail(message)


def fail(message):
    """Ends the program with one line on standard error."""
    sys.stderr.write("error: " + " ".join(str(message).split()) + "\n")
    sys.exit(1)


def digest(lines):
    """Eight hexadecimal digits of the settings in the lines of a flagfile.

    Comments, empty lines, the order of flags and where a run lies do not count.
    """
    stripped = (line.strip() for line in lines)
    left_out = ("#", "--checkpoint_dir=", "--run_name=")
    settings = sorted(line for line in stripped if line and not line.startswith(left_out))
    return hashlib.sha256("\n".join(settings).encode()).hexdigest()[:8]


def read(path, key, *, unsaid=None):
    """The lines of a file of results, by what decides a run; of two lines the later one.

    Args:
      path: of the file; none is as one without lines.
      key: names of what decides a run.
      unsaid: values that a line may leave out, by name.
    Raises:
      ValueError: a line is damaged; it names the line.
      OSError: the file is there and cannot be read.
    """
    if not os.path.exists(path):
        return {}

    # Read them.
    found = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = {**(unsaid or {}), **json.loads(line)}
                found[tuple(row[name] for name in key)] = row
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected the result of a run; remove the line, and "
                    "run.py makes that run again"
                ) from error
    return found


def append(path, row):
    """Writes one line, and has it on the disk when this returns."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
