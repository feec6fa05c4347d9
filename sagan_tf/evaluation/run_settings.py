"""Settings of an evaluation that the run itself knows: its directory and its data."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Optional

from sagan_tf import errors
from sagan_tf.config import DataConfig, EvalConfig
from sagan_tf.runs import directory, exported
from sagan_tf.runtime import files


def complete(config: EvalConfig, is_given: Callable[[str], bool]) -> EvalConfig:
    """The settings with what the run says where no flag says otherwise.

    Args:
      config: from the flags. Where `config.run` names a directory with one run inside, that is it.
      is_given: whether a flag was given.
    Raises:
      errors.UserError: `config.run` names neither run nor exported model, or several runs; or it
        is an exported model, and no flag names the real images.
    """
    # Find the run, or the exported model.
    changes: dict[str, Any] = {}
    is_exported = exported.is_exported(config.run_dir)
    if config.run:
        found = config.run if is_exported else directory.find_run(config.run)
        changes["run"] = _absolute_if_dots(found)
        config = dataclasses.replace(config, **changes)
    if is_exported:
        _require_real_images(config, is_given)
        return config

    # Take its data.
    data_config = _data_of(config.run_dir)
    if data_config is not None and not is_given("data_dir"):
        changes["data_dir"] = data_config.data_dir
    return dataclasses.replace(config, **changes)


def is_there(config: EvalConfig) -> bool:
    """Whether the run has begun, or an exported model is there.

    Raises:
      errors.UserError: the path names several runs, so that waiting does not help.
    """
    if exported.is_exported(config.run_dir):
        return True
    try:
        directory.find_run(config.run_dir)
    except directory.NoRun:
        return False
    return True


def _require_real_images(config: EvalConfig, is_given: Callable[[str], bool]) -> None:
    """Raises errors.UserError where no flag names the real images."""
    of_their_own = config.real_split == "validation" and config.validation_dir
    if not (is_given("data_dir") or of_their_own or config.real_stats):
        raise errors.UserError(
            f"--data_dir: expected the directory of the real images' records; {config.run_dir} is "
            "an exported model and does not name it"
        )


def _absolute_if_dots(path: str) -> str:
    """The path, or its absolute form where its last part is no name, as in "." or ".."."""
    if files.is_remote(path) or os.path.basename(os.path.normpath(path)) not in (".", ".."):
        return path.rstrip("/")
    return os.path.abspath(path)


def _data_of(run_dir: str) -> Optional[DataConfig]:
    """The run's own data; None where it does not say."""
    try:
        return directory.read_config(run_dir, "data", kind=DataConfig)
    except errors.UserError:  # What is wrong is said where the networks' settings are read.
        return None
