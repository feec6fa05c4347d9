"""Best checkpoints of a run, kept in a directory of their own."""

import itertools
import json
import os
from collections.abc import Callable
from typing import Any, Optional

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import EvalConfig
from sagan_tf.data import class_names
from sagan_tf.evaluation import protocol, rows
from sagan_tf.runs import checkpoints
from sagan_tf.runtime import files

BEST = "best"
# Files of the run that say what its checkpoints are of.
_ABOUT_THE_RUN = (
    "config.json",
    class_names.FILENAME,
)
# Protocol and score -> entries of the best checkpoints.
_Lists = dict[str, list[dict[str, Any]]]
# What `--best_by` names, and the score's name in a row.
_SCORES = {"fid": rows.FID, "is": rows.INCEPTION_SCORE}


class BestCheckpoints:
    """`<run>/best`: a run directory of the best checkpoints.

    `best.json` has a list for each protocol and score that was ever asked for; a checkpoint stays
    as long as a list names it.

    Args:
      config: how many to keep, and by which score.
      record: the protocol of the scores.
      saved: the run's checkpoints.
      digest: step to the SHA-256 of the run's checkpoint, or None.
    """

    def __init__(
        self,
        config: EvalConfig,
        record: dict[str, Any],
        *,
        saved: checkpoints.Checkpoints,
        digest: Callable[[int], Optional[str]],
    ):
        self._config = config
        self._saved = saved
        self._digest = digest
        self._directory = os.path.join(config.run_dir, BEST)
        self._kept = checkpoints.Checkpoints(self._directory, {})
        self._list = f"{protocol.protocol_name(record)} by {config.best_by}"

    def ranked(self, scored: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of the best checkpoints, the best first."""
        name = _SCORES[self._config.best_by]
        sign = 1 if name == rows.FID else -1
        ascending = sorted(scored, key=lambda row: sign * rows.value_of(row, name))
        return ascending[: self._config.keep_best]

    def update(self, scored: list[dict[str, Any]]) -> None:
        """Copies what has become one of the best, and removes what no list names any longer.

        Args:
          scored: all rows of the run by this protocol.
        """
        if not self._config.keep_best or not scored:
            return
        with files.writing(self._directory):
            tf.io.gfile.makedirs(self._directory)
            with files.locked(os.path.join(self._directory, "lock")):
                self._update(scored)

    def _update(self, scored: list[dict[str, Any]]) -> None:
        # Find the best of what can still be had.
        lists = self._read()
        kept = self._kept_by(lists)
        best = self.ranked([row for row in scored if self._is_there(row, kept)])

        # Copy what is not kept yet.
        for row in best:
            step = row["step"]
            if kept.get(step) != sha256_of(row):
                self._saved.copy(step, self._directory)
                kept[step] = sha256_of(row)

        # Write the lists, without checkpoints that have been replaced.
        lists[self._list] = [_entry_of(row) for row in best]
        current = {name: _current(entries, kept) for name, entries in lists.items()}
        self._write(current)

        # Remove what no list names.
        named = {entry["step"] for entry in _all(current)}
        for step in self._kept.steps:
            if step not in named:
                self._kept.remove(step)

    def _kept_by(self, lists: _Lists) -> dict[int, str]:
        """Step -> SHA-256 of the checkpoints that some list names and that are there."""
        steps = set(self._kept.steps)
        kept = {}
        for entry in _all(lists):
            if entry["step"] in steps:
                kept[entry["step"]] = entry["sha256"]
        return kept

    def _is_there(self, row: dict[str, Any], kept: dict[int, str]) -> bool:
        """Whether the checkpoint of a row is kept, or still in the run's own directory."""
        step = row["step"]
        return sha256_of(row) in (kept.get(step), self._digest(step))

    def _write(self, lists: _Lists) -> None:
        """Makes the directory that of a run, with the lists beside it."""
        # Copy the settings, and the names of the classes where they are known.
        for name in _ABOUT_THE_RUN:
            own = os.path.join(self._config.run_dir, name)
            target = os.path.join(self._directory, name)
            if tf.io.gfile.exists(own):
                tf.io.gfile.copy(own, target, overwrite=True)

        # Write the lists.
        path = os.path.join(self._directory, "best.json")
        files.write_whole(path, json.dumps(lists, indent=2) + "\n")

    def _read(self) -> _Lists:
        path = os.path.join(self._directory, "best.json")
        try:
            with tf.io.gfile.GFile(path) as file:
                return json.loads(file.read())
        except tf.errors.NotFoundError:
            return {}
        except ValueError as error:
            raise errors.UserError(
                f"{path}: expected the lists of the best checkpoints ({error}); correct it, or "
                "move it away to begin new lists"
            ) from error


def _all(lists: _Lists) -> list[dict[str, Any]]:
    """The entries of all lists."""
    return list(itertools.chain.from_iterable(lists.values()))


def _current(entries: list[dict[str, Any]], kept: dict[int, str]) -> list[dict[str, Any]]:
    """The entries whose checkpoints are kept as they were scored."""
    return [entry for entry in entries if kept.get(entry["step"]) == entry["sha256"]]


def _entry_of(row: dict[str, Any]) -> dict[str, Any]:
    """What a list says of a checkpoint."""
    return {
        "step": row["step"],
        "sha256": sha256_of(row),
        "fid": rows.value_of(row, rows.FID),
        "inception_score": rows.value_of(row, rows.INCEPTION_SCORE),
        "citation": row["citation"],
    }


def sha256_of(row: dict[str, Any]) -> str:
    """The SHA-256 of the checkpoint that a row is of."""
    return row["protocol"]["checkpoint_sha256"]
