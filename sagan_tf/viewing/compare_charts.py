"""Curves of several runs' scores and variety over the steps, a colour for each group of seeds."""

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sagan_tf.evaluation import curves
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.runs import health
from sagan_tf.viewing import charts, compare_groups, run_summary
from sagan_tf.viewing.charts import COLOURS, GREY, Chart, Curve
from sagan_tf.viewing.compare_scores import Scored

# Lines and markers, for groups of the same colour.
_STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
_SIZE = (4.2, 2.6)  # inches, of a chart in the PNG
_CHARTS_IN_ROW = 3
_LETTERS_AN_INCH = 13  # of a legend, about
_HANDLE = 8  # letters that a line takes before its name
_STYLE = {
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,
}
_SEED_WIDTH = 0.9  # points, of the line of one seed
_OVER_DECADES = (score_rows.FID, score_rows.KID, score_rows.INTRA_FID)
_BETTER = {
    score_rows.INCEPTION_SCORE: "Higher is better.",
    score_rows.FID: "Lower is better.",
    score_rows.KID: "Lower is better.",
    score_rows.INTRA_FID: "FID within a class, mean over classes. Lower is better.",
    "precision": "Share of generated images that lie among the real ones. Higher is better.",
    "recall": "Share of real images that lie among the generated ones. Higher is better.",
    "density": "How densely generated images lie among the real ones. Higher is better.",
    "coverage": "Share of real images with a generated one near by. Higher is better.",
}
BAND = (
    "A line is the mean of a row's seeds, with the standard deviation as a band. Where the seeds "
    "have values at different steps, each seed has a thin line."
)
_Series = tuple[np.ndarray, np.ndarray]  # steps and values
_LOWEST = 100 * health.LOW_VARIETY_RATIO
MARK = f"variety is lost below {_LOWEST:.0f} %"


def panels(
    groups: Sequence[compare_groups.Group], scored: Sequence[Scored], titles: Mapping[str, str]
) -> list[Chart]:
    """A chart for each score that is drawn, and one of variety where it was recorded.

    Args:
      groups: the rows of the comparison.
      scored: the runs' scores.
      titles: name -> title of the scores that are there.
    """
    # Take the runs by their directories.
    by_run = {one.run.directory: one for one in scored}
    found = []
    for name in [name for name in titles if name in _BETTER]:
        # Draw it, and choose the axis.
        lines = _lines_of_groups(
            groups, lambda run, name=name: _of_scores(by_run[run.directory], name)
        )
        values = np.concatenate([line.values for line in lines] or [np.zeros(0)])
        log = name in _OVER_DECADES and curves.spans_decades(values[np.isfinite(values)].tolist())
        if lines:
            found.append(Chart(titles[name], _BETTER[name], lines, log, not log))

    # Draw the variety.
    variety = _variety(groups)
    return [*found, variety] if variety.lines else found


def _variety(groups: Sequence[compare_groups.Group]) -> Chart:
    """How the variety of samples went, as the health check of training records it."""
    # Draw each group, and the limit as long as the longest of them.
    lines = _lines_of_groups(groups, _of_variety)
    if lines:
        ends = np.array([0.0, max(line.steps[-1] for line in lines)])
        limit = np.full(2, _LOWEST)
        mark = Curve(MARK, ends, limit, last=_LOWEST, colour=GREY, style="--")
        lines.append(mark)
    note = (
        "Variance of pixels of samples of a class as a share of that of real images of a class, in "
        "%. At the beginning it may be that of noise."
    )
    return Chart("Variety within a class, %", note, lines, from_zero=True)


def _of_scores(one: Scored, name: str) -> _Series:
    """Steps and values of a score of a run; not a number where a row lacks it."""
    steps = [row["step"] for row in one.rows]
    values = [score_rows.value_of(row, name) for row in one.rows]
    return np.array(steps, np.float64), np.array(values, np.float64)


def _of_variety(run: run_summary.Run) -> _Series:
    """Steps and variety of a run's samples, in %."""
    steps, values = run_summary.column(run.rows, health.RATIO)
    curve = charts.thin("", steps, values=100 * values)
    return curve.steps, curve.values


def _lines_of_groups(
    groups: Sequence[compare_groups.Group], of_run: Callable[[run_summary.Run], _Series]
) -> list[Curve]:
    """One quantity of all groups.

    Args:
      groups: the rows of the comparison.
      of_run: steps and values of a run.
    """
    lines: list[Curve] = []
    for number, group in enumerate(groups):
        series = [of_run(run) for run in group.runs]
        lines += _lines(group, series, number=number)
    return lines


def _lines(group: compare_groups.Group, series: Sequence[_Series], *, number: int) -> list[Curve]:
    """One quantity of a group: the mean with a band, or a thin line for each seed.

    Args:
      group: the row of the comparison.
      series: steps and values of each of its runs.
      number: of the group.
    """
    # Leave out runs that do not have it.
    series = [(steps, values) for steps, values in series if np.isfinite(values).any()]
    if not series:
        return []

    # Draw each seed where the steps differ.
    first = series[0][0]
    if not all(np.array_equal(first, steps) for steps, _ in series):
        found = []
        for steps, values in series:
            curve = _curve(group.name, steps, values, number=number)
            found.append(curve._replace(width=_SEED_WIDTH))
        return found

    # Draw the mean, and the deviation of several.
    stacked = np.stack([values for _, values in series])
    mean = stacked.mean(axis=0)
    curve = _curve(group.name, first, mean, number=number)
    if len(series) > 1:
        deviation = stacked.std(axis=0, ddof=1)
        curve = curve._replace(low=mean - deviation, high=mean + deviation)
    return [curve]


def _curve(label: str, steps: np.ndarray, values: np.ndarray, *, number: int) -> Curve:
    """A curve of the group of this number; a line through few points needs them marked."""
    line, marker = _STYLES[number // len(COLOURS) % len(_STYLES)]
    if len(steps) > charts.MARKED:
        marker = ""
    colour = COLOURS[number % len(COLOURS)]
    return Curve(label, steps, values, colour=colour, style=marker + line)


def as_png(found: Sequence[Chart], names: Mapping[str, str], *, classifier: str) -> bytes:
    """All charts in one picture with one legend.

    Args:
      found: at least one.
      names: label of a curve -> what the legend says.
      classifier: of all scores; empty: there are none.
    """
    import matplotlib  # slow to import, and needed here only
    from matplotlib import figure

    with matplotlib.rc_context(_STYLE):
        # Make room for the charts, and for a line for each name.
        columns = min(len(found), _CHARTS_IN_ROW)
        rows = math.ceil(len(found) / columns)
        width, height = _SIZE
        most = int(columns * width * _LETTERS_AN_INCH)
        names = {name: textwrap.fill(text, most - _HANDLE) for name, text in names.items()}
        parts = []
        for text in names.values():
            parts += text.splitlines()
        letters = max(map(len, parts), default=0)
        ncols = max(1, most // (letters + _HANDLE))
        below = 0.6 + 0.2 * math.ceil(len(parts) / ncols)
        size = (columns * width, rows * height + below)
        canvas = figure.Figure(figsize=size, layout="constrained")
        canvas.suptitle(_heading(classifier, columns * width), fontsize=9)

        # Draw the curves.
        named = {}
        for number, chart in enumerate(found):
            axes = canvas.add_subplot(rows, columns, number + 1)
            axes.set_title(chart.title, fontsize=10)
            for curve in reversed(chart.lines):
                line = _plot(axes, curve)
                named[curve.label] = line
            _set_axes(axes, log=chart.log)

        # Name them, in their order.
        shown = {name: text for name, text in names.items() if name in named}
        lines = [named[name] for name in shown]
        legend = list(shown.values())
        canvas.legend(
            lines,
            legend,
            loc="outside lower left",
            ncols=ncols,
            frameon=False,
        )

        # Make a PNG of them.
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _heading(classifier: str, width: float) -> str:
    """What all charts of a picture, so many inches wide, have in common."""
    text = BAND
    if classifier:
        text += f" All scores are by the classifier {classifier}."
    return textwrap.fill(text, int(width * _LETTERS_AN_INCH))


def _plot(axes, curve: Curve):
    """Draws a curve with its range; returns matplotlib's line."""
    # Draw the range behind the curve.
    if curve.low is not None:
        axes.fill_between(
            curve.steps,
            curve.low,
            curve.high,
            color=curve.colour,
            alpha=0.18,
            linewidth=0,
        )

        if len(curve.steps) == 1:  # A band of one step would not be seen.
            axes.vlines(
                curve.steps,
                curve.low,
                curve.high,
                color=curve.colour,
                linewidth=1,
            )

    # Draw the curve.
    width = curve.width
    looks = {"color": curve.colour, "linewidth": width, "markersize": 2.5 * width}
    (line,) = axes.plot(curve.steps, curve.values, curve.style, **looks)
    return line


def _set_axes(axes, *, log: bool) -> None:
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
    if not log:
        highest = axes.dataLim.y1
        axes.set_ylim(0, 1.08 * highest if 0 < highest < np.inf else 1)

    # Draw a grid in place of a frame.
    axes.grid(alpha=0.2, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
