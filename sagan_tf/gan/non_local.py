"""The self-attention block."""

from collections.abc import Mapping
from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.gan import ops


@keras.saving.register_keras_serializable("sagan_tf")
class NonLocalBlock(keras.layers.Layer):
    """Self-attention over the places of a feature map: x + sigma_ratio * attended(x).

    theta = conv1x1(x) to C/8, phi = maxpool2x2(conv1x1(x)) to C/8, g = maxpool2x2(conv1x1(x)) to
    C/2; attention = softmax(theta phi^T) over the HW/4 pooled places, without 1/sqrt(d);
    attended = conv1x1(attention g) back to C. All four convolutions are spectrally normalised
    and have no bias. `sigma_ratio` is a trainable scalar that starts at 0 (gamma in the paper).

    Args:
      optimizations: of `config.optimizations`, for the convolutions.

    Call arguments:
      x: [batch, height, width, C]; height and width even, C at least 8.
      update_sn: whether the new u of the four convolutions is stored.
      return_attention: whether to return the attention as well.
    Returns: [batch, height, width, C]; with `return_attention` a pair of that and the attention,
      float32 [batch, height * width, height * width / 4], rows summing to 1.

    Source: paper, section 3; reference `non_local.py:48-80`.
    """

    def __init__(self, optimizations: Optional[Mapping[str, int]] = None, **kwargs):
        super().__init__(**kwargs)
        self.optimizations = dict(optimizations or {})
        self.sigma_ratio = None

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels < 8:
            raise ValueError(f"attention needs at least 8 channels, the map has {channels}")

        def conv(filters, name, in_channels=channels):
            layer = ops.SNConv2D(
                filters,
                1,
                use_bias=False,
                name=name,
                optimizations=self.optimizations,
                dtype=self.dtype_policy,
            )
            layer.build((*input_shape[:-1], in_channels))
            return layer

        self.theta = conv(channels // 8, "sn_conv_theta")
        self.phi = conv(channels // 8, "sn_conv_phi")
        self.g = conv(channels // 2, "sn_conv_g")
        self.attn = conv(channels, "sn_conv_attn", channels // 2)
        self.sigma_ratio = self.add_weight(name="sigma_ratio", shape=(), initializer="zeros")

    def call(self, x, update_sn: bool = False, return_attention: bool = False):
        height, width = x.shape[1:3]

        def places(features, count):
            return tf.reshape(features, [-1, count, features.shape[-1]])

        theta = places(self.theta(x, update_sn=update_sn), height * width)
        phi = places(_pool(self.phi(x, update_sn=update_sn)), height * width // 4)
        g = places(_pool(self.g(x, update_sn=update_sn)), height * width // 4)
        # Without 1/sqrt(d) they grow: float16 could not hold them, and bfloat16 has no digits left.
        logits = tf.matmul(tf.cast(theta, tf.float32), tf.cast(phi, tf.float32), transpose_b=True)
        attention = tf.nn.softmax(logits)
        attended = tf.matmul(tf.cast(attention, x.dtype), g)
        attended = tf.reshape(attended, [-1, height, width, attended.shape[-1]])
        y = x + self.sigma_ratio * self.attn(attended, update_sn=update_sn)
        return (y, attention) if return_attention else y

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "optimizations": self.optimizations}


def _pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")
