"""Checkpoints of a run: saved, kept, restored; those of another model are refused."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runs import keep_requests
from sagan_tf.runtime import files

# Name of the run's own variable: how often it went back to an earlier checkpoint. A checkpoint may
# lack it, or hold it without need.
ROLLBACKS = "rollbacks"
_PREFIX = "ckpt"
_UNFINISHED = "unfinished-ckpt-"
_STATE = "state/"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# What TensorFlow raises for a checkpoint that is not whole.
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)


class Unreadable(errors.UserError):
    """A checkpoint is damaged, or not there."""


class Checkpoints:
    """The checkpoints of one run, in TensorFlow's object format, keyed by variable name.

    A checkpoint is there when its index is, which gets its name last. The format is stable: names
    and shapes of an older release's state load for ever.

    Args:
      run_dir: directory of the run.
      state: name -> variable, everything that a continued run needs.
      keep: number of newest checkpoints that are kept.
      optional: beginnings of names that a checkpoint may hold or lack, whatever the state holds.

    Attributes:
      missing: names of the state that the restored checkpoint lacks; these variables stayed as
        they were.
    """

    def __init__(
        self,
        run_dir: str,
        state: Mapping[str, tf.Variable],
        *,
        keep: int = 5,
        optional: Collection[str] = (),
    ):
        self.run_dir = run_dir
        self.missing: list[str] = []
        self._state = dict(state)
        self._checkpoint = tf.train.Checkpoint(state=self._state)
        self._keep = keep
        self._optional = (ROLLBACKS, *optional)
        self._digests: dict[int, tuple[list, str]] = {}
        self._damaged: set[int] = set()  # Steps that a restore skipped.

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step`, reads it back, and only then drops the oldest ones.

        Returns:
          Its path.
        Raises:
          errors.UserError: the directory cannot be written; earlier checkpoints stay.
        """
        with files.writing(self.run_dir):
            self._write(step)
            self._drop_old(step)
        return self.path(step)

    def _write(self, step: int) -> None:
        """Writes under another name first: TensorFlow makes an index by and by."""
        unfinished = os.path.join(self.run_dir, f"{_UNFINISHED}{step}")
        try:
            # Write it, and read it back.
            self._checkpoint.write(unfinished)
            _check(unfinished)
            written = self._files_named(f"{_UNFINISHED}{step}.")
            files.sync(*written)

            # Remove a damaged one of this step: its index would speak of other data.
            self.remove(step)

            # Give it its name: ".data-..." goes before ".index".
            for name in sorted(written):
                tf.io.gfile.rename(name, self.path(step) + name[len(unfinished) :])
        except BaseException:
            self.clear_unfinished()
            raise
        files.sync(self.run_dir)

    def _drop_old(self, step: int) -> None:
        """Removes the checkpoints before `step` that neither `keep` nor a request covers."""
        # Newer ones than this are damaged: a restart has skipped them.
        self._damaged.discard(step)
        older = [other for other in self.steps if other <= step]

        # Choose those to keep.
        sound = [other for other in older if other not in self._damaged]
        newest = sound[-self._keep :]
        requested = keep_requests.first_step_to_keep(self.run_dir)
        kept = [other for other in older if other in newest or other >= requested]

        # Name them in TensorFlow's own file, then remove the others.
        self._point_to(self.path(step), kept)
        for other in set(older) - set(kept):
            self.remove(other)

    def restore(
        self,
        step: int = -1,
        complete: bool = True,
        *,
        note: Callable[[str], None] = lambda _: None,
        flag: str = "checkpoint_step",
    ) -> Optional[int]:
        """Reads the checkpoint of `step`, or the newest one that can be read.

        Args:
          step: step of the checkpoint; -1: the newest.
          complete: whether a checkpoint that holds more than the state is refused; else only what
            the state needs is read.
          note: told of each newer checkpoint that was damaged and skipped.
          flag: name of the flag that gave the step.
        Returns:
          The step, or None when there is no checkpoint and none was named.
        Raises:
          Unreadable: there is none of that step, or all are damaged.
          errors.UserError: its variables are not this model's.
        """
        # List the checkpoints to try, the newest first.
        candidates = self.steps[::-1]
        if step != -1:
            if step not in candidates:
                raise Unreadable(
                    f"--{flag}={step}: {self.run_dir} has no checkpoint of that step, but of "
                    + (", ".join(map(str, self.steps)) or "none")
                )
            candidates = [step]

        # Take the first that can be read.
        faults = []
        for candidate in candidates:
            path = self.path(candidate)
            try:
                self._assign(path, complete)
            except _READ_ERRORS as error:
                self._damaged.add(candidate)
                line = files.first_line(error)
                faults.append(f"{path}: the checkpoint cannot be read ({line})")
            else:
                for fault in faults:
                    note(f"{fault}; skipped")
                return candidate
        if faults:
            raise Unreadable("; ".join(faults) + "; " + self._advice(step))
        return None

    def _advice(self, step: int) -> str:
        """What to say when neither the named checkpoint nor, for -1, any other can be read."""
        if step == -1:
            return (
                f"no checkpoint of {self.run_dir} is left: if the disk is well, move the "
                "directory away to begin again"
            )
        others = [str(other) for other in self.steps if other != step]
        if len(others) < 2:
            return f"there is a checkpoint of step {others[0]}" if others else "there is no other"
        return f"there are checkpoints of steps {', '.join(others)}"

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, ascending.

        Read off the files themselves, so that a lost state file does not hide them.
        """
        if not tf.io.gfile.isdir(self.run_dir):
            return []
        found = (
            re.fullmatch(_PREFIX + r"-(\d+)\.index", name)
            for name in tf.io.gfile.listdir(self.run_dir)
        )
        return sorted(int(match.group(1)) for match in found if match)

    def path(self, step: int) -> str:
        """The checkpoint's name, without the endings of its files."""
        return os.path.join(self.run_dir, f"{_PREFIX}-{step}")

    def remove(self, step: int) -> None:
        """Removes a checkpoint: the index first, so that it is never half there."""
        for name in sorted(self._files_named(f"{_PREFIX}-{step}."), reverse=True):
            tf.io.gfile.remove(name)

    def copy(self, step: int, directory: str) -> None:
        """Copies a checkpoint into another directory, the index last; links where that works.

        Raises:
          OSError, tf.errors.OpError: it is gone, or the directory cannot be written.
        """
        for name in self._files_of(step):
            # Remove what is there: copying onto a link would empty what it links to.
            target = os.path.join(directory, os.path.basename(name))
            if tf.io.gfile.exists(target):
                tf.io.gfile.remove(target)

            # Link, unless it is another file system, or one without links.
            try:
                os.link(name, target)
            except OSError:
                tf.io.gfile.copy(name, target + ".tmp", overwrite=True)
                tf.io.gfile.rename(target + ".tmp", target, overwrite=True)

    def sha256(self, step: int) -> str:
        """SHA-256 over the contents of the checkpoint's files, in the order of their names.

        Files are read again only when their sizes or times have changed.

        Raises:
          OSError, tf.errors.OpError: it is not there, or cannot be read.
        """
        names = self._files_of(step)
        found = [tf.io.gfile.stat(name) for name in names]
        stamp = [(one.length, one.mtime_nsec) for one in found]
        if self._digests.get(step, (None,))[0] != stamp:
            joined = "".join(files.sha256(name) for name in names)
            digest = hashlib.sha256(joined.encode()).hexdigest()
            self._digests[step] = (stamp, digest)
        return self._digests[step][1]

    def _files_of(self, step: int) -> list[str]:
        names = sorted(self._files_named(f"{_PREFIX}-{step}."))
        if not names or not names[-1].endswith(".index"):
            raise FileNotFoundError(f"{self.path(step)}: there is no such checkpoint")
        return names

    def clear_unfinished(self) -> None:
        """Removes what a save left that was killed; for the run's only writer."""
        # Remove files that never got their name.
        for name in self._files_named(_UNFINISHED):
            if tf.io.gfile.isdir(name):
                tf.io.gfile.rmtree(name)
            else:
                tf.io.gfile.remove(name)

        # Remove data without an index.
        whole = {f"{_PREFIX}-{step}" for step in self.steps}
        for name in self._files_named(f"{_PREFIX}-"):
            checkpoint = os.path.basename(name).split(".")[0]
            if ".data-" in name and checkpoint not in whole:
                tf.io.gfile.remove(name)

    def _files_named(self, beginning: str) -> list[str]:
        names = tf.io.gfile.listdir(self.run_dir) if tf.io.gfile.isdir(self.run_dir) else []
        return [os.path.join(self.run_dir, name) for name in names if name.startswith(beginning)]

    def _point_to(self, path: str, kept: list[int]) -> None:
        """Writes TensorFlow's own file, for tools that ask it for the latest checkpoint."""
        lines = [f'model_checkpoint_path: "{os.path.basename(path)}"']
        lines += [f'all_model_checkpoint_paths: "{_PREFIX}-{step}"' for step in kept]
        files.write_whole(os.path.join(self.run_dir, "checkpoint"), "\n".join(lines) + "\n")

    def _assign(self, path: str, complete: bool) -> None:
        """Sets the state; sets nothing if anything cannot be read or does not fit."""
        # Read the values.
        values = dict(_read(path, None if complete else self._state))
        self.missing = [name for name in self._state if name not in values]

        # Refuse those of another model.
        faults = [f"no {name} there" for name in self.missing if not self._is_optional(name)]
        for name, variable in self._state.items():
            shape = tuple(variable.shape)
            if name in values and values[name].shape != shape:
                faults.append(f"{name} is {values[name].shape} there, {shape} here")
        if complete:
            more = [name for name in values if name not in self._state]
            faults += [f"{name} there only" for name in more if not self._is_optional(name)]
        if faults:
            raise errors.UserError(
                f"{path}: a checkpoint of another model; it differs in " + "; ".join(faults)
            )

        # Set the variables.
        for name, variable in self._state.items():
            if name in values:
                variable.assign(values[name])

    def _is_optional(self, name: str) -> bool:
        return name.startswith(self._optional)


def unescaped(name: str) -> str:
    """The name of a variable from its escaped form in a checkpoint: "a.Sb..c" -> "a/b.c".

    The inverse of TensorFlow's `escape_local_name`, which writes "." as ".." and "/" as ".S":
    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/python/trackable/trackable_utils.py
    """
    return re.sub(r"\.([.S])", lambda found: {".": ".", "S": "/"}[found[1]], name)


def _read(path: str, names: Optional[Collection[str]] = None) -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of the variables of a checkpoint, their checksums compared.

    Args:
      path: of the checkpoint.
      names: of the variables to read; None: all.
    """
    reader = tf.train.load_checkpoint(path)
    for key in reader.get_variable_to_shape_map():
        # Find out whether it is part of the state, and its name there.
        in_state = key.startswith(_STATE) and key.endswith(_VALUE)
        name = unescaped(key[len(_STATE) : -len(_VALUE)])

        # Read it. What is not of the state is read for its checksum only.
        if names is None or (in_state and name in names):
            value = reader.get_tensor(key)
            if in_state:
                yield name, np.asarray(value)


def _check(path: str) -> None:
    """Raises OSError if a checkpoint that was just written cannot be read."""
    try:
        for _ in _read(path):
            pass
    except _READ_ERRORS as error:
        raise OSError(f"what was written cannot be read back: {files.first_line(error)}") from error
