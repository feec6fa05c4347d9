import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import non_local
from tests.testing import relative_error


def test_sigma_ratio_zero_is_the_identity():
    block = non_local.NonLocalBlock()
    x = tf.random.stateless_normal([2, 4, 4, 16], [0, 1])
    np.testing.assert_array_equal(block(x), x)


def test_attention_rows_sum_to_one():
    block = non_local.NonLocalBlock()
    x = tf.random.stateless_normal([2, 4, 6, 16], [0, 1])
    _, attention = block(x, return_attention=True)
    assert attention.shape == (2, 24, 6)
    np.testing.assert_allclose(tf.reduce_sum(attention, -1), np.ones((2, 24)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_attention_selects_the_planted_place(dtype):
    """Identity-like projections: the query at (0, 0) meets its key, and reads the value there.

    Their product, 90,000, is more than float16 can hold.
    """
    block = non_local.NonLocalBlock(dtype=dtype)
    block.build((1, 4, 4, 8))
    first_channel = np.zeros((1, 1, 8, 1), np.float32)
    first_channel[0, 0, 0, 0] = 1
    block.theta.weight.assign(first_channel)
    block.phi.weight.assign(first_channel)
    second_channel = np.zeros((1, 1, 8, 4), np.float32)
    second_channel[0, 0, 1, 0] = 1
    block.g.weight.assign(second_channel)
    first_out = np.zeros((1, 1, 4, 8), np.float32)
    first_out[0, 0, 0, 2] = 1
    block.attn.weight.assign(first_out)
    for conv in (block.theta, block.phi, block.g, block.attn):
        conv.settle()
    block.sigma_ratio.assign(0.5)
    x = np.zeros((1, 4, 4, 8), np.float32)
    x[0, 0, 0, 0] = 300.0  # a strong query at the first place ...
    x[0, 3, 2, 0] = 300.0  # ... finds the strong keys: its own, and that of the last pooled place
    x[0, 3, 2, 1] = 7.0  # whose value is 7
    y, attention, share = block(tf.constant(x), return_attention=True, return_share=True)
    np.testing.assert_allclose(attention[0, 0], [0.5, 0, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(attention[0, 1], [0.25] * 4, atol=1e-6)  # query 0: no preference
    assert float(y[0, 0, 0, 2]) == pytest.approx(0.5 * 7 * 0.5, rel=1e-5)
    # Two places read half of the 7, and the other 14 a quarter of it.
    added = 0.5 * (2 * 7 / 2 + 14 * 7 / 4)
    assert float(share) == pytest.approx(added / (300 + 300 + 7), rel=1e-5)
    assert share.dtype == tf.float32


def test_share_of_nothing_is_zero():
    zeros = tf.zeros([1, 4, 4, 8])
    assert float(non_local.share_of(zeros, zeros)) == 0


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="at least 8 channels, the map has 4"):
        non_local.NonLocalBlock().build((1, 4, 4, 4))


def test_xla_computes_the_same_forward_and_backward():
    block = non_local.NonLocalBlock()
    block.build((2, 4, 4, 16))
    block.sigma_ratio.assign(0.5)
    x = tf.random.stateless_normal([2, 4, 4, 16], [0, 1])
    cotangent = tf.random.stateless_normal([2, 4, 4, 16], [2, 3])

    def gradients():
        weights = [v.value for v in block.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = block(x)
            loss = tf.reduce_sum(y * cotangent)
        return [y, *tape.gradient(loss, [x, *weights])]

    compiled = tf.function(gradients, jit_compile=True, autograph=False)()
    for value, expected in zip(compiled, gradients()):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def gradients_of_block(dtype, optimizations):
    """The result and all gradients of a block whose weights are the same for all."""
    block = non_local.NonLocalBlock(dtype=dtype, optimizations=optimizations)
    block.build((2, 4, 4, 16))
    for number, weight in enumerate(block.weights):
        weight.assign(tf.random.stateless_normal(weight.shape, [number, 7]))
    block.sigma_ratio.assign(0.5)
    x = tf.random.stateless_normal([2, 4, 4, 16], [0, 1])
    cotangent = tf.random.stateless_normal([2, 4, 4, 16], [2, 3])
    weights = block.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.cast(block(x), tf.float32)
        loss = tf.reduce_sum(y * cotangent)
    return [y, *tape.gradient(loss, [x, *[v.value for v in weights]])]


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("mixed_bfloat16", 4e-2)])
def test_attention_by_hand_is_that_of_the_layers(dtype, error):
    """In bfloat16 up to its rounding, which is 4e-3 for each number."""
    expected = gradients_of_block("float32", {})
    found = gradients_of_block(dtype, {"attention": 0})
    assert len(found) == len(expected) == 7
    for value, exact in zip(found, expected):
        assert relative_error(value, exact) < error
