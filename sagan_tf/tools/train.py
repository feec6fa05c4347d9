"""Command that trains a model."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Trains SAGAN on records. Losses, samples and checkpoints go into the run's directory, "
    "CHECKPOINT_DIR/imagenet_BATCH_SIZE or CHECKPOINT_DIR/RUN_NAME. A run that was stopped "
    "continues with the same command.",
    example="--data_dir=data/imagenet --generator_type=test",
    kinds=(config.DataConfig, config.ModelConfig, config.TrainConfig, config.DryRunConfig),
)


def main() -> None:
    # Check the flags that need no data.
    data_config = cli.make(config.DataConfig)
    train_config = cli.make(config.TrainConfig)
    from sagan_tf.data import dataset  # TensorFlow starts here, after most flags are checked
    from sagan_tf.training import train

    # Open the data: what it says of itself are defaults of the model.
    data_directory = dataset.open_directory(data_config.data_dir)
    data_directory.refuse_other(cli.given_values("image_size", "number_classes"))
    model_config = cli.make(config.ModelConfig, data_directory.settings)

    # Train.
    train.train(
        model_config,
        data_config,
        train_config=train_config,
        data_directory=data_directory,
        dry_run=cli.value("dry_run"),
    )


if __name__ == "__main__":
    cli.run(COMMAND, main)
