"""Adaptive discriminator augmentation (ADA): its probability follows how D judges real images.

Source: Karras et al., 2020, section 3.2; the official code, `training/training_loop.py`.
"""

from collections.abc import Collection

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

    Attributes:
      numbers: how many random numbers an image needs, whatever the policies.
    """

    numbers = ada_transforms.NUMBERS

    def __init__(
        self,
        policies: Collection[str],
        *,
        target: float,
        kimg: float,
        start: float,
        images_per_step: int,
    ):
        self._policies = policies
        self._target = target
        self._change = INTERVAL * images_per_step / (1000 * kimg) if kimg else 0.0
        self._start = start
        self._p = updates.scalar(start, tf.float32, "p")
        self._r = updates.scalar(0.0, tf.float32, "r")
        self._sum = updates.scalar(0.0, tf.float32, "sum_of_signs")
        self._steps = updates.scalar(0, tf.int64, "steps")

    def __call__(self, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Transformed images.

        Args:
          images: float [batch, size, size, 3] in [-1, 1].
          numbers: float32 [batch, numbers], uniform in (0, 1).
        """
        draws = ada_transforms.Draws(numbers, tf.convert_to_tensor(self._p), self._policies)
        return ada_transforms.transform(images, draws, self._policies)

    def state(self) -> dict[str, tf.Variable]:
        """Its variables, by name: p, r, and what r is the mean of."""
        return {
            f"{ADA}p": self._p,
            f"{ADA}r": self._r,
            f"{ADA}sum_of_signs": self._sum,
            f"{ADA}steps": self._steps,
        }

    def row(self) -> dict[str, float]:
        """p and r, by name."""
        return {f"{ADA}p": float(self._p.numpy()), f"{ADA}r": float(self._r.numpy())}

    def begin(self) -> None:
        """Goes back to the beginning."""
        self._p.assign(self._start)
        for variable in (self._r, self._sum, self._steps):
            variable.assign(tf.zeros_like(variable))

    def observe(self, sign: tf.Tensor) -> None:
        """Takes note of a step of D, and moves p after every fourth.

        To be called where `strategy.run` calls it, or without a strategy.

        Args:
          sign: mean of sign(D(real)), the same on all replicas.
        """
        # Find r, if enough steps were seen.
        total = self._sum + sign
        steps = self._steps + 1
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
                updates.Update(self._steps, tf.where(is_due, tf.zeros_like(steps), steps)),
            ]
        )
