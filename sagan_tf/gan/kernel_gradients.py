"""Gradients of convolutions by their kernels as one product."""

from collections.abc import Callable

import tensorflow as tf

from sagan_tf.gan import resampling


def by_product(convolve: Callable) -> Callable:
    """A convolution whose gradient by the kernel is one product with a map's patches.

    On small maps a CPU's convolutions compute that gradient at a third of a product's rate. The
    patches hold every number of the map nine times, or four times where the stride is 2.

    Args:
      convolve: `resampling.conv` with a 3x3 kernel, `resampling.downsampled_conv` or
        `resampling.upsampled_conv`.
    Returns:
      A function of x, whose sides are known, and the kernel, as `convolve` takes them.
    """

    @tf.custom_gradient
    def run(x, kernel):
        def gradient(dy):
            # Of a transposed convolution, the result is the larger map.
            size = kernel.shape[0]
            if convolve is resampling.upsampled_conv:
                dx = resampling.downsampled_conv(dy, kernel)
                return dx, _kernel_gradient(dy, x, size=size)

            # Of the others, it is the smaller one, or as large.
            stride = x.shape[1] // dy.shape[1]
            dx = tf.nn.conv2d_transpose(dy, kernel, tf.shape(x), stride, "SAME")
            return dx, _kernel_gradient(x, dy, size=size)

        return convolve(x, kernel), gradient

    return run


def _kernel_gradient(larger: tf.Tensor, smaller: tf.Tensor, *, size: int) -> tf.Tensor:
    """The gradient by the kernel of a convolution with a padding of 1.

    Args:
      larger: its input, [b, h, w, c].
      smaller: the gradient of its result, [b, h / stride, w / stride, d]; stride 1 or 2.
      size: of the kernel.
    Returns: [size, size, c, d].
    """
    channels = larger.shape[3]
    filters = smaller.shape[3]
    patches = _patches(larger, size, shape=smaller.shape)
    smaller = tf.reshape(smaller, [-1, filters])
    product = tf.matmul(patches, smaller, transpose_a=True)
    return tf.reshape(product, [size, size, channels, filters])


def _patches(x: tf.Tensor, size: int, *, shape: tf.TensorShape) -> tf.Tensor:
    """What a kernel sees at each of its places, with a padding of 1, [b h' w', size size c].

    Args:
      x: [b, h, w, c].
      size: of the kernel.
      shape: of the result of its convolution, [b, h', w', d]; h' is h / stride.
    """
    height, width, channels = x.shape[1:]
    rows, columns = shape[1:3]
    stride = height // rows

    # Slices with a stride are slow: give the places between two steps an axis of their own.
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    steps_down = (height + 2) // stride
    steps_right = (width + 2) // stride
    x = tf.reshape(x, [-1, steps_down, stride, steps_right, stride, channels])

    # Collect what each tap of the kernel sees.
    seen = []
    for row in range(size):
        step, between = divmod(row, stride)
        in_rows = x[:, step : step + rows, between]
        for column in range(size):
            step, between = divmod(column, stride)
            seen.append(in_rows[:, :, step : step + columns, between])
    patches = tf.concat(seen, -1)
    return tf.reshape(patches, [-1, size * size * channels])
