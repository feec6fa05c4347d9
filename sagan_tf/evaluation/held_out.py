"""Scores that one half of the real images gets against the other: what perfect images would get."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable
from typing import Any, Optional

import numpy as np

from sagan_tf import plurals
from sagan_tf.config import ScoringConfig
from sagan_tf.data import order
from sagan_tf.evaluation import features, metrics, real_statistics, scores
from sagan_tf.evaluation.console import Console
from sagan_tf.runtime import files

NAME = "real, held out"
_VERSION = 1
# What is kept of the scores, besides the numbers of images.
_KEPT = ("fid", "kid", "kid_error", "manifold", "manifold_images", "intra_fids", "intra_counts")
# Flags that these scores depend on, besides the real images' features.
_DECIDING = ("seed", "kid_block", "manifold_images", "precision_k", "density_k")


class Rows:
    """Some rows of features, which stay where they are: `rows[index]` is a copy.

    Args:
      pool: float32 [images, features], a `features.Pool` or an array.
      numbers: int64 [n], which rows.

    Attributes:
      shape: [n, features].
    """

    def __init__(self, pool: features.Pool, numbers: np.ndarray):
        self._pool = pool
        self._numbers = numbers
        self.shape = (len(numbers), pool.shape[1])

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._pool[self._numbers[index]]


def halves(
    images: int, labels: Optional[np.ndarray], *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the numbers of some images, drawn at random, each ascending.

    The halves have equally many images of each class, or one has one more.

    Args:
      images: how many there are.
      labels: int32 [images], their classes; None where they are unknown.
      seed: of the drawing.
    Returns:
      int64 [images / 2], rounded down, and int64 [images / 2], rounded up.
    """
    # Put the classes one after the other; they and the images of each are in a random order.
    drawn = order.permutation(images, seed)
    if labels is not None:
        classes, class_of = np.unique(labels, return_inverse=True)
        place = order.permutation(len(classes), seed, 1)[class_of]
        drawn = drawn[np.argsort(place[drawn], kind="stable")]

    # Deal them out in turn.
    return np.sort(drawn[1::2]), np.sort(drawn[::2])


def score(
    real: real_statistics.RealStats, config: ScoringConfig, *, console: Console
) -> Optional[scores.Scores]:
    """The scores of one half of the real images against the other; kept for the next evaluation.

    They have no Inception Score, because of the classifier's logits only sums are kept.

    Args:
      real: the real images.
      config: numbers of neighbours, sizes, seed; where to keep the scores.
      console: told where there are too few images.
    Returns:
      None where only moments are known, or where there are too few images.
    Raises:
      errors.UserError: the scores cannot be kept.
    """
    # See whether there are enough images.
    if real.features is None:
        return None
    images = len(real.features.pool)
    compared = min(images // 2, config.manifold_images)
    needed = max(config.precision_k, config.density_k) + 1
    if compared < needed:
        console.say(
            f'column "{NAME}" left out: it compares {plurals.counted(compared, "image")} of each '
            f"half of the real images, and --precision_k and --density_k need {needed}"
        )
        return None

    # Take the scores that are kept, or compute them.
    return _cached(real, config, compute=lambda: _compute(real, config, console=console))


def _compute(
    real: real_statistics.RealStats, config: ScoringConfig, *, console: Console
) -> scores.Scores:
    """The scores, from the features."""
    # Halve the images.
    console.say("scoring one half of the real images against the other")
    found = real.features
    sides = []
    for numbers in halves(len(found.pool), found.labels, seed=config.seed):
        labels = None if found.labels is None else found.labels[numbers]
        pool = Rows(found.pool, numbers)
        sides.append(features.Features(pool, labels, (math.nan, math.nan, math.nan), 0))

    # Compare them.
    half, other = sides
    against = real_statistics.RealStats(
        metrics.moments(other.pool), {"images": len(other.pool)}, other, real.source
    )
    computed = scores.compute(
        NAME,
        half,
        real=against,
        config=config,
        stopwatch=features.Stopwatch(),
        console=console,
    )
    return _with_sides(computed)


def _with_sides(found: scores.Scores) -> scores.Scores:
    """The same scores with the numbers of images that the table's heading says."""
    return dataclasses.replace(found, sides=f"{found.images} against {found.real_images}")


def _cached(
    real: real_statistics.RealStats,
    config: ScoringConfig,
    *,
    compute: Callable[[], scores.Scores],
) -> scores.Scores:
    """The scores from the file of these facts in `stats_dir`, or computed and put there."""
    # Name everything that the scores depend on.
    if not config.stats_dir:
        return compute()
    flags = {name: getattr(config, name) for name in _DECIDING}
    facts = {"held_out_version": _VERSION, **flags, "real": real.about}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    directory = os.path.expanduser(config.stats_dir)
    path = os.path.join(directory, f"{digest[:16]}.held_out.json")

    # Take what is there, unless it is damaged.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content["facts"] == facts:
            return _from_json(content)

    # Compute the scores, and keep them.
    found = compute()
    with files.writing(f"--stats_dir={config.stats_dir}"):
        os.makedirs(directory, exist_ok=True)
        files.write_whole(path, json.dumps({"facts": facts, **_to_json(found)}) + "\n")
    return found


def _to_json(found: scores.Scores) -> dict[str, Any]:
    """What is kept of the scores."""
    kept = {name: getattr(found, name) for name in _KEPT}
    return {"images": found.images, "real_images": found.real_images, **kept}


def _from_json(content: dict[str, Any]) -> scores.Scores:
    """The scores of what `_to_json` gave. Raises what a damaged file raises."""
    # Give the values the types that JSON does not know.
    kept = {name: content[name] for name in _KEPT}
    kept["manifold"] = metrics.Manifold(*kept["manifold"])
    if kept["intra_fids"] is not None:
        fids = kept["intra_fids"].items()
        kept["intra_fids"] = {int(label): fid for label, fid in fids}
        kept["intra_counts"] = tuple(kept["intra_counts"])

    # Put the scores together.
    splits = (0, math.nan, math.nan)
    images, real_images = content["images"], content["real_images"]
    return _with_sides(scores.Scores(NAME, images, real_images, math.nan, splits, **kept))
