"""Measures the input pipeline alone, without training:
    python -m sagan_tf.tools.benchmark_input data/imagenet

Ours (uint8 batches, which become floats on the device), ours with floats made on the host, and the
plain pipeline of the reference (`utils_ori.py:189-265`: one interleave, 16 parallel maps, floats),
in turns, each in a process of its own. `--encodings=raw,png,jpeg` also measures copies of the first
`--images` records in these encodings.
"""

from sagan_tf import cli, config


def main() -> None:
    options = cli.make(config.BenchmarkInputConfig)
    data_config = cli.make(config.DataConfig)
    from sagan_tf.benchmarks import input_pipeline  # TensorFlow starts after the flags are checked.

    input_pipeline.run(options, data_config)


if __name__ == "__main__":
    cli.define(config.BenchmarkInputConfig, config.DataConfig)
    cli.run(main, "data_dir")
