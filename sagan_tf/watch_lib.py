"""Scores of all checkpoints of a run, those that are there and those to come."""

import json
import os
import time
from collections.abc import Callable
from typing import Any, Optional, TextIO

import tensorflow as tf

from sagan_tf import checkpoints, curves, eval_lib, files, metric_writer
from sagan_tf import config as config_lib
from sagan_tf import images as images_lib
from sagan_tf import scores as scores_lib

BEST = "best"


def score_all(config: config_lib.EvalConfig, stream: Optional[TextIO] = None,
              sleep: Callable[[float], None] = time.sleep) -> None:
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
      config.UserError: as `eval_lib.evaluate`, and in the end, without `config.watch`, when a
        checkpoint could not be read.
    """
    watch = _Watch(eval_lib.Evaluation(config, stream))
    if not config.watch:
        watch.score_new()
        watch.end()
        if watch.faults:
            raise config_lib.UserError("; ".join(watch.faults))
        return
    watch.evaluation.say(f"watching {config.run_dir}")
    while watch.score_new() or not watch.run_has_ended():
        sleep(config.poll_secs)
    watch.end()


class _Watch:
    """What was scored of a run, and what remains.

    Attributes:
      evaluation: the scorer.
      faults: what could not be scored, and why.
    """

    def __init__(self, evaluation: eval_lib.Evaluation):
        self.evaluation, self.config = evaluation, evaluation.config
        self.faults: list[str] = []
        self._protocol = _plain(evaluation.protocol())
        self._name = scores_lib.protocol_name(self._protocol)
        self._seen: set[tuple[int, str]] = set()
        self._rows = self._read_rows()
        self._ask()
        if self._rows:
            self._keep_best()

    def score_new(self) -> bool:
        """Scores the checkpoints that are there and new; says whether there were any."""
        found = False
        for step in self.evaluation.saved.steps:
            digest = self._digest(step)
            if digest is None or (step, digest) in self._seen:
                continue
            self._seen.add((step, digest))
            if any(row["step"] == step and row["protocol"]["checkpoint_sha256"] == digest
                   for row in self._rows):
                continue
            found = True
            try:
                self.evaluation.score(step)
            except config_lib.UserError as error:
                # Damaged, or gone before the request to keep it was there.
                self.faults.append(str(error))
                self.evaluation.say(f"{error}; passed over")
                continue
            self._rows = self._read_rows()
            self._keep_best()
            self._draw()
            self._ask()
        self._ask()
        return found

    def run_has_ended(self) -> bool:
        """Whether the last step of the run has been seen."""
        stored = checkpoints.read_config(self.config.run_dir, "train", config_lib.TrainConfig)
        return stored is not None and any(step >= stored.max_steps for step, _ in self._seen)

    def end(self) -> None:
        """Nothing has to be kept any longer."""
        checkpoints.ask_to_keep(self.config.run_dir, self._name, None)
        best = ", ".join(str(row["step"]) for row in self._ranked()[:self.config.keep_best])
        self.evaluation.say(f"{len(self._rows)} checkpoints scored; best by "
                            f"{self.config.best_by}: {best or 'none'}")

    def _digest(self, step: int) -> Optional[str]:
        try:
            return self.evaluation.saved.sha256(step)
        except (OSError, tf.errors.OpError):
            return None  # It went while it was read.

    def _ask(self) -> None:
        """Asks training to keep what is not scored yet."""
        scored = {row["step"] for row in self._rows} | {step for step, _ in self._seen}
        waiting = [step for step in self.evaluation.saved.steps if step not in scored]
        checkpoints.ask_to_keep(self.config.run_dir, self._name,
                                min(waiting, default=max(scored, default=-1) + 1))

    def _read_rows(self) -> list[dict[str, Any]]:
        """The rows of this protocol, a step's newest only, ascending."""
        own = {row["step"]: row for row in metric_writer.read_rows(self.config.eval_dir)
               if "checkpoint_sha256" in row.get("protocol", {})
               and scores_lib.same_protocol(row["protocol"], self._protocol)}
        return [own[step] for step in sorted(own)]

    def _ranked(self) -> list[dict[str, Any]]:
        """The rows, the best first."""
        sign = 1 if self.config.best_by == "fid" else -1
        return sorted(self._rows, key=lambda row: sign * _value(row, self.config.best_by))

    def _keep_best(self) -> None:
        """Makes `<run>/best` what it is to be: a run directory of the best checkpoints."""
        if not self.config.keep_best:
            return
        directory = os.path.join(self.config.run_dir, BEST)
        kept, scored = checkpoints.Checkpoints(directory, {}), {row["step"] for row in self._rows}
        best = [row for row in self._ranked()
                if row["step"] in {*kept.steps, *self.evaluation.saved.steps}]
        best = best[:self.config.keep_best]
        with files.writing(directory):
            tf.io.gfile.makedirs(directory)
            tf.io.gfile.copy(os.path.join(self.config.run_dir, "config.json"),
                             os.path.join(directory, "config.json"), overwrite=True)
            for row in best:
                if row["step"] not in kept.steps:
                    self.evaluation.saved.copy(row["step"], directory)
            # Those that another protocol found stay.
            for step in kept.steps:
                if step in scored and step not in {row["step"] for row in best}:
                    kept.remove(step)
            files.write_whole(os.path.join(directory, "best.json"), json.dumps(
                {"by": self.config.best_by,
                 "checkpoints": [{"step": row["step"], "fid": _value(row, "fid"),
                                  "inception_score": _value(row, "is"),
                                  "citation": row["citation"]} for row in best]}, indent=2) + "\n")

    def _draw(self) -> None:
        """FID and IS against the step, as a PNG and for TensorBoard."""
        points = [curves.Point(row["step"], _value(row, "is"), _value(row, "fid"))
                  for row in self._rows]
        model_config = self.evaluation.model_config
        title = f"{self.config.run_dir}: {scores_lib.protocol_title(self._protocol)}"
        png = curves.draw(points, title, published=model_config.image_size == 128
                          and model_config.number_classes == 1000)
        self.evaluation.writer.write_image(
            points[-1].step, "eval_vis/curves", images_lib.decode_png(png), "curves.png")


def _value(row: dict[str, Any], score: str) -> float:
    """A score of a row, whatever number of images its name says."""
    beginning = {"fid": "eval/fid", "is": "eval/incscore"}[score]
    return next(value for name, value in row.items() if name.startswith(beginning))


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it comes back from a file."""
    return json.loads(json.dumps(record))
