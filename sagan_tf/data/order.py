"""The order in which records are read, which depends only on the seed and the epoch.

Records are read in *blocks*, a few neighbours of one file, so that a disk or a bucket is asked for
some hundred kilobytes at a time. Every epoch puts all blocks into a new random order and cuts it
into *windows*; the records of a window are shuffled among themselves. A position in this endless
sequence is found by counting, so a run continues anywhere without reading what came before.

NumPy only. `np.random.RandomState` is the generator whose numbers NumPy has promised never to
change (NEP 19).
"""

import dataclasses
from collections.abc import Iterator

import numpy as np


def permutation(count: int, *key: int) -> np.ndarray:
    """0 .. count - 1, int64, in an order that `key` (numbers from 0 to 2**32 - 1) decides."""
    return np.random.RandomState(list(key)).permutation(count).astype(np.int64)


def choose(available: int, count: int, *key: int) -> np.ndarray:
    """At most `count` of 0 .. available - 1, drawn at random by `key`; int64, ascending."""
    return np.sort(permutation(available, *key)[:count])


def balanced(labels: np.ndarray) -> np.ndarray:
    """Numbers of records with which each class comes about equally often; int64, ascending.

    A record comes as many times as its class goes into the largest one, rounded. A class that has
    records then comes at least two thirds and at most four thirds as often as the largest.

    Args:
      labels: int [records], the class of each.
    """
    counts = np.bincount(labels)
    times = np.rint(counts.max() / np.maximum(counts, 1)).astype(np.int64)
    return np.repeat(np.arange(len(labels)), times[labels])


@dataclasses.dataclass(frozen=True)
class Window:
    """Some blocks whose records are shuffled together.

    Attributes:
      blocks: int64 [n], which blocks, in reading order.
      seed: of the shuffle, 0 .. 2**31 - 1.
      skip: records of the shuffled window that were used before.
    """

    blocks: np.ndarray
    seed: int
    skip: int


def windows(
    counts: np.ndarray, blocks_per_window: int, *, seed: int, start: int
) -> Iterator[Window]:
    """The windows of the endless sequence, from record `start` on.

    Args:
      counts: int64 [blocks], records in each block, all above 0.
      blocks_per_window: how many blocks are shuffled together.
      seed: 0 .. 2**32 - 1.
      start: records used before, over all epochs.
    """
    # Find the epoch, and the position in it.
    epoch, position = divmod(start, int(counts.sum()))
    while True:
        # Cut its order into windows; pass over those that were used before.
        order = permutation(len(counts), seed, epoch)
        for number, first in enumerate(range(0, len(order), blocks_per_window)):
            blocks = order[first : first + blocks_per_window]
            size = int(counts[blocks].sum())
            if position < size:
                random = np.random.RandomState([seed, epoch, number])
                yield Window(blocks, int(random.randint(2**31)), position)
            position = max(position - size, 0)
        epoch += 1
