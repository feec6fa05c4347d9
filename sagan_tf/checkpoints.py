"""Checkpoints and `config.json` of a run: save, keep, restore; refuse another model's."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Optional

import tensorflow as tf

from sagan_tf import config as config_lib
from sagan_tf import files

CONFIG_VERSION = 1
_PREFIX = "ckpt"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class Checkpoints:
    """The checkpoints of one run, in TensorFlow's object format, keyed by variable name.

    Args:
      run_dir: directory of the run.
      state: name -> variable, everything that a continued run needs.
      keep: newest checkpoints that are kept.
    """

    def __init__(self, run_dir: str, state: Mapping[str, tf.Variable], keep: int = 5):
        self.run_dir = run_dir
        self._state = dict(state)
        self._checkpoint = tf.train.Checkpoint(state=self._state)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, run_dir, max_to_keep=keep, checkpoint_name=_PREFIX)

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step` and returns its path.

        Raises:
          config.UserError: the directory cannot be written; earlier checkpoints stay.
        """
        with files.writing(self.run_dir):
            return self._manager.save(checkpoint_number=step)

    def restore(self, step: int = -1, complete: bool = True) -> Optional[int]:
        """Reads the checkpoint of `step`, or the latest.

        Args:
          step: step of the checkpoint; -1: the latest.
          complete: whether a checkpoint that holds more than the state is refused.
        Returns:
          The step, or None when there is no checkpoint and none was named.
        Raises:
          config.UserError: there is none of that step, it is damaged, or its variables are not
            this model's.
        """
        if step == -1 and not self.steps:
            return None
        step = self.steps[-1] if step == -1 else step
        if step not in self.steps:
            raise config_lib.UserError(
                f"--checkpoint_step={step}: {self.run_dir} has no checkpoint of that step, but of "
                + (", ".join(map(str, self.steps)) or "none"))
        path = os.path.join(self.run_dir, f"{_PREFIX}-{step}")
        try:
            self._refuse_mismatch(path, complete)
            self._checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
        except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
            others = ", ".join(str(other) for other in self.steps if other != step)
            raise config_lib.UserError(
                f"{path}: the checkpoint cannot be read ({files.first_line(error)}); "
                f"there are checkpoints of steps {others or 'none other'}; move this one away to "
                "use the one before") from error
        return step

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, ascending.

        Read off the files themselves (the index is written last), so that a lost state file does
        not hide them.
        """
        if not tf.io.gfile.isdir(self.run_dir):
            return []
        found = (re.fullmatch(_PREFIX + r"-(\d+)\.index", name)
                 for name in tf.io.gfile.listdir(self.run_dir))
        return sorted(int(match.group(1)) for match in found if match)

    def _refuse_mismatch(self, path: str, complete: bool) -> None:
        stored = _stored_shapes(path)
        wanted = {name: tuple(v.shape) for name, v in self._state.items()}
        faults = [f"no {name} there" for name in wanted if name not in stored]
        faults += [f"{name} is {stored[name]} there, {shape} here"
                   for name, shape in wanted.items() if stored.get(name, shape) != shape]
        if complete:
            faults += [f"{name} there only" for name in stored if name not in wanted]
        if faults:
            raise config_lib.UserError(
                f"{path}: a checkpoint of another model; it differs in " + "; ".join(faults))


def _stored_shapes(path: str) -> dict[str, tuple[int, ...]]:
    shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    return {name[len("state/"):-len(_VALUE)].replace(".S", "/").replace("..", "."): tuple(shape)
            for name, shape in shapes.items()
            if name.startswith("state/") and name.endswith(_VALUE)}


def write_config(run_dir: str, **configs: Any) -> None:
    """Writes `config.json`, whole or not at all.

    Args:
      run_dir: directory of the run; made if it is not there.
      **configs: section name -> frozen dataclass.
    Raises:
      config.UserError: the directory cannot be written.
    """
    content = {"version": CONFIG_VERSION,
               **{name: dataclasses.asdict(value) for name, value in configs.items()}}
    with files.writing(run_dir):
        tf.io.gfile.makedirs(run_dir)
        files.write_whole(os.path.join(run_dir, "config.json"),
                          json.dumps(content, indent=2) + "\n")


def read_config(run_dir: str, section: str, kind: type) -> Any:
    """A section of the run's `config.json` as a dataclass of type `kind`; None without a file.

    Raises:
      config.UserError: the file is damaged, of a later version, or has not these fields.
    """
    path = os.path.join(run_dir, "config.json")
    if not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path) as file:
            content = json.loads(file.read())
        if content["version"] > CONFIG_VERSION:
            raise ValueError(f"version {content['version']}, expected at most {CONFIG_VERSION}; it "
                             "was written by a later release")
        return kind(**content[section])
    except (ValueError, KeyError, TypeError, tf.errors.OpError, config_lib.UserError) as error:
        raise config_lib.UserError(
            f"{path}: expected a run's settings ({files.first_line(error)})") from error
