"""All scores of a set of images, their names, and the protocol that they carry."""

import dataclasses
from typing import Optional

import numpy as np

from sagan_tf.config import FULL_SAMPLE, ScoringConfig
from sagan_tf.data import order
from sagan_tf.evaluation import features, metrics, real_statistics
from sagan_tf.runtime import memory

# Generated images of each class that an intra-FID is made of where nothing else is said.
FULL_CLASS = 5000


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of one set of images; None where the other side has only moments, or none.

    Attributes:
      name: of the set.
      images, real_images: of both sides; `real_images` is None where nobody knows.
      inception_score: of all images in one split.
      inception_score_splits: number of splits; mean and standard deviation over them.
      fid, kid, kid_error: Frechet and kernel distance to the real images, and the latter's standard
        error, which one block of images alone does not have.
      manifold: precision, recall, density, coverage.
      manifold_images: images of each side that they were made of, at most.
      intra_fids: class -> FID of the class by itself.
      intra_counts: smallest and largest number of images a class, real and generated.
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

    @property
    def intra_fid(self) -> Optional[float]:
        """Mean over the classes of the FID of each."""
        return float(np.mean(list(self.intra_fids.values()))) if self.intra_fids else None

    @property
    def _both(self) -> str:
        """`suffix` of a score that compares both sides."""
        return suffix(min(self.images, self.real_images or self.images))

    @property
    def _per_class(self) -> str:
        """ "" from 5,000 generated images of each class on; else the smallest number of them."""
        least = self.intra_counts[2] if self.intra_counts else 0
        return "" if least >= FULL_CLASS else str(least)

    def scalars(self) -> dict[str, float]:
        """The scores by name, with the number of images in it where that is below 50,000.

        In the name of intra-FID it is the smallest number of generated images of a class, where
        that is below 5,000.
        """
        both = self._both
        splits, mean, deviation = self.inception_score_splits
        few = suffix(self.manifold_images)
        values = {
            f"incscore{suffix(self.images)}": self.inception_score,
            f"incscore{suffix(self.images)}_{splits}_splits": mean,
            f"incscore{suffix(self.images)}_{splits}_splits_deviation": deviation,
            f"fid{both}": self.fid,
            f"kid{both}": self.kid,
            f"kid{both}_error": self.kid_error,
            **{
                f"{name}{few}": value
                for name, value in (self.manifold._asdict() if self.manifold else {}).items()
            },
            f"intra_fid{self._per_class}": self.intra_fid,
        }
        return {name: value for name, value in values.items() if value is not None}


def suffix(images: int) -> str:
    """ "" from 50,000 images on; "5k" for 5,000, "1797" for 1,797."""
    if images >= FULL_SAMPLE:
        return ""
    return str(images) if images % 1000 else f"{images // 1000}k"


def of_real(stats: real_statistics.RealStats) -> Optional[Scores]:
    """The real images' own Inception Score; None where only their moments are known."""
    if stats.features is None:
        return None
    whole, *split = stats.features.inception_score
    return Scores(
        "real images", len(stats.features.pool), None, whole, (stats.features.splits, *split)
    )


def compute(
    name: str,
    generated: features.Features,
    *,
    real: real_statistics.RealStats,
    config: ScoringConfig,
    stopwatch: features.Stopwatch,
    intra: bool = True,
) -> Scores:
    """Every score that both sides allow.

    Args:
      name: of the generated images.
      generated: their features.
      real: the other side.
      config: numbers of neighbours, sizes, seed.
      stopwatch: takes the time of the arithmetic.
      intra: whether to give each class's FID too.
    """
    with stopwatch.measuring("statistics", 0):
        memory.give_back_freed_memory()  # of the networks; FID's matrices take half a gigabyte.
        whole, *split = generated.inception_score
        scores = Scores(
            name,
            len(generated.pool),
            real.about.get("images"),
            whole,
            (generated.splits, *split),
            fid=metrics.frechet_distance(real.moments, metrics.moments(generated.pool)),
        )
        if real.features is None:
            return scores
        pool, labels = real.features.pool, real.features.labels
        kid, error = metrics.kernel_distance(
            pool, generated.pool, block=config.kid_block, seed=config.seed
        )
        some = [
            metrics.take(side, order.choose(len(side), config.manifold_images, config.seed))
            for side in (pool, generated.pool)
        ]
        scores = dataclasses.replace(
            scores,
            kid=kid,
            kid_error=error,
            manifold_images=min(map(len, some)),
            manifold=metrics.manifold_scores(*some, config.precision_k, config.density_k),
        )
        if not intra or labels is None or generated.labels is None:
            return scores
        return with_intra(
            scores,
            metrics.intra_frechet_distances(
                pool, labels, generated=generated.pool, generated_labels=generated.labels
            ),
            real_labels=labels,
            generated_labels=generated.labels,
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
    counts = [
        np.bincount(labels, minlength=max(intra_fids) + 1)[list(intra_fids)]
        for labels in (real_labels, generated_labels)
    ]
    return dataclasses.replace(
        scores,
        intra_fids=intra_fids,
        intra_counts=tuple(int(f(side)) for side in counts for f in (np.min, np.max)),
    )
