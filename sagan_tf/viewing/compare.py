"""Several runs side by side: table, curves, samples of the same z, and one page.

It neither writes to the runs nor locks them, so they may be training.
"""

import os
from collections.abc import Callable, Sequence
from typing import Optional, TextIO

import tensorflow as tf

from sagan_tf import errors, plurals
from sagan_tf.config import CompareConfig
from sagan_tf.evaluation import protocol
from sagan_tf.images import pixels
from sagan_tf.runs import directory, exported
from sagan_tf.runtime import files
from sagan_tf.viewing import (
    compare_charts,
    compare_csv,
    compare_groups,
    compare_page,
    compare_protocol,
    compare_samples,
    compare_scores,
    run_summary,
    words,
)

PAGE, TABLE, ROWS = "index.html", "table.csv", "rows.csv"
CURVES, SAMPLES = "curves.png", "samples.png"
_WILDCARDS = "*?["


def compare(config: CompareConfig, stream: Optional[TextIO] = None) -> list[str]:
    """Compares the runs that the config names, prints their table and writes the files.

    Returns:
      The paths of the files that were written.
    Raises:
      errors.UserError: there is no such run; scores are of different protocols, or there are none
        of the step that is asked for; the files cannot be written.
    """
    # Read the runs.
    say = words.printer(stream)
    directories = find_runs(config.runs, say)
    say(f"reading {plurals.counted(len(directories), 'run')}")
    runs = [read_run(path, say) for path in directories]

    # Refuse what does not compare, before the work is done.
    compare_samples.require_average(config, runs)
    grouping = compare_groups.group(runs, config.by_fields)
    chosen = compare_protocol.choose_protocol(runs, config.protocol)
    scored = compare_scores.read(runs, chosen, config)
    comparison = compare_page.Comparison(runs, grouping, chosen=chosen, scored=scored, at=config.at)
    out = config.out or os.path.join(os.path.dirname(directories[0]), "compare")
    for name in (PAGE, TABLE, ROWS, CURVES, SAMPLES):
        files.require_writable_output("out", os.path.join(out, name))

    # Say what was found.
    _say_table(comparison, say)

    # Draw and write.
    grids = compare_samples.draw(config, comparison.groups, note=say)
    if grids and (otherwise := compare_samples.scored_otherwise(grids[0], chosen.record)):
        say(f"samples: {otherwise}")
    written = _write(out, comparison, grids=grids)
    say(f"written: {', '.join(written)}")
    return written


def find_runs(words_given: Sequence[str], note: Callable[[str], None]) -> list[str]:
    """The directories of runs that words or patterns name, absolute, in order, each once.

    Args:
      words_given: directories, and patterns, which may match what is no run.
      note: told of runs that were given twice, and of directories that a pattern leaves out
        because they hold several.
    Raises:
      errors.UserError: a directory or a pattern names no run.
    """
    found: dict[str, str] = {}
    for word in words_given:
        # Find the directories.
        is_pattern = any(sign in word for sign in _WILDCARDS) and not tf.io.gfile.exists(word)
        runs = _matching(word, note) if is_pattern else [_one_run(word)]

        # Leave out what is there already.
        twice = 0
        for run in runs:
            place = run if files.is_remote(run) else os.path.realpath(run)
            twice += place in found
            found.setdefault(place, run)
        if twice:
            note(f"{word}: {plurals.counted(twice, 'run')} given twice; each counts once")
    return [run if files.is_remote(run) else os.path.abspath(run) for run in found.values()]


def _one_run(path: str) -> str:
    """The run of a directory."""
    if exported.is_exported(path):
        raise errors.UserError(
            f"--runs={path}: it is an exported model, which has no history; expected a run"
        )
    if not tf.io.gfile.exists(path):
        raise errors.UserError(
            f"--runs={path}: there is no such directory; give directories of runs, or patterns of "
            "them"
        )
    return directory.find_run(path, "runs")


def _matching(pattern: str, note: Callable[[str], None]) -> list[str]:
    """The runs of the directories that match a pattern; what else matches is left out."""
    found = []
    for path in sorted(tf.io.gfile.glob(pattern)):
        try:
            found.append(directory.find_run(path, "runs"))
        except directory.NoRun:
            continue
        except directory.SeveralRuns:
            note(f"{path}: several runs are there, left out; '{path}/*' names them")
    if not found:
        raise errors.UserError(
            f"--runs={pattern}: no run matches this pattern; give directories of runs, such as "
            "'checkpoint/*'"
        )
    return found


def read_run(run_dir: str, note: Callable[[str], None]) -> run_summary.Run:
    """What a run has left; `note` is told of rows that are left out.

    Raises:
      errors.UserError: its config.json is damaged.
    """
    run = run_summary.read(run_dir)

    # Say what cannot be read, or is not the run's own.
    for line in run.left_out():
        note(line)
    if run.foreign_scores:
        scores = plurals.counted(run.foreign_scores, "row")
        note(f"{run.eval_dir}: {scores} of another run or of an older release, left out")
    return run


def _say_table(comparison: compare_page.Comparison, say: Callable[[str], None]) -> None:
    """Prints the table, and what a reader has to know about it."""
    # Print the table.
    say(comparison.text())
    chosen = comparison.chosen
    if chosen.record is not None:
        say(f"{comparison.which} {compare_page.DEVIATION} {compare_page.BETTER}")
        say(f"{chosen.name}: {protocol.protocol_title(chosen.record)}")
        say(f"all scores are by the classifier {protocol.classifier_title(chosen.record)}")
    for name, title in chosen.others.items():
        say(f"not shown: scores of {title} (--protocol={name})")

    # Say what is mixed, missing or lost.
    if comparison.grouping.mixed:
        say(f"rows hold runs that differ in {', '.join(comparison.grouping.mixed)} too")
    if chosen.own_batches:
        say("standing statistics: over batches as large as each run's own, which differ")
    if comparison.unscored:
        say(comparison.unscored_line)
    for run in comparison.runs:
        found = compare_page.course(run)
        if found is not None and found.lost is not None:
            say(f"variety of {run.name}: {compare_page.variety_words(run)}")


def _write(
    out: str,
    comparison: compare_page.Comparison,
    *,
    grids: Sequence[compare_samples.Grid],
) -> list[str]:
    """Writes the files, each whole or not at all; returns their paths.

    What an earlier comparison has left there, and this one does not make, goes.
    """
    # Make the page and the table.
    text = compare_page.page(comparison, grids)
    contents = {PAGE: text.encode("utf-8", "backslashreplace")}
    table = compare_csv.of_runs(comparison.groups, comparison.scored)
    contents[TABLE] = table.encode("utf-8", "backslashreplace")
    rows = compare_csv.of_rows(comparison.groups, comparison.scored, titles=comparison.titles)
    contents[ROWS] = rows.encode("utf-8", "backslashreplace")

    # Make the pictures.
    panels = compare_charts.panels(comparison.groups, comparison.scored, comparison.titles)
    if panels:
        names = {group.name: group.legend for group in comparison.groups}
        names[compare_charts.MARK] = compare_charts.MARK
        record = comparison.chosen.record
        by = protocol.classifier_title(record) if record is not None else ""
        contents[CURVES] = compare_charts.as_png(panels, names, classifier=by)
    if grids:
        picture = compare_samples.picture(grids, comparison.runs, comparison.chosen.record)
        contents[SAMPLES] = pixels.encode_png(picture)

    # Take away what is no picture of these runs.
    for name in (CURVES, SAMPLES):
        path = os.path.join(out, name)
        if name not in contents and tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)

    # Write them.
    written = []
    for name, content in contents.items():
        path = os.path.join(out, name)
        files.write_output("out", path, content=content)
        written.append(path)
    return written
