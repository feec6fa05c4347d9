"""Helpers that several tests share."""

import numpy as np
import tensorflow as tf

from sagan_tf import config, dataset

TINY_MODEL = config.ModelConfig(image_size=32, z_dim=8, gf_dim=8, df_dim=8, number_classes=3,
                                attention_resolution=16)


def relative_error(actual, expected) -> float:
    """||actual - expected|| / ||expected||."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-30)


def random_images(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """uint8 [count, size, size, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_records(path, images, labels, encoding: str = "raw") -> str:
    """Writes a record file and returns its name."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels):
            writer.write(dataset.encode(image, int(label), encoding))
    return str(path)


def make_data(directory, count: int = 12, classes: int = 3, size: int = 32, shards: int = 2) -> str:
    """A data directory of random images, labels in turn."""
    directory.mkdir(parents=True, exist_ok=True)
    images, labels = random_images(count, size), np.arange(count) % classes
    for shard in range(shards):
        write_records(directory / f"part-{shard}.tfrecords", images[shard::shards],
                      labels[shard::shards])
    return str(directory)
