"""Factories of layers, so that the topology of a network is written only once.

`SpectralLayers` makes the layers for training, and `RawLayers` those of a generator without
spectral normalisation. `viewing.folding` has a factory with the same methods; it makes Keras's
own layers.
"""

import functools
from collections.abc import Sequence
from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.gan import ops


class SpectralLayers:
    """Spectrally normalised layers, batch norm per tower, and the operations between them."""

    conv = ops.SNConv2D
    dense = ops.SNDense
    batch_norm = ops.BatchNorm
    conditional_batch_norm = ops.ConditionalBatchNorm

    def inside(self, block_name: str) -> "SpectralLayers":
        """The factory for the layers inside a block of this name."""
        del block_name
        return self

    def run(self, block: keras.layers.Layer, *inputs, **options):
        """What a block makes of its inputs."""
        return block(*inputs, **options)

    def reshape(self, x: tf.Tensor, shape: tuple) -> tf.Tensor:
        """[b, ...] -> [b, *shape]."""
        return tf.reshape(x, [-1, *shape])

    def relu(self, x: tf.Tensor) -> tf.Tensor:
        """max(x, 0)."""
        # Over a ReLU of a sum that is added to afterwards, TensorFlow's remapper stumbles with
        # oneDNN's kernels, and says so in an error of its own (seen in TensorFlow 2.21).
        return tf.maximum(x, 0.0)

    def concatenate(self, maps: Sequence[tf.Tensor]) -> tf.Tensor:
        """[b, h, w, c1], [b, h, w, c2], ... -> [b, h, w, c1 + c2 + ...]."""
        return tf.concat(maps, -1)

    def max_pool(self, x: tf.Tensor) -> tf.Tensor:
        """[b, h, w, c] -> [b, h/2, w/2, c]."""
        return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")

    def add(
        self, x: tf.Tensor, y: tf.Tensor, *, scale: Optional[keras.Variable] = None
    ) -> tf.Tensor:
        """x + y, or x + scale * y."""
        return x + y if scale is None else x + scale * y

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, *, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Attention of every place of one map over the places of another.

        Args:
          query: [b, h, w, d].
          key: [b, h', w', d].
          value: [b, h', w', c].
        Returns:
          What is read, [b, h, w, c], and the attention, float32 [b, h w, h' w'], rows summing
          to 1.
        """
        sides = query.shape[1:3]
        value = places(value)
        attention = attention_of(places(query), places(key))
        attended = tf.matmul(tf.cast(attention, value.dtype), value)
        return tf.reshape(attended, [-1, *sides, value.shape[-1]]), attention

    def to_images(self, x: tf.Tensor) -> tf.Tensor:
        """tanh, in float32."""
        return tf.cast(tf.tanh(x), tf.float32)


class RawLayers(SpectralLayers):
    """The same layers without spectral normalisation: they compute with W itself, and have no u."""

    conv = staticmethod(functools.partial(ops.SNConv2D, normalized=False))
    dense = staticmethod(functools.partial(ops.SNDense, normalized=False))


def attention_of(query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """softmax(query key^T), float32 [b, places of the query, places of the key].

    Without 1/sqrt(d) the logits grow: float16 could not hold them, and bfloat16 has no digits left.
    """
    query = tf.cast(query, tf.float32)
    key = tf.cast(key, tf.float32)
    return tf.nn.softmax(tf.matmul(query, key, transpose_b=True))


def places(x: tf.Tensor) -> tf.Tensor:
    """[b, h, w, c] -> [b, h w, c]."""
    _, height, width, channels = x.shape
    return tf.reshape(x, [-1, height * width, channels])


SPECTRAL = SpectralLayers()
RAW = RawLayers()
