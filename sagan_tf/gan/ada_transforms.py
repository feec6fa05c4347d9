"""Transformations of adaptive augmentation (ADA), each done to an image with probability p.

Of the paper's categories these are pixel blitting, general geometric and colour transformations
("bgc"). Images are sampled between their pixels as they are, without the paper's wavelet filters
against aliasing; borders are reflected, as in the paper. Image-space filters and corruptions are
not here.

All are pure functions of images [batch, size, size, 3], of random numbers and of p; a random
number is uniform in (0, 1). With p = 0 an image stays as it is, to the bit.

Source: Karras et al., 2020, appendix B and figure 7; the official code, `training/augment.py`.
"""

import math
from collections.abc import Collection
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf.config import augmentation_names

# Random numbers of an image: for each transformation one that says whether it is done, and others
# that say how.
_COUNTS = {
    "xflip": 2,
    "rotate90": 2,
    "xint": 3,
    "scale": 2,
    "rotate": 4,
    "aniso": 2,
    "xfrac": 3,
    "brightness": 2,
    "contrast": 2,
    "lumaflip": 2,
    "hue": 2,
    "saturation": 2,
}
GEOMETRY = augmentation_names.GROUPS["ada"]["bg"]
COLOR = augmentation_names.GROUPS["ada"]["color"]
NUMBERS = sum(_COUNTS.values())
FIRST = dict(zip(_COUNTS, np.cumsum([0, *_COUNTS.values()]).tolist()))
# The paper's constants. Standard deviations of scale and aspect are in powers of 2.
_SCALE = 0.2
_ASPECT = 0.2
_TRANSLATION = 1 / 8
_BRIGHTNESS = 0.2
_CONTRAST = 0.5
_SATURATION = 1.0


class Draws:
    """Values of the transformations of a batch: the identity where one is not done.

    Each method gives float32 [batch]. Its `number` is the random number of the transformation that
    says how it is done.

    Args:
      numbers: float32 [batch, NUMBERS], uniform in (0, 1).
      p: float32 scalar, the probability of each transformation.
      policies: transformations that may be done.
    """

    def __init__(self, numbers: tf.Tensor, p: tf.Tensor, policies: Collection[str]):
        self._numbers = numbers
        self._p = p
        self._policies = policies

    def whole(self, name: str, count: int) -> tf.Tensor:
        """0 .. count - 1, all equally likely; else 0."""
        value = tf.floor(count * self._uniform(name, 1))
        return self._chosen(name, value)

    def between(self, name: str, number: int, *, limit: float) -> tf.Tensor:
        """Uniform between -limit and limit; else 0."""
        value = limit * (2 * self._uniform(name, number) - 1)
        return self._chosen(name, value)

    def normal(self, name: str, number: int, *, deviation: float) -> tf.Tensor:
        """Normal about 0; else 0."""
        uniform = 2 * self._uniform(name, number) - 1
        value = deviation * math.sqrt(2) * tf.math.erfinv(uniform)
        return self._chosen(name, value)

    def power(self, name: str, *, deviation: float) -> tf.Tensor:
        """2 to the power of a normal number; else 1."""
        return 2 ** self.normal(name, 1, deviation=deviation)

    def angle(self, name: str, *, gate: int = 0) -> tf.Tensor:
        """Any angle; else 0.

        Of the two of "rotate" one or more is done with probability p, so each is with less.

        Args:
          name: of the transformation.
          gate: the random number that says whether it is done; the next one says how.
        """
        p = self._p
        if name == "rotate":
            p = 1 - tf.sqrt(tf.maximum(1 - p, 0.0))
        value = math.pi * (2 * self._uniform(name, gate + 1) - 1)
        return self._chosen(name, value, p=p, gate=gate)

    def _uniform(self, name: str, number: int) -> tf.Tensor:
        column = FIRST[name] + number
        return self._numbers[:, column]

    def _chosen(
        self, name: str, value: tf.Tensor, *, p: Optional[tf.Tensor] = None, gate: int = 0
    ) -> tf.Tensor:
        """The value where the transformation is done: where number `gate` is below p; else 0."""
        # Some are done nowhere.
        zeros = tf.zeros_like(value)
        if name not in self._policies:
            return zeros

        # Others are done here and there.
        probability = self._p if p is None else p
        done = self._uniform(name, gate) < probability
        return tf.where(done, value, zeros)


def transform(images: tf.Tensor, draws: Draws, policies: Collection[str]) -> tf.Tensor:
    """Images after the transformations of the policies, geometry first.

    Args:
      images: float [batch, size, size, 3] in [-1, 1].
      draws: values of the transformations.
      policies: as those of `draws`; what none of them needs is not computed.
    """
    if not set(GEOMETRY).isdisjoint(policies):
        matrix, offset = affine_map(draws, images.shape[1])
        images = sampled(images, matrix, offset)
    if not set(COLOR).isdisjoint(policies):
        images = recoloured(images, draws)
    return images


def affine_map(draws: Draws, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The map from a pixel's place to the place that its colour comes from.

    Places are (x, y) in pixels from the middle of the image.

    Args:
      draws: values of the transformations.
      size: of the images.
    Returns:
      float32 matrix [batch, 2, 2] and offset [batch, 2]; source = matrix place + offset.
    """
    # Find the moves between and before the matrices.
    move = _TRANSLATION * size
    pixels = [draws.between("xint", number, limit=move) for number in (1, 2)]
    shift = [draws.normal("xfrac", number, deviation=move) for number in (1, 2)]

    # Put all together: each move is turned by the matrices after it.
    blit = _blit(draws)
    matrix = _product(blit, _general_geometry(draws))
    offset = _applied(blit, tf.round(tf.stack(pixels, 1)))
    offset += _applied(matrix, tf.stack(shift, 1))
    return matrix, offset


def _blit(draws: Draws) -> tf.Tensor:
    """A flip, and a rotation by 0, 1, 2 or 3 right angles."""
    mirror = 1 - 2 * draws.whole("xflip", 2)
    turns = tf.cast(draws.whole("rotate90", 4), tf.int32)
    cosine = tf.gather([1.0, 0.0, -1.0, 0.0], turns)
    sine = tf.gather([0.0, 1.0, 0.0, -1.0], turns)
    return _matrix(mirror * cosine, -mirror * sine, sine, cosine)


def _general_geometry(draws: Draws) -> tf.Tensor:
    """Scale, a rotation, aspect, and a rotation again."""
    # Scale both sides alike, and one against the other.
    scale = draws.power("scale", deviation=_SCALE)
    aspect = draws.power("aniso", deviation=_ASPECT)
    sides = tf.stack([scale * aspect, scale / aspect], 1)

    # Turn before and after.
    first = _rotation(draws.angle("rotate", gate=0))
    second = _rotation(draws.angle("rotate", gate=2))
    return _product(first * tf.expand_dims(sides, 1), second)


def _rotation(angle: tf.Tensor) -> tf.Tensor:
    """Rotations by angles [batch]."""
    cosine = tf.cos(angle)
    sine = tf.sin(angle)
    return _matrix(cosine, -sine, sine, cosine)


def _matrix(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """[[a, b], [c, d]] for each image, float32 [batch, 2, 2]."""
    return tf.reshape(tf.stack([a, b, c, d], 1), [-1, 2, 2])


def _product(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Products of matrices, float32 [batch, 2, 2].

    A GPU may round the factors of `tf.matmul` (`tensor_float_32`), but not these.
    """
    left = tf.expand_dims(first, 3)
    right = tf.expand_dims(second, 1)
    return tf.reduce_sum(left * right, axis=2)


def _applied(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Matrices times vectors, float32 [batch, 2]."""
    return tf.reduce_sum(matrix * tf.expand_dims(vector, 1), axis=2)


def sampled(images: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Images whose pixels come from other places, between four pixels where need be.

    Args:
      images: float [batch, size, size, channels].
      matrix: float32 [batch, 2, 2], of `affine_map`.
      offset: float32 [batch, 2], likewise.
    """
    # Find the place that each pixel comes from.
    size = images.shape[1]
    middle = (size - 1) / 2
    axis = tf.range(size, dtype=tf.float32) - middle
    places = tf.stack(tf.meshgrid(axis, axis), 2)
    sources = tf.reshape(matrix, [-1, 1, 1, 2, 2]) * tf.expand_dims(places, 2)
    sources = tf.reduce_sum(sources, axis=4)
    sources += tf.reshape(offset, [-1, 1, 1, 2])
    sources += middle

    # Find its neighbours, and how near they are.
    x, y = tf.unstack(sources, axis=3)
    columns, column_shares = _neighbours(x, size, axis=1)
    rows, row_shares = _neighbours(y, size, axis=2)
    numbers = rows * size + columns
    shares = tf.cast(row_shares * column_shares, images.dtype)

    # Take their mean.
    pixels = tf.reshape(images, [-1, size * size, images.shape[3]])
    found = tf.gather(pixels, numbers, batch_dims=1)
    return tf.reduce_sum(found * tf.expand_dims(shares, 5), axis=[1, 2])


def _neighbours(place: tf.Tensor, size: int, *, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The two pixels beside a place on one side, reflected into the image, and their shares.

    Args:
      place: float32 [batch, size, size], 0 at the middle of the first pixel.
      size: of the image.
      axis: 1 or 2: which of the two new axes has the two; the other has one element.
    Returns:
      int32 and float32 [batch, 1 or 2, 1 or 2, size, size].
    """
    # Reflect at the middles of the first and of the last pixel.
    last = size - 1
    period = 2.0 * last
    place = tf.math.floormod(tf.abs(place), period)
    place = tf.minimum(place, period - place)

    # Take the pixels on both sides.
    below = tf.floor(place)
    share = place - below
    pixel = tf.cast(below, tf.int32)
    pixels = tf.stack([pixel, tf.minimum(pixel + 1, last)], 1)
    shares = tf.stack([1 - share, share], 1)
    return tf.expand_dims(pixels, axis), tf.expand_dims(shares, axis)


def recoloured(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Images of other brightness b, contrast c, luma, hue and saturation s.

    With v = (1, 1, 1) / sqrt(3), the axis of grey: x + b, then c x, then luma flipped, x - 2 v v'x,
    then the hue turned about v by an angle a, then v v'x + s (x - v v'x). All share the axis, so
    that they are one sum: c (s cos(a) x + (f - s cos(a)) v v'x + s sin(a) v cross x) + c f b, where
    f is -1 for a flipped luma and else 1.

    Args:
      images: float [batch, size, size, 3] in [-1, 1].
      draws: the values.
    """
    # Choose each value.
    brightness = draws.normal("brightness", 1, deviation=_BRIGHTNESS)
    contrast = draws.power("contrast", deviation=_CONTRAST)
    luma = contrast * (1 - 2 * draws.whole("lumaflip", 2))
    hue = draws.angle("hue")
    saturation = contrast * draws.power("saturation", deviation=_SATURATION)

    # Find the factors of the sum.
    own = saturation * tf.cos(hue)
    turned = saturation * tf.sin(hue) / math.sqrt(3)
    factors = tf.stack([own, luma - own, turned, luma * brightness])
    factors = tf.cast(tf.reshape(factors, [4, -1, 1, 1, 1]), images.dtype)
    own, grey, turned, even = tf.unstack(factors)

    # Add it up.
    mean = tf.reduce_mean(images, axis=3, keepdims=True)
    cross = tf.roll(images, 1, axis=3) - tf.roll(images, -1, axis=3)
    result = own * images + even
    result += grey * mean
    return result + turned * cross
