"""A run to train on, made from the networks of another project."""

import dataclasses
import os
import shlex
from typing import Any

from sagan_tf import errors, model, reference_checkpoint
from sagan_tf.bridges import published
from sagan_tf.bridges.imports import Imported
from sagan_tf.config import DataConfig, ModelConfig, TrainConfig
from sagan_tf.runs import checkpoints, directory
from sagan_tf.runtime import files


def write(imported: Imported, out: str, *, source: str, step: int) -> list[str]:
    """Writes a run: both networks, the moving average if there is one, and u.

    Adam's moments are 0, because no file has them.

    Args:
      imported: the networks.
      out: directory of the run, new or empty.
      source: the project, as of `config.ImportConfig`.
      step: of the run.
    Returns:
      The flags that training goes on with, quoted for a shell.
    Raises:
      errors.UserError: the networks cannot be trained here, or the directory cannot be written.
    """
    # Refuse what cannot be trained.
    if "discriminator" not in imported.networks:
        raise errors.UserError("--to=run: the files hold no discriminator; give its file too")
    if imported.normalized != imported.model_config.generator_sn:
        raise errors.UserError(
            "--to=run: only some of the generator's weights are spectrally normalised; "
            "--to=model takes it"
        )

    # Settings.
    has_average = "averaged" in imported.networks
    decays = {} if imported.traits.ours else published.DECAYS[source]
    model_config = dataclasses.replace(imported.model_config, **decays)
    generator_sn = model_config.generator_sn
    training = published.training(source, generator_sn=generator_sn)
    if imported.traits.ours:  # The file does not say how the run was trained.
        training = {"ema_decay": training.get("ema_decay", 0.999)}
    if not has_average:
        training.pop("ema_decay", None)
    if step >= TrainConfig.max_steps:
        training["max_steps"] = step + TrainConfig.max_steps
    folder, name = os.path.split(os.path.abspath(out))
    train_config = TrainConfig(checkpoint_dir=folder, run_name=name, **training)

    # Set the networks.
    gan = model.SAGAN(model_config, train_config)
    arrays = {}
    for network in ("generator", "discriminator"):
        for path, values in imported.networks[network].arrays.items():
            arrays[f"model/{path}"] = values
    reference_checkpoint.assign(gan, arrays)
    if has_average:
        imported.networks["averaged"].assign_to(gan.averaged)
    gan.step.assign(step)

    # Write the run, whole or not at all.
    with files.writing(f"--out={out}"), files.replaced(out) as written:
        directory.write_config(written, model=model_config, data=DataConfig(), train=train_config)
        saved = checkpoints.Checkpoints(written, gan.state(), keep=train_config.keep_checkpoints)
        saved.save(step)
    return _flags(model_config, train_config)


def _flags(model_config: ModelConfig, train_config: TrainConfig) -> list[str]:
    """The flags whose values are not the defaults."""
    found = []
    for config in (train_config, model_config):
        usual: dict[str, Any] = dataclasses.asdict(type(config)())
        for name, value in dataclasses.asdict(config).items():
            if value != usual[name]:
                flag = f"--{name}={value}"
                if isinstance(value, bool):
                    flag = f"--{name}" if value else f"--no{name}"
                found.append(shlex.quote(flag))
    return found
