"""Carries checkpoints between the reference (TensorFlow 1) and this project.

From the reference to a run directory that train and eval continue from:
    python -m sagan_tf.tools.convert_checkpoint --direction=import --path=dir/model.ckpt-1000000 \
        --checkpoint_dir=checkpoint
From a run to a checkpoint that the reference restores:
    python -m sagan_tf.tools.convert_checkpoint --direction=export --path=dir/model.ckpt-1000000 \
        --checkpoint_dir=checkpoint
"""

import dataclasses

from sagan_tf import cli, config


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """What to convert."""

    direction: str = config.option(
        "import", "import: from a reference checkpoint to a run; export: the other way.",
        ("import", "export"))
    path: str = config.option(
        "", "The reference checkpoint, as tf.compat.v1.train.Saver takes it (without .index).")
    checkpoint_step: int = config.option(-1, "Step of the checkpoint to export; -1: the latest.")

    def __post_init__(self):
        config.require_choices(self)
        if not self.path:
            raise config.UserError("--path=: expected the path of a reference checkpoint")


def import_run(path: str, model_config: config.ModelConfig,
               train_config: config.TrainConfig) -> int:
    """Makes a run directory from a reference checkpoint; returns its step."""
    from sagan_tf import checkpoints, model, reference_checkpoint

    run_dir = train_config.run_dir
    gan = model.SAGAN(model_config, train_config)
    saved = checkpoints.Checkpoints(run_dir, gan.state(), train_config.keep_checkpoints)
    if saved.steps:
        raise config.UserError(f"{run_dir}: holds a run already; choose another --checkpoint_dir")
    reference_checkpoint.read(gan, path)
    checkpoints.write_config(run_dir, model=model_config, data=config.DataConfig(),
                             train=train_config)
    step = int(gan.step.numpy())
    saved.save(step)
    return step


def export_run(path: str, train_config: config.TrainConfig, step: int = -1) -> int:
    """Writes a run's checkpoint as the reference's; returns its step."""
    from sagan_tf import checkpoints, model, reference_checkpoint

    run_dir = train_config.run_dir
    model_config = checkpoints.read_config(run_dir, "model", config.ModelConfig)
    if model_config is None:
        raise config.UserError(f"{run_dir}: no run there (config.json is missing)")
    gan = model.SAGAN(model_config, train_config)
    restored = checkpoints.Checkpoints(run_dir, gan.state()).restore(step)
    if restored is None:
        raise config.UserError(f"{run_dir}: holds no checkpoint")
    reference_checkpoint.write(gan, path)
    return restored


def main() -> None:
    options, train_config = cli.make(ConvertConfig), cli.make(config.TrainConfig)
    if options.direction == "import":
        step = import_run(options.path, cli.make(config.ModelConfig), train_config)
        print(f"step {step}: {options.path} -> {train_config.run_dir}")
    else:
        step = export_run(options.path, train_config, options.checkpoint_step)
        print(f"step {step}: {train_config.run_dir} -> {options.path}")


if __name__ == "__main__":
    cli.define(ConvertConfig, config.ModelConfig, config.TrainConfig)
    cli.run(main)
