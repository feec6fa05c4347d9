"""Measures an evaluation through its real code: seconds of each part, and memory:
    python -m sagan_tf.tools.benchmark_eval --images=50000 --size=32 --gf_dim=8 --classifier=small

Networks of random weights and records of random images, in a temporary directory: the scores mean
nothing, the cost is real. `--classifier=inception` has the architecture of Keras's InceptionV3,
2,048 features and 1,008 classes at 299 px; `small` the same outputs of next to no work, to see what
the number of images costs by itself.
"""

import dataclasses
import os
import tempfile

from sagan_tf import cli, config

FEATURES, CLASSES = 2048, 1008


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    images: int = config.option(200, "Generated images, and as many real ones.")
    size: int = config.option(128, "Side of the images in pixels.")
    gf_dim: int = config.option(64, "Width of the generator.")
    per_batch: int = config.option(100, "Images generated and classified at a time.")
    classifier: str = config.option("inception", "inception or small.", ("inception", "small"))

    def __post_init__(self):
        config.require_choices(self)
        config.require_positive(self, "images", "size", "gf_dim", "per_batch")


def make_classifier(kind: str, path: str) -> None:
    """Writes a Keras file of random weights."""
    import keras

    if kind == "inception":
        network = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg",
                                                 input_shape=(299, 299, 3))
        images, pool = network.input, network.output
    else:
        images = keras.Input([8, 8, 3])
        pool = keras.layers.Dense(FEATURES, "relu")(keras.layers.Flatten()(images))
    logits = keras.layers.Dense(CLASSES)(pool)
    keras.Model(images, {"pool_3": pool, "logits": logits}).save(path)


def make_run(options: BenchmarkConfig, directory: str) -> None:
    """Writes a run of one checkpoint, and records."""
    import numpy as np
    import tensorflow as tf

    from sagan_tf import checkpoints, dataset, generator

    model_config = config.ModelConfig(
        image_size=options.size, gf_dim=options.gf_dim,
        generator_type="test" if options.size >= 64 else "baseline",
        discriminator_type="test" if options.size >= 64 else "baseline")
    network = generator.Generator(model_config)
    network.build()
    run_dir = config.run_directory(directory, 64)
    checkpoints.write_config(run_dir, model=model_config)
    checkpoints.Checkpoints(run_dir, {v.path: v.value for v in network.weights}).save(0)
    random = np.random.default_rng(0)
    os.makedirs(os.path.join(directory, "data"))
    with tf.io.TFRecordWriter(os.path.join(directory, "data", "0.tfrecords")) as writer:
        for _ in range(options.images):
            image = random.integers(0, 256, (options.size, options.size, 3), dtype=np.uint8)
            writer.write(dataset.encode(image, int(random.integers(1000))))


def prepare(options: BenchmarkConfig, directory: str) -> None:
    """Makes everything, in a process of its own: its memory is not the evaluation's."""
    import multiprocessing

    def make() -> None:
        make_classifier(options.classifier, os.path.join(directory, "classifier.keras"))
        make_run(options, directory)

    process = multiprocessing.get_context("fork").Process(target=make)
    process.start()
    process.join()
    if process.exitcode:
        raise config.UserError("--size, --gf_dim: no network of these could be made")


def main() -> None:
    options = cli.make(BenchmarkConfig)
    with tempfile.TemporaryDirectory() as directory:
        prepare(options, directory)
        from sagan_tf import eval_lib

        eval_lib.evaluate(config.EvalConfig(
            checkpoint_dir=directory, data_dir=os.path.join(directory, "data"),
            inception=os.path.join(directory, "classifier.keras"), stats_dir="",
            eval_sample_size=options.images, dcgan_generator_batch_size=options.per_batch))


if __name__ == "__main__":
    cli.define(BenchmarkConfig)
    cli.run(main)
