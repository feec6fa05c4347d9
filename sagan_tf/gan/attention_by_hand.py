"""The self-attention block in fewer passes over its maps: "attention" of the optimizations.

Up to rounding, it is the same as `non_local.NonLocalBlock` computes step by step.
"""

from typing import Any

import tensorflow as tf

from sagan_tf.gan import layers


def attend(block: Any, x: tf.Tensor, **spectral) -> tuple[tf.Tensor, tf.Tensor]:
    """x + sigma_ratio * attended(x), and the attention, through which no gradient flows.

    One convolution makes all of theta, phi and g, so that x is read once. The scalar is a factor of
    the last kernel, so that no map is multiplied by it.

    Args:
      block: a `non_local.NonLocalBlock`.
      x: [b, h, w, C].
      **spectral: `update_sn` and `collection` of its call.
    """
    # What asks, what answers, and what is read.
    convolutions = [block.theta, block.phi, block.g]
    kernels = [layer.normalized_weight(cast=False, **spectral) for layer in convolutions]
    joint = block.theta.plain(x, tf.concat(kernels, -1))
    query, key, value = tf.split(joint, [layer.filters for layer in convolutions], -1)
    key = block.factory.max_pool(key)
    value = block.factory.max_pool(value)

    # Read it.
    attended, attention = _read(layers.places(query), layers.places(key), layers.places(value))
    attended = tf.reshape(attended, [-1, *x.shape[1:3], value.shape[-1]])

    # Add what was read.
    kernel = block.attn.normalized_weight(cast=False, **spectral)
    ratio = tf.cast(block.sigma_ratio, tf.float32)
    return x + block.attn.plain(attended, ratio * kernel), attention


@tf.custom_gradient
def _read(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """softmax(query key^T) value, and the softmax in float32.

    For the gradient nothing is kept but the softmax in the type of the maps. In that type the
    gradient of the logits goes on, too: in bfloat16 and float16 both are half as large.

    Args:
      query: [b, n, d].
      key: [b, m, d].
      value: [b, m, c].
    """
    attention = layers.attention_of(query, key)
    narrow = tf.cast(attention, value.dtype)

    def gradient(d_read, _):
        # Through the softmax, in float32.
        d_attention = tf.matmul(d_read, value, transpose_b=True)
        d_attention = tf.cast(d_attention, tf.float32)
        kept = tf.cast(narrow, tf.float32)
        weighted = d_attention * kept
        total = tf.reduce_sum(weighted, -1, keepdims=True)
        d_logits = weighted - total * kept
        d_logits = tf.cast(d_logits, query.dtype)

        # To what asked, what answered, and what was read.
        d_query = tf.matmul(d_logits, key)
        d_key = tf.matmul(d_logits, query, transpose_a=True)
        d_value = tf.matmul(narrow, d_read, transpose_a=True)
        return d_query, d_key, d_value

    return (tf.matmul(narrow, value), attention), gradient
