"""Measures an evaluation through its real code: seconds of each part, and memory:
    python -m sagan_tf.tools.benchmark_eval --images=50000 --size=32 --gf_dim=8 --classifier=small

Networks of random weights and records of random images, in a temporary directory: the scores mean
nothing, the cost is real. `--classifier=inception` has the architecture of Keras's InceptionV3,
2,048 features and 1,008 classes at 299 px; `small` the same outputs of next to no work, to see what
the number of images costs by itself.
"""

import os
import tempfile

from sagan_tf import cli, config
from sagan_tf.benchmarks import evaluation


def main() -> None:
    options = cli.make(config.BenchmarkEvaluationConfig)
    with tempfile.TemporaryDirectory() as directory:
        evaluation.prepare(options, directory)
        from sagan_tf.evaluation import evaluate

        evaluate.evaluate(
            config.EvalConfig(
                checkpoint_dir=directory,
                data_dir=os.path.join(directory, "data"),
                inception=os.path.join(directory, "classifier.keras"),
                stats_dir="",
                eval_sample_size=options.images,
                dcgan_generator_batch_size=options.per_batch,
            )
        )


if __name__ == "__main__":
    cli.define(config.BenchmarkEvaluationConfig)
    cli.run(main)
