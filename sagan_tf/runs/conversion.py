"""Conversion of a run from and to the reference's checkpoints."""

from collections.abc import Callable

from sagan_tf import errors, model, reference_checkpoint
from sagan_tf.config import DataConfig, ModelConfig, TrainConfig
from sagan_tf.runs import checkpoints, directory, restore

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
      errors.UserError: the run directory holds a run, or the checkpoint does not fit.
    """
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
      errors.UserError: there is no run, or no such checkpoint, or it is of another model.
    """
    # Read our checkpoint. The reference has no place for what is optional.
    run_dir = train_config.run_dir
    gan = model.SAGAN(restore.read_model_config(run_dir), train_config)
    saved = checkpoints.Checkpoints(run_dir, gan.state(), optional=model.OPTIONAL_STATE)
    found = saved.restore(step)
    if found is None:
        raise errors.UserError(f"{run_dir}: holds no checkpoint")

    # Write the reference's.
    _note_options(gan.model_config, note)
    reference_checkpoint.write(gan, path)
    return found


def _note_options(model_config: ModelConfig, note: Callable[[str], None]) -> None:
    default = ModelConfig()
    for name in _NOT_IN_THE_REFERENCE:
        value = getattr(model_config, name)
        if value != getattr(default, name):
            note(
                f"--{name}={value}: the reference has no such option, and computes other numbers "
                "with these weights"
            )
