"""Augmentation of what the discriminator sees, as the settings choose it, and mirrored images."""

from typing import Optional, Union

import tensorflow as tf

from sagan_tf.config import TrainConfig, augmentation_names
from sagan_tf.gan import adaptive, diff_augment

Augmentation = Union[diff_augment.DiffAugment, adaptive.AdaptiveAugment]


def make(config: TrainConfig) -> Optional[Augmentation]:
    """The augmentation of a run; None where there is none.

    Make it in the scope of the strategy that trains.
    """
    policies = augmentation_names.policies(config.augment, config.augment_policy)
    if config.augment == augmentation_names.DIFFAUGMENT:
        return diff_augment.DiffAugment(policies)
    if config.augment == augmentation_names.ADA:
        return adaptive.AdaptiveAugment(
            policies,
            target=config.ada_target,
            kimg=config.ada_kimg,
            start=config.ada_start,
            images_per_step=config.batch_size * config.num_towers,
        )
    return None


def mirrored(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Images of which each is turned left to right with probability 1/2.

    Args:
      images: [batch, height, width, channels].
      numbers: float32 [batch], uniform in (0, 1).
    """
    turned = numbers[:, None, None, None] < 0.5
    return tf.where(turned, tf.reverse(images, [2]), images)
