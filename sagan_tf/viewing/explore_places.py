"""What a click on an image means, and where the place under it looks."""

from typing import NamedTuple

import numpy as np

from sagan_tf import errors
from sagan_tf.images import attention_places

_LISTED = 8  # Keys that are named.


class Look(NamedTuple):
    """Where one place of an image looks.

    Attributes:
      query: the place's number, row * side + column.
      side: of the map that places are on.
      corners: (left, top, right, bottom) of the place, in pixels of the image.
      weights: float [side / 2, side / 2], the share of each key; they sum to 1.
      heat: float [side / 2, side / 2], `attention_places.above_even` of the weights.
      times_even: how many times the even share the strongest key has.
      strongest: (row, column, share) of the strongest keys, in falling order.
    """

    query: int
    side: int
    corners: tuple[float, float, float, float]
    weights: np.ndarray
    heat: np.ndarray
    times_even: float
    strongest: list[tuple[int, int, float]]

    @property
    def is_even(self) -> bool:
        """Whether the place looks nowhere in particular."""
        return self.times_even < attention_places.EVEN


def look(attention: np.ndarray, x: float, y: float, *, image_size: int) -> Look:
    """Where the place under a pixel looks.

    Args:
      attention: float [side * side, keys], of one image.
      x, y: pixels from the left and from the top; a fraction lies inside a pixel.
      image_size: side of the image in pixels.
    Raises:
      errors.UserError: the pixel is not in the image.
    """
    if not (0 <= x < image_size and 0 <= y < image_size):
        raise errors.UserError(
            f"Pixel {x:g},{y:g}: is not in the image; click on one from 0,0 to "
            f"{image_size - 1},{image_size - 1}"
        )
    side = attention_places.side_of(attention)
    query = attention_places.query_at(x, y, image_size=image_size, side=side)
    return look_of(attention, query, image_size=image_size)


def look_of(attention: np.ndarray, query: int, *, image_size: int) -> Look:
    """Where the place of a number looks; other arguments as of `look`."""
    # Find the place.
    side = attention_places.side_of(attention)
    row, column = divmod(query, side)
    pixels = image_size / side
    left = column * pixels
    top = row * pixels
    corners = (left, top, left + pixels, top + pixels)

    # Order its keys.
    flat = attention[query]
    keys = side // 2
    weights = flat.reshape(keys, keys)
    order = np.argsort(-flat, kind="stable")[:_LISTED]
    strongest = [(*divmod(int(key), keys), float(flat[key])) for key in order]

    # Measure them against even attention.
    times_even = float(attention_places.times_even(flat))
    heat = attention_places.above_even(weights)
    return Look(query, side, corners, weights, heat, times_even, strongest)


def first_query(attention: np.ndarray) -> int:
    """The place to look at before anybody has clicked: the most concentrated one."""
    (query,) = attention_places.most_concentrated(attention, 1)
    return query


def middle_of(seen: Look) -> str:
    """A pixel inside a place, as `attention-maps --queries` takes it."""
    left, top, right, bottom = seen.corners
    return f"{(left + right) / 2:g},{(top + bottom) / 2:g}"
