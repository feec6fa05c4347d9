"""Conversion of a run from and to the reference's checkpoints, and to weights for PyTorch."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sagan_tf import errors, model, reference_checkpoint
from sagan_tf.bridges import exports, torch_file
from sagan_tf.config import ConvertConfig, DataConfig, ModelConfig, TrainConfig
from sagan_tf.gan import discriminator, generator
from sagan_tf.runs import checkpoints, directory, restore
from sagan_tf.runtime import files

# Options of the networks that change no weight's name or shape, and that the reference has not.
_NOT_IN_THE_REFERENCE = ("relu_shortcut", "spectral_norm")


def import_run(
    path: str,
    model_config: ModelConfig,
    *,
    train_config: TrainConfig,
    note: Callable[[str], None] = lambda _: None,
) -> int:
    """Makes a run directory from a checkpoint of the reference.

    Args:
      path: of the checkpoint, without the endings of its files.
      model_config: of the reference's model.
      train_config: of the run to make; its directory must hold no checkpoint.
      note: told of options with which the same weights give other numbers than the reference's.
    Returns:
      The step.
    Raises:
      errors.UserError: the run directory holds a run, the checkpoint does not fit, or the
        reference has no such networks.
    """
    reference_checkpoint.require_fit(model_config)

    # Refuse to write over a run.
    run_dir = train_config.run_dir
    if checkpoints.Checkpoints(run_dir, {}).steps:
        raise errors.UserError(f"{run_dir}: holds a run already; choose another --checkpoint_dir")

    # Read the reference's checkpoint, write ours.
    _note_options(model_config, note)
    gan = model.SAGAN(model_config, train_config)
    reference_checkpoint.read(gan, path)
    directory.write_config(run_dir, model=model_config, data=DataConfig(), train=train_config)
    saved = checkpoints.Checkpoints(run_dir, gan.state(), keep=train_config.keep_checkpoints)
    step = int(gan.step.numpy())
    saved.save(step)
    return step


def export_run(
    path: str,
    train_config: TrainConfig,
    *,
    step: int = -1,
    note: Callable[[str], None] = lambda _: None,
) -> int:
    """Writes a checkpoint of a run as the reference would.

    Args:
      path: of the new checkpoint, without the endings of its files.
      train_config: of the run.
      step: of the run's checkpoint; -1: the newest.
      note: as in `import_run`.
    Returns:
      The step.
    Raises:
      errors.UserError: there is no run, or no such checkpoint, or it is of another model, or the
        reference has no such networks.
    """
    run_dir = train_config.run_dir
    model_config = restore.read_model_config(run_dir)
    reference_checkpoint.require_fit(model_config)

    # Read our checkpoint. The reference has no place for what is optional.
    gan = model.SAGAN(model_config, train_config)
    saved = checkpoints.Checkpoints(run_dir, gan.state(), optional=model.OPTIONAL_STATE)
    found = saved.restore(step)
    if found is None:
        raise errors.UserError(f"{run_dir}: holds no checkpoint")

    # Write the reference's.
    _note_options(gan.model_config, note)
    reference_checkpoint.write(gan, path)
    return found


def _note_options(model_config: ModelConfig, note: Callable[[str], None]) -> None:
    for name, (value, _) in model_config.departures(_NOT_IN_THE_REFERENCE).items():
        note(
            f"--{name}={value}: the reference has no such option, and computes other numbers "
            "with these weights"
        )


def export_state_dicts(
    options: ConvertConfig, run_dir: str, *, note: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Writes the networks of a run for PyTorch: G, its moving average if there is one, and D.

    Args:
      options: names, path and step.
      run_dir: directory of the run.
      note: told of damaged checkpoints that were skipped, and of where the other project computes
        other numbers.
    Returns:
      A line for each file that was written.
    Raises:
      errors.UserError: there is no run, or no such checkpoint; the other project cannot have such
        networks; or the output is in the way, or cannot be written.
    """
    # Refuse what cannot be written before the run is read.
    model_config = restore.read_model_config(run_dir)
    exports.require_fit(model_config, options.names)
    _require_output(options)

    # Read the run, and name its arrays.
    step, networks = read_networks(run_dir, options.checkpoint_step, note=note)
    contents = exports.contents(
        options.path, networks, names=options.names, model_config=model_config, step=step
    )
    for line in exports.notes(model_config, options.names):
        note(line)

    # Write.
    lines = []
    for path, content in contents.items():
        with files.writing(f"--path={options.path}"):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            torch_file.write(path, content)
        lines.append(f"step {step}: {run_dir} -> {path}")
    return lines


def _require_output(options: ConvertConfig) -> None:
    """Raises errors.UserError unless the output can be written."""
    path = options.path
    if options.names == "studiogan":
        if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise errors.UserError(f"--path={path}: expected a new or empty directory")
        path = os.path.join(path, "G.pth")
    files.require_writable_output("path", path)


def read_networks(
    run_dir: str, step: int = -1, *, note: Callable[[str], None] = lambda _: None
) -> tuple[int, dict[str, dict[str, np.ndarray]]]:
    """The weights of a checkpoint of a run.

    Args:
      run_dir: directory of the run.
      step: of the checkpoint; -1: the newest that can be read.
      note: told of damaged checkpoints that were skipped.
    Returns:
      The step, and float32 arrays by the reference's names without "model/", of "generator",
      "averaged" (where the checkpoint has an average) and "discriminator".
    Raises:
      errors.UserError: there is no run, or no such checkpoint, or it is of another model.
    """
    # Make the networks.
    model_config = restore.read_model_config(run_dir)
    made = {
        "generator": generator.Generator(model_config),
        "averaged": generator.Generator(model_config),
        "discriminator": discriminator.Discriminator(model_config),
    }
    state = {}
    for name, network in made.items():
        network.build()
        prefix = model.AVERAGE if name == "averaged" else ""
        state.update({prefix + weight.path: weight.value for weight in network.weights})

    # Read them from one checkpoint.
    saved = checkpoints.Checkpoints(run_dir, state, optional=model.OPTIONAL_STATE)
    found = saved.restore(step, complete=False, note=note)
    if found is None:
        raise errors.UserError(f"{run_dir}: holds no checkpoint")
    if saved.missing:
        del made["averaged"]
    return found, {name: _arrays(network) for name, network in made.items()}


def _arrays(network: tf.Module) -> dict[str, np.ndarray]:
    """The weights of a network by the reference's names."""
    return {weight.path.split("/", 1)[1]: weight.numpy() for weight in network.weights}
