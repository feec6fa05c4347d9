"""Checkpoints and `config.json` of a run: save, keep, restore; refuse another model's."""

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

# Beginnings of names that a checkpoint may have or not have, whatever the state has: the moving
# average of the generator, which a flag switches on, and what later releases added.
OPTIONAL = ("ema/", "rollbacks", "loss_scale/")
_PREFIX = "ckpt"
_UNFINISHED = "unfinished-ckpt-"
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
      keep: newest checkpoints that are kept.

    Attributes:
      missing: names of the state that the restored checkpoint has not; they stayed as they were.
    """

    def __init__(self, run_dir: str, state: Mapping[str, tf.Variable], *, keep: int = 5):
        self.run_dir = run_dir
        self._state = dict(state)
        self._checkpoint = tf.train.Checkpoint(state=self._state)
        self._keep = keep
        self.missing: list[str] = []
        self._digests: dict[int, tuple[list, str]] = {}
        self._damaged: set[int] = set()  # steps that a restore passed over

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step`, reads it back, and only then drops the oldest ones.

        Returns:
          Its path.
        Raises:
          config.UserError: the directory cannot be written; earlier checkpoints stay.
        """
        path, unfinished = self.path(step), os.path.join(self.run_dir, f"{_UNFINISHED}{step}")
        with files.writing(self.run_dir):
            # TensorFlow itself writes an index under its final name, not at once.
            try:
                self._checkpoint.write(unfinished)
                _check(unfinished)
                written = self._files_named(f"{_UNFINISHED}{step}.")
                files.sync(*written)
                self.remove(step)  # A damaged one: its index would speak of other data.
                for name in sorted(written):  # ".data-..." goes before ".index".
                    tf.io.gfile.rename(name, path + name[len(unfinished) :])
            except BaseException:
                self.clear_unfinished()
                raise
            files.sync(self.run_dir)
            # Newer ones than this are damaged: a restart has passed them over.
            self._damaged.discard(step)
            older = [other for other in self.steps if other <= step]
            kept = [other for other in older if other not in self._damaged][-self._keep :]
            wanted = keep_requests.first_step_to_keep(self.run_dir)
            kept = [other for other in older if other in kept or other >= wanted]
            self._point_to(path, kept)
            for other in set(older) - set(kept):
                self.remove(other)
        return path

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
          note: told of each newer checkpoint that was damaged and passed over.
          flag: the one that named the step.
        Returns:
          The step, or None when there is no checkpoint and none was named.
        Raises:
          Unreadable: there is none of that step, or all are damaged.
          config.UserError: its variables are not this model's.
        """
        if step != -1 and step not in self.steps:
            raise Unreadable(
                f"--{flag}={step}: {self.run_dir} has no checkpoint of that step, but of "
                + (", ".join(map(str, self.steps)) or "none")
            )
        faults = []
        for candidate in [step] if step != -1 else reversed(self.steps):
            try:
                self._assign(self.path(candidate), complete)
            except _READ_ERRORS as error:
                self._damaged.add(candidate)
                faults.append(
                    f"{self.path(candidate)}: the checkpoint cannot be read "
                    f"({files.first_line(error)})"
                )
                continue
            for fault in faults:
                note(f"{fault}; passed over")
            return candidate
        if faults:
            others = ", ".join(str(other) for other in self.steps if other != step)
            raise Unreadable(
                "; ".join(faults)
                + (
                    f"; there are checkpoints of steps {others or 'none other'}"
                    if step != -1
                    else f"; no checkpoint of {self.run_dir} is left: if the disk is well, move the "
                    "directory away to begin again"
                )
            )
        return None

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
        """Puts a checkpoint into another directory too: the index last; a link where one can be.

        Raises:
          OSError, tf.errors.OpError: it is gone, or the directory cannot be written.
        """
        for name in self._files_of(step):
            target = os.path.join(directory, os.path.basename(name))
            if tf.io.gfile.exists(target):  # Copying onto a link would empty what it links to.
                tf.io.gfile.remove(target)
            try:
                os.link(name, target)
            except OSError:  # Another file system, or none that has links.
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
            self._digests[step] = stamp, hashlib.sha256(joined.encode()).hexdigest()
        return self._digests[step][1]

    def _files_of(self, step: int) -> list[str]:
        names = sorted(self._files_named(f"{_PREFIX}-{step}."))
        if not names or not names[-1].endswith(".index"):
            raise FileNotFoundError(f"{self.path(step)}: there is no such checkpoint")
        return names

    def clear_unfinished(self) -> None:
        """Removes what a save left that was killed; for the run's only writer."""
        whole = {f"{_PREFIX}-{step}" for step in self.steps}
        for name in self._files_named(_UNFINISHED):
            if tf.io.gfile.isdir(name):
                tf.io.gfile.rmtree(name)
            else:
                tf.io.gfile.remove(name)
        for name in self._files_named(f"{_PREFIX}-"):
            if ".data-" in name and os.path.basename(name).split(".")[0] not in whole:
                tf.io.gfile.remove(name)

    def _files_named(self, beginning: str) -> list[str]:
        names = tf.io.gfile.listdir(self.run_dir) if tf.io.gfile.isdir(self.run_dir) else []
        return [os.path.join(self.run_dir, name) for name in names if name.startswith(beginning)]

    def _point_to(self, path: str, kept: list[int]) -> None:
        """TensorFlow's own file, for tools that ask it for the latest checkpoint."""
        lines = [f'model_checkpoint_path: "{os.path.basename(path)}"']
        lines += [f'all_model_checkpoint_paths: "{_PREFIX}-{step}"' for step in kept]
        files.write_whole(os.path.join(self.run_dir, "checkpoint"), "\n".join(lines) + "\n")

    def _assign(self, path: str, complete: bool) -> None:
        """Sets the state; nothing is set when anything cannot be read."""
        values = dict(_read(path, None if complete else self._state))
        wanted = {name: tuple(v.shape) for name, v in self._state.items()}

        self.missing = [name for name in wanted if name not in values]
        faults = [f"no {name} there" for name in self.missing if not name.startswith(OPTIONAL)]
        faults += [
            f"{name} is {values[name].shape} there, {shape} here"
            for name, shape in wanted.items()
            if name in values and values[name].shape != shape
        ]
        if complete:
            faults += [
                f"{name} there only"
                for name in values
                if name not in wanted and not name.startswith(OPTIONAL)
            ]
        if faults:
            raise errors.UserError(
                f"{path}: a checkpoint of another model; it differs in " + "; ".join(faults)
            )
        for name, variable in self._state.items():
            if name in values:
                variable.assign(values[name])


def _read(path: str, names: Optional[Collection[str]] = None) -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of the variables of a checkpoint, their checksums compared.

    Args:
      path: of the checkpoint.
      names: of the variables to read; None: all.
    """
    reader = tf.train.load_checkpoint(path)
    for key in reader.get_variable_to_shape_map():
        name = key[len("state/") : -len(_VALUE)].replace(".S", "/").replace("..", ".")
        ours = key.startswith("state/") and key.endswith(_VALUE)
        if names is None or (ours and name in names):
            value = reader.get_tensor(key)
            if ours:
                yield name, np.asarray(value)


def _check(path: str) -> None:
    """Raises OSError if a checkpoint that was just written cannot be read."""
    try:
        for _ in _read(path):
            pass
    except _READ_ERRORS as error:
        raise OSError(f"what was written cannot be read back: {files.first_line(error)}") from error
