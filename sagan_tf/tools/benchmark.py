"""Times the training step through the code that trains, on random images or on `--data_dir`:
    python -m sagan_tf.tools.benchmark --batch_size=32 --num_towers=1
    python -m sagan_tf.tools.benchmark --compare optimizations=none optimizations=auto

All flags of training that bear on its speed apply. It prints median, quickest and slowest
iteration, images a second, operations counted from the graph, what share that is of the
convolutions and products that this machine was seen to manage, bytes moved, and peak memory.
`--compare A B` measures two settings in turns in one process, so that noise hits both; several
values of one setting are separated by spaces, in quotes.
"""

from sagan_tf import cli, config
from sagan_tf.benchmarks.setting import Setting

KINDS = (config.BenchmarkStepConfig, config.ModelConfig, config.DataConfig, config.TrainConfig)


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
    cli.define(*KINDS)
    cli.run(main, "against")
