"""Adaptive discriminator augmentation (ADA): its probability follows how D judges real images.

Source: Karras et al., 2020, section 3.2; the official code, `training/training_loop.py`.
"""

from collections.abc import Collection, Sequence
from typing import Optional

import tensorflow as tf

from sagan_tf.gan import ada_transforms, updates

# Where its variables are, in the names of the model's state.
ADA = "ada/"
# Steps of D between two adjustments of p.
INTERVAL = 4


class AdaptiveAugment:
    """Transformations of probability p, and the walk of p.

    r = mean of sign(D(real)) over 4 steps of D says how far D overfits: 0 not at all, 1 in full.
    After these 4 steps p moves up where r is above the target, and else down, by their number of
    images / (1000 kimg). It stays between 0 and 1.

    Make it in the scope of the strategy that trains.

    Args:
      policies: transformations, some of `ada_transforms.GEOMETRY` and `ada_transforms.COLOR`.
      target: of r.
      kimg: thousands of images in which p goes from 0 to 1; 0: it stays where it begins.
      start: p at the beginning.
      images_per_step: real images that a step of D sees on all devices.
      shape: of p, where there is more than one.

    Attributes:
      numbers: how many random numbers an image needs, whatever the policies.
      signs_shape: of what `signs` gives.
    """

    numbers = ada_transforms.NUMBERS
    signs_shape: tuple[int, ...] = ()

    def __init__(
        self,
        policies: Collection[str],
        *,
        target: float,
        kimg: float,
        start: float,
        images_per_step: int,
        shape: Sequence[int] = (),
    ):
        self._policies = policies
        self._target = target
        self._change = INTERVAL * images_per_step / (1000 * kimg) if kimg else 0.0
        self._start = start
        self._p = updates.scalar(tf.fill(shape, float(start)), tf.float32, "p")
        self._r = updates.scalar(tf.zeros(shape), tf.float32, "r")
        self._sum = updates.scalar(tf.zeros(shape), tf.float32, "sum_of_signs")
        self._seen = updates.scalar(tf.zeros(shape, tf.int64), tf.int64, "seen")

    def __call__(
        self, images: tf.Tensor, numbers: tf.Tensor, labels: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        """Transformed images.

        Args:
          images: float [batch, size, size, 3] in [-1, 1].
          numbers: float32 [batch, numbers], uniform in (0, 1).
          labels: int [batch]; needed where each class has its own p.
        """
        draws = ada_transforms.Draws(numbers, self._probability(labels), self._policies)
        return ada_transforms.transform(images, draws, self._policies)

    def _probability(self, labels: Optional[tf.Tensor]) -> tf.Tensor:
        """p of each image, or one for all."""
        return tf.convert_to_tensor(self._p)

    def state(self) -> dict[str, tf.Variable]:
        """Its variables, by name: p, r, and what r is the mean of."""
        return {
            f"{ADA}p": self._p,
            f"{ADA}r": self._r,
            f"{ADA}sum_of_signs": self._sum,
            f"{ADA}steps": self._seen,
        }

    def row(self) -> dict[str, float]:
        """p and r, by name."""
        return {f"{ADA}p": float(self._p.numpy()), f"{ADA}r": float(self._r.numpy())}

    def begin(self) -> None:
        """Goes back to the beginning."""
        self._p.assign(tf.fill(self._p.shape, float(self._start)))
        for variable in (self._r, self._sum, self._seen):
            variable.assign(tf.zeros_like(variable))

    def signs(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """What `observe` needs to know of real images, as a mean over them.

        Args:
          logits: [batch, ...], of D.
          labels: int [batch].
        Returns:
          The mean sign, a scalar.
        """
        return tf.reduce_mean(tf.sign(logits))

    def mean_sign(self, signs: tf.Tensor) -> tf.Tensor:
        """The mean sign of all images, of what `signs` gives."""
        return signs

    def observe(self, signs: tf.Tensor) -> None:
        """Takes note of a step of D, and moves p after every fourth.

        To be called where `strategy.run` calls it, or without a strategy.

        Args:
          signs: those of all replicas' real images, the same on all replicas.
        """
        # Find r, if enough steps were seen.
        total = self._sum + signs
        steps = self._seen + 1
        is_due = steps >= INTERVAL
        r = tf.where(is_due, total / INTERVAL, self._r)

        # Move p towards the target.
        direction = tf.where(is_due, tf.sign(r - self._target), 0.0)
        p = tf.clip_by_value(self._p + direction * self._change, 0.0, 1.0)
        updates.store_all(
            [
                updates.Update(self._p, p),
                updates.Update(self._r, r),
                updates.Update(self._sum, tf.where(is_due, 0.0, total)),
                updates.Update(self._seen, tf.where(is_due, tf.zeros_like(steps), steps)),
            ]
        )
