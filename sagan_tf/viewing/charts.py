"""Curves of a run's numbers against the step, as Plotly's figures, and the published points."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import markupsafe
import numpy as np

from sagan_tf.evaluation.curves import LARGEST, PAPER, TFGAN

MAX_POINTS = 1000
# Told apart by people who do not tell red from green, on white and on black.
COLOURS = ("#3a86c8", "#d9822b", "#1a9c74", "#c062a0", "#b8960c", "#d0482e")
GREY = "#888888"
_LAST_STEP = 2**31 - 1  # that an axis can show
MARKED = 30  # points of a curve, at most, that have a marker each
_MARKERS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "*": "star"}
# Lines of matplotlib as Plotly and as CSS have them, where they are not solid.
_DASHES = {"--": "dash", ":": "dot", "-.": "dashdot"}
_DASHES_OF_CSS = {"--": "dashed", ":": "dotted", "-.": "double"}


class Curve(NamedTuple):
    """One quantity against the step.

    Attributes:
      label: its name.
      steps, values: float [points]; a value that is not a number leaves a gap.
      low, high: float [points], smallest and largest value that went into a point; None: no band.
      last: the newest value, for a legend.
      colour: as CSS has it.
      style: matplotlib's, marker and line.
      width: of the line in points.
      group: the entry of the legend that shows it, where that is not its own.
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
    group: str = ""

    @property
    def entry(self) -> str:
        """The entry of the legend that shows and hides it."""
        return self.group or self.label

    @property
    def marker(self) -> str:
        """The marker of its points, as matplotlib has it; "" where they have none."""
        return self.style.strip("-.:")

    @property
    def dash(self) -> str:
        """Its line, as CSS has it."""
        return _DASHES_OF_CSS.get(self.style.removeprefix(self.marker), "solid")


class Chart(NamedTuple):
    """A panel of curves.

    Attributes:
      title: of the panel.
      note: what the quantity is.
      lines: the first lies above the others.
      log: whether the values' axis is logarithmic; what is not above 0 is left out.
      from_zero: whether the values' axis begins at 0.
    """

    title: str
    note: str
    lines: Sequence[Curve]
    log: bool = False
    from_zero: bool = False

    @property
    def legend(self) -> list[Curve]:
        """A curve for each entry of the legend."""
        entries: dict[str, Curve] = {}
        for line in self.lines:
            entries.setdefault(line.entry, line)
        return list(entries.values())

    @property
    def traces(self) -> list[dict[str, Any]]:
        """Plotly's traces, the first below the others; `templates/page.js` has the layout."""
        from plotly import graph_objects  # slow to import, and needed here only

        found = []
        for line in reversed(self.lines):
            found += _traces(line)
        return json.loads(graph_objects.Figure(found).to_json())["data"]


def _traces(curve: Curve) -> list[dict[str, Any]]:
    """A curve of a figure, with its range behind it."""
    # Fill the range, there and back; an outline shows that of one step.
    steps = np.rint(np.clip(curve.steps, 0, _LAST_STEP)).astype(np.int32)
    traces = []
    if curve.low is not None and not np.array_equal(curve.low, curve.high, equal_nan=True):
        known = np.isfinite(curve.low)
        there = steps[known]
        outline = np.concatenate([curve.high[known], curve.low[known][::-1]])
        band = {
            "x": np.concatenate([there, there[::-1]]),
            "y": outline.astype(np.float32),
            "fill": "toself",
            "hoverinfo": "skip",
            "legendgroup": curve.entry,
            "line": {"color": curve.colour, "width": 1},
            "mode": "lines",
            "opacity": 0.25,
        }
        traces.append(band)

    # Draw the curve; a line through one point would not be seen.
    line = curve.style.removeprefix(curve.marker)
    marked = curve.marker or (line == "-" and len(steps) <= MARKED)
    drawn = [name for name, is_there in (("lines", line), ("markers", marked)) if is_there]
    curve_trace = {
        "x": steps,
        "y": curve.values.astype(np.float32),
        "name": str(markupsafe.escape(curve.label)),
        "legendgroup": curve.entry,
        "line": {"color": curve.colour, "width": curve.width, "dash": _DASHES.get(line, "solid")},
        "marker": {
            "color": curve.colour,
            "symbol": _MARKERS.get(curve.marker, "circle"),
            "size": 10 if curve.marker == "*" else 5,
        },
        "mode": "+".join(drawn),
    }
    return [*traces, curve_trace]


def published(field: str) -> list[Curve]:
    """The paper's points and TF-GAN's as curves.

    Args:
      field: "fid" or "inception_score".
    """

    def curve(label, points, *, colour, style):
        steps = np.array([point.step for point in points], float)
        values = np.array([getattr(point, field) for point in points], float)
        return Curve(label, steps, values, colour=colour, style=style)

    found = [curve("TF-GAN's example", TFGAN, colour=GREY, style="s--")]
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
