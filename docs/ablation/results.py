"""What the programs of this folder share: what decides a run, and the file of results.

The file has one JSON line for each run. What decides it: `recipe`, `row`, `seed`, `steps` of D, and
`settings`, a digest of the recipe's flagfile and of the row's flags. Then `flagfile`, a digest of
the flagfile alone, the real `images` that D has seen, `iterations`, `seconds` of training, how its
`variety` went, and its `values`. It needs nothing but Python.
"""

import pathlib
import sys

# What this folder shares with other series of runs.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts"))

import result_lines

# What decides a run.
KEY = ("recipe", "row", "seed", "steps", "settings")


def read(path):
    """The lines of a file of results, by `KEY`; raises as `result_lines.read`."""
    return result_lines.read(path, KEY)
