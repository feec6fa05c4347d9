"""Command that carries checkpoints between the reference (TensorFlow 1) and this project."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Converts checkpoints of the reference (TensorFlow 1). --direction=import makes a run "
    "directory that training and evaluation continue from. --direction=export makes a checkpoint "
    "that the reference restores.",
    example="--path=model.ckpt-1000000 --checkpoint_dir=checkpoint",
    kinds=(config.ConvertConfig, config.ModelConfig, config.TrainConfig),
)


def main() -> None:
    options = cli.make(config.ConvertConfig)
    train_config = cli.make(config.TrainConfig)
    model_config = cli.make(config.ModelConfig)
    from sagan_tf.runs import conversion  # TensorFlow starts here, after the flags were checked

    if options.direction == "import":
        step = conversion.import_run(
            options.path, model_config, train_config=train_config, note=print
        )
        print(f"step {step}: {options.path} -> {train_config.run_dir}")
    else:
        step = conversion.export_run(
            options.path, train_config, step=options.checkpoint_step, note=print
        )
        print(f"step {step}: {train_config.run_dir} -> {options.path}")


if __name__ == "__main__":
    cli.run(COMMAND, main)
