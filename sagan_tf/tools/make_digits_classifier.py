"""Makes `data/digits_classifier`: python -m sagan_tf.tools.make_digits_classifier

A small convolutional network that serves as "Inception" for the digits: a SavedModel whose
signature takes images float32 [n, 32, 32, 3] in [-1, 1] and gives `pool_3` [n, 64] and `logits`
[n, 10]. Trained on 1,437 images with random shifts, tested on the other 360, which it never saw;
prints and writes the held-out accuracy. Reads `data/digits`.
"""

import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.data import dataset, records

SIDE = 32
HELD_OUT = 360
EPOCHS = 60
FEATURES = 64


def build() -> keras.Model:
    """images [n, 32, 32, 3] -> (pool_3 [n, 64], logits [n, 10])."""

    def block(x, filters):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.95)(x))

    images = keras.Input([SIDE, SIDE, 3])
    x = keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant", fill_value=-1.0)(images)
    x = block(block(block(x, 16), 32), FEATURES)
    pool = keras.layers.GlobalAveragePooling2D()(x)
    logits = keras.layers.Dense(10)(keras.layers.Dropout(0.3)(pool))
    return keras.Model(images, [pool, logits])


def train(network: keras.Model, images: np.ndarray, *, labels: np.ndarray) -> None:
    """Cross-entropy, Adam with a cosine schedule."""
    steps = EPOCHS * (len(images) // 64)
    classifier = keras.Model(network.input, network.outputs[1])
    classifier.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(4e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    classifier.fit(images, labels, batch_size=64, epochs=EPOCHS, verbose=0)


def export(network: keras.Model, directory: str) -> None:
    """Writes the SavedModel."""
    spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images")

    @tf.function(input_signature=[spec])
    def serve(images):
        pool, logits = network(images, training=False)
        return {"pool_3": pool, "logits": logits}

    module = tf.Module()
    module.weights = [v.value for v in network.variables]
    module.serve = serve
    tf.saved_model.save(module, directory, signatures=serve)


def main(directory: str) -> None:
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    pixels, labels = dataset.preview(
        dataset.open_records("data/digits", SIDE, number_classes=10), 1797
    )
    images = records.to_float(pixels).numpy()
    network = build()
    train(network, images[:-HELD_OUT], labels=labels[:-HELD_OUT])
    export(network, directory)
    predicted = network(images[-HELD_OUT:], training=False)[1].numpy().argmax(-1)
    correct = int((predicted == labels[-HELD_OUT:]).sum())
    facts = {"held_out_images": HELD_OUT, "correct": correct, "accuracy": correct / HELD_OUT}
    with open(os.path.join(directory, "accuracy.json"), "w") as file:
        file.write(json.dumps(facts, indent=2) + "\n")
    print(f"held-out accuracy: {correct} of {HELD_OUT} = {correct / HELD_OUT:.2%}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data/digits_classifier")
