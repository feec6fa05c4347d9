import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import generator
from sagan_tf.runs import checkpoints
from sagan_tf.viewing import folding
from tests.testing import PLAIN_MODEL, TINY_MODEL


@pytest.fixture(name="live", scope="module")
def fixture_live(tiny_run):
    network = generator.Generator(TINY_MODEL)
    network.build()
    checkpoints.Checkpoints(tiny_run, {v.path: v.value for v in network.weights}).restore(
        complete=False
    )
    return network


@pytest.fixture(name="folded", scope="module")
def fixture_folded(live):
    return folding.fold(live)


def inputs(count=5):
    return tf.random.stateless_normal([count, 8], [1, 2]), tf.constant([0, 1, 2, 1, 0][:count])


def test_folded_generator_makes_the_same_images(live, folded):
    z, labels = inputs()
    np.testing.assert_allclose(folded([z, labels]), live(z, labels), atol=1e-5)


def test_without_attention_too():
    live = generator.Generator(PLAIN_MODEL)
    live.build()
    z, labels = inputs()
    folded = folding.fold(live)
    np.testing.assert_allclose(folded([z, labels]), live(z, labels), atol=1e-5)
    for look in (folding.with_attention, folding.with_share):
        with pytest.raises(ValueError, match="attention"):
            look(folded)


def test_attention_is_the_softmax_that_the_layer_used(live, folded):
    """Against the layer's own map, and against NumPy on what goes into the layer."""
    z, labels = inputs(2)
    images, attention = folding.with_attention(folded)([z, labels])
    expected_images, expected = live(z, labels, return_attention=True)
    np.testing.assert_allclose(images, expected_images, atol=1e-5)
    np.testing.assert_allclose(attention, expected, atol=1e-5)
    np.testing.assert_allclose(np.sum(attention, axis=-1), 1, atol=1e-5)

    x = tf.reshape(live.snh0(z), [-1, 4, 4, 32])
    for block in live.blocks[:2]:
        x = block(x, labels)
    block, x = live.non_local, x.numpy()
    weights = {
        conv: conv.normalized_weight(False).numpy()[0, 0]
        for conv in (block.theta, block.phi, block.g, block.attn)
    }

    def pooled(y):
        return y.reshape(2, 8, 2, 8, 2, -1).max(axis=(2, 4)).reshape(2, 64, -1)

    logits = (x @ weights[block.theta]).reshape(2, 256, -1) @ pooled(
        x @ weights[block.phi]
    ).transpose(0, 2, 1)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(attention, softmax, atol=1e-5)
    attended = (softmax @ pooled(x @ weights[block.g])).reshape(2, 16, 16, -1)
    expected_added = 0.5 * attended @ weights[block.attn]
    np.testing.assert_allclose(block(x), x + expected_added, atol=1e-4)

    # What it adds to the features, in the folded network and in the live one.
    _, _, added, features = folding.with_share(folded)([z, labels])
    np.testing.assert_allclose(features, x, atol=1e-4)
    np.testing.assert_allclose(added, expected_added, atol=1e-4)
    *_, share = live(z, labels, return_attention=True, return_share=True)
    expected_share = np.abs(expected_added).mean() / np.abs(x).mean()
    np.testing.assert_allclose(share, expected_share, rtol=1e-4)


def test_mixed_classes_lie_between(folded):
    z, _ = inputs(1)
    mixed = folding.with_mixed_classes(folded, np.array([[1, 0, 0], [0.25, 0, 0.75], [0, 0, 1]]))
    images = mixed([tf.repeat(z, 3, axis=0), tf.constant([0, 1, 2])]).numpy()
    ends = folded([tf.repeat(z, 2, axis=0), tf.constant([0, 2])]).numpy()
    np.testing.assert_allclose(images[[0, 2]], ends, atol=1e-5)
    tables = [layer.get_weights()[0] for layer in folded.layers if "_cbn_" in layer.name]
    found = [layer.get_weights()[0] for layer in mixed.layers if "_cbn_" in layer.name]
    assert len(tables) == 12
    for table, new in zip(tables, found):
        np.testing.assert_allclose(new[1], 0.25 * table[0] + 0.75 * table[2], atol=1e-6)


def test_weights_below_one_are_folded_as_they_are():
    """Of a network whose weights have norms on both sides of 1, with a u that lags."""
    live = generator.Generator(dataclasses.replace(TINY_MODEL, spectral_norm="at_most_one"))
    live.build()
    live.non_local.sigma_ratio.assign(0.5)
    small, large = live.blocks[0].snconv1, live.blocks[1].snconv1
    for layer, size in ((small, 0.3), (large, 3.0), (live.non_local.g, 0.3)):
        layer.weight.assign(layer.weight * (size / layer.sigma()))
    folded = folding.fold(live)
    z, labels = inputs()
    np.testing.assert_allclose(folded([z, labels]), live(z, labels), atol=1e-5)

    def kernel(name):
        return folded.get_layer(name).get_weights()[0]

    np.testing.assert_array_equal(kernel("g_block1_snconv1"), small.weight)
    np.testing.assert_allclose(kernel("g_block2_snconv1"), large.weight / 3, rtol=1e-5)
    attention = live.non_local.g.weight / 0.3
    np.testing.assert_allclose(kernel("g_non_local_sn_conv_g"), attention, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"block": "residual"},
        {"block": "residual", "gf_dim": 9},
        {"generator_sn": False},
        {"block": "residual", "generator_sn": False},
    ],
)
def test_other_networks_too(options):
    """With a u that lags, where there is one; the scale of the block goes into its weights."""
    live = generator.Generator(dataclasses.replace(TINY_MODEL, **options))
    live.build()
    live.inserted.sigma_ratio.assign(0.5)
    z, labels = inputs()
    folded = folding.fold(live)
    np.testing.assert_allclose(folded([z, labels]), live(z, labels), atol=1e-5)
    name = "g_residual_sn_conv2" if "block" in options else "g_non_local_sn_conv_attn"
    last = live.inserted.weighted_layers()[-1]
    found = folded.get_layer(name).get_weights()[0]
    if "generator_sn" in options:
        np.testing.assert_array_equal(found, 0.5 * last.weight.numpy())
        np.testing.assert_array_equal(
            folded.get_layer("g_block1_snconv1").get_weights()[0], live.blocks[0].snconv1.weight
        )
    else:
        np.testing.assert_allclose(found, 0.5 * last.weight / last.sigma(), rtol=1e-5)
    if "block" in options:
        with pytest.raises(ValueError, match="attention"):
            folding.with_attention(folded)
    else:
        _, attention = folding.with_attention(folded)([z, labels])
        _, expected = live(z, labels, return_attention=True)
        np.testing.assert_allclose(attention, expected, atol=1e-5)


def test_no_relu_takes_a_sum_that_others_take_too():
    """Over such a graph TensorFlow's remapper stumbles, and prints an error."""
    live = generator.Generator(dataclasses.replace(TINY_MODEL, block="residual"))
    live.build()
    for network in (live, folding.fold(live)):
        call = network if network is live else lambda *inputs, model=network: model(inputs)
        graph = tf.function(call).get_concrete_function(*inputs()).graph
        sources = [op.inputs[0] for op in graph.get_operations() if op.type == "Relu"]
        shared = [source.name for source in sources if len(source.consumers()) > 1]
        assert sources
        assert not shared
