"""Scores of one set of images, computed from its features and those of the real images."""

import dataclasses
import math
from typing import Optional

import numpy as np

from sagan_tf.config import ScoringConfig
from sagan_tf.data import order
from sagan_tf.evaluation import features, metrics, real_statistics, rows
from sagan_tf.evaluation.console import Console
from sagan_tf.runtime import memory


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of one set of images; None where the other side has only moments, or is not there.

    Attributes:
      name: of the set.
      images, real_images: of both sides; `real_images` is None where it is unknown.
      inception_score: of all images in one split; NaN where the classifier has no classes.
      inception_score_splits: number of splits; mean and standard deviation over them.
      fid, kid, kid_error: Frechet and kernel distance to the real images, and the latter's standard
        error, which one block of images alone does not have.
      manifold: precision, recall, density, coverage.
      manifold_images: images of each side that they were made of, at most.
      intra_fids: class -> FID of the class by itself.
      intra_counts: smallest and largest number of images a class, real and generated.
      sides: numbers of images of both sides in words, for the heading of a table; "" where the
        other sets of the table have as many.
    """

    name: str
    images: int
    real_images: Optional[int]
    inception_score: float
    inception_score_splits: tuple[int, float, float]
    fid: Optional[float] = None
    kid: Optional[float] = None
    kid_error: Optional[float] = None
    manifold: Optional[metrics.Manifold] = None
    manifold_images: int = 0
    intra_fids: Optional[dict[int, float]] = None
    intra_counts: Optional[tuple[int, int, int, int]] = None
    sides: str = ""

    @property
    def intra_fid(self) -> Optional[float]:
        """Mean over the classes of the FID of each."""
        return float(np.mean(list(self.intra_fids.values()))) if self.intra_fids else None

    def each(self) -> list[rows.Score]:
        """The scores that are there, one by one, in the order of `rows.NAMES`."""
        # The Inception Score needs no real images, but a classifier with classes.
        splits, mean, deviation = self.inception_score_splits
        found = []
        if not math.isnan(self.inception_score):
            over_splits = rows.Score(
                rows.SPLITS, mean, self.images, splits=splits, deviation=deviation
            )
            found = [
                rows.Score(rows.INCEPTION_SCORE, self.inception_score, self.images),
                over_splits,
            ]

        # Distances compare both sides.
        both = min(self.images, self.real_images or self.images)
        if self.fid is not None:
            found.append(rows.Score(rows.FID, self.fid, both))
        if self.kid is not None:
            found.append(rows.Score(rows.KID, self.kid, both, error=self.kid_error))

        # These are made of the images' neighbours, and of the images of each class.
        if self.manifold is not None:
            for name, value in self.manifold._asdict().items():
                found.append(rows.Score(name, value, self.manifold_images))
        if self.intra_fid is not None:
            least = self.intra_counts[2] if self.intra_counts else 0
            found.append(rows.Score(rows.INTRA_FID, self.intra_fid, least))
        return found


def of_real(stats: real_statistics.RealStats) -> Optional[Scores]:
    """The real images' own Inception Score; None where only their moments are known."""
    if stats.features is None:
        return None
    whole, mean, deviation = stats.features.inception_score
    return Scores(
        "real images",
        len(stats.features.pool),
        None,
        whole,
        (stats.features.splits, mean, deviation),
    )


def compute(
    name: str,
    generated: features.Features,
    *,
    real: real_statistics.RealStats,
    config: ScoringConfig,
    stopwatch: features.Stopwatch,
    console: Console,
    intra: bool = True,
) -> Scores:
    """Every score that both sides allow.

    Args:
      name: of the generated images.
      generated: their features.
      real: the other side.
      config: numbers of neighbours, sizes, seed.
      stopwatch: takes the time of the arithmetic.
      console: shows how far it is.
      intra: whether to give each class's FID too.
    """
    with stopwatch.measuring("statistics", 0):
        # Compare the moments.
        memory.give_back_freed_memory()  # of the networks; FID's matrices take half a gigabyte.
        whole, mean, deviation = generated.inception_score
        scores = Scores(
            name,
            len(generated.pool),
            real.about.get("images"),
            whole,
            (generated.splits, mean, deviation),
            fid=metrics.frechet_distance(real.moments, metrics.moments(generated.pool)),
        )
        if real.features is None:
            return scores

        # Compare the images.
        scores = _with_comparison_of_images(
            scores, generated, real=real.features, config=config, console=console
        )

        # Compare each class.
        real_labels = real.features.labels
        labels = generated.labels
        if not intra or real_labels is None or labels is None:
            return scores
        intra_fids = metrics.intra_frechet_distances(
            real.features.pool, real_labels, generated=generated.pool, generated_labels=labels
        )
        return with_intra(scores, intra_fids, real_labels=real_labels, generated_labels=labels)


def _with_comparison_of_images(
    scores: Scores,
    generated: features.Features,
    *,
    real: features.Features,
    config: ScoringConfig,
    console: Console,
) -> Scores:
    """The same scores with KID and those of nearest neighbours."""
    # Compare blocks of both sides.
    fewer = min(len(real.pool), len(generated.pool))
    with console.progress("KID", fewer) as progress:
        kid, error = metrics.kernel_distance(
            real.pool,
            generated.pool,
            block=config.kid_block,
            seed=config.seed,
            done=progress.update,
        )

    # Find neighbours among some images of both sides.
    some = [
        side[order.choose(len(side), config.manifold_images, config.seed)]
        for side in (real.pool, generated.pool)
    ]
    compared = 2 * len(some[0]) + len(some[1])
    with console.progress("neighbours", compared) as progress:
        manifold = metrics.manifold_scores(
            *some,
            precision_k=config.precision_k,
            density_k=config.density_k,
            done=progress.update,
        )

    return dataclasses.replace(
        scores,
        kid=kid,
        kid_error=error,
        manifold=manifold,
        manifold_images=min(map(len, some)),
    )


def with_intra(
    scores: Scores,
    intra_fids: dict[int, float],
    *,
    real_labels: np.ndarray,
    generated_labels: np.ndarray,
) -> Scores:
    """The same scores with those of the classes.

    Args:
      scores: without them.
      intra_fids: class -> FID.
      real_labels, generated_labels: int [images] of all images that went into it.
    """
    if not intra_fids:
        return scores
    counts: list[int] = []
    for labels in (real_labels, generated_labels):
        of_class = np.bincount(labels, minlength=max(intra_fids) + 1)[list(intra_fids)]
        counts += [int(of_class.min()), int(of_class.max())]
    return dataclasses.replace(scores, intra_fids=intra_fids, intra_counts=tuple(counts))
