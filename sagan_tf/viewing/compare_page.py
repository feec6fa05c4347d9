"""The page of a comparison: one HTML file that loads nothing."""

import time
from collections.abc import Sequence
from typing import Optional

from sagan_tf import plurals
from sagan_tf.config import BEST, LAST
from sagan_tf.evaluation import protocol, tables
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.runs import health
from sagan_tf.viewing import (
    compare_charts,
    compare_groups,
    compare_protocol,
    compare_samples,
    compare_scores,
    html,
    report_pictures,
    run_summary,
    words,
)

_SHEET = (900, 88)  # pixels in a row, at most, and JPEG quality
LIMIT = f"{health.LOW_VARIETY_RATIO:.0%}".replace("%", " %")
DEVIATION = "+- is the standard deviation over the seeds of a row (n - 1)."


class Comparison:
    """What is known of several runs.

    Args:
      runs: in the order given.
      grouping: the rows of the comparison.
      chosen: the protocol.
      scored: the runs' scores.
      at: which scores are compared, as --at names them.

    Attributes:
      runs, grouping, chosen, scored, at: as given.
      titles: name -> title of the scores that are there.
    """

    def __init__(
        self,
        runs: Sequence[run_summary.Run],
        grouping: compare_groups.Grouping,
        *,
        chosen: compare_protocol.Chosen,
        scored: Sequence[compare_scores.Scored],
        at: str,
    ):
        self.runs = runs
        self.grouping = grouping
        self.chosen = chosen
        self.scored = scored
        self.at = at
        self.titles = compare_scores.columns(scored)

    @property
    def groups(self) -> list[compare_groups.Group]:
        """The rows of the comparison."""
        return self.grouping.groups

    @property
    def unscored(self) -> list[run_summary.Run]:
        """The runs without scores by the protocol."""
        return [one.run for one in self.scored if one.row is None]

    @property
    def which(self) -> str:
        """Which scores are compared, in words."""
        if self.at == LAST:
            return "Scores of each run's last evaluated step."
        if self.at == BEST:
            return (
                "Scores of the step of each run with its lowest FID; a best of several is lower "
                "than a step chosen beforehand."
            )
        return f"Scores of step {int(self.at):,}."

    def table(self) -> list[list[str]]:
        """Heading and rows: a group each, with the mean and the deviation of every score."""
        # Say whose the scores are.
        columns = [
            ["", *(group.name for group in self.groups)],
            ["runs", *map(self._count, self.groups)],
        ]
        if self.titles:
            steps = [compare_scores.steps_text(group, self.scored) for group in self.groups]
            columns.append(["step", *steps])

        # Give the scores, and whether variety was lost.
        for name, title in self.titles.items():
            spreads = compare_scores.spreads(self.groups, self.scored, name)
            columns.append([title, *compare_scores.cells(spreads)])
        lost = [_lost(group) for group in self.groups]
        if any(text != "-" for text in lost):
            columns.append(["variety lost", *lost])
        return [list(row) for row in zip(*columns)]

    @property
    def rule(self) -> str:
        """Which runs are one row, in words."""
        if self.grouping.by:
            return f"Runs with the same {' and '.join(self.grouping.by)} are one row."
        return "Runs whose settings differ in nothing but the seed are one row."

    def _count(self, group: compare_groups.Group) -> str:
        """The runs of a group, and how many of them the scores are of where some have none."""
        places = {run.directory for run in self.unscored}
        missing = sum(run.directory in places for run in group.runs)
        if not missing or not self.titles:
            return group.count
        return f"{group.count}, {len(group.runs) - missing} scored"

    def text(self) -> str:
        """The table for a terminal, after the meaning of short names."""
        lines = []
        for group in self.groups:
            if group.name != group.label:
                lines.append(f"{group.name}: {group.label}")
        return "\n".join([*lines, tables.align(self.table())])


def course(run: run_summary.Run) -> Optional[health.VarietyCourse]:
    """How the variety of a run's samples went; None where it was not recorded."""
    return health.course_of_variety(run.rows, health.steps_of_noise(run.train))


def _lost(group: compare_groups.Group) -> str:
    """How many runs of a group lost their variety, and when; "-" where none has recorded it."""
    courses = [found for found in map(course, group.runs) if found is not None]
    steps = [found.lost for found in courses if found.lost is not None]
    if not courses:
        return "-"
    when = f" (step {', '.join(f'{step:,}' for step in steps)})" if steps else ""
    return f"{len(steps)} of {len(courses)}{when}"


def variety_words(run: run_summary.Run) -> str:
    """How the variety of a run's samples went, in words."""
    # Find it.
    found = course(run)
    if found is None:
        return "not recorded"
    lowest = f"lowest {found.lowest:.0%} at step {found.lowest_step:,}, {found.last:.0%} at the end"

    # Say whether it was lost.
    lowest = lowest.replace("%", " %")
    if found.lost is None:
        return f"kept: {lowest}" if found.was_there else f"not there yet: {lowest}"
    end = "back above it" if found.last >= health.LOW_VARIETY_RATIO else "still below it"
    return f"below {LIMIT} at step {found.lost:,}, {end} at the end: {lowest}"


def page(comparison: Comparison, grids: Sequence[compare_samples.Grid]) -> str:
    """The whole page, as HTML."""
    # Say what is compared.
    count = plurals.counted(len(comparison.runs), "run")
    rows = plurals.counted(len(comparison.groups), "row")
    summary = html.paragraph(f"{count} in {rows}. {comparison.rule} {comparison.which}")
    sections = [
        ("scores", "Scores", _scores(comparison)),
        ("settings", "Settings that differ", _settings(comparison)),
        ("curves", "Curves", _curves(comparison)),
        ("samples", "Samples", _samples(comparison, grids)),
        ("variety", "Variety", _variety(comparison)),
        ("runs", "Each run", _runs(comparison)),
        ("protocol", "Protocol", _protocol(comparison)),
    ]

    return html.document(
        f"Comparison of {count}",
        f"Comparison of {count}",
        summary=summary,
        sections=sections,
        footer=f"Written {words.moment(time.time())}.",
    )


def unscored_line(runs: Sequence[run_summary.Run]) -> str:
    """One line about runs without scores, with the command that makes them."""
    names = ", ".join(run.name for run in runs)
    return f"Without scores: {names}. Score them first: sagan eval {runs[0].directory} --watch"


def _scores(comparison: Comparison) -> list[str]:
    """The table, and what its numbers are; HTML."""
    # Show the table, with the settings of each row.
    head, *rows = comparison.table()
    labelled = [[group.full_label, *row[1:]] for group, row in zip(comparison.groups, rows)]
    parts = [html.table(head, labelled, label="scores")]
    if comparison.titles:
        parts.append(html.paragraph(DEVIATION, "fine"))
    if comparison.unscored:
        parts.append(html.paragraph(unscored_line(comparison.unscored)))
    return parts


def _settings(comparison: Comparison) -> list[str]:
    """The settings in which the rows differ, and what else differs; HTML."""
    # Show a row for each group.
    grouping = comparison.grouping
    parts = [html.paragraph("The runs differ in nothing that decides what is learned.")]
    if grouping.differing:
        rows = []
        for number, group in enumerate(grouping.groups):
            values = [texts[number] for texts in grouping.differing.values()]
            rows.append([group.name, *values])
        parts = [html.table(["", *grouping.differing], rows, label="settings that differ")]

    # Say what else differs.
    if grouping.mixed:
        text = f"Rows hold runs that differ in these settings too: {', '.join(grouping.mixed)}."
        parts.append(html.paragraph(text))
    if grouping.others:
        text = "Differs too, and does not decide what is learned: "
        parts.append(html.paragraph(f"{text}{', '.join(grouping.others)}.", "fine"))
    return parts


def _curves(comparison: Comparison) -> list[str]:
    """Every score over the steps; HTML."""
    panels = compare_charts.panels(comparison.groups, comparison.scored, comparison.titles)
    if not panels:
        return [html.paragraph("None: no run has scores.")]
    figures = "\n".join(map(compare_charts.as_html, panels))
    return [html.paragraph(compare_charts.BAND), f'<div class="charts">{figures}</div>']


def _samples(comparison: Comparison, grids: Sequence[compare_samples.Grid]) -> list[str]:
    """The grids; HTML."""
    if not grids:
        return [html.paragraph("None: no run has a checkpoint that can be read.")]

    # Show each below its caption.
    parts = [html.paragraph(compare_samples.sentence(comparison.runs, grids[0]))]
    figures = []
    for grid in grids:
        shown = html.picture(report_pictures.encode(grid.pixels, *_SHEET), grid.caption)
        name = html.text(grid.group.full_label)
        caption = html.text(grid.caption)
        figures.append(
            f'<figure class="chart"><h3>{name}</h3><figcaption>{caption}</figcaption>{shown}'
            "</figure>"
        )
    return [*parts, '<div class="charts sheets">' + "\n".join(figures) + "</div>"]


def _variety(comparison: Comparison) -> list[str]:
    """How the variety of each run's samples went; HTML."""
    text = (
        "Variance of samples of one class, in % of that of real images of one class, as the "
        f"health check of training records it. A run has lost its variety when it falls below "
        f"{LIMIT}. The first steps, whose variety is noise, do not count."
    )
    rows = []
    for group in comparison.groups:
        for run in group.runs:
            rows.append([group.name, run.name, run.train.seed, variety_words(run)])
    head = ["", "run", "seed", "variety"]
    return [html.paragraph(text), html.table(head, rows, label="variety of each run")]


def _runs(comparison: Comparison) -> list[str]:
    """The scores of each run, and where it is; HTML."""
    by_run = {one.run.directory: one for one in comparison.scored}
    rows = []
    for group in comparison.groups:
        for run in group.runs:
            # Give the scores.
            one = by_run[run.directory]
            values = []
            for name in comparison.titles:
                score = one.scores.get(name, score_rows.Score(name, float("nan")))
                values.append(f"{score.value:.5g}" if name in one.scores else "-")

            # Say how far the run is, and where.
            step = "-" if one.row is None else f"{int(one.row['step']):,}"
            state = f"{run.state.name}, step {run.step:,} of {run.train.max_steps:,}"
            rows.append([group.name, run.train.seed, step, *values, state, run.directory])
    head = ["", "seed", "step", *comparison.titles.values(), "training", "directory"]
    return [html.table(head, rows, label="each run")]


def _protocol(comparison: Comparison) -> list[str]:
    """What the scores depend on; HTML."""
    # Say what is the same for all.
    chosen = comparison.chosen
    if chosen.record is None:
        return [html.paragraph("None: no run has scores.")]
    title = protocol.protocol_title(chosen.record)
    parts = [html.paragraph(f"The same for all scores on this page: {title} ({chosen.name}).")]
    fields = protocol.described(chosen.record)
    parts.append(html.table(["what", "value"], fields, label="protocol"))

    # Say what is not.
    if chosen.own_batches:
        text = (
            "Standing statistics are gathered over batches as large as each run's own, which "
            "differ."
        )
        parts.append(html.paragraph(text))
    for name, title in chosen.others.items():
        text = f"Not shown: the runs' scores of {title} (--protocol={name})."
        parts.append(html.paragraph(text, "fine"))
    return parts
