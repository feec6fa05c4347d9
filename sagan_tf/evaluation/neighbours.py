"""Nearest neighbours among the features of many images, and how near generated images come."""

from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf.data import order
from sagan_tf.evaluation import metrics

# Real images whose nearest other one is looked for, at most.
REAL_IMAGES = 5000
# Real images are twins that are nearer than this share of the length of their features: classifying
# leaves rounding of about 1e-5 of it, and the two most alike of the emoji are 0.024 of it apart.
_TWIN = 1e-4
# Rows of features that are compared at a time.
_ROWS = 1000
# Candidates that float32 may have put into a wrong order.
_SPARE = 4


class Neighbours(NamedTuple):
    """The nearest rows of some features, the nearest first.

    Attributes:
      rows: int64 [n, k], their numbers.
      distances: float64 [n, k], Euclidean.
    """

    rows: np.ndarray
    distances: np.ndarray


class Closeness(NamedTuple):
    """How near generated images are to real ones, beside how near real ones are to each other.

    Real images with a twin say nothing of how near different images come. Their distances are left
    out.

    Attributes:
      images, real_images: numbers of images that distances were measured from.
      twins: how many of these real images have a twin, the same picture once more.
      median: of the distances of generated images to the nearest real one.
      real_median: of the distances of real images without a twin to the nearest other one.
      real_low, real_least: the 5 % and the 1 % quantile of these.
      ratio: `median` over `real_median`; new images of the same kind have about 1.
      copies: share of generated images that are nearer than `real_least`; new images of the same
        kind have about 0.01.
    """

    images: int
    real_images: int
    twins: int
    median: float
    real_median: float
    real_low: float
    real_least: float
    ratio: float
    copies: float


def nearest(
    queries: np.ndarray,
    pool: np.ndarray,
    *,
    k: int,
    own: Optional[np.ndarray] = None,
    done: Callable[[int], Any] = metrics.report_nothing,
) -> Neighbours:
    """The k nearest rows of a pool to each query, in the memory of a thousand rows.

    Candidates are found in float32, by |a|^2 - 2 a.b + |b|^2 about the middle; the distances of
    these are then computed from differences in float64, so that those of copies are exact.

    Args:
      queries: float [n, features].
      pool: float [images, features], an array or a `features.Pool`; k + 1 images or more.
      k: how many.
      own: int64 [n], the row of the pool that a query is itself, which is left out.
      done: told the rows that were compared, some at a time.
    """
    # Move to the middle, where float32 is fine.
    centre = pool[:_ROWS].mean(0)
    shifted = np.asarray(queries - centre, np.float32)
    norms = (shifted**2).sum(1)[:, None]
    rows = np.empty([len(queries), 0], np.int64)
    squares = np.empty([len(queries), 0], np.float32)

    # Keep the nearest of what was compared so far.
    for start in range(0, len(pool), _ROWS):
        part = np.asarray(pool[start : start + _ROWS] - centre, np.float32)
        numbers = np.broadcast_to(np.arange(start, start + len(part)), [len(queries), len(part)])
        found = norms - 2 * shifted @ part.T + (part**2).sum(1)
        if own is not None:
            found[numbers == own[:, None]] = np.inf
        rows = np.concatenate([rows, numbers], 1)
        squares = np.concatenate([squares, found], 1)
        rows, squares = _least(rows, squares, count=k + _SPARE)
        done(len(part))

    # Measure them exactly; of equal distances the first row comes first.
    distances = _distances(queries, pool, rows=rows)
    distances[np.isinf(squares)] = np.inf
    chosen = np.lexsort((rows, distances))[:, :k]
    return Neighbours(np.take_along_axis(rows, chosen, 1), np.take_along_axis(distances, chosen, 1))


def _least(rows: np.ndarray, squares: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` columns of each line that have the least squares, in any order."""
    if squares.shape[1] <= count:
        return rows, squares
    chosen = np.argpartition(squares, count - 1, axis=1)[:, :count]
    return np.take_along_axis(rows, chosen, 1), np.take_along_axis(squares, chosen, 1)


def _distances(queries: np.ndarray, pool: np.ndarray, *, rows: np.ndarray) -> np.ndarray:
    """Distances of queries to rows of a pool, float64 [n, columns of rows]."""
    distances = np.empty(rows.shape)
    for column in range(rows.shape[1]):
        difference = pool[rows[:, column]].astype(np.float64) - queries
        distances[:, column] = np.sqrt((difference**2).sum(1))
    return distances


def to_nearest_other(
    pool: np.ndarray, *, seed: int = 0, done: Callable[[int], Any] = metrics.report_nothing
) -> np.ndarray:
    """Distance of real images to the nearest other real one, float64 [images].

    Args:
      pool: float [images, features], those of all real images; two or more.
      seed: draws `REAL_IMAGES` of them, where there are more.
      done: told the rows that were compared, some at a time.
    """
    own = order.choose(len(pool), REAL_IMAGES, seed)
    return nearest(pool[own], pool, k=1, own=own, done=done).distances[:, 0]


def are_twins(real: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Which real images are there twice, bool [m]; the number of twins does not move the limit.

    Args:
      real: float [m], distances of real images to the nearest other one.
      pool: float [images, features], those of all real images.
    """
    lengths = (pool[:_ROWS].astype(np.float64) ** 2).sum(1)
    return real <= _TWIN * np.sqrt(lengths.mean())


def closeness(generated: np.ndarray, real: np.ndarray, *, is_twin: np.ndarray) -> Closeness:
    """How near generated images are to real ones.

    Args:
      generated: float [n], distances to the nearest real image.
      real: float [m], of real images to the nearest other one.
      is_twin: bool [m], which of these to leave out; not all.
    """
    # Leave out the twins.
    least, low, middle = np.quantile(real[~is_twin], [0.01, 0.05, 0.5])

    # Compare the generated images with the others.
    median = np.median(generated)
    return Closeness(
        images=len(generated),
        real_images=len(real),
        twins=int(is_twin.sum()),
        median=float(median),
        real_median=float(middle),
        real_low=float(low),
        real_least=float(least),
        ratio=float(median / middle),
        copies=float((generated < least).mean()),
    )
