"""The self-attention block in fewer passes over its maps: "attention" of the optimizations.

Up to rounding, it is the same as `non_local.NonLocalBlock` computes step by step.
"""

from typing import Any

import tensorflow as tf

from sagan_tf.gan import layers


def attend(block: Any, x: tf.Tensor, **spectral) -> tuple[tf.Tensor, tf.Tensor]:
    """x + sigma_ratio * attended(x), and the attention.

    One convolution makes all of theta, phi and g, so that x is read once. The scalar is a factor of
    the last kernel, so that no map is multiplied by it.

    Args:
      block: a `non_local.NonLocalBlock`.
      x: [b, h, w, C].
      **spectral: `update_sn` and `collection` of its call.
    Returns:
      The sum, [b, h, w, C], and the attention, float32 [b, h w, h w / 4], through which no gradient
      flows.
    """
    # What asks, what answers, and what is read.
    convolutions = [block.theta, block.phi, block.g]
    kernels = [layer.normalized_weight(cast=False, **spectral) for layer in convolutions]
    joint = block.theta.plain(x, tf.concat(kernels, -1))
    filters = [layer.filters for layer in convolutions]
    query, key, value = tf.split(joint, filters, -1)
    key = block.factory.max_pool(key)
    value = block.factory.max_pool(value)

    # Read it.
    query = layers.places(query)
    key = layers.places(key)
    value = layers.places(value)
    attended, attention = _read(query, key, value)
    sides = x.shape[1:3]
    attended = tf.reshape(attended, [-1, *sides, value.shape[-1]])

    # Add what was read.
    kernel = block.attn.normalized_weight(cast=False, **spectral)
    ratio = tf.cast(block.sigma_ratio, tf.float32)
    return x + block.attn.plain(attended, ratio * kernel), attention


@tf.custom_gradient
def _read(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """softmax(query key^T) value, and the softmax in float32.

    The gradient takes the softmax in the type of the maps, and hands on that of the logits in it.
    In bfloat16 and float16 both are half as large. What the rows of softmax * d_softmax sum up to
    comes from the result, as in FlashAttention (Dao et al., 2022, appendix B.2).

    Args:
      query: [b, n, d].
      key: [b, m, d].
      value: [b, m, c].
    """
    attention = layers.attention_of(query, key)
    narrow = tf.cast(attention, value.dtype)
    read = tf.matmul(narrow, value)

    def gradient(d_read, _):
        # The sum of softmax * d_softmax over the keys.
        products = tf.cast(d_read, tf.float32)
        products *= tf.cast(read, tf.float32)
        total = tf.reduce_sum(products, -1, keepdims=True)

        # Through the softmax, in float32. It is never below 0, but where XLA knows the numbers to
        # be those of the forward pass, it keeps the logits for them, in float32.
        zero = tf.zeros([], narrow.dtype)
        kept = tf.maximum(narrow, zero)
        d_attention = tf.matmul(d_read, value, transpose_b=True)
        d_logits = tf.cast(d_attention, tf.float32)
        d_logits -= total
        d_logits *= tf.cast(kept, tf.float32)
        d_logits = tf.cast(d_logits, query.dtype)

        # To what asked, what answered, and what was read.
        d_query = tf.matmul(d_logits, key)
        d_key = tf.matmul(d_logits, query, transpose_a=True)
        d_value = tf.matmul(narrow, d_read, transpose_a=True)
        return d_query, d_key, d_value

    return (read, attention), gradient
