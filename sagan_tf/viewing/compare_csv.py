"""The scores of a comparison as CSV: a line for each run, and a line for each row."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sagan_tf.evaluation import protocol
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.viewing import compare_groups, compare_protocol, compare_scores


def of_runs(groups: Sequence[compare_groups.Group], scored: Sequence[compare_scores.Scored]) -> str:
    """A line for each run: row, settings, run, seed, step, images, protocol, and all its scores.

    Args:
      groups: the rows.
      scored: the runs' scores.
    """
    # Find the scores that any run has.
    by_run = {one.run.directory: one for one in scored}
    labelled = {place: score_rows.labelled(one.scores.values()) for place, one in by_run.items()}
    names: dict[str, None] = {}
    for numbers in labelled.values():
        names.update(dict.fromkeys(numbers))

    # Write a line for each run.
    about = ("row", "settings", "run", "seed", "step", "real_images_seen", "protocol", "classifier")
    lines: list[list[Any]] = [[*about, *names]]
    for group in groups:
        for run in group.runs:
            numbers = labelled[run.directory]
            values = [numbers.get(name, "") for name in names]
            line = [group.name, group.label, run.directory, run.train.seed]
            lines.append([*line, *_origin(by_run[run.directory]), *values])
    return _text(lines)


def _origin(one: compare_scores.Scored) -> list[Any]:
    """Step, images, protocol and classifier of a run's scores; empty without any."""
    if one.row is None:
        return [""] * 4
    return [
        int(one.row["step"]),
        compare_scores.images_seen(one),
        compare_protocol.protocol_of(one.run, one.row),
        protocol.classifier_title(one.row["protocol"]),
    ]


def of_rows(
    groups: Sequence[compare_groups.Group],
    scored: Sequence[compare_scores.Scored],
    *,
    titles: Mapping[str, str],
) -> str:
    """A line for each row of the comparison: mean and deviation (n - 1) of every score.

    Args:
      groups: the rows.
      scored: the runs' scores.
      titles: name -> title of the scores that are there.
    Returns:
      The text. Step and images are "200-400" where they differ within a row.
    """
    # Name the columns.
    names = []
    for title in titles.values():
        names += [f"{title} mean", f"{title} deviation"]
    about = ("row", "settings", "runs", "scored", "step", "real_images_seen")
    lines: list[list[Any]] = [[*about, "protocol", "classifier", *names]]

    # Write a line for each row.
    spreads = [compare_scores.spreads(groups, scored, name) for name in titles]
    for number, group in enumerate(groups):
        line = [group.name, group.label, len(group.runs)]
        members = compare_scores.scored_of(group, scored)
        steps = compare_scores.steps_text(group, scored)
        images = compare_scores.images_text(group, scored)
        line.append(len(members))
        line += [text.replace(",", "").strip("-") for text in (steps, images)]
        line += _origin(members[0])[2:] if members else ["", ""]
        for of_groups in spreads:
            spread = of_groups[number]
            line += ["", ""] if spread is None else [spread.mean, spread.deviation]
        lines.append(line)
    return _text(lines)


def _text(lines: Iterable[Sequence[Any]]) -> str:
    """Lines as CSV; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(lines)
    return text.getvalue()
