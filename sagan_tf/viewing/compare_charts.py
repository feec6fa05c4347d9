"""Curves of several runs' scores over the steps, a colour for each group of seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sagan_tf.evaluation import curves
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.viewing import charts, compare_groups, report_charts
from sagan_tf.viewing.charts import COLOURS, Curve
from sagan_tf.viewing.compare_scores import Scored

_STYLES = ("-", "--", ":", "-.")
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
    "were scored at different steps, each seed has a thin line."
)


class Panel(NamedTuple):
    """One score of all groups.

    Attributes:
      name: of the score.
      title: for people.
      note: what the score is.
      lines: of the groups.
      log: whether the values' axis is logarithmic.
    """

    name: str
    title: str
    note: str
    lines: list[Curve]
    log: bool


def panels(
    groups: Sequence[compare_groups.Group], scored: Sequence[Scored], titles: Mapping[str, str]
) -> list[Panel]:
    """A panel for each score that is drawn.

    Args:
      groups: the rows of the comparison.
      scored: the runs' scores.
      titles: name -> title of the scores that are there.
    """
    # Take the runs by their directories.
    by_run = {one.run.directory: one for one in scored}
    found = []
    for name in [name for name in titles if name in _BETTER]:
        # Draw each group.
        lines: list[Curve] = []
        for number, group in enumerate(groups):
            members = [by_run[run.directory] for run in group.runs]
            lines += _lines(group, members, name=name, number=number)

        # Choose the axis.
        values = np.concatenate([line.values for line in lines] or [np.zeros(0)])
        log = name in _OVER_DECADES and curves.spans_decades(values[np.isfinite(values)].tolist())
        found.append(Panel(name, titles[name], _BETTER[name], lines, log))
    return [panel for panel in found if panel.lines]


def _lines(
    group: compare_groups.Group, members: Sequence[Scored], *, name: str, number: int
) -> list[Curve]:
    """One score of a group: the mean with a band, or a thin line for each seed."""
    # Read the score of each run that has it.
    series = []
    for one in members:
        steps = np.array([row["step"] for row in one.rows], np.float64)
        values = np.array([score_rows.value_of(row, name) for row in one.rows], np.float64)
        if np.isfinite(values).any():
            series.append((steps, values))
    if not series:
        return []

    # Choose how it looks.
    colour = COLOURS[number % len(COLOURS)]
    style = _STYLES[number // len(COLOURS) % len(_STYLES)]
    looks = {"colour": colour, "style": style}

    # Draw each seed where the steps differ.
    first = series[0][0]
    if not all(np.array_equal(first, steps) for steps, _ in series):
        lines = [Curve("", *one, width=_SEED_WIDTH, **looks) for one in series]
        lines[0] = lines[0]._replace(label=group.name)
        return lines

    # Draw the mean, and the deviation of several.
    stacked = np.stack([values for _, values in series])
    mean = stacked.mean(axis=0)
    line = Curve(group.name, first, mean, **looks)
    if len(series) > 1:
        deviation = stacked.std(axis=0, ddof=1)
        line = line._replace(low=mean - deviation, high=mean + deviation)
    return [line]


def as_html(panel: Panel) -> str:
    """A panel with its legend."""
    return report_charts.figure(
        f"compare-{panel.name.replace('_', '-')}",
        panel.title,
        lines=panel.lines,
        note=panel.note,
        log=panel.log,
        from_zero=not panel.log,
    )


def as_png(found: Sequence[Panel], groups: Sequence[compare_groups.Group]) -> bytes:
    """All panels in one picture with one legend, which has the settings of each row.

    Args:
      found: at least one.
      groups: the rows.
    """
    drawn = [(panel.title, panel.lines, panel.log) for panel in found]
    names = {group.name: group.full_label for group in groups}
    return charts.draw_png(drawn, BAND, names=names)
