"""The residual block against NumPy and SciPy, and its parameters beside those of attention."""

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from sagan_tf import config
from sagan_tf.gan import inserted, layers, ops, residual_block


def built(channels, **options):
    """A block with weights of our own choice, u at the end of its iteration."""
    block = residual_block.ResidualBlock(**options)
    block.build((None, 4, 6, channels))
    random = np.random.default_rng(channels)
    for layer in block.weighted_layers():
        layer.weight.assign(random.normal(size=layer.weight.shape))
    ops.settle_spectral_norms(block)
    return block


def kernel(layer):
    """W over its largest singular value, or W itself, float64."""
    weight = layer.weight.numpy().astype(np.float64)
    if not layer.normalized:
        return weight
    matrix = weight.reshape(-1, weight.shape[-1])
    return weight / np.linalg.svd(matrix, compute_uv=False)[0]


def correlated(x, weight):
    """[b, h, w, c] and [k, k, c, d] -> [b, h, w, d], the map padded with zeros."""
    flipped = weight[::-1, ::-1]
    found = np.zeros((*x.shape[:3], weight.shape[-1]))
    for image, source, target in np.ndindex(len(x), x.shape[3], weight.shape[3]):
        found[image, :, :, target] += scipy.signal.convolve2d(
            x[image, :, :, source], flipped[:, :, source, target], mode="same"
        )
    return found


def residual_by_hand(x, block):
    begun = np.maximum(x, 0)
    parts = [correlated(begun, kernel(layer)) for layer in block.weighted_layers()[:-1]]
    inner = np.maximum(np.concatenate(parts, axis=-1), 0)
    return correlated(inner, kernel(block.weighted_layers()[-1]))


@pytest.mark.parametrize("factory", [layers.SPECTRAL, layers.RAW])
@pytest.mark.parametrize("channels", [16, 13])
def test_output_is_what_scipy_computes(channels, factory):
    """13 channels have a convolution 1x1 beside the 3x3."""
    block = built(channels, factory=factory)
    block.sigma_ratio.assign(0.5)
    x = np.random.default_rng(0).normal(size=(2, 4, 6, channels))
    expected = x + 0.5 * residual_by_hand(x, block)
    found, attention = block(tf.constant(x, tf.float32), return_attention=True)
    assert attention is None
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (block.conv1_rest is None) == (channels == 16)


def test_fresh_block_is_the_identity_and_its_scalar_learns_first():
    """At sigma_ratio 0 the gradient of sum(y c) is sum(f(x) c), and the convolutions have none."""
    block = built(16)
    assert float(block.sigma_ratio) == 0
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 16))
    cotangent = np.random.default_rng(1).normal(size=x.shape)
    weights = [layer.weight.value for layer in block.weighted_layers()]
    with tf.GradientTape() as tape:
        y = block(tf.constant(x, tf.float32))
        loss = tf.reduce_sum(y * cotangent.astype(np.float32))
    np.testing.assert_array_equal(y, x.astype(np.float32))
    of_ratio, *others = tape.gradient(loss, [block.sigma_ratio.value, *weights])
    expected = np.sum(residual_by_hand(x, block) * cotangent)
    assert float(of_ratio) == pytest.approx(expected, rel=1e-4)
    assert [float(tf.reduce_max(tf.abs(gradient))) for gradient in others] == [0, 0]


def parameters(block, channels):
    made = inserted.make(config.ModelConfig(block=block), "g")
    made.build((None, 2, 2, channels))
    return sum(int(np.prod(weight.shape)) for weight in made.trainable_variables)


@pytest.mark.parametrize("channels", [8, 9, 12, 20, 31, 64, 96, 128])
def test_parameters_are_as_many_as_those_of_attention(channels):
    expected = 1 + 2 * channels * (channels // 8 + channels // 2)
    assert parameters("residual", channels) == parameters("attention", channels) == expected
    if channels % 8 == 0:
        assert expected == 1.25 * channels**2 + 1


def test_parameters_fit_at_every_width():
    """By arithmetic: channels C of a map are a width times a power of two."""
    for channels in {width * 2**k for width in range(1, 97) for k in range(6)} - set(range(8)):
        attention = 2 * channels * (channels // 8 + channels // 2)
        wide, narrow = divmod(channels // 8 + channels // 2, 5)
        assert wide > 0
        assert channels * (9 * wide + narrow) + (wide + narrow) * channels == attention


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="at least 8 channels, the map has 7"):
        residual_block.ResidualBlock().build((1, 4, 4, 7))


def test_u_moves_where_it_is_asked_to():
    block = built(16)
    for layer in block.weighted_layers():
        layer.u.assign(np.ones(layer.u.shape))
    x = tf.ones([1, 4, 6, 16])
    before = [layer.u.numpy() for layer in block.weighted_layers()]
    block(x)
    for layer, u in zip(block.weighted_layers(), before):
        np.testing.assert_array_equal(layer.u, u)
    block(x, update_sn=True)
    for layer, u in zip(block.weighted_layers(), before):
        matrix = layer.weight.numpy().reshape(-1, layer.weight.shape[-1])
        moved = u @ matrix.T @ matrix
        np.testing.assert_allclose(layer.u, moved / np.linalg.norm(moved), atol=1e-5)
    assert len(block.states()) == 2
