"""The directory of a run: its settings, its name, where it is found, whether it is in use."""

import dataclasses
import itertools
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, Optional

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import files

CONFIG_VERSION = 1
NETWORKS = "training.npz"  # Both networks, beside an exported model.
# What is wrong with a directory that is no run's.
NO_RUN = "no run there (config.json is missing)"
_LEVELS = 2  # Of directories below a path, in which its runs are looked for.
_KERAS_WEIGHTS = "model.weights.h5"
_LISTED = 6  # Runs that an error names.


class NoRun(errors.UserError):
    """A directory that holds no run."""


class SeveralRuns(errors.UserError):
    """A directory that holds more runs than one, where one is wanted."""


def write_config(run_dir: str, **configs: Any) -> None:
    """Writes `config.json`, whole or not at all. The run gets a name of its own, and keeps it.

    Args:
      run_dir: directory of the run; made if it is not there.
      **configs: section name -> frozen dataclass.
    Raises:
      errors.UserError: the directory cannot be written.
    """
    # Collect the content.
    content = {"version": CONFIG_VERSION, "run": run_id(run_dir) or uuid.uuid4().hex}
    for name, value in configs.items():
        content[name] = dataclasses.asdict(value)

    # Write it.
    text = json.dumps(content, indent=2) + "\n"
    with files.writing(run_dir):
        tf.io.gfile.makedirs(run_dir)
        files.write_whole(_config_path(run_dir), text)


def run_id(run_dir: str) -> Optional[str]:
    """The name that tells this run from another one in the same place; None for an old run's."""
    path = _config_path(run_dir)
    try:
        with tf.io.gfile.GFile(path) as file:
            return json.loads(file.read()).get("run")
    except (tf.errors.OpError, ValueError, AttributeError):
        return None


def read_config(run_dir: str, section: str, *, kind: type) -> Any:
    """A section of the run's `config.json` as a dataclass of type `kind`; None without a file.

    Raises:
      errors.UserError: the file is damaged, of a later version, or has not these fields.
    """
    path = _config_path(run_dir)
    if not tf.io.gfile.exists(path):
        return None
    try:
        # Read the file.
        with tf.io.gfile.GFile(path) as file:
            content = json.loads(file.read())

        # Refuse what a later release wrote.
        version = content["version"]
        if version > CONFIG_VERSION:
            raise ValueError(
                f"version {version}, expected at most {CONFIG_VERSION}; it was written by a later "
                "release"
            )
        return kind(**content[section])
    except KeyError as error:
        raise errors.UserError(f"{path}: expected a run's settings (no {error})") from error
    except (ValueError, TypeError, tf.errors.OpError, errors.UserError) as error:
        raise errors.UserError(
            f"{path}: expected a run's settings ({files.first_line(error)})"
        ) from error


def is_locked(path: str) -> bool:
    """Whether a living process of this machine holds a lock on a file (`files.locked`).

    Takes no lock, which would, for a moment, make a run that starts refuse to.
    """
    return files.lock_holder(path) is not None


def find_run(path: str, flag: str = "run") -> str:
    """The directory of a run: the path itself, or the only run below it.

    Args:
      path: where to look.
      flag: that names it, for errors.
    Raises:
      NoRun: there is none.
      SeveralRuns: there are several.
    """
    if _is_run(path):
        return path

    # Look for runs below it.
    runs = list(itertools.islice(_runs_below(path, _LEVELS), _LISTED + 1))
    if len(runs) == 1:
        return runs[0]

    # Say why it is not one.
    if runs:
        more = ", ..." if len(runs) > _LISTED else ""
        fault = f"several runs are there; name one of {', '.join(runs[:_LISTED])}{more}"
        raise SeveralRuns(f"--{flag}={path}: {fault}")
    remedy = "give the directory of a run, such as checkpoint/imagenet_64"
    if tf.io.gfile.exists(os.path.join(path, NETWORKS)):
        remedy = f"its {NETWORKS} is for --init_from of a training; {remedy}"
    fault = f"{NO_RUN}; {remedy}"
    raise NoRun(f"--{flag}={path}: {fault}")


def _runs_below(path: str, levels: int) -> Iterator[str]:
    """Runs in a directory, and in the directories in it that are no runs."""
    names = tf.io.gfile.listdir(path) if tf.io.gfile.isdir(path) else []
    for name in sorted(names):
        inside = os.path.join(path, name.rstrip("/"))
        if _is_run(inside):
            yield inside
        elif levels > 1:
            yield from _runs_below(inside, levels - 1)


def _is_run(path: str) -> bool:
    """Whether a run's settings are there; Keras writes a config.json too, beside its weights."""
    is_keras = tf.io.gfile.exists(os.path.join(path, _KERAS_WEIGHTS))
    return tf.io.gfile.exists(_config_path(path)) and not is_keras


def _config_path(run_dir: str) -> str:
    return os.path.join(run_dir, "config.json")
