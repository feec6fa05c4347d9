"""What a run has left in its directory and beside it, and how the run is."""

import dataclasses
import os
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.evaluation import protocol
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.runs import checkpoints, history, metric_writer
from sagan_tf.runs import directory as runs_directory
from sagan_tf.runtime import files
from sagan_tf.viewing import words as viewing_words

RUNNING, DONE, STOPPED, KILLED = "running", "done", "stopped", "killed"
UNKNOWN = "not recorded"
FAULT = "fault"
# Reasons of an end that somebody wanted.
_NO_FAULTS = ("done", "Interrupted", "KeyboardInterrupt")
_PNG_END = b"IEND\xaeB`\x82"


class State(NamedTuple):
    """How a run is.

    Attributes:
      name: `RUNNING`, `DONE`, `STOPPED`, `KILLED` or `UNKNOWN`.
      text: more about it, for people.
    """

    name: str
    text: str


class Event(NamedTuple):
    """Something that happened, in words.

    Attributes:
      time: when.
      kind: `history.START`, `history.END`, `history.WARNING`, `FAULT` or `KILLED`.
      step: at which; "" where nobody knows.
      words: more about it.
    """

    time: str
    kind: str
    step: str
    words: str


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run has left.

    Attributes:
      directory: of the run.
      model, data, train: its settings.
      rows: of metrics.jsonl, steps ascending.
      events: of history.jsonl, oldest first.
      scores: rows of its evaluation, steps ascending.
      eval_dir: where they come from.
      foreign_scores: rows there that are not of this run, or of an older release.
      step: that it has got to, as far as is recorded.
      state: how it is.
      written: seconds since 1970, now.
    """

    directory: str
    model: config.ModelConfig
    data: config.DataConfig
    train: config.TrainConfig
    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    eval_dir: str
    foreign_scores: int
    step: int
    state: State
    written: float

    @property
    def name(self) -> str:
        """The last two parts of the directory's name."""
        return os.path.join(*os.path.normpath(self.directory).split(os.sep)[-2:])

    @property
    def rate(self) -> Optional[float]:
        """Images per second, the median of the last rows; None where no row says it."""
        rates = [row.get("images_per_second") for row in self.rows[-5:]]
        rates = [rate for rate in rates if viewing_words.is_number(rate) and 0 < rate < np.inf]
        return float(np.median(rates)) if rates else None

    def seconds_left(self) -> Optional[float]:
        """Time to `max_steps` at `rate`."""
        images = (self.train.max_steps - self.step) * self.train.batch_size * self.train.num_towers
        return max(images, 0) / self.rate if self.rate else None


def read(run_dir: str, eval_dir: str = "", *, now: Optional[float] = None) -> Run:
    """Reads what a run has left.

    Args:
      run_dir: directory of the run.
      eval_dir: where its scores are; empty: where the evaluation puts them.
      now: seconds since 1970; the clock's by default.
    Raises:
      config.UserError: there is no run, or its config.json is damaged.
    """
    run_dir = run_dir.rstrip("/") if files.is_remote(run_dir) else os.path.abspath(run_dir)
    configs = [
        runs_directory.read_config(run_dir, section, kind=kind)
        for section, kind in (
            ("model", config.ModelConfig),
            ("data", config.DataConfig),
            ("train", config.TrainConfig),
        )
    ]
    if None in configs:
        raise errors.UserError(f"--run={run_dir}: no run there (config.json is missing)")
    parent, base = os.path.split(run_dir)
    eval_dir = eval_dir or os.path.join(parent, "eval", base)
    rows = [row for row in metric_writer.read_rows(run_dir) if viewing_words.is_finite(row["step"])]
    rows.sort(key=lambda row: row["step"])
    events, now = history.read(run_dir), time.time() if now is None else now
    scores, foreign = protocol.own_scores(
        metric_writer.read_rows(eval_dir), runs_directory.run_id(run_dir)
    )
    marks = [
        int(entry["step"])
        for entry in (*rows[-1:], *events[-1:])
        if viewing_words.is_finite(entry.get("step"))
    ]
    step = max([*marks, *checkpoints.Checkpoints(run_dir, {}).steps], default=0)
    state = state_of(
        events,
        step,
        max_steps=configs[2].max_steps,
        locked=runs_directory.is_locked(os.path.join(run_dir, "lock")),
    )
    return Run(run_dir, *configs, rows, events, scores, eval_dir, foreign, step, state, now)


def state_of(events: Sequence[dict[str, Any]], step: int, *, max_steps: int, locked: bool) -> State:
    """How a run is.

    Args:
      events: its history, oldest first; [] of a run of an older release.
      step: that it has got to.
      max_steps: where it ends.
      locked: whether a process of this machine holds the run's lock.
    """
    if locked:
        return State(RUNNING, f"step {step:,} of {max_steps:,}")
    turns = [event for event in events if event["event"] in (history.START, history.END)]
    if not turns:
        if step >= max_steps:
            return State(DONE, f"step {step:,}, by its numbers: it has no history")
        return State(UNKNOWN, "the run has no history, and no process of this machine is at it")
    last = turns[-1]
    if last["event"] == history.START:
        return State(
            KILLED,
            f"after a start on {viewing_words.moment(last['time'])}: no end was recorded, and "
            "no process of this machine is at it",
        )
    reason = last.get("reason", "")
    if reason == "done":
        return State(DONE, f"step {step:,}, {viewing_words.moment(last['time'])}")
    return State(STOPPED, f"{viewing_words.moment(last['time'])}: {last.get('text') or reason}")


def score(row: dict[str, Any], name: str) -> tuple[str, float]:
    """A score of a row, "fid" or "incscore".

    Returns:
      Its name with the number of images in it ("fid5k"), and the value; NaN where it is not there.
    """
    found = score_rows.read_scores(row).get(name)
    if found is None:
        return name, float("nan")
    return found.label, float(found.value)


def told(events: Sequence[dict[str, Any]], state: State) -> list[Event]:
    """The history for people, oldest first, with the ends that nobody could record.

    Args:
      events: the history, oldest first.
      state: of the run.
    """
    found, begun = [], False
    killed = Event(
        "", KILLED, "", "no end was recorded: the process was killed, or the machine stopped"
    )
    for event in events:
        if event["event"] == history.START and begun:
            found.append(killed)
        if event["event"] in (history.START, history.END):
            begun = event["event"] == history.START
        found.append(_told(event))
    return [*found, killed] if begun and state.name == KILLED else found


def _told(event: dict[str, Any]) -> Event:
    reason, step, kind = event.get("reason"), event.get("step"), str(event["event"])
    if event["event"] == history.END and reason not in _NO_FAULTS:
        kind = FAULT
    words = str(event.get("text", ""))
    if reason and reason not in ("done", words):
        words = f"{reason}: {words}"
    return Event(
        viewing_words.moment(event["time"]),
        kind,
        f"{step:,}" if viewing_words.is_number(step) else "",
        words,
    )


def column(rows: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, float64, of the rows that have a quantity; what is not finite stays."""
    found = [(row["step"], row[name]) for row in rows if viewing_words.is_number(row.get(name))]
    steps, values = np.array(found, np.float64).reshape(-1, 2).T
    return steps, values


def grids_of(run_dir: str) -> list[tuple[int, str]]:
    """Step and path of the run's sample grids, ascending, without those that are half written."""
    directory = os.path.join(run_dir, "samples")
    names = tf.io.gfile.listdir(directory) if tf.io.gfile.isdir(directory) else []
    found = (
        (re.fullmatch(r"step-(\d+)\.png", name), os.path.join(directory, name)) for name in names
    )
    return sorted((int(match[1]), path) for match, path in found if match and _is_whole(path))


def _is_whole(path: str) -> bool:
    """Whether a PNG file has its end."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            file.seek(max(tf.io.gfile.stat(path).length - len(_PNG_END), 0))
            return file.read() == _PNG_END
    except (OSError, tf.errors.OpError):
        return False
