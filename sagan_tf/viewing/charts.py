"""Curves of a run's numbers against the step, as SVG, and the published points."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

import numpy as np

from sagan_tf.evaluation.curves import LARGEST, PAPER, TFGAN

MAX_POINTS = 500
# Told apart by people who do not tell red from green, on white and on black.
COLOURS = ("#3a86c8", "#d9822b", "#1a9c74", "#c062a0", "#b8960c", "#d0482e")
_INK = "#010203"  # Stands for the page's own colour of text.
_SIZE = (4.2, 2.6)  # inches: text of 9 points is 9.7 pixels high where a chart is 328 wide.
_PANELS_IN_ROW = 3
_LETTERS_AN_INCH = 13  # of a legend, about
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,
    "path.simplify_threshold": 0.2,
}


class Curve(NamedTuple):
    """One quantity against the step.

    Attributes:
      label: its name; "" for one that a legend leaves out.
      steps, values: float [points]; a value that is not a number leaves a gap.
      low, high: float [points], smallest and largest value that went into a point; None: no band.
      last: the newest value, for a legend.
      colour: as CSS has it.
      style: matplotlib's, line and marker.
      width: of the line in points.
    """

    label: str
    steps: np.ndarray
    values: np.ndarray
    low: Optional[np.ndarray] = None
    high: Optional[np.ndarray] = None
    last: float = np.nan
    colour: str = COLOURS[0]
    style: str = "-"
    width: float = 1.3


def published(field: str) -> list[Curve]:
    """The paper's points and TF-GAN's as curves.

    Args:
      field: "fid" or "inception_score".
    """

    def curve(label, points, *, colour, style):
        steps = np.array([point.step for point in points], float)
        values = np.array([getattr(point, field) for point in points], float)
        return Curve(label, steps, values, colour=colour, style=style)

    found = [curve("TF-GAN's example", TFGAN, colour="#888888", style="s--")]
    for (label, point), colour in zip(PAPER.items(), (COLOURS[1], COLOURS[5])):
        found.append(curve(label, [point], colour=colour, style="*"))
    return found


def thin(label: str, steps: np.ndarray, *, values: np.ndarray, most: int = MAX_POINTS) -> Curve:
    """A curve of at most `most` points: means of as many neighbours each, with least and largest.

    What is not finite counts for nothing; a point of such values only is not a number.

    Args:
      label: of the curve.
      steps, values: float [rows], steps ascending.
      most: points.
    """
    count = len(steps)
    if not count:
        return Curve(label, np.zeros(0), np.zeros(0))

    # Find where the points begin, and how many good values each has.
    good = np.abs(values) < LARGEST  # false for NaN too
    points = min(count, most)
    starts = np.arange(points) * count // points
    sizes = np.diff([*starts, count])
    found = np.add.reduceat(good.astype(int), starts)

    # Reduce the good values of each point.
    def reduce(function, filling):
        reduced = function.reduceat(np.where(good, values, filling), starts)
        return np.where(found > 0, reduced, np.nan)

    return Curve(
        label,
        steps=np.add.reduceat(steps, starts) / sizes,
        values=reduce(np.add, 0.0) / np.maximum(found, 1),
        low=reduce(np.minimum, np.inf),
        high=reduce(np.maximum, -np.inf),
        last=values[good][-1] if good.any() else np.nan,
    )


def draw_svg(
    curves: Sequence[Curve], name: str, *, log: bool = False, from_zero: bool = False
) -> str:
    """Curves against the step as an `<svg>` element, without names: the page has the legend.

    Text has the page's font size and colour; several of them may stand in one page.

    Args:
      curves: the first lies above the others.
      name: what the element's ids begin with; letters, digits and "-".
      log: the values' axis; what is not above 0 is left out.
      from_zero: whether the values' axis begins at 0.
    """
    import matplotlib  # slow to import, and needed here only
    from matplotlib import figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        # Draw the curves.
        canvas = figure.Figure(figsize=_SIZE, layout="constrained")
        axes = canvas.subplots()
        for curve in reversed(curves):
            _plot(axes, curve)
        _set_axes(axes, log=log, from_zero=from_zero)

        # Write them, without what would differ from one time to the next.
        text = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(text, format="svg", transparent=True, metadata=metadata)
    return _embeddable(text.getvalue(), name)


def draw_png(
    panels: Sequence[tuple[str, Sequence[Curve], bool]], title: str, *, names: Mapping[str, str]
) -> bytes:
    """Panels of curves against the step as a PNG, with one legend for all.

    Args:
      panels: title, curves, and whether the values' axis is logarithmic; at least one.
      title: above them.
      names: label of a curve -> what the legend says.
    """
    import matplotlib  # slow to import, and needed here only
    from matplotlib import figure

    with matplotlib.rc_context(_STYLE):
        # Make room for the panels, and for a line for each name.
        columns = min(len(panels), _PANELS_IN_ROW)
        rows = math.ceil(len(panels) / columns)
        width, height = _SIZE
        letters = max(map(len, names.values()), default=0)
        ncols = max(1, int(columns * width * _LETTERS_AN_INCH) // (letters + 8))
        below = 0.4 + 0.2 * math.ceil(len(names) / ncols)
        size = (columns * width, rows * height + below)
        canvas = figure.Figure(figsize=size, layout="constrained")
        canvas.suptitle(title, fontsize=9)

        # Draw the curves.
        named = {}
        for number, (name, curves, log) in enumerate(panels):
            axes = canvas.add_subplot(rows, columns, number + 1)
            axes.set_title(name, fontsize=10)
            for curve in reversed(curves):
                line = _plot(axes, curve)
                named[curve.label] = line
            _set_axes(axes, log=log, from_zero=not log)

        # Name them, in their order.
        shown = {name: text for name, text in names.items() if name in named}
        lines = [named[name] for name in shown]
        legend = list(shown.values())
        canvas.legend(lines, legend, loc="outside lower left", ncols=ncols, frameon=False)

        # Make a PNG of them.
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _plot(axes, curve: Curve):
    """Draws a curve with its range; returns matplotlib's line."""
    # Draw the range behind the curve.
    if curve.low is not None:
        axes.fill_between(
            curve.steps, curve.low, curve.high, color=curve.colour, alpha=0.18, linewidth=0
        )

        if len(curve.steps) == 1:  # A band of one step would not be seen.
            axes.vlines(curve.steps, curve.low, curve.high, color=curve.colour, linewidth=1)

    # Draw the curve; a line through one point would not be seen.
    style = "o-" if curve.style == "-" and len(curve.steps) <= 30 else curve.style
    (line,) = axes.plot(
        curve.steps,
        curve.values,
        style,
        color=curve.colour,
        linewidth=curve.width,
        markersize=10 if "*" in style else 2.5 * curve.width,
    )
    return line


def _set_axes(axes, *, log: bool, from_zero: bool) -> None:
    from matplotlib import ticker

    # Count steps in thousands and millions.
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.set_xlabel("step")
    axes.set_xlim(left=0)

    # Choose the scale of the values and its ticks.
    if log and axes.dataLim.y1 > 0:
        axes.set_yscale("log")
        bottom, top = axes.get_ylim()
        subs = (1, 2, 5) if top < 100 * bottom else (1,)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs, numticks=8))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(6))
    if from_zero:
        highest = axes.dataLim.y1
        axes.set_ylim(0, 1.08 * highest if 0 < highest < np.inf else 1)

    # Draw a grid in place of a frame.
    axes.grid(alpha=0.2, color=_INK, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _embeddable(svg: str, name: str) -> str:
    """An SVG file as an element of a page: sized, coloured and set by the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]*; ", "", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace(_INK, "currentColor")
