"""The report of a run: one HTML file that loads nothing and can be sent.

Its sources are config.json, metrics.jsonl, history.jsonl, sample grids, the newest checkpoint, and
the scores beside it. It says what does not exist yet, and what an older release did not record. It
neither writes to the run nor locks it, so the run may be training.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional, TextIO

import numpy as np
import tensorflow as tf

from sagan_tf import errors, plurals
from sagan_tf.config import ReportConfig
from sagan_tf.evaluation import protocol
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.runs import directory, exported, history
from sagan_tf.runtime import files
from sagan_tf.viewing import html, report_charts, report_pictures, run_summary, words

FILENAME = "report.html"
_PROTOCOLS = 4  # newest ones that have curves
# Name of a score in a row, its field among the published points, what it is.
_SCORES = (
    ("fid", "fid", "Frechet distance of features to the real images'; lower is better."),
    ("incscore", "inception_score", "Inception Score, of one split; higher is better."),
)


def write(config: ReportConfig, stream: Optional[TextIO] = None) -> str:
    """Writes the report of a run, whole or not at all.

    Args:
      config: which run, and where to.
      stream: where progress is printed; standard output by default.
    Returns:
      The path of the report.
    Raises:
      errors.UserError: it is no run, its config.json is damaged, or the report cannot be written.
    """
    say = words.printer(stream)
    if exported.is_exported(config.run):
        raise errors.UserError(
            f"--run={config.run}: it is an exported model, which has no history; expected a run"
        )

    # Find out whether the file can be written before the work is done.
    run_dir = directory.find_run(config.run)
    path = config.out or os.path.join(run_dir, FILENAME)
    with files.writing(f"--out={path}"):
        with tf.io.gfile.GFile(path + ".tmp", "w") as file:
            file.write("")
        tf.io.gfile.remove(path + ".tmp")

    # Read the run and make the page; names need not be UTF-8.
    say(f"reading {run_dir}")
    run = run_summary.read(run_dir, config.eval_dir)
    page = _page(run, config.max_grids, note=say)
    page = page.encode("utf-8", "backslashreplace").decode()

    # Write the page.
    with files.writing(f"--out={path}"):
        files.write_whole(path, page)
    say(f"report: {path} ({len(page) / 1e6:.1f} MB)")
    return path


def _page(run: run_summary.Run, max_grids: int, *, note: Callable[[str], None]) -> str:
    """The whole page, as HTML."""
    sections = [
        ("scores", "Scores", _scores(run)),
        ("samples", "Samples", report_pictures.samples(run, max_grids)),
        ("curves", "Curves", report_charts.charts_of_run(run)),
        *report_pictures.sections_of_model(run, note),
        ("events", "Faults and restarts", _events(run)),
        ("settings", "Settings", _settings(run)),
        ("environment", "Environment", _environment(run)),
    ]

    return html.document(
        run.name,
        f"{run.name}: {run.state.name}, step {run.step:,}",
        summary=_summary(run),
        sections=sections,
        footer=f"Written {words.moment(run.written)}.",
    )


def _summary(run: run_summary.Run) -> str:
    """How the run is, at a glance; HTML."""
    # Make a tile of each fact.
    share = min(run.step / run.train.max_steps, 1)
    tiles = ""
    for name, value in _facts(run, share):
        term = html.text(name)
        description = html.text(value)
        tiles += f"<div><dt>{term}</dt><dd>{description}</dd></div>"

    # Put state and progress before them.
    name = html.text(run.state.name)
    return (
        f'<p class="state {name.split()[0]}"><strong>{name}</strong> '
        f"{html.text(run.state.text)}</p>"
        f'<progress max="1" value="{share:.4f}" aria-label="share of the steps"></progress>'
        f'<dl class="tiles">{tiles}</dl>'
    )


def _facts(run: run_summary.Run, share: float) -> Iterator[tuple[str, str]]:
    """Names and values."""
    # Say how far the run is, and how quick.
    running = run.state.name == run_summary.RUNNING
    yield "Step", f"{run.step:,} of {run.train.max_steps:,} ({100 * share:.3g} %)"
    if run.rate:
        yield "Speed" if running else "Last speed", f"{words.number(run.rate)} images/s"
        if running:
            yield "Time left", words.span(run.seconds_left())

    # Say when it was last heard of.
    last = run.rows[-1].get("time") if run.rows else None
    if words.is_finite(last):
        age = f", {words.span(max(run.written - last, 0))} ago" if running else ""
        yield "Last row of losses", words.moment(last) + age

    # Say how good it is, and what it is of.
    yield "Newest scores", _newest_scores(run)
    images = (
        f"{run.model.image_size} px, "
        f"{plurals.counted(run.model.number_classes, 'class', 'classes', form=',')}, "
        f"{run.train.batch_size} x {run.train.num_towers} of them a step"
    )
    yield "Images", images


def _newest_scores(run: run_summary.Run) -> str:
    if not run.scores:
        return "none yet"
    # Name the scores of the newest row.
    row = run.scores[-1]
    found = []
    for name in ("fid", "incscore"):
        full_name, value = run_summary.score(row, name)
        found.append(f"{report_charts.score_title(full_name)} {value:.2f}")
    return ", ".join(found) + f" at step {row['step']:,}"


def _scores(run: run_summary.Run) -> list[str]:
    """Scores by protocol, the newest first; HTML."""
    # Sort the rows by protocol.
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in run.scores:
        groups.setdefault(protocol.protocol_name(row["protocol"]), []).append(row)
    newest = sorted(groups.values(), key=_newest_time, reverse=True)

    # Show the newest protocols.
    parts = []
    shown = newest[:_PROTOCOLS]
    for number, rows in enumerate(shown):
        parts += _scores_of_protocol(run, rows, number=number)

    # Say what is not shown.
    if len(newest) > _PROTOCOLS:
        text = f"Scores by {len(newest) - _PROTOCOLS} older protocols are not shown."
        parts.append(html.paragraph(text))
    if not parts:
        parts.append(
            html.paragraph(
                f"None of this run in {run.eval_dir}. eval_imagenet.py --watch "
                "scores every checkpoint as it comes."
            )
        )
    if run.foreign_scores:
        text = (
            f"Rows in {run.eval_dir} that are not shown, because they are of another run or "
            f"of an older release: {run.foreign_scores}."
        )
        parts.append(html.paragraph(text, "fine"))
    return parts


def _newest_time(rows: Sequence[dict[str, Any]]) -> float:
    """The newest time of some rows, in seconds since 1970; 0 if none has one."""
    return max(row.get("time") or 0 for row in rows)


def _scores_of_protocol(
    run: run_summary.Run, rows: list[dict[str, Any]], *, number: int
) -> list[str]:
    """Curves, citations and a table of the rows of one protocol, steps ascending; HTML."""
    # Draw the curves.
    title = html.text(protocol.protocol_title(rows[0]["protocol"]))
    parts = [f"<h3>{title}</h3>", '<div class="charts">']
    for name, field, note in _SCORES:
        parts.append(
            report_charts.score_chart(run, rows, name, field=field, note=note, number=number)
        )
    parts.append("</div>")

    # Cite the newest checkpoint, and the best one if it is another.
    best = min(rows, key=_fid)
    cited = {"Newest": rows[-1]}
    if best is not rows[-1]:
        cited["Best FID"] = best
    for what, row in cited.items():
        parts.append(html.paragraph(f"{what}: {row.get('citation', 'no citation')}", "fine"))

    # List the newest scores.
    latest = rows[-report_charts.SCORES :]
    latest.reverse()
    parts.append(_score_table(latest))
    return parts


def _fid(row: dict[str, Any]) -> float:
    """The FID of a row; infinity if it has none."""
    _, value = run_summary.score(row, "fid")
    return np.nan_to_num(value, nan=np.inf)


def _score_table(rows: Sequence[dict[str, Any]]) -> str:
    """All scores of some rows, a row each; HTML."""
    # Find the scores that any row has.
    columns = [score_rows.labelled(score_rows.read_scores(row).values()) for row in rows]
    names: dict[str, None] = {}
    for numbers in columns:
        names.update(dict.fromkeys(numbers))

    # Lay out the values, with nothing where a row has none.
    cells = []
    for row, numbers in zip(rows, columns):
        values = [f"{numbers[name]:.5g}" if name in numbers else "" for name in names]
        cells.append([f"{row['step']:,}", *values])
    return html.table(["step", *names], cells, label="all scores")


def _events(run: run_summary.Run) -> list[str]:
    """The history, newest first; HTML."""
    if not run.events:
        return [
            html.paragraph(
                "Not recorded: the run has no history (it is of an older release, "
                "or has not begun)."
            )
        ]

    # Count the events by kind.
    events = run_summary.describe_events(run.events, run.state)
    kinds = [event.kind for event in events]
    counts = []
    for kind in (history.START, run_summary.FAULT, run_summary.KILLED, history.WARNING):
        counts.append(f"{kinds.count(kind)} x {kind}")
    more = ""
    if len(events) > report_charts.EVENTS:
        more = f"; the newest {report_charts.EVENTS} of {len(events)}"

    # List the newest.
    newest = events[: -report_charts.EVENTS - 1 : -1]
    return [
        html.paragraph(", ".join(counts) + f"{more}. Newest first."),
        html.table(["time", "event", "step", "what"], newest, label="events"),
    ]


class _Setting(NamedTuple):
    """One setting of a run, in the order of the columns of a table."""

    section: str
    name: str
    value: Any
    default: Any
    meaning: str


def _settings(run: run_summary.Run) -> list[str]:
    """The settings that differ from the defaults, then all settings; HTML."""
    # Read the settings.
    settings = []
    for section, config in (("model", run.model), ("data", run.data), ("train", run.train)):
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            meaning = field.metadata.get("help", "")
            settings.append(_Setting(section, field.name, value, field.default, meaning))

    # Show those that differ.
    changed = [one[:4] for one in settings if one.value != one.default]
    parts = [html.paragraph("All are the defaults.")]
    if changed:
        parts = [
            html.paragraph("What differs from the defaults:"),
            html.table(["of", "name", "value", "default"], changed, label="settings that differ"),
        ]

    # Show all, and where the run is.
    every = html.table(
        ["of", "name", "value", "meaning"],
        [(one.section, one.name, one.value, one.meaning) for one in settings],
        label="all settings",
    )
    run_id = directory.run_id(run.directory) or "none"
    return [
        *parts,
        f"<details><summary>All settings</summary>{every}</details>",
        html.paragraph(f"Directory: {run.directory}; the run's own name: {run_id}", "fine"),
    ]


def _environment(run: run_summary.Run) -> list[str]:
    """Machine and versions of the last start, and what they were before where they differ; HTML."""
    # Find the starts that say where they were.
    starts = []
    for event in run.events:
        if event["event"] == history.START and isinstance(event.get("environment"), dict):
            starts.append(event)
    if not starts:
        text = "Not recorded: the run has no history."
        return [html.paragraph(text)]

    # Show the last.
    last = starts[-1]
    parts = [
        html.table(
            ["what", f"since {words.moment(last['time'])}"],
            last["environment"].items(),
            label="environment",
        )
    ]

    # Show what restarts have changed.
    changes = []
    for before, after in itertools.pairwise(starts):
        changes += _changes(before, after)
    if changes:
        parts += [
            html.paragraph("What restarts have changed:"),
            html.table(
                ["time", "what", "before", "after"],
                changes[-report_charts.EVENTS :],
                label="changes",
            ),
        ]
    return parts


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """What differs between the environments of two starts: when, what, before and after."""
    # Find the names of both.
    old = before["environment"]
    new = after["environment"]
    names = dict.fromkeys((*old, *new))

    # Keep those that differ.
    time = words.moment(after["time"])
    changes = []
    for name in names:
        old_value = old.get(name, "none")
        new_value = new.get(name, "none")
        if old_value != new_value:
            changes.append((time, name, old_value, new_value))
    return changes
