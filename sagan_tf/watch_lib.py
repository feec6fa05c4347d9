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
      config.UserError: as `eval_lib.evaluate`, and in the end when one could not be scored.
    """
    stream = stream or sys.stdout
    _wait_for_run(config, stream, sleep)
    eval_lib.read_model_config(config)  # Nothing is written where no run is.
    who = _name(config)
    with files.writing(config.eval_dir):
        tf.io.gfile.makedirs(config.eval_dir)
    with files.locked(os.path.join(config.eval_dir, f"{who}.lock"),
                      f"{config.eval_dir}: another --watch or --all with these flags is at work "
                      "there; wait for its end"):
        # Before anything that takes long.
        request = checkpoints.KeepRequest(config.run_dir, who)
        watch = _Watch(eval_lib.Evaluation(config, stream), request)
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
        raise config_lib.UserError("; ".join(watch.faults))


def _wait_for_run(config: config_lib.EvalConfig, stream: TextIO,
                  sleep: Callable[[float], None]) -> None:
    if config.watch and not tf.io.gfile.exists(os.path.join(config.run_dir, "config.json")):
        stream.write(f"waiting for a run in {config.run_dir}\n")
        stream.flush()
        while not tf.io.gfile.exists(os.path.join(config.run_dir, "config.json")):
            sleep(config.poll_secs)


def _name(config: config_lib.EvalConfig) -> str:
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

    def __init__(self, evaluation: eval_lib.Evaluation, request: checkpoints.KeepRequest):
        self.evaluation, self.config = evaluation, evaluation.config
        self.faults: list[str] = []
        self._request = request
        self._protocol = json.loads(json.dumps(evaluation.protocol()))
        self._unusable: set[tuple[int, str]] = set()
        self._rows = self._read_rows()
        self._best = _Best(self.config, self._protocol, evaluation.saved, self._digest)
        self._best.update(self._rows)
        self._ask()

    def score_new(self) -> bool:
        """Scores the checkpoints that are there and new; says whether there were any."""
        waiting = self._waiting()
        for step in waiting:
            try:
                self.evaluation.load(step)
                self.evaluation.score()
            except (config_lib.UnusableCheckpoint, checkpoints.Unreadable) as error:
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
        stored = checkpoints.read_config(self.config.run_dir, "train", config_lib.TrainConfig)
        last = max(self.evaluation.saved.steps, default=-1)
        return stored is not None and last >= stored.max_steps and not self._waiting()

    def end(self) -> None:
        """Says what came of it."""
        best = ", ".join(str(row["step"]) for row in self._best.ranked(self._rows))
        self.evaluation.say(f"{len(self._rows)} checkpoints scored; best by "
                            f"{self.config.best_by}: {best or 'none'}")

    def _waiting(self) -> list[int]:
        """Steps that are there and were neither scored nor found unusable."""
        done = self._unusable | {(row["step"], row["protocol"]["checkpoint_sha256"])
                                 for row in self._rows}
        return [step for step in self.evaluation.saved.steps
                if (step, self._digest(step)) not in done]

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
        run = checkpoints.run_id(self.config.run_dir)
        own = {row["step"]: row for row in metric_writer.read_rows(self.config.eval_dir)
               if "checkpoint_sha256" in row.get("protocol", {}) and row.get("run") == run
               and scores_lib.same_protocol(row["protocol"], self._protocol)}
        return [own[step] for step in sorted(own)]

    def _draw(self) -> None:
        """FID and IS against the step, as a PNG and for TensorBoard."""
        points = [curves.Point(row["step"], _value(row, "is"), _value(row, "fid"))
                  for row in self._rows]
        model_config = self.evaluation.model_config
        title = f"{self.config.run_dir}: {scores_lib.protocol_title(self._protocol)}"
        png = curves.draw(points, title, published=curves.are_published_of(
            model_config.image_size, model_config.number_classes))
        self.evaluation.writer.write_image(
            points[-1].step, "eval_vis/curves", images_lib.decode_png(png), "curves.png")


class _Best:
    """`<run>/best`: a run directory of the best checkpoints.

    `best.json` has a list for each protocol and score that was ever asked for; a checkpoint stays
    as long as a list names it.

    Args:
      config: how many to keep, and by which score.
      protocol: of the scores.
      saved: the run's checkpoints.
      digest: step to the SHA-256 of the run's checkpoint, or None.
    """

    def __init__(self, config: config_lib.EvalConfig, protocol: dict[str, Any],
                 saved: checkpoints.Checkpoints, digest: Callable[[int], Optional[str]]):
        self._config, self._saved, self._digest = config, saved, digest
        self._directory = os.path.join(config.run_dir, BEST)
        self._kept = checkpoints.Checkpoints(self._directory, {})
        self._list = f"{scores_lib.protocol_name(protocol)} by {config.best_by}"

    def ranked(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of the best checkpoints, the best first."""
        sign = 1 if self._config.best_by == "fid" else -1
        rows = sorted(rows, key=lambda row: sign * _value(row, self._config.best_by))
        return rows[:self._config.keep_best]

    def update(self, rows: list[dict[str, Any]]) -> None:
        """Copies what has become one of the best, and removes what no list names any longer."""
        if not self._config.keep_best or not rows:
            return
        with files.writing(self._directory):
            tf.io.gfile.makedirs(self._directory)
            with files.locked(os.path.join(self._directory, "lock")):
                self._update(rows)

    def _update(self, rows: list[dict[str, Any]]) -> None:
        lists = self._read()
        there = {entry["step"]: entry["sha256"] for entries in lists.values() for entry in entries
                 if entry["step"] in self._kept.steps}
        # Of what was scored, only what can still be had.
        rows = [row for row in rows
                if _sha256(row) in (there.get(row["step"]), self._digest(row["step"]))]
        best = self.ranked(rows)
        for row in best:
            if there.get(row["step"]) != _sha256(row):
                self._saved.copy(row["step"], self._directory)
                there[row["step"]] = _sha256(row)
        lists[self._list] = [
            {"step": row["step"], "sha256": _sha256(row), "fid": _value(row, "fid"),
             "inception_score": _value(row, "is"), "citation": row["citation"]} for row in best]
        lists = {name: [entry for entry in entries if there.get(entry["step"]) == entry["sha256"]]
                 for name, entries in lists.items()}
        tf.io.gfile.copy(os.path.join(self._config.run_dir, "config.json"),
                         os.path.join(self._directory, "config.json"), overwrite=True)
        files.write_whole(os.path.join(self._directory, "best.json"),
                          json.dumps(lists, indent=2) + "\n")
        named = {entry["step"] for entries in lists.values() for entry in entries}
        for step in set(self._kept.steps) - named:
            self._kept.remove(step)

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        path = os.path.join(self._directory, "best.json")
        try:
            with tf.io.gfile.GFile(path) as file:
                return json.loads(file.read())
        except tf.errors.NotFoundError:
            return {}
        except ValueError as error:
            raise config_lib.UserError(
                f"{path}: expected the lists of the best checkpoints ({error}); put it right, or "
                "move it away to begin new ones") from error


def _sha256(row: dict[str, Any]) -> str:
    return row["protocol"]["checkpoint_sha256"]


def _value(row: dict[str, Any], score: str) -> float:
    """A score of a row, whatever number of images its name says."""
    beginning = {"fid": "eval/fid", "is": "eval/incscore"}[score]
    return next(value for name, value in row.items() if name.startswith(beginning))
