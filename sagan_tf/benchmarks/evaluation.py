"""Benchmark of an evaluation: seconds of its parts and memory, with networks of random weights.

The functions import TensorFlow themselves. A process of its own makes the run that is evaluated; it
forks before TensorFlow starts in this process.
"""

import multiprocessing
import os
import tempfile

import numpy as np

from sagan_tf import config, errors

FEATURES = 2048
CLASSES = 1008
_CLASSIFIER = "classifier.keras"
_RECORDS = "data"


def run(options: config.BenchmarkEvaluationConfig) -> None:
    """Makes a run, records and a classifier, evaluates the run, and prints what it took.

    Raises:
      errors.UserError: no network of these sizes can be made.
    """
    with tempfile.TemporaryDirectory() as directory:
        # Make what is evaluated, before TensorFlow starts here.
        prepare(options, directory)
        from sagan_tf.evaluation import evaluate

        # Evaluate it.
        evaluate.evaluate(
            config.EvalConfig(
                checkpoint_dir=directory,
                data_dir=os.path.join(directory, _RECORDS),
                inception=os.path.join(directory, _CLASSIFIER),
                stats_dir="",
                eval_sample_size=options.images,
                dcgan_generator_batch_size=options.per_batch,
            )
        )


def prepare(options: config.BenchmarkEvaluationConfig, directory: str) -> None:
    """Makes everything, in a process of its own: its memory is not the evaluation's."""
    process = multiprocessing.get_context("fork").Process(target=_make, args=(options, directory))
    process.start()
    process.join()
    if process.exitcode:
        raise errors.UserError("--size, --gf_dim: a network of these sizes cannot be built")


def _make(options: config.BenchmarkEvaluationConfig, directory: str) -> None:
    make_classifier(options.classifier, os.path.join(directory, _CLASSIFIER))
    make_run(options, directory)
    make_records(options, os.path.join(directory, _RECORDS))


def make_classifier(kind: str, path: str) -> None:
    """Writes a Keras file of random weights: InceptionV3, or next to nothing."""
    import keras

    # Build what makes the features.
    if kind == "inception":
        network = keras.applications.InceptionV3(
            weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3)
        )
        images = network.input
        pool = network.output
    else:
        images = keras.Input([8, 8, 3])
        pool = keras.layers.Dense(FEATURES, "relu")(keras.layers.Flatten()(images))

    # Add the logits.
    logits = keras.layers.Dense(CLASSES)(pool)
    keras.Model(images, {"pool_3": pool, "logits": logits}).save(path)


def make_run(options: config.BenchmarkEvaluationConfig, directory: str) -> None:
    """Writes a run of one checkpoint, whose weights are random."""
    from sagan_tf.gan import generator
    from sagan_tf.runs import checkpoints
    from sagan_tf.runs import directory as runs_directory

    # Build the generator; small images have no map for its attention.
    kind = "test" if options.size >= 64 else "baseline"
    model_config = config.ModelConfig(
        image_size=options.size,
        gf_dim=options.gf_dim,
        generator_type=kind,
        discriminator_type=kind,
    )
    network = generator.Generator(model_config)
    network.build()

    # Write its settings and its weights.
    run_dir = config.run_directory(directory, 64)
    runs_directory.write_config(run_dir, model=model_config)
    state = {variable.path: variable.value for variable in network.weights}
    checkpoints.Checkpoints(run_dir, state).save(0)


def make_records(options: config.BenchmarkEvaluationConfig, directory: str) -> None:
    """Writes a record file of as many random images as are generated."""
    from sagan_tf.benchmarks import workload

    os.makedirs(directory)
    workload.write_random_images(
        os.path.join(directory, "0.tfrecords"),
        count=options.images,
        size=options.size,
        number_classes=1000,
        rng=np.random.default_rng(0),
    )
