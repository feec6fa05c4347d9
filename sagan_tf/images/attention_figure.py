"""Figures of attention maps: which places of an image a place looks at.

A network's attention is [side * side, (side / 2)^2]. For every place of a side x side map, the
query, it holds the attention to every key. A key is 2 x 2 places of that map, pooled to one. Rows
of the map come first: place (row, column) has number row * side + column.

Source: paper, figures 1 and 6; reference `non_local.py:48-80`.
"""

import io
import math
import pathlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from sagan_tf.images import fonts, grids

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# For the dots and arrows of queries; people who do not tell red from green see them apart.
_COLOURS = (
    "#e69f00",
    "#56b4e9",
    "#00c896",
    "#f0e442",
    "#d55e00",
    "#cc79a7",
    "#ffffff",
    "#4477ff",
)
MAX_QUERIES = len(_COLOURS)
_CELL = 1.75  # inches
_ENLARGED = 256  # pixels, at least, that a picture is drawn with


class Panel(NamedTuple):
    """One image and where some of its places look.

    Attributes:
      image: uint8 [size, size, 3].
      caption: a line or two, left of it.
      queries: numbers of places.
      maps: float [queries, side / 2, side / 2], each summing to 1.
    """

    image: np.ndarray
    caption: str
    queries: Sequence[int]
    maps: np.ndarray


def side_of(attention: np.ndarray) -> int:
    """Side of the map that attention, [..., side * side, keys], sits on."""
    return math.isqrt(attention.shape[-2])


def query_at(x: float, y: float, *, image_size: int, side: int) -> int:
    """The number of the place under a pixel, x from the left and y from the top."""
    column = int(x * side // image_size)
    row = int(y * side // image_size)
    return row * side + column


def centre_of(query: int, image_size: int, *, side: int) -> tuple[float, float]:
    """The middle of a place, (x, y), in pixels of the image."""
    row, column = divmod(query, side)
    return (column + 0.5) * image_size / side, (row + 0.5) * image_size / side


def queries_in_grid(count: int, side: int) -> list[int]:
    """`count` places, evenly over the map in rows and columns."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    found = []
    for i in range(count):
        x = (i % columns + 0.5) / columns
        y = (i // columns + 0.5) / rows
        found.append(query_at(x, y, image_size=1, side=side))
    return found


def most_spread(attention: np.ndarray, count: int) -> list[int]:
    """The places whose attention has the largest entropy, not next to each other.

    Args:
      attention: float [side * side, keys].
      count: how many; fewer only if the map has fewer places.
    """
    entropy = -np.sum(attention * np.log(np.maximum(attention, 1e-30)), axis=1)
    side = side_of(attention)
    return _apart(entropy, side, count, side / 4)


def strongest(weights: np.ndarray, count: int) -> list[tuple[int, int]]:
    """(row, column) of the strongest keys of one map, not next to each other.

    Args:
      weights: float [side / 2, side / 2].
      count: how many; fewer where what is left has less than half of the strongest one's share.
    """
    flat = weights.reshape(-1)
    found = _apart(flat, len(weights), count, max(1.5, len(weights) / 5))
    return [divmod(key, len(weights)) for key in found if flat[key] >= flat.max() / 2]


def _apart(values: np.ndarray, side: int, count: int, distance: float) -> list[int]:
    """Numbers of the largest values on a map, `distance` places apart while there are such.

    Args:
      values: float [side * side].
      side: of the map.
      count: how many.
      distance: in rows or columns; it is halved until enough are found.
    """
    # Order the places by their value.
    count = min(count, len(values))
    order = np.argsort(-values, kind="stable").tolist()
    positions = np.stack(np.divmod(np.arange(len(values)), side), axis=1)

    # Take the largest that are far enough from those taken before.
    while True:
        found: list[int] = []
        for number in order:
            away = np.abs(positions[found] - positions[number]).max(axis=1)
            if len(found) < count and (away >= distance).all():
                found.append(number)
        if len(found) == count:
            return found
        distance /= 2


def maps_of(attention: np.ndarray, queries: Sequence[int]) -> np.ndarray:
    """float [queries, side / 2, side / 2] of one image's attention, [side * side, keys]."""
    keys = side_of(attention) // 2
    return attention[np.asarray(queries, int)].reshape(-1, keys, keys)


def panel(image: np.ndarray, caption: str, *, attention: np.ndarray, count: int) -> Panel:
    """An image, uint8, with the `count` places whose attention is most spread."""
    queries = most_spread(attention, count)
    return Panel(image, caption, queries, maps_of(attention, queries))


def upsample(weights: np.ndarray, size: int, *, smooth: bool = True) -> np.ndarray:
    """One map over the pixels of the image: each key covers the pixels that it was pooled from.

    Args:
      weights: float [side / 2, side / 2].
      size: the image's side in pixels.
      smooth: bilinear between the middles of the keys' pixels; otherwise each pixel has its key's
        value.
    Returns:
      float32 [size, size].
    """
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    picture = Image.fromarray(weights.astype(np.float32))
    return np.asarray(picture.resize((size, size), method))


def draw(panels: Sequence[Panel], title: str, *, arrows: int = 3, smooth: bool = True) -> bytes:
    """A PNG with a row for each image: the image with its queries, then a map for each query.

    A map lies over the darkened image, white-hot where its query looks most (each map has its own
    scale; the strongest share of attention stands below it), with the query's dot and arrows to the
    strongest places.

    Args:
      panels: the same number of queries each, at most `MAX_QUERIES`.
      title: above all.
      arrows: for each map, at most.
      smooth: as in `upsample`.
    """
    from matplotlib import figure  # slow to import, and needed here only

    # Lay out the figure.
    columns = 1 + len(panels[0].queries)
    width = _CELL * columns + 0.9
    height = (_CELL + 0.25) * len(panels) + 0.8
    canvas = figure.Figure(figsize=(width, height), layout="constrained", facecolor="white")
    canvas.suptitle(title, fontsize=9, parse_math=False)
    grid = canvas.subplots(len(panels), columns, squeeze=False)

    # Draw a row for each image.
    for panel, row in zip(panels, grid):
        _draw_row(row, panel, arrows, smooth)

    # Encode it.
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in other scripts
        canvas.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw_row(row: Sequence["Axes"], panel: Panel, arrows: int, smooth: bool) -> None:
    """One image with its queries, then a map for each query; arguments as in `draw`."""
    # Draw the image.
    size = max(_ENLARGED // len(panel.image), 1) * len(panel.image)
    image = np.asarray(grids.enlarge(panel.image, size))
    row[0].imshow(image)
    font = pathlib.Path(fonts.path_for(panel.caption))
    row[0].set_ylabel(panel.caption, font=font, fontsize=8, parse_math=False)

    # Let all pictures have the image's pixels.
    for axes in row:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)

    # Draw the maps.
    side = 2 * panel.maps.shape[1]
    for axes, query, weights, colour in zip(row[1:], panel.queries, panel.maps, _COLOURS):
        centre = centre_of(query, size, side=side)
        axes.imshow(_overlay(image, weights, smooth))
        for key in strongest(weights, arrows):
            _draw_arrow(axes, centre, centre_of_key(key, size, side=side), colour)
        for one in (row[0], axes):
            one.plot(*centre, "o", color=colour, markersize=7, markeredgecolor="black")
        axes.set_xlabel(f"at most {100 * weights.max():.2g} %", fontsize=7)


def centre_of_key(key: tuple[int, int], image_size: int, *, side: int) -> tuple[float, float]:
    """The middle of a key, (row, column), as (x, y) in pixels of the image."""
    row, column = key
    return (column + 0.5) * 2 * image_size / side, (row + 0.5) * 2 * image_size / side


def _draw_arrow(axes: "Axes", start: tuple, end: tuple, colour: str) -> None:
    style = {
        "arrowstyle": "-|>",
        "color": colour,
        "linewidth": 1.6,
        "shrinkA": 0,
        "shrinkB": 0,
        "mutation_scale": 9,
    }
    axes.annotate("", end, start, annotation_clip=False, arrowprops=style)


def _overlay(image: np.ndarray, weights: np.ndarray, smooth: bool) -> np.ndarray:
    """The image in dark grey with the map over it, uint8 [size, size, 3]."""
    from matplotlib import colormaps

    # Scale the map to 0..1.
    heat = upsample(weights, len(image), smooth=smooth)
    heat = (heat - heat.min()) / max(float(np.ptp(heat)), 1e-12)

    # Lay its colours over the grey image, stronger where it is larger.
    grey = image.mean(axis=2, keepdims=True) / 255
    colours = colormaps["inferno"](heat)[..., :3]
    opacity = 0.35 + 0.5 * heat[..., None]
    blend = (1 - opacity) * 0.8 * grey + opacity * colours
    return np.rint(255 * np.clip(blend, 0, 1)).astype(np.uint8)
