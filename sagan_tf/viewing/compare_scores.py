"""Scores of several runs by one protocol: which are compared, their mean and their spread."""

import collections
import csv
import dataclasses
import io
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.config import BEST, LAST, CompareConfig
from sagan_tf.evaluation import protocol, tables
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.viewing import compare_groups, run_summary

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


class Chosen(NamedTuple):
    """The protocol of a comparison.

    Attributes:
      record: of the protocol, by the first run; None where no run has scores.
      name: of the protocol, the same for all runs; "" where no run has scores.
      others: name -> title of the other protocols by which all runs with scores are scored.
      own_batches: whether standing statistics are gathered over batches of sizes that differ,
        each the run's own.
    """

    record: Optional[dict[str, Any]]
    name: str = ""
    others: Mapping[str, str] = types.MappingProxyType({})
    own_batches: bool = False


def choose_protocol(runs: Sequence[run_summary.Run], wanted: str = "") -> Chosen:
    """The protocol with the most scores among those by which all runs that have scores are scored.

    Args:
      runs: at least one.
      wanted: its name; empty: that with the most scores, and of several the newest.
    Raises:
      errors.UserError: there is none; the message names each field that differs. Or none has the
        name that is wanted.
    """
    # Find the protocols of each run, that with the most scores last.
    scored = [(run, _protocols(run)) for run in runs if run.scores]
    if not scored:
        return Chosen(None)
    records = scored[0][1]
    common = [name for name in records if all(name in found for _, found in scored)]
    if not common:
        raise errors.UserError(_refusal(scored))

    # Take the one that is wanted, or the last.
    name = wanted or common[-1]
    titles = {one: protocol.protocol_title(records[one]) for one in common}
    if name not in titles:
        known = "; ".join(f"{one} ({title})" for one, title in titles.items())
        raise errors.UserError(f"--protocol={name}: expected one of {known}")
    del titles[name]
    sizes = {_batch_size(found[name]) for _, found in scored}
    record = records[name]
    if len(sizes) > 1:
        record = protocol.with_own_batches(record, scored[0][0].train.group_size)
    return Chosen(record, name, titles, own_batches=len(sizes) > 1)


def _protocols(run: run_summary.Run) -> dict[str, dict[str, Any]]:
    """Name -> record of the protocols of a run's scores, those with more scores and newer last."""
    records: dict[str, dict[str, Any]] = {}
    counts: collections.Counter[str] = collections.Counter()
    for row in sorted(run.scores, key=_time):
        name = protocol_of(run, row)
        records.pop(name, None)
        records[name] = row["protocol"]
        counts[name] += 1
    return {name: records[name] for name in sorted(records, key=counts.get)}


def _batch_size(record: dict[str, Any]) -> Any:
    """Images in a batch of standing statistics, as far as a record says it."""
    sampling = record.get("sampling")
    return sampling.get("batch_size") if isinstance(sampling, dict) else None


def _time(row: dict[str, Any]) -> float:
    time = row.get("time")
    return float(time) if isinstance(time, (int, float)) else 0.0


def protocol_of(run: run_summary.Run, row: dict[str, Any]) -> str:
    """The name of a row's protocol, the same for rows of runs that compare."""
    return protocol.protocol_name(protocol.with_own_batches(row["protocol"], run.train.group_size))


def _refusal(scored: Sequence[tuple[run_summary.Run, dict]]) -> str:
    """Why scores do not compare: the first run and one that is scored otherwise."""
    # Find the runs that are scored otherwise than the first.
    first, records = scored[0]
    name, record = list(records.items())[-1]
    others = [(run, found) for run, found in scored if name not in found]
    other, found = others[0]
    *_, other_record = found.values()

    # Name each field that differs.
    differing = protocol.differences(
        protocol.with_own_batches(record, first.train.group_size),
        protocol.with_own_batches(other_record, other.train.group_size),
    )
    more = f" ({len(others) - 1} more runs differ from it too)" if len(others) > 1 else ""
    return (
        f"--runs={other.directory}: its scores are of another protocol than those of "
        f"{first.directory}{more}: {'; '.join(differing)}. Score the runs alike, or leave some out"
    )


def read(runs: Sequence[run_summary.Run], chosen: Chosen, config: CompareConfig) -> list[Scored]:
    """The scores of each run by the protocol, and those that are compared.

    Raises:
      errors.UserError: a run with scores has none of the step that `config.at` names.
    """
    found = []
    for run in runs:
        rows = []
        if chosen.record is not None:
            rows = [row for row in run.scores if protocol_of(run, row) == chosen.name]
        found.append(Scored(run, rows, _row_at(run, rows, config) if rows else None))
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
            raise errors.UserError(f"--at={config.at}: {run.directory} has no FID; give a step")
        return rows[int(np.nanargmin(fids))]

    # The one of a step.
    for row in rows:
        if row["step"] == config.step:
            return row
    steps = sorted((int(row["step"]) for row in rows), key=lambda step: abs(step - config.step))
    nearest = ", ".join(map(str, sorted(steps[:_NEAREST])))
    raise errors.UserError(
        f"--at={config.at}: {run.directory} has no scores of this step; it has those of {nearest}"
    )


def spread(values: Iterable[float]) -> Optional[Spread]:
    """Mean and standard deviation (n - 1) of a score over runs; None of no run."""
    found = np.array(list(values), np.float64)
    if not len(found):
        return None
    deviation = float(np.std(found, ddof=1)) if len(found) > 1 else None
    return Spread(float(np.mean(found)), deviation, len(found))


def columns(scored: Sequence[Scored]) -> dict[str, str]:
    """Name -> title of the scores that any run has, in the order of a citation."""
    found: dict[str, score_rows.Score] = {}
    for one in scored:
        for name, score in one.scores.items():
            found.setdefault(name, score)
    ordered = [found[name] for name in score_rows.NAMES if name in found]
    return {score.name: _title(score) for score in ordered}


def _title(score: score_rows.Score) -> str:
    if score.name == score_rows.SPLITS:
        return f"IS{score.suffix}, {score.splits} splits"
    return tables.heading(score)


def spreads(
    groups: Sequence[compare_groups.Group], scored: Sequence[Scored], name: str
) -> list[Optional[Spread]]:
    """One score of each group; None for a group without."""
    by_run = {one.run.directory: one.scores for one in scored}
    found = []
    for group in groups:
        scores = [by_run[run.directory].get(name) for run in group.runs]
        found.append(spread(score.value for score in scores if score is not None))
    return found


def cells(found: Sequence[Optional[Spread]]) -> list[str]:
    """A column of scores as text, as in "0.279 +- 0.012", all with as many digits."""
    # Show two digits after the point, and three significant ones of the smallest.
    means = [abs(one.mean) for one in found if one and one.mean and math.isfinite(one.mean)]
    smallest = min(means, default=1.0)
    digits = int(np.clip(2 - math.floor(math.log10(smallest)), 2, 5))

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
    rows = {one.run.directory: one.row for one in scored}
    steps = sorted({int(rows[run.directory]["step"]) for run in group.runs if rows[run.directory]})
    return "-".join(f"{step:,}" for step in dict.fromkeys((steps[0], steps[-1]))) if steps else "-"


def as_csv(groups: Sequence[compare_groups.Group], scored: Sequence[Scored]) -> str:
    """A line for each run: group, run, seed, step, protocol, and all its scores."""
    # Find the scores that any run has.
    labelled = {}
    for one in scored:
        labelled[one.run.directory] = score_rows.labelled(one.scores.values())
    names: dict[str, None] = {}
    for numbers in labelled.values():
        names.update(dict.fromkeys(numbers))

    # Write a line for each run.
    rows = {one.run.directory: one.row for one in scored}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", "run", "seed", "step", "protocol", *names])
    for group in groups:
        for run in group.runs:
            row = rows[run.directory]
            step = "" if row is None else int(row["step"])
            name = "" if row is None else protocol_of(run, row)
            numbers = labelled[run.directory]
            values = [numbers.get(label, "") for label in names]
            writer.writerow([group.label, run.directory, run.train.seed, step, name, *values])
    return text.getvalue()
