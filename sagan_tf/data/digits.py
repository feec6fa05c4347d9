"""The embedded digits, made from scikit-learn's copy.

The 1,797 images of the UCI handwritten digits (test part), as scikit-learn ships them: 8x8 pixels
of 17 grey levels. Each is scaled to 0..255, enlarged to 32x32 by Pillow's bicubic filter and
repeated to three channels. The order is shuffled by a fixed seed and spread over four files, PNG
in each record. Needs scikit-learn (`pip install .[data]`).
"""

import os

import numpy as np
import tensorflow as tf
from PIL import Image

from sagan_tf.data import records

SIDE = 32
SHARDS = 4


def load_digits(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The digits, shuffled.

    Args:
      seed: of the order.
    Returns:
      Images uint8 [1797, 32, 32, 3] and labels int [1797].
    """
    from sklearn import datasets  # needed to make the data, not to use it

    digits = datasets.load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = [_enlarge(image) for image in digits.images[order]]
    return np.stack(images), digits.target[order]


def _enlarge(image: np.ndarray) -> np.ndarray:
    """float [8, 8] in 0..16 to uint8 [32, 32, 3]."""
    levels = np.rint(image * 255 / 16).astype(np.uint8)
    picture = Image.fromarray(levels).resize((SIDE, SIDE), Image.BICUBIC)
    return np.repeat(np.asarray(picture)[..., None], 3, axis=2)


def write(directory: str) -> None:
    """Writes the record files into `directory`."""
    os.makedirs(directory, exist_ok=True)
    images, labels = load_digits()
    for shard in range(SHARDS):
        path = os.path.join(directory, f"digits-{shard:05}-of-{SHARDS:05}.tfrecords")
        pairs = zip(images[shard::SHARDS], labels[shard::SHARDS])
        with tf.io.TFRecordWriter(path) as writer:
            for image, label in pairs:
                writer.write(records.encode(image, int(label), encoding="png"))
