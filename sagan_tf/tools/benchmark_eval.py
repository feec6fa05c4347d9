"""Measures an evaluation through its real code: seconds of each part, and memory:
    python -m sagan_tf.tools.benchmark_eval --images=50000 --size=32 --gf_dim=8 --classifier=small

Networks of random weights and records of random images, in a temporary directory: the scores mean
nothing, the cost is real. `--classifier=inception` has the architecture of Keras's InceptionV3,
2,048 features and 1,008 classes at 299 px; `small` the same outputs of next to no work, to see what
the number of images costs by itself.
"""

from sagan_tf import cli, config
from sagan_tf.benchmarks import evaluation


def main() -> None:
    evaluation.run(cli.make(config.BenchmarkEvaluationConfig))


if __name__ == "__main__":
    cli.define(config.BenchmarkEvaluationConfig)
    cli.run(main)
