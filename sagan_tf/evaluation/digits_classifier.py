"""The classifier of the embedded digits, made anew.

A small convolutional network that serves as "Inception" for the digits: a SavedModel whose
signature takes images float32 [n, 32, 32, 3] in [-1, 1] and gives `pool_3` [n, 64] and `logits`
[n, 10]. Trained on 1,437 images with random shifts, tested on the other 360, which it never saw;
prints and writes the held-out accuracy. Reads `data/digits`.
"""

import json
import os

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from sagan_tf.data import dataset, records

SIDE = 32
CLASSES = 10
IMAGES = 1797
HELD_OUT = 360
EPOCHS = 60
FEATURES = 64
BATCH_SIZE = 64


def build() -> keras.Model:
    """images [n, 32, 32, 3] -> (pool_3 [n, 64], logits [n, 10])."""
    # Shift the images at random.
    images = keras.Input([SIDE, SIDE, 3])
    shift = layers.RandomTranslation(0.08, 0.08, fill_mode="constant", fill_value=-1.0)
    x = shift(images)

    # Convolve.
    for filters in (16, 32, FEATURES):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.95)(x)
        x = layers.ReLU()(x)

    # Classify.
    pool = layers.GlobalAveragePooling2D()(x)
    classify = layers.Dense(CLASSES)  # Made before the other, as its seed depends on it.
    drop = layers.Dropout(0.3)
    logits = classify(drop(pool))
    return keras.Model(images, [pool, logits])


def train(network: keras.Model, images: np.ndarray, *, labels: np.ndarray) -> None:
    """Cross-entropy, Adam with a cosine schedule.

    Args:
      network: as `build` makes it.
      images: float32 [n, 32, 32, 3] in [-1, 1].
      labels: int32 [n].
    """
    # Choose loss and steps.
    steps_per_epoch = len(images) // BATCH_SIZE
    steps = EPOCHS * steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    # Fit the logits.
    logits = network.outputs[1]
    classifier = keras.Model(network.input, logits)
    classifier.compile(keras.optimizers.Adam(schedule), loss)
    classifier.fit(images, labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)


def export(network: keras.Model, directory: str) -> None:
    """Writes the SavedModel.

    Args:
      network: as `build` makes it.
      directory: is made.
    """
    spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images")

    @tf.function(input_signature=[spec])
    def serve(images):
        """float32 [n, 32, 32, 3] in [-1, 1] -> pool_3 [n, 64], logits [n, 10]."""
        pool, logits = network(images, training=False)
        return {"pool_3": pool, "logits": logits}

    # A module of nothing but the weights and the signature.
    module = tf.Module()
    module.weights = [v.value for v in network.variables]
    module.serve = serve
    tf.saved_model.save(module, directory, signatures=serve)


def make(directory: str) -> None:
    """Trains, writes and tests the classifier.

    Args:
      directory: gets the SavedModel and `accuracy.json`.
    """
    # Load the digits.
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    digits = dataset.open_records("data/digits", SIDE, number_classes=CLASSES)
    pixels, labels = dataset.preview(digits, IMAGES)
    images = records.to_float(pixels).numpy()

    # Train the classifier and write it.
    network = build()
    train(network, images[:-HELD_OUT], labels=labels[:-HELD_OUT])
    export(network, directory)

    # Test it on images that it has not seen.
    _, logits = network(images[-HELD_OUT:], training=False)
    predicted = logits.numpy().argmax(-1)
    correct = int((predicted == labels[-HELD_OUT:]).sum())
    accuracy = correct / HELD_OUT

    # Write the result.
    facts = {"held_out_images": HELD_OUT, "correct": correct, "accuracy": accuracy}
    with open(os.path.join(directory, "accuracy.json"), "w") as file:
        file.write(json.dumps(facts, indent=2) + "\n")
    print(f"held-out accuracy: {correct} of {HELD_OUT} = {accuracy:.2%}")
