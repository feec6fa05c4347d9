"""ADA with a probability for each class, because D learns a small class by heart sooner.

Our own; the rule is that of Karras et al., 2020, section 3.2, for the images of each class alone.
"""

from collections.abc import Collection
from typing import Optional

import tensorflow as tf

from sagan_tf.gan import adaptive, updates

# Real images of a class between two adjustments of its p.
IMAGES = 8


class ClassAdaptiveAugment(adaptive.AdaptiveAugment):
    """Transformations whose probability p follows how D judges the real images of each class.

    When D has seen 8 images of a class or more, the mean sign of D is r of the class, and its p
    moves up where that is above the target, and else down, by this number of images times the
    number of classes / (1000 kimg). With classes that come equally often p thus moves as fast as
    one p of all images.

    Make it in the scope of the strategy that trains.

    Args:
      policies, target, kimg, start: as of `AdaptiveAugment`.
      images_per_step: real images that a step of D sees on all devices.
      classes: how many there are.
    """

    def __init__(
        self,
        policies: Collection[str],
        *,
        target: float,
        kimg: float,
        start: float,
        images_per_step: int,
        classes: int,
    ):
        super().__init__(
            policies,
            target=target,
            kimg=kimg,
            start=start,
            images_per_step=images_per_step,
            shape=[classes],
        )
        self.signs_shape = (2, classes)
        self._images_per_step = images_per_step
        self._change = classes / (1000 * kimg) if kimg else 0.0

    def _probability(self, labels: Optional[tf.Tensor]) -> tf.Tensor:
        if labels is None:
            raise ValueError("augment: a probability for each class needs labels")
        return tf.gather(tf.convert_to_tensor(self._p), labels)

    def state(self) -> dict[str, tf.Variable]:
        """Its variables, by name: p and r of each class, and what r is the mean of."""
        return {
            f"{adaptive.ADA}p_of_class": self._p,
            f"{adaptive.ADA}r_of_class": self._r,
            f"{adaptive.ADA}signs_of_class": self._sum,
            f"{adaptive.ADA}images_of_class": self._seen,
        }

    def row(self) -> dict[str, float]:
        """p and r as means over the classes, and the smallest and largest p, by name."""
        p = self._p.numpy()
        return {
            f"{adaptive.ADA}p": float(p.mean()),
            f"{adaptive.ADA}p_smallest": float(p.min()),
            f"{adaptive.ADA}p_largest": float(p.max()),
            f"{adaptive.ADA}r": float(self._r.numpy().mean()),
        }

    def signs(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """As of `AdaptiveAugment`, for each class.

        Returns:
          float32 [2, classes]: the signs of each class, and its images, added up, / batch.
        """
        signs = tf.reshape(tf.sign(tf.cast(logits, tf.float32)), [-1, 1])
        is_of_class = tf.one_hot(labels, self.signs_shape[1])
        return tf.stack(
            [tf.reduce_mean(signs * is_of_class, axis=0), tf.reduce_mean(is_of_class, axis=0)]
        )

    def mean_sign(self, signs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(signs[0])

    def observe(self, signs: tf.Tensor) -> None:
        """Takes note of a step of D, and moves p of the classes of which it has seen enough.

        To be called where `strategy.run` calls it, or without a strategy.

        Args:
          signs: those of all replicas' real images, the same on all replicas.
        """
        # Find r of the classes with enough images. A number of images is whole, but for rounding.
        sums, images = tf.unstack(self._images_per_step * signs)
        total = self._sum + sums
        seen = self._seen + tf.cast(tf.round(images), tf.int64)
        is_due = seen >= IMAGES
        count = tf.cast(seen, tf.float32)
        r = tf.where(is_due, total / tf.maximum(count, 1.0), self._r)

        # Move their p towards the target.
        direction = tf.where(is_due, tf.sign(r - self._target), 0.0)
        p = tf.clip_by_value(self._p + direction * count * self._change, 0.0, 1.0)
        updates.store_all(
            [
                updates.Update(self._p, p),
                updates.Update(self._r, r),
                updates.Update(self._sum, tf.where(is_due, 0.0, total)),
                updates.Update(self._seen, tf.where(is_due, tf.zeros_like(seen), seen)),
            ]
        )
