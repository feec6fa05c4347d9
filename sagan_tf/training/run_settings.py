"""The settings of a run in its directory: compared when it goes on, and written."""

import dataclasses
from collections.abc import Callable
from typing import Any

from sagan_tf import errors, model
from sagan_tf.config import DataConfig, ModelConfig, TrainConfig, difference
from sagan_tf.data import class_names
from sagan_tf.data.records import Records
from sagan_tf.runs import directory


def check(gan: model.SAGAN, data_config: DataConfig, *, note: Callable[[str], None]) -> None:
    """Compares the settings with those of the run that is there, if there is one.

    Args:
      gan: made with the new settings.
      data_config: the new settings of the data.
      note: told what has changed, and that other networks are not begun with.
    Raises:
      errors.UserError: the run is one of another model.
    """
    run_dir = gan.train_config.run_dir
    stored_model = directory.read_config(run_dir, "model", kind=ModelConfig)
    if stored_model is None:
        return

    # Refuse another model.
    changed = difference(stored_model, gan.model_config)
    if changed:
        raise errors.UserError(
            f"{run_dir}: holds a run of another model ({'; '.join(changed)}); give the run's own "
            "settings, another --run_name or another --checkpoint_dir"
        )

    # Say what else has changed.
    train_config = _as_begun(gan.train_config)
    configs: dict[str, Any] = {"data": data_config, "train": train_config}
    for section, config in configs.items():
        stored = directory.read_config(run_dir, section, kind=type(config))
        for change in difference(stored, config):
            note(f"changed since this run began: {change}")

    # Say that it keeps the networks that it has.
    asked = gan.train_config.init_from
    if asked and asked != train_config.init_from:
        began_with = train_config.init_from or "new networks"
        note(
            f"--init_from={asked}: not used, this run began with {began_with}; give another "
            "--run_name to begin with it"
        )


def write(gan: model.SAGAN, records: Records, data_config: DataConfig) -> None:
    """Writes the settings and the names of the classes to the run directory."""
    run_dir = gan.train_config.run_dir
    train_config = _as_begun(gan.train_config)
    directory.write_config(run_dir, model=gan.model_config, data=data_config, train=train_config)
    info = records.info
    if info is not None:
        class_names.write(run_dir, info.class_names, titles=info.class_titles)


def _as_begun(config: TrainConfig) -> TrainConfig:
    """The settings, of a run that is there with what it began with."""
    stored = directory.read_config(config.run_dir, "train", kind=TrainConfig)
    return config if stored is None else dataclasses.replace(config, init_from=stored.init_from)
