"""Trains SAGAN: python train_imagenet.py --generator_type test --data_dir ./data"""

from sagan_tf import cli, config


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


KINDS = (config.ModelConfig, config.DataConfig, config.TrainConfig)

if __name__ == "__main__":
    cli.define(*KINDS)
    cli.define_switch(
        "dry_run",
        "Check everything, print the full configuration, parameter "
        "counts, devices and what the data holds, and leave.",
    )
    cli.run(main)
