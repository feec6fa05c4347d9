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
    options, model_config, data_config, train_config = (cli.make(kind) for kind in KINDS)
    from sagan_tf.benchmarks import training_step  # TensorFlow starts after the flags are checked.

    training_step.run(
        options,
        Setting(model_config, train_config),
        data_config=data_config,
        random_images=not cli.given("data_dir"),
    )


if __name__ == "__main__":
    cli.run(COMMAND, main)
