"""Batch norm per tower as pure functions: groups, moments, gradient."""

import math
from typing import Optional

import tensorflow as tf


def in_groups(x: tf.Tensor, group_size: Optional[int]) -> tf.Tensor:
    """[batch, h, w, c] -> [groups, group_size, h, w, c]; a batch below group_size is one group."""
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    if group_size is None:
        group_size = batch
    elif x.shape[0] is None:
        group_size = tf.minimum(group_size, batch)
    elif batch < group_size:
        group_size = batch
    elif batch % group_size:
        raise ValueError(
            f"a batch of {batch} images cannot be split into towers of {group_size} (batch_size)"
        )
    # -1 twice is not allowed: the group axis is inferred, the batch axis given.
    return tf.reshape(x, [-1, group_size, *x.shape[1:]])


def moments_over_replicas(
    mean: tf.Tensor, variance: tf.Tensor, replicas: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moments of a group from those that its `replicas` consecutive replicas found for their parts."""
    context = tf.distribute.get_replica_context()
    own = tf.cast(context.replica_id_in_sync_group, tf.int32)
    # Each replica writes into its own row, so the sum is everybody's table.
    row = tf.one_hot(own, context.num_replicas_in_sync)[:, None]
    found = tf.reshape(tf.stack([mean, variance]), [1, -1])
    table = context.all_reduce(tf.distribute.ReduceOp.SUM, row * found)
    group = tf.slice(table, [own // replicas * replicas, 0], [replicas, found.shape[1]])
    means, variances = tf.unstack(tf.reshape(group, [replicas, 2, *mean.shape]), axis=1)
    mean = tf.reduce_mean(means, axis=0)
    return mean, tf.reduce_mean(variances + tf.square(means - mean), axis=0)


def count_of_moments(x: tf.Tensor) -> tf.Tensor:
    """How many numbers of [groups, images, h, w, c] a moment is made of, a float32 scalar."""
    if x.shape[1] is None:
        return tf.cast(tf.reduce_prod(tf.shape(x)[1:4]), tf.float32)
    return tf.constant(math.prod(x.shape[1:4]), tf.float32)


def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and biased variance, float32, of [groups, images, h, w, c] per group and channel."""
    return tf.nn.moments(tf.cast(x, tf.float32), axes=[1, 2, 3], keepdims=True)


def affine(x: tf.Tensor, scale: tf.Tensor, *, shift: tf.Tensor, relu: bool) -> tf.Tensor:
    """x * scale + shift, and ReLU, in the type of x."""
    x = x * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)
    return tf.nn.relu(x) if relu else x


def batch_norm(
    x: tf.Tensor, gamma: tf.Tensor, *, beta: tf.Tensor, epsilon: float, relu: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Batch norm by each group's own moments, and ReLU, with a gradient of few passes over x.

    dx = scale dz - r^2 M (x - mean) - r m, where dz is what comes through the ReLU,
    r = 1 / sqrt(variance + epsilon), scale = gamma r, and m and M are the group's means of
    gamma dz and of gamma dz (x - mean) r. Nothing is kept for it but x, the result and the moments.

    Args:
      x: [groups, images, h, w, c].
      gamma, beta: float32, [groups, images, 1, 1, c].
    Returns:
      The result, as x; mean and variance, float32 [groups, 1, 1, 1, c], through which no gradient
      flows.
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        mean, variance = moments(x)
        reciprocal = tf.math.rsqrt(variance + epsilon)
        scale = reciprocal * gamma
        y = affine(x, scale, shift=beta - mean * scale, relu=relu)

        def gradient(dy, *_):
            dz = tf.where(y > 0, dy, tf.zeros([], dy.dtype)) if relu else dy
            wide_dz, centred = tf.cast(dz, tf.float32), tf.cast(x, tf.float32) - mean
            d_beta = tf.reduce_sum(wide_dz, [2, 3], keepdims=True)
            d_gamma = tf.reduce_sum(wide_dz * centred, [2, 3], keepdims=True) * reciprocal
            mean_dz, mean_dzx = (
                tf.reduce_sum(gamma * d, 1, keepdims=True) / count_of_moments(x)
                for d in (d_beta, d_gamma)
            )
            dx = wide_dz * scale - centred * (reciprocal**2 * mean_dzx) - reciprocal * mean_dz
            return tf.cast(dx, x.dtype), d_gamma, d_beta

        return (y, mean, variance), gradient

    return normalize(x, gamma, beta)
