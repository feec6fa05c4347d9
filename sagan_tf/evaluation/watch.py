"""Scores of all checkpoints of a run, those that are there and those to come."""

import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Optional, TextIO

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import EvalConfig, TrainConfig
from sagan_tf.evaluation import best_checkpoints, curves, evaluate, protocol
from sagan_tf.images import pixels
from sagan_tf.runs import checkpoints, directory, keep_requests, metric_writer
from sagan_tf.runtime import files


def score_all(
    config: EvalConfig,
    stream: Optional[TextIO] = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Scores every checkpoint of a run that was not scored by this protocol before.

    After each the best `keep_best` are kept in `<run>/best`, and the curves are drawn. With
    `config.watch` it goes on as training writes new ones, which training keeps until they are
    scored, and returns when the last step of the run is done. What a killed watch has scored is
    not scored again.

    Args:
      config: what to score, and how.
      stream: where to print; standard output by default.
      sleep: waits for some seconds.
    Raises:
      config.UserError: as `eval_lib.evaluate`, and in the end when one could not be scored.
    """
    stream = stream or sys.stdout
    _wait_for_run(config, stream, sleep)
    evaluate.read_model_config(config)  # Nothing is written where no run is.
    who = _name(config)
    with files.writing(config.eval_dir):
        tf.io.gfile.makedirs(config.eval_dir)
    with files.locked(
        os.path.join(config.eval_dir, f"{who}.lock"),
        f"{config.eval_dir}: another --watch or --all with these flags is at work "
        "there; wait for its end",
    ):
        # Before anything that takes long.
        request = keep_requests.KeepRequest(config.run_dir, who)
        watch = _Watch(evaluate.Evaluation(config, stream), request)
        if config.watch:
            watch.evaluation.say(f"watching {config.run_dir}")
        found = watch.score_new()
        while config.watch and (found or not watch.run_has_ended()):
            if not found:
                sleep(config.poll_secs)
            found = watch.score_new()
        watch.end()
        request.withdraw()
    if watch.faults:
        raise errors.UserError("; ".join(watch.faults))


def _wait_for_run(config: EvalConfig, stream: TextIO, sleep: Callable[[float], None]) -> None:
    if config.watch and not tf.io.gfile.exists(os.path.join(config.run_dir, "config.json")):
        stream.write(f"waiting for a run in {config.run_dir}\n")
        stream.flush()
        while not tf.io.gfile.exists(os.path.join(config.run_dir, "config.json")):
            sleep(config.poll_secs)


def _name(config: EvalConfig) -> str:
    """A name that the same flags give again, whether they watch or score all."""
    fields = dataclasses.asdict(config)
    for name in ("watch", "all", "poll_secs"):
        fields.pop(name)
    return "watch-" + hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:12]


class _Watch:
    """What was scored of a run, and what remains.

    Args:
      evaluation: the scorer.
      request: to keep what is not scored yet.

    Attributes:
      evaluation: the same.
      faults: what could not be scored, and why.
    """

    def __init__(self, evaluation: evaluate.Evaluation, request: keep_requests.KeepRequest):
        self.evaluation, self.config = evaluation, evaluation.config
        self.faults: list[str] = []
        self._request = request
        self._protocol = json.loads(json.dumps(evaluation.protocol()))
        self._unusable: set[tuple[int, str]] = set()
        self._rows = self._read_rows()
        self._best = best_checkpoints.BestCheckpoints(
            self.config, self._protocol, saved=evaluation.saved, digest=self._digest
        )
        self._best.update(self._rows)
        self._ask()

    def score_new(self) -> bool:
        """Scores the checkpoints that are there and new; says whether there were any."""
        waiting = self._waiting()
        for step in waiting:
            try:
                self.evaluation.load(step)
                self.evaluation.score()
            except (errors.UnusableCheckpoint, checkpoints.Unreadable) as error:
                self._unusable.add((step, self._digest(step)))
                self.faults.append(str(error))
                self.evaluation.say(f"{error}; passed over")
                continue
            self._rows = self._read_rows()
            self._best.update(self._rows)
            self._draw()
            self._ask()
        self._ask()
        return bool(waiting)

    def run_has_ended(self) -> bool:
        """Whether the last step of the run is there, and nothing waits."""
        stored = directory.read_config(self.config.run_dir, "train", kind=TrainConfig)
        last = max(self.evaluation.saved.steps, default=-1)
        return stored is not None and last >= stored.max_steps and not self._waiting()

    def end(self) -> None:
        """Says what came of it."""
        best = ", ".join(str(row["step"]) for row in self._best.ranked(self._rows))
        self.evaluation.say(
            f"{len(self._rows)} checkpoints scored; best by {self.config.best_by}: {best or 'none'}"
        )

    def _waiting(self) -> list[int]:
        """Steps that are there and were neither scored nor found unusable."""
        done = self._unusable | {
            (row["step"], row["protocol"]["checkpoint_sha256"]) for row in self._rows
        }
        return [
            step for step in self.evaluation.saved.steps if (step, self._digest(step)) not in done
        ]

    def _digest(self, step: int) -> Optional[str]:
        """The checkpoint's SHA-256; None where its files went."""
        try:
            return self.evaluation.saved.sha256(step)
        except (OSError, tf.errors.OpError):
            return None

    def _ask(self) -> None:
        """Asks training to keep what is not scored yet, and what is to come."""
        steps = self.evaluation.saved.steps
        self._request.move(min(self._waiting(), default=max(steps, default=-1) + 1))

    def _read_rows(self) -> list[dict[str, Any]]:
        """The rows of this run and protocol, a step's newest only, ascending."""
        run = directory.run_id(self.config.run_dir)
        own = {
            row["step"]: row
            for row in metric_writer.read_rows(self.config.eval_dir)
            if "checkpoint_sha256" in row.get("protocol", {})
            and row.get("run") == run
            and protocol.same_protocol(row["protocol"], self._protocol)
        }
        return [own[step] for step in sorted(own)]

    def _draw(self) -> None:
        """FID and IS against the step, as a PNG and for TensorBoard."""
        points = [
            curves.Point(
                row["step"],
                best_checkpoints.value_of(row, "is"),
                best_checkpoints.value_of(row, "fid"),
            )
            for row in self._rows
        ]
        model_config = self.evaluation.model_config
        title = f"{self.config.run_dir}: {protocol.protocol_title(self._protocol)}"
        png = curves.draw(
            points,
            title,
            published=curves.are_published_of(model_config.image_size, model_config.number_classes),
        )
        self.evaluation.writer.write_image(
            points[-1].step, "eval_vis/curves", image=pixels.decode_png(png), filename="curves.png"
        )
