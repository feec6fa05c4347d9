"""Benchmark of an evaluation: its parts, seconds and memory."""

import os

from sagan_tf import config, errors

FEATURES, CLASSES = 2048, 1008


def make_classifier(kind: str, path: str) -> None:
    """Writes a Keras file of random weights."""
    import keras

    if kind == "inception":
        network = keras.applications.InceptionV3(
            weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3)
        )
        images, pool = network.input, network.output
    else:
        images = keras.Input([8, 8, 3])
        pool = keras.layers.Dense(FEATURES, "relu")(keras.layers.Flatten()(images))
    logits = keras.layers.Dense(CLASSES)(pool)
    keras.Model(images, {"pool_3": pool, "logits": logits}).save(path)


def make_run(options: config.BenchmarkEvaluationConfig, directory: str) -> None:
    """Writes a run of one checkpoint, and records."""
    import numpy as np
    import tensorflow as tf

    from sagan_tf.data import records
    from sagan_tf.gan import generator
    from sagan_tf.runs import checkpoints
    from sagan_tf.runs import directory as runs_directory

    model_config = config.ModelConfig(
        image_size=options.size,
        gf_dim=options.gf_dim,
        generator_type="test" if options.size >= 64 else "baseline",
        discriminator_type="test" if options.size >= 64 else "baseline",
    )
    network = generator.Generator(model_config)
    network.build()
    run_dir = config.run_directory(directory, 64)
    runs_directory.write_config(run_dir, model=model_config)
    checkpoints.Checkpoints(run_dir, {v.path: v.value for v in network.weights}).save(0)
    random = np.random.default_rng(0)
    os.makedirs(os.path.join(directory, "data"))
    with tf.io.TFRecordWriter(os.path.join(directory, "data", "0.tfrecords")) as writer:
        for _ in range(options.images):
            image = random.integers(0, 256, (options.size, options.size, 3), dtype=np.uint8)
            writer.write(records.encode(image, int(random.integers(1000))))


def prepare(options: config.BenchmarkEvaluationConfig, directory: str) -> None:
    """Makes everything, in a process of its own: its memory is not the evaluation's."""
    import multiprocessing

    def make() -> None:
        make_classifier(options.classifier, os.path.join(directory, "classifier.keras"))
        make_run(options, directory)

    process = multiprocessing.get_context("fork").Process(target=make)
    process.start()
    process.join()
    if process.exitcode:
        raise errors.UserError("--size, --gf_dim: no network of these could be made")
