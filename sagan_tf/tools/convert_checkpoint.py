"""Carries checkpoints between the reference (TensorFlow 1) and this project.

From the reference to a run directory that train and eval continue from:
    python -m sagan_tf.tools.convert_checkpoint --direction=import --path=dir/model.ckpt-1000000 \
        --checkpoint_dir=checkpoint
From a run to a checkpoint that the reference restores:
    python -m sagan_tf.tools.convert_checkpoint --direction=export --path=dir/model.ckpt-1000000 \
        --checkpoint_dir=checkpoint
"""

from sagan_tf import cli, config


def main() -> None:
    options = cli.make(config.ConvertConfig)
    train_config = cli.make(config.TrainConfig)
    model_config = cli.make(config.ModelConfig)
    from sagan_tf.runs import conversion  # TensorFlow starts here, after the flags were checked

    if options.direction == "import":
        step = conversion.import_run(options.path, model_config, train_config=train_config)
        print(f"step {step}: {options.path} -> {train_config.run_dir}")
    else:
        step = conversion.export_run(options.path, train_config, step=options.checkpoint_step)
        print(f"step {step}: {train_config.run_dir} -> {options.path}")


if __name__ == "__main__":
    cli.define(config.ConvertConfig, config.ModelConfig, config.TrainConfig)
    cli.run(main)
