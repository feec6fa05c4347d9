"""The page of a comparison; `templates/compare.html` has its words."""

import time
from collections.abc import Sequence
from typing import Optional

from sagan_tf.config import BEST, LAST
from sagan_tf.evaluation import protocol, tables
from sagan_tf.runs import health
from sagan_tf.viewing import (
    compare_charts,
    compare_groups,
    compare_protocol,
    compare_samples,
    compare_scores,
    pages,
    report_pictures,
    run_summary,
)

_SHEET = (900, 88)  # pixels in a row, at most, and JPEG quality
LIMIT = f"{health.LOW_VARIETY_RATIO:.0%}".replace("%", " %")
DEVIATION = (
    "+- is the standard deviation over the seeds of a row (n - 1); one seed has none. Where the "
    "values of two rows overlap, or have one seed, their order says nothing."
)
BETTER = "FID, KID and intra-FID: lower is better; the others: higher."


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
            images = [compare_scores.images_text(group, self.scored) for group in self.groups]
            columns.append(["real images seen", *images])

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

    @property
    def unscored_line(self) -> str:
        """One line about runs without scores, with the command that makes them; "" without any."""
        if not self.unscored:
            return ""
        names = ", ".join(run.name for run in self.unscored)
        alike = ", with the flags that the others are scored with" if self.titles else ""
        command = f"sagan eval {self.unscored[0].directory} --watch"
        return f"Without scores: {names}. Score them first{alike}: {command}"

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
    # Take what is known of each run.
    by_run = {one.run.directory: one for one in comparison.scored}
    members = []
    for group in comparison.groups:
        members += [(group.name, by_run[run.directory], variety_words(run)) for run in group.runs]

    # Say what the scores depend on.
    record = comparison.chosen.record
    about = {}
    if record is not None:
        about = {
            "title": protocol.protocol_title(record),
            "classifier": protocol.classifier_title(record),
            "fields": protocol.described(record),
        }

    return pages.render(
        "compare.html",
        comparison=comparison,
        deviation=DEVIATION,
        better=BETTER,
        unscored=comparison.unscored_line,
        band=compare_charts.BAND,
        charts=compare_charts.panels(comparison.groups, comparison.scored, comparison.titles),
        sentence=compare_samples.sentence(comparison.runs, grids[0], record) if grids else "",
        sheets=[(grid, report_pictures.encode(grid.pixels, *_SHEET)) for grid in grids],
        limit=LIMIT,
        members=members,
        about=about,
        written=time.time(),
    )
