"""Augmentation of what the discriminator sees, as the settings choose it, and mirrored images."""

import functools
from collections.abc import Callable
from typing import Optional, Union

import tensorflow as tf

from sagan_tf.config import TrainConfig, augmentation_names
from sagan_tf.gan import adaptive, class_adaptive, diff_augment

Augmentation = Union[diff_augment.DiffAugment, adaptive.AdaptiveAugment]


def make(config: TrainConfig, classes: Optional[int] = None) -> Optional[Augmentation]:
    """The augmentation of a run; None where there is none.

    Make it in the scope of the strategy that trains.

    Args:
      config: the run's settings.
      classes: how many there are; needed with `ada_per_class`.
    """
    policies = augmentation_names.policies(config.augment, config.augment_policy)
    if config.augment == augmentation_names.DIFFAUGMENT:
        return diff_augment.DiffAugment(policies)
    if config.augment == augmentation_names.NONE:
        return None

    # Adaptive: one probability, or one for each class.
    make_adaptive: Callable = adaptive.AdaptiveAugment
    if config.ada_per_class:
        make_adaptive = functools.partial(class_adaptive.ClassAdaptiveAugment, classes=classes)
    return make_adaptive(
        policies,
        target=config.ada_target,
        kimg=config.ada_kimg,
        start=config.ada_start,
        images_per_step=config.batch_size * config.num_towers,
    )


def mirrored(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Images of which each is turned left to right with probability 1/2.

    Args:
      images: [batch, height, width, channels].
      numbers: float32 [batch], uniform in (0, 1).
    """
    turned = numbers[:, None, None, None] < 0.5
    return tf.where(turned, tf.reverse(images, [2]), images)
