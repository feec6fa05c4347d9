"""Conversion of a run from and to the reference's checkpoints."""

from sagan_tf import errors, model, reference_checkpoint
from sagan_tf.config import DataConfig, ModelConfig, TrainConfig
from sagan_tf.runs import checkpoints, directory, restore


def import_run(path: str, model_config: ModelConfig, *, train_config: TrainConfig) -> int:
    """Makes a run directory from a checkpoint of the reference.

    Args:
      path: of the checkpoint, without the endings of its files.
      model_config: of the reference's model.
      train_config: of the run to make; its directory must hold no checkpoint.
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
    gan = model.SAGAN(model_config, train_config)
    reference_checkpoint.read(gan, path)
    directory.write_config(run_dir, model=model_config, data=DataConfig(), train=train_config)
    saved = checkpoints.Checkpoints(run_dir, gan.state(), keep=train_config.keep_checkpoints)
    step = int(gan.step.numpy())
    saved.save(step)
    return step


def export_run(path: str, train_config: TrainConfig, *, step: int = -1) -> int:
    """Writes a checkpoint of a run as the reference would.

    Args:
      path: of the new checkpoint, without the endings of its files.
      train_config: of the run.
      step: of the run's checkpoint; -1: the newest.
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
    reference_checkpoint.write(gan, path)
    return found
