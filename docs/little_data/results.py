"""What the programs of this folder share: what decides a run, and the file of results.

The file has one JSON line for each run: what decides it (`recipe`, `share`, `augmentation`, `seed`,
`steps`, `settings`), the number of its training images (`images`), and its `values`. `settings` is
a digest of the recipe's flagfile: results of another flagfile are other results. It needs nothing
but Python.
"""

import argparse
import pathlib
import sys

# What this folder shares with other series of runs.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts"))

import result_lines
from result_lines import Parser, fail

__all__ = ["KEY", "Parser", "fail", "read", "share"]

# What decides a run.
KEY = ("recipe", "share", "augmentation", "seed", "steps", "settings")


def share(text):
    """An argparse type: a share of the images, above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected above 0 and at most 1, as 0.05")
    return value


def read(path):
    """The lines of a file of results, as `result_lines.read`; old ones do not say `settings`."""
    return result_lines.read(path, KEY, unsaid={"settings": ""})
