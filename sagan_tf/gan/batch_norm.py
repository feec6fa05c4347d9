"""Batch norm per tower as pure functions: groups, moments, gradient."""

import math
from typing import Optional

import tensorflow as tf

from sagan_tf.gan import rectifiers


def split_into_groups(x: tf.Tensor, group_size: Optional[int]) -> tf.Tensor:
    """[batch, h, w, c] -> [groups, group_size, h, w, c]; a batch below group_size is one group.

    Args:
      x: the batch.
      group_size: images of a group; None: the whole batch is one.
    Raises:
      ValueError: the batch is larger than a group and not a multiple of it.
    """
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


def moments(x: tf.Tensor, *, around: Optional[tf.Tensor] = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and biased variance, float32, of [groups, images, h, w, c] per group and channel.

    Args:
      x: the batch.
      around: float32 [c], numbers near the means. With them both moments of bfloat16 and float16
        come from one pass: sums of x - around and of its square do not wait for the mean. How many
        digits that loses depends on how near they are. float32 is as without.
    """
    wide = tf.cast(x, tf.float32)
    axes = [1, 2, 3]
    if around is None or x.dtype == tf.float32:
        return tf.nn.moments(wide, axes=axes, keepdims=True)

    # Both sums can be taken side by side.
    moved = wide - around
    mean = tf.reduce_mean(moved, axes, keepdims=True)
    of_squares = tf.reduce_mean(tf.square(moved), axes, keepdims=True)
    variance = tf.maximum(of_squares - tf.square(mean), 0.0)
    return mean + around, variance


def values_per_moment(x: tf.Tensor) -> tf.Tensor:
    """How many numbers of [groups, images, h, w, c] a moment is made of, a float32 scalar."""
    if x.shape[1] is not None:
        return tf.constant(math.prod(x.shape[1:4]), tf.float32)
    count = tf.reduce_prod(tf.shape(x)[1:4])
    return tf.cast(count, tf.float32)


def combine_moments_of_replicas(
    mean: tf.Tensor,
    variance: tf.Tensor,
    *,
    replicas: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moments of a group that spans several replicas.

    Args:
      mean, variance: float32, of this replica's part of the group; all parts are of one size.
      replicas: how many consecutive replicas hold the group.
    Returns:
      Mean and biased variance of the whole group, in the same shapes.
    """
    context = tf.distribute.get_replica_context()
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)

    # Each replica writes into its own row, so that the sum is the table of all.
    row = tf.one_hot(replica, context.num_replicas_in_sync)
    row = row[:, None]
    own = tf.stack([mean, variance])
    own = tf.reshape(own, [1, -1])
    table = context.all_reduce(tf.distribute.ReduceOp.SUM, row * own)

    # Take the rows of this group.
    first = replica // replicas * replicas
    rows = tf.slice(table, [first, 0], [replicas, own.shape[1]])
    rows = tf.reshape(rows, [replicas, 2, *mean.shape])
    means, variances = tf.unstack(rows, axis=1)

    # The variance of the whole is the mean variance and the variance of the means.
    mean = tf.reduce_mean(means, axis=0)
    spread = tf.square(means - mean)
    variance = tf.reduce_mean(variances + spread, axis=0)
    return mean, variance


def scale_and_shift(
    x: tf.Tensor,
    scale: tf.Tensor,
    *,
    shift: tf.Tensor,
    relu: bool,
) -> tf.Tensor:
    """x * scale + shift, and ReLU, in the type of x."""
    scale = tf.cast(scale, x.dtype)
    shift = tf.cast(shift, x.dtype)
    x = x * scale + shift
    return tf.nn.relu(x) if relu else x


def batch_norm(
    x: tf.Tensor,
    gamma: tf.Tensor,
    *,
    beta: tf.Tensor,
    epsilon: float,
    relu: bool,
    around: Optional[tf.Tensor] = None,
    masked_again: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Batch norm by each group's own moments, and ReLU, with a gradient of few passes over x.

    dx = scale dz - r^2 M (x - mean) - r m, where dz is what comes through the ReLU,
    r = 1 / sqrt(variance + epsilon), scale = gamma r, and m and M are the group's means of
    gamma dz and of gamma dz (x - mean) r. Nothing is kept for it but x, the result and the moments.

    Args:
      x: [groups, images, h, w, c].
      gamma, beta: float32, [groups, images, 1, 1, c].
      epsilon: added to the variance.
      relu: whether a ReLU follows.
      around: as of `moments`.
      masked_again: whether to compute what comes through the ReLU from x and dy wherever it is
        needed. Otherwise XLA stores it, a pass of three maps.
    Returns:
      The result, as x; mean and variance, float32 [groups, 1, 1, 1, c], through which no gradient
      flows.
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        mean, variance = moments(x, around=around)
        r = tf.math.rsqrt(variance + epsilon)
        scale = r * gamma
        shift = beta - mean * scale
        y = scale_and_shift(x, scale, shift=shift, relu=relu)

        def gradient(dy, *_):
            # What comes through the ReLU.
            dz = dz_again = dy
            if relu and masked_again:
                before_relu = scale_and_shift(x, scale, shift=shift, relu=False)
                dz, dz_again = rectifiers.through_relu(dy, before_relu)
            elif relu:
                dz = dz_again = tf.raw_ops.ReluGrad(gradients=dy, features=y)
            dz = tf.cast(dz, tf.float32)
            dz_again = tf.cast(dz_again, tf.float32)
            centred = tf.cast(x, tf.float32)
            centred = centred - mean

            # Gradients of gamma and beta, of each image.
            d_beta = tf.reduce_sum(dz, [2, 3], keepdims=True)
            d_gamma = tf.reduce_sum(dz * centred, [2, 3], keepdims=True)
            d_gamma = d_gamma * r

            # The gradient of x, by their means over the group.
            slope = r**2 * _mean_of_group(gamma * d_gamma, x)
            offset = r * _mean_of_group(gamma * d_beta, x)
            dx = dz_again * scale - centred * slope - offset
            return tf.cast(dx, x.dtype), d_gamma, d_beta

        return (y, mean, variance), gradient

    return normalize(x, gamma, beta)


def _mean_of_group(sums: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Mean over a group of x, from the sums of each image, [groups, images, 1, 1, c]."""
    total = tf.reduce_sum(sums, 1, keepdims=True)
    return total / values_per_moment(x)
