"""Command that times the training step, through the code that trains."""

from sagan_tf import cli, config
from sagan_tf.benchmarks.setting import Setting

KINDS = (config.BenchmarkStepConfig, config.ModelConfig, config.DataConfig, config.TrainConfig)
COMMAND = config.Command(
    about="Times the training step, on random images or on --data_dir. It prints median, quickest "
    "and slowest iteration, images a second, operations, their share of what this machine manages, "
    "bytes moved, and peak memory. --compare A B measures two settings in turns in one process, so "
    "that noise hits both; a setting of several flags is one word in quotes.",
    example="--compare optimizations=none optimizations=auto",
    kinds=KINDS,
    argument="against",
)


def main() -> None:
    # Check the flags that need no data.
    options, data_config, train_config = (
        cli.make(kind)
        for kind in (config.BenchmarkStepConfig, config.DataConfig, config.TrainConfig)
    )
    random_images = not cli.given("data_dir")
    if random_images:
        cli.make(config.ModelConfig)
    from sagan_tf.benchmarks import training_step  # TensorFlow starts here
    from sagan_tf.data import dataset

    # As in training, what the data say of themselves are defaults of the model.
    settings_of_data = {}
    if not random_images:
        data_directory = dataset.open_directory(data_config.data_dir)
        data_directory.refuse_other(cli.given_values("image_size", "number_classes"))
        settings_of_data = data_directory.settings

    # Measure.
    training_step.run(
        options,
        Setting(cli.make(config.ModelConfig, settings_of_data), train_config),
        data_config=data_config,
        random_images=random_images,
    )


if __name__ == "__main__":
    cli.run(COMMAND, main)
