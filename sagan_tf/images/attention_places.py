"""Places of an attention map: their numbers, and those that a figure shows.

A network's attention is [side * side, (side / 2)^2]. For every place of a side x side map, the
query, it holds the attention to every key. A key is 2 x 2 places of that map, pooled to one. Rows
of the map come first: place (row, column) has number row * side + column.

Attention is even where every key gets the same share, 1 / keys. Such a map says nothing about the
image.

Source: reference `non_local.py:48-80`.
"""

import math
from typing import Optional

import numpy as np

# A map whose strongest key has less than this many times the even share counts as even.
EVEN = 1.5


def side_of(attention: np.ndarray) -> int:
    """Side of the map that attention, [..., side * side, keys], sits on."""
    return math.isqrt(attention.shape[-2])


def query_at(x: float, y: float, *, image_size: int, side: int) -> int:
    """The number of the place under a pixel, x from the left and y from the top."""
    column = int(x * side // image_size)
    row = int(y * side // image_size)
    return row * side + column


def centre_of(query: int, image_size: int, *, side: int) -> tuple[float, float]:
    """The middle of a place, (x, y), in pixels of the image."""
    row, column = divmod(query, side)
    return (column + 0.5) * image_size / side, (row + 0.5) * image_size / side


def centre_of_key(key: tuple[int, int], image_size: int, *, side: int) -> tuple[float, float]:
    """The middle of a key, (row, column), as (x, y) in pixels of the image."""
    row, column = key
    return (column + 0.5) * 2 * image_size / side, (row + 0.5) * 2 * image_size / side


def queries_in_grid(count: int, side: int) -> list[int]:
    """`count` places, evenly over the map in rows and columns."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    found = []
    for i in range(count):
        x = (i % columns + 0.5) / columns
        y = (i // columns + 0.5) / rows
        found.append(query_at(x, y, image_size=1, side=side))
    return found


def times_even(maps: np.ndarray) -> np.ndarray:
    """How many times the even share the strongest key of each map has.

    Args:
      maps: float [..., keys], each summing to 1.
    Returns:
      float [...]: 1 where attention is exactly even, `keys` where one key has all of it.
    """
    return maps.max(axis=-1) * maps.shape[-1]


def above_even(weights: np.ndarray, shown: Optional[np.ndarray] = None) -> np.ndarray:
    """How far a map is above even: 0 at the even share or below, 1 at its strongest key.

    Args:
      weights: float [side / 2, side / 2], summing to 1.
      shown: the same map as it is drawn, of any shape; None: the weights.
    Returns:
      float, of the shape of `shown`; 0 everywhere where the map counts as even.
    """
    shown = weights if shown is None else shown
    if times_even(weights.reshape(-1)) < EVEN:
        return np.zeros(shown.shape)
    even = 1 / weights.size
    return np.clip((shown - even) / (weights.max() - even), 0, 1)


def most_concentrated(attention: np.ndarray, count: int) -> list[int]:
    """The places whose strongest key has the largest share, not next to each other.

    The share is the number below a map: if all these maps are even, so is every other one. Entropy
    would not promise that. Where all places are even, they are taken in a grid.

    Args:
      attention: float [side * side, keys].
      count: how many; fewer only if the map has fewer places.
    """
    side = side_of(attention)
    strengths = times_even(attention)
    if strengths.max() < EVEN:
        return queries_in_grid(count, side)
    return _apart(strengths, side, count, side / 3)


def most_spread(attention: np.ndarray, count: int) -> list[int]:
    """The places whose attention has the largest entropy, not next to each other.

    Args:
      attention: float [side * side, keys].
      count: how many; fewer only if the map has fewer places.
    """
    entropy = -np.sum(attention * np.log(np.maximum(attention, 1e-30)), axis=1)
    side = side_of(attention)
    return _apart(entropy, side, count, side / 4)


def strongest(weights: np.ndarray, count: int) -> list[tuple[int, int]]:
    """(row, column) of the strongest keys of one map, not next to each other.

    Args:
      weights: float [side / 2, side / 2].
      count: how many; fewer where what is left has less than half of the strongest one's share, or
        less than `EVEN` times the even share.
    """
    flat = weights.reshape(-1)
    least = max(flat.max() / 2, EVEN / len(flat))
    found = _apart(flat, len(weights), count, max(1.5, len(weights) / 5))
    return [divmod(key, len(weights)) for key in found if flat[key] >= least]


def _apart(values: np.ndarray, side: int, count: int, distance: float) -> list[int]:
    """Numbers of the largest values on a map, `distance` places apart while there are such.

    Args:
      values: float [side * side].
      side: of the map.
      count: how many.
      distance: in rows or columns; it is halved until enough are found.
    """
    # Order the places by their value.
    count = min(count, len(values))
    order = np.argsort(-values, kind="stable").tolist()
    positions = np.stack(np.divmod(np.arange(len(values)), side), axis=1)

    # Take the largest that are far enough from those taken before.
    while True:
        found: list[int] = []
        for number in order:
            away = np.abs(positions[found] - positions[number]).max(axis=1)
            if len(found) < count and (away >= distance).all():
                found.append(number)
        if len(found) == count:
            return found
        distance /= 2
