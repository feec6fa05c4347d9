"""Scores of several runs by one protocol: which are compared, their mean and their spread."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.config import BEST, LAST, CompareConfig
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.evaluation import tables
from sagan_tf.viewing import compare_groups, compare_protocol, run_summary

_NEAREST = 4  # steps that an error names


class Scored(NamedTuple):
    """The scores of one run by the protocol of the comparison.

    Attributes:
      run: the run.
      rows: its rows by this protocol, steps ascending; [] without scores.
      row: the one that is compared; None without scores.
    """

    run: run_summary.Run
    rows: list[dict[str, Any]]
    row: Optional[dict[str, Any]]

    @property
    def scores(self) -> dict[str, score_rows.Score]:
        """The scores that are compared, by name; {} without any."""
        if self.row is None:
            return {}
        scores = score_rows.read_scores(self.row)

        # The number of images of intra-FID is that of the smallest class, another in each run.
        intra = scores.get(score_rows.INTRA_FID)
        if intra is not None:
            scores[intra.name] = dataclasses.replace(intra, images=None)
        return scores


class Spread(NamedTuple):
    """A score over the seeds of a group.

    Attributes:
      mean: over the runs that have it.
      deviation: standard deviation, of n - 1 degrees of freedom; None of one run.
      count: of runs.
    """

    mean: float
    deviation: Optional[float]
    count: int


def read(
    runs: Sequence[run_summary.Run], chosen: compare_protocol.Chosen, config: CompareConfig
) -> list[Scored]:
    """The scores of each run by the protocol, and those that are compared.

    Raises:
      errors.UserError: a run with scores has none of the step that `config.at` names.
    """
    found = []
    for run in runs:
        # Take the rows of the protocol.
        rows = []
        for row in run.scores:
            if compare_protocol.protocol_of(run, row) == chosen.name:
                rows.append(row)

        # Take the one that is compared.
        row = _row_at(run, rows, config) if rows else None
        found.append(Scored(run, rows, row))
    return found


def _row_at(
    run: run_summary.Run, rows: Sequence[dict[str, Any]], config: CompareConfig
) -> dict[str, Any]:
    """The row of the last step, of the lowest FID, or of the step that is asked for."""
    # The last one.
    if config.at == LAST:
        return rows[-1]

    # The one with the lowest FID.
    if config.at == BEST:
        fids = [score_rows.value_of(row, score_rows.FID) for row in rows]
        if not np.isfinite(fids).any():
            raise errors.UserError(
                f"--at={config.at}: {run.directory} has no finite FID; give a step"
            )
        return rows[int(np.nanargmin(fids))]

    # The one of a step.
    for row in rows:
        if row["step"] == config.step:
            return row
    steps = [int(row["step"]) for row in rows]
    steps.sort(key=lambda step: abs(step - config.step))
    near = sorted(steps[:_NEAREST])
    nearest = ", ".join(map(str, near))
    raise errors.UserError(
        f"--at={config.at}: {run.directory} has no scores of this step; it has those of {nearest}"
    )


def spread(values: Iterable[float]) -> Optional[Spread]:
    """Mean and standard deviation (n - 1) of a score over runs; None of no run."""
    found = np.array(list(values), np.float64)
    if not len(found):
        return None
    mean = float(np.mean(found))
    if len(found) == 1:
        return Spread(mean, None, 1)
    deviation = float(np.std(found, ddof=1))
    return Spread(mean, deviation, len(found))


def columns(scored: Sequence[Scored]) -> dict[str, str]:
    """Name -> title of the scores that any run has, in the order of a citation."""
    found: dict[str, score_rows.Score] = {}
    for one in scored:
        for name, score in one.scores.items():
            found.setdefault(name, score)
    ordered = [found[name] for name in score_rows.NAMES if name in found]
    return {score.name: tables.column_title(score) for score in ordered}


def spreads(
    groups: Sequence[compare_groups.Group], scored: Sequence[Scored], name: str
) -> list[Optional[Spread]]:
    """One score of each group; None for a group without."""
    by_run = {one.run.directory: one.scores for one in scored}
    found = []
    for group in groups:
        values = []
        for run in group.runs:
            scores = by_run[run.directory]
            if name in scores:
                values.append(scores[name].value)
        found.append(spread(values))
    return found


def cells(found: Sequence[Optional[Spread]]) -> list[str]:
    """A column of scores as text, as in "0.279 +- 0.012", all with as many digits."""
    # Show two digits after the point, and three significant ones of the smallest.
    means = [abs(one.mean) for one in found if one is not None]
    means = [mean for mean in means if 0 < mean < math.inf]
    smallest = min(means, default=1.0)
    before = math.floor(math.log10(smallest))
    digits = min(max(2 - before, 2), 5)

    # Write them.
    texts = []
    for one in found:
        text = "-" if one is None else f"{one.mean:.{digits}f}"
        if one is not None and one.deviation is not None:
            text += f" +- {one.deviation:.{digits}f}"
        texts.append(text)
    return texts


def steps_text(group: compare_groups.Group, scored: Sequence[Scored]) -> str:
    """The step of a group's scores, or the smallest and the largest; "-" without scores."""
    return _range_text([int(one.row["step"]) for one in scored_of(group, scored)])


def images_text(group: compare_groups.Group, scored: Sequence[Scored]) -> str:
    """The real images that D has seen at the step of a group's scores, as of `steps_text`.

    Each repetition counts, so that rows with several D steps an iteration compare with others.
    """
    return _range_text([images_seen(one) for one in scored_of(group, scored)])


def images_seen(one: Scored) -> int:
    """The real images that D has seen at the step of a run's scores, each repetition counted."""
    train = one.run.train
    of_a_step = train.batch_size * train.num_towers
    return int(one.row["step"]) * train.d_step * of_a_step


def scored_of(group: compare_groups.Group, scored: Sequence[Scored]) -> list[Scored]:
    """The scores of a group's runs that have some."""
    members = {run.directory for run in group.runs}
    return [one for one in scored if one.row is not None and one.run.directory in members]


def _range_text(numbers: Sequence[int]) -> str:
    """The smallest and the largest number, or the only one; "-" without any."""
    if not numbers:
        return "-"
    ends = dict.fromkeys((min(numbers), max(numbers)))
    return "-".join(f"{number:,}" for number in ends)
