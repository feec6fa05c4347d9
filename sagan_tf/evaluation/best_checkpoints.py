"""The best checkpoints of a run, kept in directories of their own."""

import json
import os
from collections.abc import Callable
from typing import Any, Optional

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import EvalConfig
from sagan_tf.evaluation import protocol as evaluation_protocol
from sagan_tf.runs import checkpoints
from sagan_tf.runtime import files

BEST = "best"


class BestCheckpoints:
    """`<run>/best`: a run directory of the best checkpoints.

    `best.json` has a list for each protocol and score that was ever asked for; a checkpoint stays
    as long as a list names it.

    Args:
      config: how many to keep, and by which score.
      protocol: of the scores.
      saved: the run's checkpoints.
      digest: step to the SHA-256 of the run's checkpoint, or None.
    """

    def __init__(
        self,
        config: EvalConfig,
        protocol: dict[str, Any],
        *,
        saved: checkpoints.Checkpoints,
        digest: Callable[[int], Optional[str]],
    ):
        self._config, self._saved, self._digest = config, saved, digest
        self._directory = os.path.join(config.run_dir, BEST)
        self._kept = checkpoints.Checkpoints(self._directory, {})
        self._list = f"{evaluation_protocol.protocol_name(protocol)} by {config.best_by}"

    def ranked(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of the best checkpoints, the best first."""
        sign = 1 if self._config.best_by == "fid" else -1
        rows = sorted(rows, key=lambda row: sign * value_of(row, self._config.best_by))
        return rows[: self._config.keep_best]

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
        there = {
            entry["step"]: entry["sha256"]
            for entries in lists.values()
            for entry in entries
            if entry["step"] in self._kept.steps
        }
        # Of what was scored, only what can still be had.
        rows = [
            row
            for row in rows
            if sha256_of(row) in (there.get(row["step"]), self._digest(row["step"]))
        ]
        best = self.ranked(rows)
        for row in best:
            if there.get(row["step"]) != sha256_of(row):
                self._saved.copy(row["step"], self._directory)
                there[row["step"]] = sha256_of(row)
        lists[self._list] = [
            {
                "step": row["step"],
                "sha256": sha256_of(row),
                "fid": value_of(row, "fid"),
                "inception_score": value_of(row, "is"),
                "citation": row["citation"],
            }
            for row in best
        ]
        lists = {
            name: [entry for entry in entries if there.get(entry["step"]) == entry["sha256"]]
            for name, entries in lists.items()
        }
        tf.io.gfile.copy(
            os.path.join(self._config.run_dir, "config.json"),
            os.path.join(self._directory, "config.json"),
            overwrite=True,
        )
        files.write_whole(
            os.path.join(self._directory, "best.json"), json.dumps(lists, indent=2) + "\n"
        )
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
            raise errors.UserError(
                f"{path}: expected the lists of the best checkpoints ({error}); put it right, or "
                "move it away to begin new ones"
            ) from error


def sha256_of(row: dict[str, Any]) -> str:
    return row["protocol"]["checkpoint_sha256"]


def value_of(row: dict[str, Any], score: str) -> float:
    """A score of a row, whatever number of images its name says."""
    beginning = {"fid": "eval/fid", "is": "eval/incscore"}[score]
    return next(value for name, value in row.items() if name.startswith(beginning))
