"""Watcher of a run: scores every checkpoint, existing and future, and keeps the best."""

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable
from typing import Any, Optional, TextIO

import tensorflow as tf

from sagan_tf import errors, plurals
from sagan_tf.config import EvalConfig, TrainConfig
from sagan_tf.evaluation import (
    best_checkpoints,
    console,
    curves,
    evaluate,
    generators,
    protocol,
    rows,
    run_settings,
)
from sagan_tf.images import pixels
from sagan_tf.runs import checkpoints, directory, keep_requests, metric_writer
from sagan_tf.runtime import files

# Flags that two commands may have otherwise, and still do the same work in the same place.
_WAYS_TO_WAIT = ("watch", "all", "poll_secs")
_WAYS_TO_NAME_A_RUN = ("run", "checkpoint_dir", "run_name", "batch_size")


def score_all(
    config: EvalConfig,
    stream: Optional[TextIO] = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    open_evaluation: Callable[..., evaluate.Evaluation] = evaluate.open_evaluation,
) -> None:
    """Scores every checkpoint of a run that was not scored by this protocol before.

    After each the best `keep_best` are kept in `<run>/best`, and the curves are drawn. With
    `config.watch` it goes on as training writes new ones, and training keeps them until they are
    scored. It returns when the last step of the run is done. What a killed watcher has scored is
    not scored again.

    Args:
      config: what to score, and how.
      stream: where to print; standard output by default.
      sleep: waits for some seconds.
      open_evaluation: makes the scorer from `config` and `stream`.
    Raises:
      errors.UserError: as `evaluate.evaluate`, and in the end when one could not be scored.
    """
    # Find the run; nothing is written where no run is.
    output = console.Console(stream)
    generators.find(config)
    with files.writing(config.eval_dir):
        tf.io.gfile.makedirs(config.eval_dir)

    watcher_name = _name(config)
    with files.locked(
        os.path.join(config.eval_dir, f"{watcher_name}.lock"),
        f"{config.eval_dir}: another --watch or --all with these flags is at work "
        "there; wait for its end",
    ):
        # Ask training to keep checkpoints, before anything that takes long.
        request = keep_requests.KeepRequest(config.run_dir, watcher_name)
        watcher = _Watcher(open_evaluation(config, stream), request)
        if config.watch:
            output.say(f"watching {config.run_dir}")

        # Score what is there and what comes.
        found = watcher.score_new()
        while config.watch and (found or not watcher.run_has_ended()):
            if not found:
                sleep(config.poll_secs)
            found = watcher.score_new()

        # Say what came of it.
        output.say(watcher.summary())
        request.withdraw()
    if watcher.faults:
        raise errors.UserError("; ".join(watcher.faults))


def wait_for_run(
    config: EvalConfig,
    stream: Optional[TextIO] = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Waits with `config.watch` until the run has begun.

    Args:
      config: which run.
      stream: where to say so; standard output by default.
      sleep: waits for some seconds.
    Raises:
      errors.UserError: the path names several runs.
    """
    if config.watch and not run_settings.is_there(config):
        console.Console(stream).say(f"waiting for a run in {config.run_dir}")
        while not run_settings.is_there(config):
            sleep(config.poll_secs)


def _name(config: EvalConfig) -> str:
    """A name that the same flags give again, whether they watch or score all.

    It stands in the run's own directories, so that it need not say how the flags name the run.
    """
    flags = dataclasses.asdict(config)
    for name in (*_WAYS_TO_WAIT, *_WAYS_TO_NAME_A_RUN):
        flags.pop(name)
    return "watch-" + hashlib.sha256(repr(sorted(flags.items())).encode()).hexdigest()[:12]


class _Watcher:
    """What was scored of a run, and what remains.

    Args:
      evaluation: the scorer.
      request: to keep what is not scored yet.

    Attributes:
      faults: what could not be scored, and why.
    """

    def __init__(self, evaluation: evaluate.Evaluation, request: keep_requests.KeepRequest):
        self.faults: list[str] = []
        self._evaluation = evaluation
        self._config = evaluation.config
        self._request = request
        self._protocol = evaluation.protocol()
        self._unusable: set[tuple[int, str]] = set()

        # Go on where an earlier watcher has stopped.
        self._best = best_checkpoints.BestCheckpoints(
            self._config, self._protocol, saved=evaluation.saved, digest=self._digest
        )
        self._rows = self._read_rows()
        self._best.update(self._rows)
        self._ask_to_keep()

    def score_new(self) -> bool:
        """Scores the checkpoints that are there and new; says whether there were any."""
        waiting = self._waiting()
        for step in waiting:
            # Score the checkpoint.
            try:
                self._evaluation.load(step)
                self._evaluation.score()
            except (errors.UnusableCheckpoint, checkpoints.Unreadable) as error:
                self._unusable.add((step, self._digest(step)))
                self.faults.append(str(error))
                self._evaluation.console.say(f"{error}; skipped")
                continue

            # Bring up to date what follows from the scores.
            self._rows = self._read_rows()
            self._best.update(self._rows)
            self._draw()
            self._ask_to_keep()
        self._ask_to_keep()
        return bool(waiting)

    def run_has_ended(self) -> bool:
        """Whether the last step of the run is there, and nothing waits."""
        stored = directory.read_config(self._config.run_dir, "train", kind=TrainConfig)
        last = max(self._evaluation.saved.steps, default=-1)
        return stored is not None and last >= stored.max_steps and not self._waiting()

    def summary(self) -> str:
        """What came of it, in a line."""
        best = ", ".join(str(row["step"]) for row in self._best.ranked(self._rows))
        scored = plurals.counted(len(self._rows), "checkpoint")
        return f"{scored} scored; best by {self._config.best_by}: {best or 'none'}"

    def _waiting(self) -> list[int]:
        """Steps that are there and were neither scored nor found unusable."""
        scored = {(row["step"], best_checkpoints.sha256_of(row)) for row in self._rows}
        done = self._unusable | scored
        steps = self._evaluation.saved.steps
        return [step for step in steps if (step, self._digest(step)) not in done]

    def _digest(self, step: int) -> Optional[str]:
        """The checkpoint's SHA-256; None where its files went."""
        try:
            return self._evaluation.saved.sha256(step)
        except (OSError, tf.errors.OpError):
            return None

    def _ask_to_keep(self) -> None:
        """Asks training to keep what is not scored yet, and what is to come."""
        last = max(self._evaluation.saved.steps, default=-1)
        self._request.move(min(self._waiting(), default=last + 1))

    def _read_rows(self) -> list[dict[str, Any]]:
        """The rows of this run and protocol, a step's newest only, ascending."""
        run = directory.run_id(self._config.run_dir)
        own, _ = protocol.own_scores(metric_writer.read_rows(self._config.eval_dir), run)
        return [row for row in own if protocol.same_protocol(row["protocol"], self._protocol)]

    def _draw(self) -> None:
        """FID and IS against the step, as a PNG and for TensorBoard."""
        # Draw the curves.
        points = [
            curves.Point(
                row["step"],
                rows.value_of(row, rows.INCEPTION_SCORE),
                rows.value_of(row, rows.FID),
            )
            for row in self._rows
        ]
        model_config = self._evaluation.model_config
        title = f"{self._config.run_dir}: {protocol.protocol_title(self._protocol)}"
        published = curves.are_published_of(model_config.image_size, model_config.number_classes)
        png = curves.draw(points, title, published=published)

        # Write them.
        self._evaluation.writer.write_image(
            points[-1].step, "eval_vis/curves", image=pixels.decode_png(png), filename="curves.png"
        )
