"""DiffAugment: random, differentiable transformations of real and of generated images alike.

All are pure functions of images [batch, size, size, 3] and of random numbers; a random number is
uniform in (0, 1). Shapes are static, so that XLA can compile them.

Source: Zhao et al., 2020, section 3.2; the official code, `DiffAugment_tf.py`.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

# The random numbers of an image.
BRIGHTNESS, SATURATION, CONTRAST, ROWS, COLUMNS, TOP, LEFT = range(7)
_NUMBERS = 7
# Parts of the image's side: the furthest translation, and the side of the square that is cut out.
_TRANSLATION = 1 / 8
_CUTOUT = 1 / 2


class DiffAugment:
    """The policies of DiffAugment, one after the other.

    Args:
      policies: some of "color", "translation" and "cutout", in their order.

    Attributes:
      numbers: how many random numbers an image needs, whatever the policies.
    """

    numbers = _NUMBERS

    def __init__(self, policies: Sequence[str]):
        self._transformations = [_TRANSFORMATIONS[policy] for policy in policies]

    def __call__(self, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Transformed images.

        Args:
          images: float [batch, size, size, 3] in [-1, 1].
          numbers: float32 [batch, numbers], uniform in (0, 1).
        """
        for transform in self._transformations:
            images = transform(images, numbers)
        return images


def color(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Other brightness, saturation and contrast, in this order.

    x + b, then s x + (1 - s) mean of the pixel, then c x + (1 - c) mean of the image, with b in
    (-0.5, 0.5), s in (0, 2), c in (0.5, 1.5). Saturation leaves the means as they are, so that all
    three are c s x + c (1 - s) mean of the pixel + (1 - c) mean of the image + b.
    """
    # Scale the random numbers.
    brightness = _column(numbers, BRIGHTNESS) - 0.5
    saturation = _column(numbers, SATURATION) * 2
    contrast = _column(numbers, CONTRAST) + 0.5

    # Add up what each pixel consists of.
    pixel_mean = tf.reduce_mean(images, axis=3, keepdims=True)
    image_mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    even = contrast * (1 - saturation) * pixel_mean
    even += (1 - contrast) * image_mean + brightness
    return contrast * saturation * images + even


def _column(numbers: tf.Tensor, number: int) -> tf.Tensor:
    """One random number of each image, [batch, 1, 1, 1]."""
    return tf.reshape(numbers[:, number], [-1, 1, 1, 1])


def translation(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Images moved by up to an eighth of their side both ways, zeros where nothing is."""
    most = int(images.shape[1] * _TRANSLATION + 0.5)
    moves = _whole_numbers(numbers, [ROWS, COLUMNS], count=2 * most + 1) - most
    return shifted(images, moves)


def cutout(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Images with zeros in a square of half their side, whose middle lies anywhere in them."""
    # Choose the square.
    size = images.shape[1]
    side = int(size * _CUTOUT + 0.5)
    corner = _whole_numbers(numbers, [TOP, LEFT], count=size + 1 - side % 2) - side // 2

    # Cut it out.
    axis = tf.range(size)
    inside = _is_between(axis - tf.expand_dims(corner, 2), side)
    kept = ~_outer(tf.logical_and, inside)
    return images * tf.cast(kept, images.dtype)


_TRANSFORMATIONS = {"color": color, "translation": translation, "cutout": cutout}


def shifted(images: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """out[i, j] = images[i + rows, j + columns], 0 where that is outside.

    The gradient is the shift back, which scatters nothing.

    Args:
      images: float [batch, size, size, channels].
      moves: int32 [batch, 2], rows and columns.
    """

    @tf.custom_gradient
    def shift(x):
        return _shifted(x, moves), lambda gradient: _shifted(gradient, -moves)

    return shift(images)


def _shifted(images: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    # Find where each pixel comes from.
    size = images.shape[1]
    source = tf.range(size) + tf.expand_dims(moves, 2)
    inside = _outer(tf.logical_and, _is_between(source, size))
    source = tf.clip_by_value(source, 0, size - 1)
    places = _outer(tf.add, source * [[size], [1]])

    # Take it from there.
    pixels = tf.reshape(images, [-1, size * size, images.shape[3]])
    found = tf.gather(pixels, tf.squeeze(places, 3), batch_dims=1)
    return found * tf.cast(inside, images.dtype)


def _outer(function: Callable, both: tf.Tensor) -> tf.Tensor:
    """A function of what belongs to a row and to a column, for each pixel.

    Args:
      function: of two tensors.
      both: [batch, 2, size], of the rows and of the columns.
    Returns:
      [batch, size, size, 1].
    """
    of_row, of_column = tf.unstack(both, axis=1)
    of_row = tf.expand_dims(tf.expand_dims(of_row, 2), 3)
    of_column = tf.expand_dims(tf.expand_dims(of_column, 1), 3)
    return function(of_row, of_column)


def _whole_numbers(numbers: tf.Tensor, chosen: Sequence[int], *, count: int) -> tf.Tensor:
    """0 .. count - 1, all equally likely, int32 [batch, chosen], of some of the numbers."""
    uniform = tf.gather(numbers, chosen, axis=1)
    return tf.cast(tf.floor(uniform * count), tf.int32)


def _is_between(number: tf.Tensor, end: int) -> tf.Tensor:
    """Whether 0 <= number < end."""
    return (number >= 0) & (number < end)
