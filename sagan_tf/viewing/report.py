"""The report of a run: one HTML file that loads nothing and can be sent.

Its sources are config.json, metrics.jsonl, history.jsonl, sample grids, the newest checkpoint, and
the scores beside it. It says what does not exist yet, and what an older release did not record. It
neither writes to the run nor locks it, so the run may be training. `templates/run.html` has the
words.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, Optional, TextIO

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ReportConfig
from sagan_tf.evaluation import protocol, tables
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.runs import directory, exported, history
from sagan_tf.runtime import files
from sagan_tf.viewing import charts, pages, report_charts, report_pictures, run_summary, words

FILENAME = "report.html"
_PROTOCOLS = 8  # that are shown
_EVENTS = 200  # likewise


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
    for line in run.left_out():
        say(line)
    page = _page(run, config.max_grids, note=say)
    page = page.encode("utf-8", "backslashreplace").decode()

    # Write the page.
    with files.writing(f"--out={path}"):
        files.write_whole(path, page)
    say(f"report: {path} ({len(page) / 1e6:.1f} MB)")
    return path


def _page(run: run_summary.Run, max_grids: int, *, note: Callable[[str], None]) -> str:
    """The whole page, as HTML."""
    # Draw.
    drawn, missing = report_charts.charts_of_run(run)
    model, fault = None, ""
    try:
        model = report_pictures.of_model(run, note)
    except errors.UserError as error:
        fault = str(error)

    # Put all into the page.
    protocols = _by_protocol(run.scores)
    events = run_summary.describe_events(run.events, run.state)
    return pages.render(
        "run.html",
        run=run,
        newest=_newest_scores(protocols[0]) if protocols else "",
        **report_pictures.samples(run, max_grids),
        scores=[report_charts.scores_of(run, rows) for rows in protocols[:_PROTOCOLS]],
        more_protocols=len(protocols[_PROTOCOLS:]),
        charts=drawn,
        missing=missing,
        most_points=charts.MAX_POINTS,
        model=model,
        fault=fault,
        events=events[::-1],
        most_events=_EVENTS,
        settings=_settings(run),
        run_id=directory.run_id(run.directory),
        **_environment(run),
    )


def _newest_scores(rows: Sequence[dict[str, Any]]) -> str:
    """FID and IS of the last row of one protocol, and by what they are."""
    # Name the scores.
    row = rows[-1]
    scores = score_rows.read_scores(row)
    found = []
    for name in (score_rows.FID, score_rows.INCEPTION_SCORE):
        if name in scores:
            found.append(f"{tables.heading(scores[name])} {scores[name].value:.2f}")

    # Say what they are of.
    record = row["protocol"]
    classifier = protocol.classifier_title(record)
    title = protocol.protocol_title(record)
    named = ", ".join(found)
    return f"{named} at step {row['step']:,}, by {classifier}; {title}"


def _by_protocol(scores: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each protocol: untruncated z first, and of these the newest row."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in scores:
        groups.setdefault(protocol.protocol_name(row["protocol"]), []).append(row)

    def newest(rows):
        times = [row.get("time") or 0 for row in rows]
        return max(times)

    def is_truncated(rows):
        first = rows[0]
        return protocol.is_truncated(first["protocol"])

    # Scores of truncated z do not stand for the run where there are others.
    ordered = sorted(groups.values(), key=newest, reverse=True)
    return sorted(ordered, key=is_truncated)


def _settings(run: run_summary.Run) -> list[tuple[str, str, Any, Any, str]]:
    """Section, name, value, default and meaning of each setting."""
    settings = []
    for section, config in (("model", run.model), ("data", run.data), ("train", run.train)):
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            meaning = field.metadata.get("help", "")
            settings.append((section, field.name, value, field.default, meaning))
    return settings


def _environment(run: run_summary.Run) -> dict[str, Any]:
    """The last start that says where it was, or None; and what changed between such starts."""
    # Find the starts that say where they were.
    starts = []
    for event in run.events:
        if event["event"] == history.START and isinstance(event.get("environment"), dict):
            starts.append(event)

    # Find what restarts have changed: when, what, before and after.
    changes = []
    for before, after in itertools.pairwise(starts):
        old, new = before["environment"], after["environment"]
        for name in dict.fromkeys((*old, *new)):
            change = (old.get(name, "none"), new.get(name, "none"))
            if change[0] != change[1]:
                changes.append((words.moment(after["time"]), name, *change))
    return {"start": starts[-1] if starts else None, "changes": changes[-_EVENTS:]}
