"""Figures of attention maps: which places of an image a place looks at.

`attention_places` says what attention is, and chooses the places. The figures begin at even
attention: colour is for shares above even only.

Source: paper, figures 1 and 6; reference `non_local.py:48-80`.
"""

import io
import pathlib
import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from sagan_tf.images import attention_places, fonts, grids

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
# Attention that adds less than this share to the features hardly acts.
WEAK = 0.01
_ENLARGED = 256  # pixels, at least, that a picture is drawn with
_LETTER = 0.6  # mean width of a letter, in font sizes


class Layout(NamedTuple):
    """Sizes of a figure.

    Attributes:
      cell: side of a picture, in inches.
      text: size of the text, in points.
      dot: size of a query's dot, in points.
      lines: of text below a map.
      legend: whether a legend stands below all.
      dpi: pixels an inch.
    """

    cell: float
    text: float
    dot: float
    lines: int
    legend: bool
    dpi: int


PAGE = Layout(cell=1.75, text=8, dot=7, lines=1, legend=True, dpi=100)
# Legible on TensorBoard's cards; for one image and two queries.
CARD = Layout(cell=1.9, text=16, dot=11, lines=2, legend=False, dpi=84)


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


def maps_of(attention: np.ndarray, queries: Sequence[int]) -> np.ndarray:
    """float [queries, side / 2, side / 2] of one image's attention, [side * side, keys]."""
    keys = attention_places.side_of(attention) // 2
    return attention[np.asarray(queries, int)].reshape(-1, keys, keys)


def panel(image: np.ndarray, caption: str, *, attention: np.ndarray, count: int) -> Panel:
    """An image, uint8, with the `count` places whose attention is most concentrated."""
    queries = attention_places.most_concentrated(attention, count)
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


def title_of(network: str, step: int, *, sigma_ratio: float, share: float) -> str:
    """Whose attention a figure shows, and how strongly it acts in the figure's images.

    Args:
      network: its name.
      step: iterations that it was trained.
      sigma_ratio: factor of the attention block.
      share: mean |sigma_ratio * attended| / mean |x|, both means over all these images, places
        and channels (`gan.non_local.share_of`): x is what goes into the block, attended what it
        reads, and x + sigma_ratio * attended what it makes.
    """
    title = f"attention of the {network}, step {step}, sigma_ratio {sigma_ratio:.4g}"
    if sigma_ratio == 0:
        return f"{title}, not used yet"
    weak = ", hardly acts" if share < WEAK else ""
    return f"{title}, adds {_percent(share)} % to the features{weak}"


def remark_on(share: float) -> str:
    """A line on attention that hardly acts (`share` as of `title_of`); "" where it does act."""
    if share >= WEAK:
        return ""
    return (
        f"attention hardly acts on these images: it adds {_percent(share)} % to the features "
        "(mean |sigma_ratio * attended| / mean |x|)"
    )


def draw(
    panels: Sequence[Panel],
    title: str,
    *,
    arrows: int = 3,
    smooth: bool = True,
    layout: Layout = PAGE,
) -> bytes:
    """A PNG of `lay_out`, whose arguments it has."""
    canvas = lay_out(panels, title, arrows=arrows, smooth=smooth, layout=layout)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in other scripts
        canvas.savefig(buffer, format="png", dpi=layout.dpi)
    return buffer.getvalue()


def lay_out(
    panels: Sequence[Panel],
    title: str,
    *,
    arrows: int = 3,
    smooth: bool = True,
    layout: Layout = PAGE,
) -> "Figure":
    """A figure with a row for each image: the image with its queries, then a map for each query.

    A map lies over the darkened image. Its colour begins at even attention and is brightest at its
    strongest key: each map has its own scale. Below it stands how many times even that key is, and
    its share. The query's dot has arrows to the strongest keys. A map that is even
    (`attention_places.EVEN`) is grey, without arrows, and says so.

    Args:
      panels: the same number of queries each, at most `MAX_QUERIES`.
      title: above all; it is wrapped.
      arrows: for each map, at most.
      smooth: as in `upsample`.
      layout: `PAGE` or `CARD`.
    """
    from matplotlib import figure  # slow to import, and needed here only

    # Wrap the texts.
    columns = 1 + len(panels[0].queries)
    width = layout.cell * columns + 0.9
    title = _wrapped(title, width, layout.text + 1)
    legend = ""
    if layout.legend:
        legend = _wrapped(_legend(panels[0].maps[0].size), width, layout.text)

    # Lay out the figure.
    line = 1.4 * layout.text / 72  # inches
    lines = len(panels) * layout.lines + len(f"{title}\n{legend}".splitlines())
    picture = (width - 0.4) / columns  # Without a caption of several lines they are that wide.
    height = (picture + 0.15) * len(panels) + line * lines + 0.1
    canvas = figure.Figure(figsize=(width, height), layout="constrained", facecolor="white")
    canvas.suptitle(title, fontsize=layout.text + 1, parse_math=False)
    canvas.supxlabel(legend, fontsize=layout.text)
    grid = canvas.subplots(len(panels), columns, squeeze=False)

    # Draw a row for each image.
    for panel, row in zip(panels, grid):
        _draw_image(row, panel, layout)
        for number, axes in enumerate(row[1:]):
            _draw_map(axes, panel, number, arrows=arrows, smooth=smooth, layout=layout)
    return canvas


def _legend(keys: int) -> str:
    """How to read a figure of maps with so many keys."""
    return (
        "A dot is a place of the image, and its map shows where that place looks. Even attention "
        f"gives each of the {keys} keys {100 / keys:.3g} %. Colour shows what is above that, "
        "each map in its own scale; the number below is of the strongest key."
    )


def _wrapped(text: str, width: float, size: float) -> str:
    """A text in lines that are at most `width` inches long, of letters of `size` points."""
    letters = int(width * 72 / (_LETTER * size))
    text = text.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = [textwrap.fill(line, letters) for line in text.split("\n")]
    return "\n".join(lines)


def _percent(share: float) -> str:
    """A share in %; one just below `WEAK` does not look as if it were at it."""
    return _short(100 * share if share >= WEAK else min(100 * share, 99 * WEAK))


def _short(number: float) -> str:
    """A number in two digits, or in as many as it has before the point."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def _enlarged(image: np.ndarray) -> np.ndarray:
    """The image as it is drawn, uint8 [size, size, 3] of at least `_ENLARGED` pixels if small."""
    size = max(_ENLARGED // len(image), 1) * len(image)
    return np.asarray(grids.enlarge(image, size))


def _draw_image(row: Sequence["Axes"], panel: Panel, layout: Layout) -> None:
    """The image with its caption and queries in the first of a row's axes."""
    # Draw the image.
    image = _enlarged(panel.image)
    row[0].imshow(image)
    font = pathlib.Path(fonts.path_for(panel.caption))
    caption = _wrapped(panel.caption, layout.cell, layout.text)
    row[0].set_ylabel(caption, font=font, fontsize=layout.text, parse_math=False)

    # Let all pictures have the image's pixels, at the upper end of their room.
    size = len(image)
    for axes in row:
        axes.set_anchor("N")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)

    # Draw the queries.
    side = 2 * panel.maps.shape[1]
    for query, colour in zip(panel.queries, _COLOURS):
        centre = attention_places.centre_of(query, size, side=side)
        _draw_dot(row[0], centre, colour=colour, dot=layout.dot)


def _draw_map(
    axes: "Axes", panel: Panel, number: int, *, arrows: int, smooth: bool, layout: Layout
) -> None:
    """The map of the query of that number; other arguments as of `lay_out`."""
    # Draw the map and the number of its strongest key.
    image = _enlarged(panel.image)
    weights = panel.maps[number]
    axes.imshow(_overlay(image, weights, smooth))
    strength = attention_places.times_even(weights.reshape(-1))
    share = f"({_short(100 * weights.max())} %)"
    between = " " if layout.lines == 1 else "\n"
    # Cut, not rounded: what is just below the limit must not look as if it were on it.
    cut = np.floor(100 * strength) / 100
    times = f"{cut:.2f}" if strength < 2 else _short(strength)
    axes.set_xlabel(f"{times} times even{between}{share}", fontsize=layout.text)

    # Draw the arrows and the query, or say that the map has no strongest places.
    side = 2 * len(weights)
    centre = attention_places.centre_of(panel.queries[number], len(image), side=side)
    colour = _COLOURS[number]
    for key in attention_places.strongest(weights, arrows):
        end = attention_places.centre_of_key(key, len(image), side=side)
        _draw_arrow(axes, centre, end, colour=colour, dot=layout.dot)
    _draw_dot(axes, centre, colour=colour, dot=layout.dot)
    if strength < attention_places.EVEN:
        _write_even(axes, layout.text)


def _write_even(axes: "Axes", text: float) -> None:
    """The word "even" in the middle of a map, under a dot that is there."""
    box = {"boxstyle": "round", "facecolor": "black", "edgecolor": "white"}
    style = {
        "fontsize": text,
        "color": "white",
        "ha": "center",
        "va": "center",
        "bbox": box,
        "zorder": 1,
    }
    axes.text(0.5, 0.5, "even", transform=axes.transAxes, **style)


def _draw_dot(axes: "Axes", centre: tuple[float, float], *, colour: str, dot: float) -> None:
    style = {"color": colour, "markersize": dot, "markeredgecolor": "black", "clip_on": False}
    axes.plot(*centre, "o", **style)


def _draw_arrow(axes: "Axes", start: tuple, end: tuple, *, colour: str, dot: float) -> None:
    style = {
        "arrowstyle": "-|>",
        "color": colour,
        "linewidth": 0.23 * dot,
        "shrinkA": 0,
        "shrinkB": 0,
        "mutation_scale": 1.3 * dot,
    }
    axes.annotate("", end, start, annotation_clip=False, arrowprops=style)


def _overlay(image: np.ndarray, weights: np.ndarray, smooth: bool) -> np.ndarray:
    """The image in dark grey with what is above even over it, uint8 [size, size, 3].

    Args:
      image: uint8 [size, size, 3].
      weights: float [side / 2, side / 2], summing to 1.
      smooth: as in `upsample`.
    """
    from matplotlib import colormaps

    # Scale the map: 0 at even or below, 1 at the strongest key.
    grey = 0.7 * image.mean(axis=2, keepdims=True).repeat(3, axis=2) / 255
    shown = upsample(weights, len(image), smooth=smooth)
    heat = attention_places.above_even(weights, shown)

    # Lay its colours over the grey image, stronger where it is larger.
    colours = colormaps["inferno"](0.3 + 0.7 * heat)[..., :3]
    opacity = 0.9 * np.minimum(1.5 * heat, 1)[..., None]
    blend = (1 - opacity) * grey + opacity * colours
    return np.rint(255 * np.clip(blend, 0, 1)).astype(np.uint8)
