"""Command that measures the input pipeline alone, without training."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Measures how fast records are read. Three pipelines take turns, each in a process of "
    "its own: ours, which makes floats on the device; ours with floats made on the host; and the "
    "plain one of the reference's utils_ori.py.",
    example="data/imagenet --encodings=raw,png,jpeg",
    kinds=(config.BenchmarkInputConfig, config.DataConfig),
    argument="data_dir",
)


def main() -> None:
    options = cli.make(config.BenchmarkInputConfig)
    data_config = cli.make(config.DataConfig)
    from sagan_tf.benchmarks import input_pipeline  # TensorFlow starts after the flags are checked.

    input_pipeline.run(options, data_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
