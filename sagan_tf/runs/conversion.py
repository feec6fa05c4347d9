"""Conversion of a run from and to the reference's checkpoints."""

from sagan_tf import config, errors


def import_run(
    path: str, model_config: config.ModelConfig, *, train_config: config.TrainConfig
) -> int:
    """Makes a run directory from a reference checkpoint; returns its step."""
    from sagan_tf import model, reference_checkpoint
    from sagan_tf.runs import checkpoints, directory

    run_dir = train_config.run_dir
    gan = model.SAGAN(model_config, train_config)
    saved = checkpoints.Checkpoints(run_dir, gan.state(), keep=train_config.keep_checkpoints)
    if saved.steps:
        raise errors.UserError(f"{run_dir}: holds a run already; choose another --checkpoint_dir")
    reference_checkpoint.read(gan, path)
    directory.write_config(
        run_dir, model=model_config, data=config.DataConfig(), train=train_config
    )
    step = int(gan.step.numpy())
    saved.save(step)
    return step


def export_run(path: str, train_config: config.TrainConfig, *, step: int = -1) -> int:
    """Writes a run's checkpoint as the reference's; returns its step."""
    from sagan_tf import model, reference_checkpoint
    from sagan_tf.runs import checkpoints, restore

    run_dir = train_config.run_dir
    model_config = restore.read_model_config(run_dir)
    gan = model.SAGAN(model_config, train_config)
    restored = checkpoints.Checkpoints(run_dir, gan.state()).restore(step)
    if restored is None:
        raise errors.UserError(f"{run_dir}: holds no checkpoint")
    reference_checkpoint.write(gan, path)
    return restored
