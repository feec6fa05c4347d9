"""The protocol of a comparison of runs: the one by which all are scored, or why there is none."""

import collections
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from sagan_tf import errors, plurals
from sagan_tf.evaluation import protocol
from sagan_tf.viewing import run_summary


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
    first, records = scored[0]
    common = list(records)
    for _, found in scored:
        shared = [name for name in common if name in found]
        if not shared:
            raise errors.UserError(_refusal(scored, common[-1]))
        common = shared

    # Take the one that is wanted, or the last.
    name = wanted or common[-1]
    titles = {one: protocol.protocol_title(records[one]) for one in common}
    if name not in titles:
        listed = [f"{one} ({title})" for one, title in titles.items()]
        known = "; ".join(listed)
        raise errors.UserError(f"--protocol={name}: expected one of {known}")
    del titles[name]

    # Say whether batches of standing statistics differ.
    sizes = {_batch_size(found[name]) for _, found in scored}
    own_batches = len(sizes) > 1
    record = records[name]
    if own_batches:
        record = _comparable(first, record)
    return Chosen(record, name, titles, own_batches)


def _protocols(run: run_summary.Run) -> dict[str, dict[str, Any]]:
    """Name -> record of the protocols of a run's scores, those with more scores and newer last."""
    records: dict[str, dict[str, Any]] = {}
    counts: collections.Counter[str] = collections.Counter()
    for row in sorted(run.scores, key=_time):
        name = protocol_of(run, row)
        records.pop(name, None)
        records[name] = row["protocol"]
        counts[name] += 1
    ordered = sorted(records, key=counts.get)
    return {name: records[name] for name in ordered}


def _batch_size(record: dict[str, Any]) -> Any:
    """Images in a batch of standing statistics, as far as a record says it."""
    sampling = record.get("sampling")
    return sampling.get("batch_size") if isinstance(sampling, dict) else None


def _time(row: dict[str, Any]) -> float:
    time = row.get("time")
    return float(time) if isinstance(time, (int, float)) else 0.0


def protocol_of(run: run_summary.Run, row: dict[str, Any]) -> str:
    """The name of a row's protocol, the same for rows of runs that compare."""
    record = _comparable(run, row["protocol"])
    return protocol.protocol_name(record)


def _comparable(run: run_summary.Run, record: dict[str, Any]) -> dict[str, Any]:
    """A record of a run's scores without what goes with the run."""
    return protocol.with_own_batches(record, run.train.group_size)


def _refusal(scored: Sequence[tuple[run_summary.Run, dict]], name: str) -> str:
    """Why scores do not compare: the first run and one that is scored otherwise.

    Args:
      scored: the runs that have scores, and their protocols.
      name: of a protocol of the first run, by which as many runs after it are scored as possible.
    """
    # Find the runs that are scored otherwise than the first.
    first, records = scored[0]
    others = []
    for run, found in scored:
        if name not in found:
            others.append((run, found))
    other, found = others[0]
    *_, other_record = found.values()

    # Name each field that differs.
    here = _comparable(first, records[name])
    there = _comparable(other, other_record)
    differing = "; ".join(protocol.differences(here, there))
    more = ""
    if len(others) > 1:
        number = plurals.counted(len(others) - 1, "other run")
        more = f" (as are those of {number})"
    return (
        f"--runs={other.directory}: its scores are of another protocol than those of "
        f"{first.directory}{more}: {differing}. Score the runs alike, or leave some out"
    )
