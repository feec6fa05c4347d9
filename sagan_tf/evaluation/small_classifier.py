"""A small classifier of a set of pictures, which serves as "Inception" for its scores.

A convolutional network that learns the classes of labelled records in minutes, without a network
connection. It becomes a SavedModel whose signature takes images float32 [n, size, size, 3] in
[-1, 1] and gives `pool_3` [n, 64] and `logits` [n, classes]. It never sees the last images of the
set in training; they test it, and the accuracy stands in `accuracy.json`.
"""

import dataclasses
import json
import os

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from sagan_tf import config, errors, plurals
from sagan_tf.data import dataset, records
from sagan_tf.runtime import files

FEATURES = 64
BATCH_SIZE = 64
LEAST_IMAGES = 2 * BATCH_SIZE
_FIRST_FILTERS = 16
_LAST_SIDE = 4  # Of the maps that are averaged.
_SHIFT = 0.08  # Of a picture's side, at most.


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a classifier is trained and tested.

    Attributes:
      held_out: number of the images for the test, the last ones.
      epochs: of the training.
      fill_mode: what a shift puts at the edge: "nearest", or "constant" for -1.
    """

    held_out: int
    epochs: int = 60
    fill_mode: str = "nearest"


def build(side: int, classes: int, *, fill_mode: str) -> keras.Model:
    """images [n, side, side, 3] -> (pool_3 [n, 64], logits [n, classes]).

    Convolutions of stride 2 with 16, 32, 64, 64, ... filters lead to maps of 4x4.

    Args:
      side: of the images in pixels, a power of 2 and at least 32.
      classes: number of them.
      fill_mode: as `Plan` has it.
    """
    # Shift the images at random.
    images = keras.Input([side, side, 3])
    shift = layers.RandomTranslation(_SHIFT, _SHIFT, fill_mode=fill_mode, fill_value=-1.0)
    x = shift(images)

    # Convolve.
    for halving in range((side // _LAST_SIDE).bit_length() - 1):
        filters = min(_FIRST_FILTERS << halving, FEATURES)
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.95)(x)
        x = layers.ReLU()(x)

    # Classify.
    pool = layers.GlobalAveragePooling2D()(x)
    classify = layers.Dense(classes)  # Made before the other, as its seed depends on it.
    drop = layers.Dropout(0.3)
    logits = classify(drop(pool))
    return keras.Model(images, [pool, logits])


def train(network: keras.Model, images: np.ndarray, *, labels: np.ndarray, epochs: int) -> None:
    """Cross-entropy, Adam with a cosine schedule.

    Args:
      network: as `build` makes it.
      images: float32 [n, side, side, 3] in [-1, 1].
      labels: int32 [n].
      epochs: number of passes over the images.
    """
    # Choose loss and steps.
    steps_per_epoch = len(images) // BATCH_SIZE
    steps = epochs * steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    # Fit the logits.
    logits = network.outputs[1]
    classifier = keras.Model(network.input, logits)
    classifier.compile(keras.optimizers.Adam(schedule), loss)
    classifier.fit(images, labels, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)


def export(network: keras.Model, directory: str) -> None:
    """Writes the SavedModel.

    Args:
      network: as `build` makes it.
      directory: is made.
    """
    spec = tf.TensorSpec(network.input.shape, tf.float32, "images")

    @tf.function(input_signature=[spec])
    def serve(images):
        """float32 [n, side, side, 3] in [-1, 1] -> pool_3 [n, 64], logits [n, classes]."""
        pool, logits = network(images, training=False)
        return {"pool_3": pool, "logits": logits}

    # A module of nothing but the weights and the signature.
    module = tf.Module()
    module.weights = [v.value for v in network.variables]
    module.serve = serve
    tf.saved_model.save(module, directory, signatures=serve)


def make(set_of_images: dataset.Records, directory: str, *, plan: Plan) -> None:
    """Trains, writes and tests a classifier, and prints its accuracy.

    Args:
      set_of_images: the labelled records; they have to fit into memory.
      directory: gets the SavedModel and `accuracy.json`.
      plan: how it is trained.
    """
    # Load the images.
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    pixels, labels = dataset.preview(set_of_images, len(set_of_images.index.offsets))
    images = records.to_float(pixels).numpy()
    split = len(images) - plan.held_out

    # Train the classifier and write it.
    parser = set_of_images.parser
    network = build(parser.image_size, parser.number_classes, fill_mode=plan.fill_mode)
    train(network, images[:split], labels=labels[:split], epochs=plan.epochs)
    export(network, directory)

    # Test it on images that it has not seen.
    predicted = network.predict(images[split:], verbose=0)[1].argmax(-1)
    correct = int((predicted == labels[split:]).sum())
    accuracy = correct / plan.held_out

    # Write the result.
    facts = {"held_out_images": plan.held_out, "correct": correct, "accuracy": accuracy}
    with open(os.path.join(directory, "accuracy.json"), "w") as file:
        file.write(json.dumps(facts, indent=2) + "\n")
    print(f"held-out accuracy: {correct} of {plan.held_out} = {accuracy:.2%}")


def make_of_directory(options: config.ClassifierConfig) -> None:
    """`make` of a directory that says its size and its classes.

    Raises:
      errors.UserError: it does not say them, it has too few images or classes, or the output
        cannot be written.
    """
    # Open the records.
    directory = dataset.open_directory(options.data_dir)
    said = {"image_size": 0, "number_classes": 0, **directory.settings}
    if os.path.isdir(options.data_dir) and not all(said.values()):
        raise errors.UserError(
            f"--data_dir={options.data_dir}: it does not say its image size and number of classes; "
            "expected records with a dataset.json, as sagan prepare-data makes them"
        )
    found = directory.records(said["image_size"], number_classes=said["number_classes"])

    # Refuse what cannot be learned.
    count = len(found.index.offsets)
    classes = said["number_classes"]
    if count < LEAST_IMAGES or classes < 2:
        raise errors.UserError(
            f"--data_dir={options.data_dir}: {plurals.counted(count, 'image')}, "
            f"{plurals.counted(classes, 'class', 'classes')}; "
            f"expected at least {LEAST_IMAGES} images and 2 classes"
        )

    # Train.
    plan = Plan(held_out=round(count * options.held_out), epochs=options.epochs)
    with files.writing(f"--out={options.out}"):
        make(found, options.out, plan=plan)
