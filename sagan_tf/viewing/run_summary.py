"""A summary of a run: its files and scores, and its state (running, done, stopped or killed)."""

import dataclasses
import os
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import config, errors, plurals
from sagan_tf.evaluation import protocol
from sagan_tf.runs import checkpoints, directory, history, metric_writer
from sagan_tf.runtime import files
from sagan_tf.viewing import words

RUNNING, DONE, STOPPED, KILLED = "running", "done", "stopped", "killed"
UNKNOWN = "not recorded"
FAULT = "fault"
# Reasons of an end that the user wanted.
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
      step: at which; "" where it is unknown.
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
      damaged: a file of rows -> its lines that cannot be read, where there are any.
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
    damaged: dict[str, int]
    step: int
    state: State
    written: float

    @property
    def name(self) -> str:
        """The last two parts of the directory's name."""
        parts = os.path.normpath(self.directory).split(os.sep)
        return os.path.join(*parts[-2:])

    def left_out(self) -> list[str]:
        """What of its files cannot be read, a line for each file."""
        found = []
        for path, count in self.damaged.items():
            lines = plurals.counted(count, "line")
            found.append(f"{path}: {lines} cannot be read, left out")
        return found

    @property
    def rate(self) -> Optional[float]:
        """Images per second, the median of the last rows; None where no row says it."""
        rates = []
        for row in self.rows[-5:]:
            rate = row.get("images_per_second")
            if words.is_number(rate) and 0 < rate < np.inf:
                rates.append(rate)
        return float(np.median(rates)) if rates else None

    def seconds_left(self) -> Optional[float]:
        """Time to `max_steps` at `rate`."""
        images = (self.train.max_steps - self.step) * self.train.batch_size * self.train.num_towers
        rate = self.rate
        return max(images, 0) / rate if rate else None


def read(run_dir: str, eval_dir: str = "", *, now: Optional[float] = None) -> Run:
    """Reads what a run has left.

    Args:
      run_dir: directory of the run.
      eval_dir: where its scores are; empty: where the evaluation puts them.
      now: seconds since 1970; the clock's by default.
    Raises:
      errors.UserError: there is no run, or its config.json is damaged.
    """
    # Find the directories.
    run_dir = run_dir.rstrip("/") if files.is_remote(run_dir) else os.path.abspath(run_dir)
    parent, base = os.path.split(run_dir)
    eval_dir = eval_dir or os.path.join(parent, "eval", base)

    # Read the settings.
    model = directory.read_config(run_dir, "model", kind=config.ModelConfig)
    data = directory.read_config(run_dir, "data", kind=config.DataConfig)
    train = directory.read_config(run_dir, "train", kind=config.TrainConfig)
    if model is None or data is None or train is None:
        raise errors.UserError(f"--run={run_dir}: {directory.NO_RUN}")

    # Read the numbers, the events and the scores.
    rows, damaged_rows = metric_writer.read(run_dir)
    rows.sort(key=lambda row: row["step"])
    events = history.read(run_dir)
    all_scores, damaged_scores = metric_writer.read(eval_dir)
    scores, foreign_scores = protocol.own_scores(all_scores, directory.run_id(run_dir))

    # Name the files of what cannot be read.
    lines = {run_dir: damaged_rows, eval_dir: damaged_scores}
    damaged = {
        os.path.join(path, metric_writer.ROWS): count for path, count in lines.items() if count
    }

    # Find out how the run is.
    step = _last_step(run_dir, rows, events=events)
    locked = directory.is_locked(os.path.join(run_dir, "lock"))
    return Run(
        directory=run_dir,
        model=model,
        data=data,
        train=train,
        rows=rows,
        events=events,
        scores=scores,
        eval_dir=eval_dir,
        foreign_scores=foreign_scores,
        damaged=damaged,
        step=step,
        state=state_of(events, step, max_steps=train.max_steps, locked=locked),
        written=time.time() if now is None else now,
    )


def _last_step(
    run_dir: str, rows: Sequence[dict[str, Any]], *, events: Sequence[dict[str, Any]]
) -> int:
    """The last step that a row, an event or a checkpoint tells of; 0 where none does."""
    steps = [0, *checkpoints.Checkpoints(run_dir, {}).steps]
    for entry in (*rows[-1:], *events[-1:]):
        if words.is_finite(entry.get("step")):
            steps.append(int(entry["step"]))
    return max(steps)


def state_of(events: Sequence[dict[str, Any]], step: int, *, max_steps: int, locked: bool) -> State:
    """How a run is.

    Args:
      events: its history, oldest first; [] of a run of an older release.
      step: that it has got to.
      max_steps: where it ends.
      locked: whether a process of this machine holds the run's lock.
    """
    # A process that holds the lock is at work.
    if locked:
        return State(RUNNING, f"step {step:,} of {max_steps:,}")

    # Without a start or an end, only the step tells.
    starts_and_ends = [event for event in events if event["event"] in (history.START, history.END)]
    if not starts_and_ends:
        if step >= max_steps:
            return State(DONE, f"step {step:,}, by its numbers: it has no history")
        return State(UNKNOWN, "the run has no history, and no process of this machine is at it")

    # A start without an end was killed.
    last = starts_and_ends[-1]
    moment = words.moment(last["time"])
    if last["event"] == history.START:
        return State(
            KILLED,
            f"after a start on {moment}: no end was recorded, and "
            "no process of this machine is at it",
        )

    # An end has a reason.
    reason = last.get("reason", "")
    if reason == "done":
        return State(DONE, f"step {step:,}, {moment}")
    return State(STOPPED, f"{moment}: {last.get('text') or reason}")


def describe_events(events: Sequence[dict[str, Any]], state: State) -> list[Event]:
    """The history for people, oldest first, with the ends that the run could not record.

    Args:
      events: the history, oldest first.
      state: of the run.
    """
    killed = Event(
        "", KILLED, "", "no end was recorded: the process was killed, or the machine stopped"
    )

    # Put an end before each start that follows a start.
    found = []
    started = False
    for event in events:
        if event["event"] == history.START and started:
            found.append(killed)
        if event["event"] in (history.START, history.END):
            started = event["event"] == history.START
        found.append(_describe_event(event))

    # Put one after the last start, unless the run is at work.
    if started and state.name == KILLED:
        found.append(killed)
    return found


def _describe_event(event: dict[str, Any]) -> Event:
    # Tell faults from ends that the user wanted.
    kind = str(event["event"])
    reason = event.get("reason")
    if event["event"] == history.END and reason not in _NO_FAULTS:
        kind = FAULT

    # Name the reason where the text does not.
    text = str(event.get("text", ""))
    if reason and reason not in ("done", text):
        text = f"{reason}: {text}"

    step = event.get("step")
    step_text = f"{step:,}" if words.is_number(step) else ""
    return Event(words.moment(event["time"]), kind, step_text, text)


def column(rows: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, float64, of the rows that have a quantity; what is not finite stays."""
    found = [row for row in rows if words.is_number(row.get(name))]
    steps = np.array([row["step"] for row in found], np.float64)
    values = np.array([row[name] for row in found], np.float64)
    return steps, values


def grids_of(run_dir: str) -> list[tuple[int, str]]:
    """Step and path of the run's sample grids, ascending, without those that are half written."""
    folder = os.path.join(run_dir, "samples")
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    found = []
    for name in names:
        match = re.fullmatch(r"step-(\d+)\.png", name)
        path = os.path.join(folder, name)
        if match and _is_whole(path):
            found.append((int(match[1]), path))
    return sorted(found)


def _is_whole(path: str) -> bool:
    """Whether a PNG file has its end."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            file.seek(max(tf.io.gfile.stat(path).length - len(_PNG_END), 0))
            return file.read() == _PNG_END
    except (OSError, tf.errors.OpError):
        return False
