"""Formulas of the scores: IS, FID, KID, and those from nearest neighbours.

These call TF-GAN's own functions, except those that need a second copy of 50,000 images' features.

Features are float [images, features]: an array, or anything else that gives copies of its rows by
`features[rows]`. `features.Pool` is such an object; its rows stay on the disk.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf.data import order
from sagan_tf.evaluation import tfgan

# Rows of features that are made float64, or compared with all others, at a time.
_ROWS = 1000


def report_nothing(count: int) -> None:
    """Takes the progress of a caller that does not show it."""


class InceptionScore:
    """The Inception Score of logits that come in batches, over several splits and over all.

    exp(mean over images of KL(p(class | image) || p(class))). With p = softmax(logits) and q the
    mean of p, the mean of the divergence is mean(sum p log p) - sum q log q: sums in float64 are
    all that is kept, so neither batches nor their order matter. TF-GAN's
    `classifier_score_from_logits` gives the same, of all logits in float64 at once.

    Args:
      split_of: int [images], number of the split that each image belongs to, in the order in which
        they will come.
      splits: how many splits there are.

    Source: Salimans et al., 2016; reference `eval_imagenet.py:224`.
    """

    def __init__(self, split_of: np.ndarray, splits: int = 1):
        self._split_of = split_of
        self._done = 0
        self._counts = np.bincount(split_of, minlength=splits).astype(np.float64)
        self._entropy = np.zeros(splits)
        self._p: Optional[np.ndarray] = None

    def add(self, logits: np.ndarray) -> None:
        """The next images' logits, float [n, classes], before the softmax."""
        # Take the logarithm of the softmax.
        logits = np.asarray(logits, np.float64)
        log_p = logits - logits.max(1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
        p = np.exp(log_p)

        # Add to the sums of each split.
        split = self._split_of[self._done : self._done + len(p)]
        self._done += len(p)
        if self._p is None:
            self._p = np.zeros([len(self._counts), p.shape[1]])
        np.add.at(self._entropy, split, (p * log_p).sum(1))
        for number in np.unique(split):
            self._p[number] += p[split == number].sum(0)

    def result(self) -> tuple[float, float, float]:
        """Score of all images at once; mean and standard deviation over the splits."""
        if self._done != len(self._split_of):
            raise ValueError(f"{self._done} of {len(self._split_of)} images have come")

        # Take all images at once.
        n = self._done
        whole = _exp_divergence(self._entropy.sum() / n, self._p.sum(0) / n)

        # Take each split.
        each = [
            _exp_divergence(entropy / count, p / count)
            for entropy, p, count in zip(self._entropy, self._p, self._counts)
        ]
        return whole, float(np.mean(each)), float(np.std(each))


def _exp_divergence(negative_entropy: float, q: np.ndarray) -> float:
    q = q[q > 0]
    return float(np.exp(negative_entropy - (q * np.log(q)).sum()))


def inception_score(logits: np.ndarray) -> float:
    """`InceptionScore` of all images, float [images, classes], in one split."""
    score = InceptionScore(np.zeros(len(logits), np.int64))
    score.add(logits)
    return score.result()[0]


class Moments(NamedTuple):
    """Mean [features] and unbiased covariance [features, features] of features, float64."""

    mu: np.ndarray
    sigma: np.ndarray


def moments(features: np.ndarray) -> Moments:
    """Mean and covariance of features, float [images, features], in float64.

    The features are read twice, a thousand rows at a time.
    """
    mu = np.mean([part.mean(0) * len(part) for part in _parts(features)], 0)
    mu *= -(-len(features) // _ROWS) / len(features)
    sigma = np.zeros([features.shape[1]] * 2)
    for part in _parts(features):
        part -= mu
        sigma += part.T @ part
    return Moments(mu, sigma / (len(features) - 1))


def _parts(features: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(features), _ROWS):
        yield features[start : start + _ROWS].astype(np.float64)


def frechet_distance(real: Moments, generated: Moments) -> float:
    """Frechet Inception Distance: |mu1 - mu2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2)); 0 is best.

    Args:
      real, generated: moments of the classifier's `pool_3`.

    Source: Heusel et al., 2017; the trace of the root is TF-GAN's `trace_sqrt_product`, as in
      its `frechet_classifier_distance_from_activations`, which the reference calls
      (`eval_imagenet.py:225-226`).
    """
    root = tfgan.classifier_metrics.trace_sqrt_product(
        tf.constant(real.sigma), tf.constant(generated.sigma)
    )
    return float(
        ((real.mu - generated.mu) ** 2).sum()
        + np.trace(real.sigma)
        + np.trace(generated.sigma)
        - 2.0 * float(root)
    )


def frechet_distance_of_few(real: np.ndarray, generated: np.ndarray) -> float:
    """`frechet_distance` of two sets of features, quick where there are few images.

    With S = A^T A (A: centred features over sqrt(n - 1)), Tr sqrt(S1 S2) is the sum of the
    singular values of A1 A2^T, which is no larger than the sets.

    Args:
      real, generated: float [images, features]; the numbers of images may differ.
    """
    # Centre both sides.
    halves = []
    means = []
    for features in (real, generated):
        features = np.asarray(features, np.float64)
        means.append(features.mean(0))
        half = (features - means[-1]) / np.sqrt(len(features) - 1)
        if len(half) > half.shape[1]:
            half = np.linalg.qr(half, mode="r")
        halves.append(half)

    # Compare them.
    root = np.linalg.svd(halves[0] @ halves[1].T, compute_uv=False).sum()
    return float(
        ((means[0] - means[1]) ** 2).sum()
        + (halves[0] ** 2).sum()
        + (halves[1] ** 2).sum()
        - 2.0 * root
    )


def intra_frechet_distances(
    real: np.ndarray,
    real_labels: np.ndarray,
    *,
    generated: np.ndarray,
    generated_labels: np.ndarray,
) -> dict[int, float]:
    """FID of each class by itself; their mean is the intra-FID.

    Args:
      real, generated: float [images, features].
      real_labels, generated_labels: int [images].
    Returns:
      class -> FID, of the classes that have two or more images on both sides.

    Source: Miyato and Koyama, 2018, section 4.1; paper, table 2.
    """
    return {
        int(label): frechet_distance_of_few(
            real[real_labels == label], generated[generated_labels == label]
        )
        for label in np.intersect1d(_several(real_labels), _several(generated_labels))
    }


def _several(labels: np.ndarray) -> np.ndarray:
    classes, counts = np.unique(labels, return_counts=True)
    return classes[counts >= 2]


def kernel_distance(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    block: int = 1024,
    seed: int = 0,
    done: Callable[[int], Any] = report_nothing,
) -> tuple[float, Optional[float]]:
    """Kernel Inception Distance (unbiased, may be below 0) and its standard error.

    The mean over blocks of images drawn at random, as many of the one side as of the other, each by
    TF-GAN, and the deviation over the root of their number; a single block has no error.

    Args:
      real, generated: float [images, features], the classifier's `pool_3`; 2 images or more.
      block: images of each side in a block, at most (3 where 2 do not go into their number).
      seed: of the drawing.
      done: told the images of each side that were compared, block by block.

    Source: Binkowski et al., 2018; TF-GAN `kernel_classifier_distance_and_std_from_activations`,
      which would copy all features.
    """
    # Draw the blocks.
    count = min(len(real), len(generated))
    blocks = min(-(-count // block), count // 2)
    real_blocks = _blocks(len(real), count, blocks, seed)
    generated_blocks = _blocks(len(generated), count, blocks, seed + 1)

    # Compare them in pairs.
    each = []
    with _without_remarks():
        for a, b in zip(real_blocks, generated_blocks):
            distance = tfgan.evaluation.kernel_classifier_distance_from_activations(
                tf.constant(real[a]),
                tf.constant(generated[b]),
                max_block_size=max(len(a), len(b)),
            )
            each.append(float(distance))
            done(len(a))
    error = float(np.std(each, ddof=1) / np.sqrt(blocks)) if blocks > 1 else None
    return float(np.mean(each)), error


@contextlib.contextmanager
def _without_remarks() -> Iterator[None]:
    """Keeps to itself what TensorFlow says of TF-GAN's use of old arguments."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _blocks(available: int, count: int, blocks: int, seed: int) -> list[np.ndarray]:
    """`count` images in blocks of nearly equal size, each in the order in which they lie."""
    drawn = order.permutation(available, seed)[:count]
    return [np.sort(part) for part in np.array_split(drawn, blocks)]


class Manifold(NamedTuple):
    """How the sets of real and generated images lie in each other; 1 is best.

    Attributes:
      precision: share of generated images within a real one's neighbourhood.
      recall: share of real images within a generated one's neighbourhood.
      density: real neighbourhoods that a generated image lies in, over k; may be above 1.
      coverage: share of real images whose neighbourhood holds a generated one.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    precision_k: int = 3,
    density_k: int = 5,
    done: Callable[[int], Any] = report_nothing,
) -> Manifold:
    """Improved precision and recall, density and coverage.

    The neighbourhood of an image is the ball that reaches to its k-th nearest neighbour of its own
    set, itself not counted; its edge belongs to it for the first two scores, as in their authors'
    code, and not for the last two, as in theirs.

    Args:
      real, generated: float [images, features], the classifier's `pool_3`; more images than k.
      precision_k, density_k: k of the first and of the last two.
      done: told the images that were compared, some at a time: twice the real ones in all, and
        once the generated ones.

    Source: Kynkaanniemi et al., 2019; Naeem et al., 2020.
    """
    # Move both sides to the middle, where float32 is fine.
    centre = real.mean(0)
    real = np.asarray(real - centre, np.float32)
    generated = np.asarray(generated - centre, np.float32)

    # Find how far each neighbourhood reaches.
    precision_radii, density_radii = _neighbour_distances(real, (precision_k, density_k), done=done)
    (recall_radii,) = _neighbour_distances(generated, (precision_k,), done=done)

    # Find which images lie in them.
    covered = np.zeros(len(generated), bool)
    inside = np.zeros(len(generated))
    recalled = np.zeros(len(real), bool)
    reached = np.zeros(len(real), bool)
    for rows, distances in _distances(real, generated):
        covered |= (distances <= precision_radii[rows, None]).any(0)
        inside += (distances < density_radii[rows, None]).sum(0)
        recalled[rows] = (distances <= recall_radii).any(1)
        reached[rows] = distances.min(1) < density_radii[rows]
        done(len(distances))
    return Manifold(
        float(covered.mean()),
        float(recalled.mean()),
        float(inside.mean() / density_k),
        float(reached.mean()),
    )


def _neighbour_distances(
    features: np.ndarray, ks: tuple[int, ...], *, done: Callable[[int], Any]
) -> list[np.ndarray]:
    """Squared distance of each row to its k-th nearest other row, for each k."""
    found = np.empty([len(ks), len(features)], np.float32)
    for rows, distances in _distances(features, features):
        distances[np.arange(len(distances)), np.arange(len(features))[rows]] = np.inf
        least = np.partition(distances, [k - 1 for k in ks], axis=1)
        found[:, rows] = least[:, [k - 1 for k in ks]].T
        done(len(distances))
    return list(found)


def _distances(rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of a thousand rows at a time to all columns, float32."""
    norms = (columns**2).sum(1)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        distances = part @ columns.T
        distances *= -2.0
        distances += norms
        distances += (part**2).sum(1)[:, None]
        yield slice(start, start + _ROWS), np.maximum(distances, 0.0, out=distances)
