"""Upsampling before a convolution, and pooling after one.

Both come as plain operations, and merged into fewer ones. In repeated or averaged positions several
taps of the kernel see the same number, so the merged operation adds these taps up beforehand. The
results are equal except for rounding.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# Rows: taps of a 4x4 kernel; columns: taps of the 3x3 kernel that they add up.
_UP_TAPS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
_DOWN_TAPS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]], np.float32) / 2


@tf.custom_gradient
def upsample(x: tf.Tensor) -> tf.Tensor:
    """Doubles height and width, which are known, by nearest neighbour: [b, h, w, c] ->
    [b, 2h, 2w, c].

    Tiles rather than a resize, because XLA has no CPU kernel for a resize's gradient. The gradient,
    the sum over each place's four copies, is four times their mean: the quickest way on a CPU.
    """
    height, width, channels = x.shape[1:]
    tiled = tf.tile(tf.reshape(x, [-1, height, 1, width, 1, channels]), [1, 1, 2, 1, 2, 1])
    return (tf.reshape(tiled, [-1, 2 * height, 2 * width, channels]), lambda dy: 4 * downsample(dy))


def downsample(x: tf.Tensor) -> tf.Tensor:
    """Average pool 2x2: [b, h, w, c] -> [b, h/2, w/2, c]. Reference `discriminator.py:22-25`."""
    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID")


def conv(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """Convolution, stride 1, padding SAME: [b, h, w, in] by [k, k, in, out] -> [b, h, w, out]."""
    return tf.nn.conv2d(x, w, strides=1, padding="SAME")


def upsampled_conv_kernel(w: tf.Tensor) -> tf.Tensor:
    """Kernel [4, 4, out, in] of the transposed convolution of stride 2 that is `upsample` and then
    a convolution by w, [3, 3, in, out]."""
    return _added_up(_UP_TAPS, tf.transpose(w, [0, 1, 3, 2]))


def upsampled_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """conv(upsample(x), w) in 4/9 of the operations.

    Args:
      x: [b, h, w, in]; height and width known.
      kernel: of `upsampled_conv_kernel`, [4, 4, out, in].
    Returns: [b, 2h, 2w, out].
    """
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    height, width = x.shape[1:3]
    return tf.nn.conv2d_transpose(
        x, kernel, [batch, 2 * height, 2 * width, kernel.shape[2]], strides=2, padding="SAME"
    )


def downsampled_conv_kernel(w: tf.Tensor) -> tf.Tensor:
    """Kernel [4, 4, in, out] of the convolution of stride 2 that is a convolution by w,
    [3, 3, in, out], and then `downsample`."""
    return _added_up(_DOWN_TAPS, w)


def downsampled_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """downsample(conv(x, w)) in 4/9 of the operations.

    Args:
      x: [b, h, w, in]; height and width even.
      kernel: of `downsampled_conv_kernel`, [4, 4, in, out].
    Returns: [b, h/2, w/2, out].
    """
    return tf.nn.conv2d(x, kernel, strides=2, padding="SAME")


def _added_up(taps: np.ndarray, w: tf.Tensor) -> tf.Tensor:
    """[3, 3, c, d] -> [4, 4, c, d]: along both axes, each tap adds up those that its row names.

    One product: on a CPU an einsum of three factors takes up to six times as long.
    """
    rows = np.kron(taps, taps)
    summed = tf.matmul(rows, tf.reshape(w, [9, -1]))
    return tf.reshape(summed, [4, 4, *w.shape[2:]])


def in_float32(convolve: Callable, x: tf.Tensor, *, kernel: tf.Tensor) -> tf.Tensor:
    """convolve(x, kernel) and its gradients with numbers of x's type, multiplied in float32.

    So do the kernels of a GPU with half-precision numbers; those of a CPU for the gradients are
    twenty times slower than float32's. What is kept for the gradients is x as it is.
    """

    @tf.custom_gradient
    def run(x, kernel):
        # The gradients, computed in float32 when they are needed.
        def gradient(dy):
            inputs = [tf.cast(x, tf.float32), tf.cast(kernel, tf.float32)]
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = convolve(*inputs)  # Only its gradients are used: it is not computed again.
            found = tape.gradient(y, inputs, tf.cast(dy, tf.float32))
            return [tf.cast(value, x.dtype) for value in found]

        # The convolution itself.
        y = convolve(tf.cast(x, tf.float32), tf.cast(kernel, tf.float32))
        return tf.cast(y, x.dtype), gradient

    return run(x, kernel)
