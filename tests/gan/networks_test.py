"""The architecture, pinned: every variable's name and shape at the reference's own size."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.gan import discriminator, generator, ops
from tests.testing import PLAIN_MODEL, TINY_MODEL

PAPER = config.ModelConfig()


@pytest.fixture(name="without_drawing")
def fixture_without_drawing(monkeypatch):
    """Eighty million random numbers take seconds; names and shapes do not need them."""
    monkeypatch.setattr(
        keras.initializers.GlorotUniform,
        "__call__",
        lambda self, shape, dtype=None: tf.zeros(shape, dtype or tf.float32),
    )


def shapes(network):
    return {v.path.split("/", 1)[1]: tuple(v.shape) for v in network.weights}


def conv(name, kernel, inputs, outputs, bias="biases"):
    weights = {f"{name}/w": (kernel, kernel, inputs, outputs), f"{name}/u": (1, outputs)}
    return {**weights, f"{name}/{bias}": (outputs,)} if bias else weights


def attention(name, channels):
    return {
        f"{name}/sigma_ratio": (),
        **conv(f"{name}/sn_conv_theta", 1, channels, channels // 8, bias=None),
        **conv(f"{name}/sn_conv_phi", 1, channels, channels // 8, bias=None),
        **conv(f"{name}/sn_conv_g", 1, channels, channels // 2, bias=None),
        **conv(f"{name}/sn_conv_attn", 1, channels // 2, channels, bias=None),
    }


def expected_generator(attention_channels):
    """REFERENCE: generator.py:137-263, ops.py, at gf_dim 64 and 1,000 classes."""
    weights = {"g_snh0/Matrix": (128, 16384), "g_snh0/bias": (16384,), "g_snh0/u": (1, 16384)}
    channels = [1024, 1024, 512, 256, 128, 64]
    for number in range(1, 6):
        inputs, outputs = channels[number - 1], channels[number]
        block = f"g_block{number}"
        for name, width in (("cbn_0", inputs), ("cbn_1", outputs)):
            weights.update({f"{block}/{name}/{t}": (1000, width) for t in ("gamma", "beta")})
            weights.update({f"{block}/{name}/{s}": (1, 1, 1, width) for s in ("mean", "var")})
        weights.update(conv(f"{block}/snconv1", 3, inputs, outputs))
        weights.update(conv(f"{block}/snconv2", 3, outputs, outputs))
        weights.update(conv(f"{block}/snconv3", 1, inputs, outputs))
    if attention_channels:
        weights.update(attention("g_non_local", attention_channels))
    bn = ("gamma", "beta", "moving_mean", "moving_variance")
    weights.update({f"g_bn/{name}": (64,) for name in bn})
    return {**weights, **conv("g_snconv_last", 3, 64, 3)}


def expected_discriminator(attention_channels):
    """REFERENCE: discriminator.py:133-242, at df_dim 64 and 1,000 classes."""
    weights = {}
    blocks = [
        ("d_optimized_block1", 3, 64),
        ("d_block2", 64, 128),
        ("d_block3", 128, 256),
        ("d_block4", 256, 512),
        ("d_block5", 512, 1024),
        ("d_block6", 1024, 1024),
    ]
    for name, inputs, outputs in blocks:
        weights.update(conv(f"{name}/sn_conv1", 3, inputs, outputs))
        weights.update(conv(f"{name}/sn_conv2", 3, outputs, outputs))
        if name != "d_block6":
            weights.update(conv(f"{name}/sn_conv3", 1, inputs, outputs))
    if attention_channels:
        weights.update(attention("d_non_local", attention_channels))
    return {
        **weights,
        "d_sn_linear/Matrix": (1024, 1),
        "d_sn_linear/bias": (1,),
        "d_sn_linear/u": (1, 1),
        "d_embedding/embedding_map": (1000, 1024),
        "d_embedding/u": (1, 1000),
    }


@pytest.mark.parametrize(
    ("kind", "g_channels", "d_channels"),
    [("test", 256, 128), ("test_64", 128, 64), ("baseline", 0, 0)],
)
def test_names_and_shapes_at_128_px(without_drawing, kind, g_channels, d_channels):
    settings = config.ModelConfig(generator_type=kind, discriminator_type=kind)
    networks = generator.Generator(settings), discriminator.Discriminator(settings)
    for network, expected in zip(
        networks, (expected_generator(g_channels), expected_discriminator(d_channels))
    ):
        network.build()
        assert shapes(network) == expected


def test_weight_counts_at_128_px(without_drawing):
    networks = generator.Generator(PAPER), discriminator.Discriminator(PAPER)
    for network in networks:
        network.build()
    trainable, rest = [
        [sum(int(np.prod(v.shape)) for v in getattr(network, kind)) for network in networks]
        for kind in ("trainable_weights", "non_trainable_weights")
    ]
    # Added up from the reference's layer sizes; the literature speaks of 42M and 39M.
    assert trainable == [42_078_852, 39_463_618]
    assert rest == [32_771, 9_225]


def parameters(block, side):
    """Trainable numbers of G and D at 128 px."""
    settings = config.ModelConfig(block=block, attention_resolution=side)
    counts = []
    for network in generator.Generator(settings), discriminator.Discriminator(settings):
        network.build()
        counts.append(sum(int(np.prod(v.shape)) for v in network.trainable_weights))
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "g_channels", "d_channels"),
    [(8, 1024, 512), (16, 512, 256), (32, 256, 128), (64, 128, 64)],
)
def test_residual_blocks_have_as_many_weights_at_128_px(
    without_drawing, side, g_channels, d_channels
):
    """Those without a block, and 1.25 C^2 + 1, on each of the four maps."""
    expected = [
        plain + 5 * channels**2 // 4 + 1
        for plain, channels in ((41_996_931, g_channels), (39_443_137, d_channels))
    ]
    assert parameters("residual", side) == parameters("attention", side) == expected


def test_generator_without_spectral_norm_has_no_u():
    """All else has its name, its shape and its place."""
    for block in ("attention", "residual"):
        settings = dataclasses.replace(TINY_MODEL, block=block)
        found = []
        for normalized in (True, False):
            network = generator.Generator(dataclasses.replace(settings, generator_sn=normalized))
            network.build()
            found.append([name for name in shapes(network).items() if not name[0].endswith("/u")])
        assert found[0] == found[1]
        assert [name for name in shapes(network) if name.endswith("/u")] == []
        assert network.spectral_norm_layers() == []
        assert len(network.states()) == 2 * len(network.batch_norm_layers())
        ops.settle_spectral_norms(network)
        assert ops.sigmas(network) == ops.remaining_norms(network) == {}


def test_discriminator_is_normalised_in_any_case():
    found = []
    for normalized in (True, False):
        settings = dataclasses.replace(TINY_MODEL, generator_sn=normalized)
        network = discriminator.Discriminator(settings)
        network.build()
        found.append(shapes(network))
    assert found[0] == found[1]


def test_layers_without_spectral_norm_compute_with_the_weights_themselves():
    """Dense layer, attention's scale and last convolution of a generator, by NumPy."""
    network = generator.Generator(dataclasses.replace(TINY_MODEL, generator_sn=False))
    network.build()
    random = np.random.default_rng(0)
    z = random.normal(size=(3, 8))
    dense = network.snh0
    dense.bias.assign(random.normal(size=dense.bias.shape))
    expected = z @ dense.weight.numpy().astype(np.float64) + dense.bias.numpy()
    found = dense(tf.constant(z, tf.float32), update_sn=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)

    last = network.snconv_last
    x = random.normal(size=(1, 4, 4, 8))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [
        padded[:, row : row + 4, column : column + 4] @ last.weight.numpy()[row, column]
        for row, column in np.ndindex(3, 3)
    ]
    np.testing.assert_allclose(last(tf.constant(x, tf.float32)), sum(places), atol=1e-5)

    query = network.non_local.theta
    x = random.normal(size=(1, 2, 2, query.weight.shape[2]))
    expected = x @ query.weight.numpy()[0, 0]
    np.testing.assert_allclose(query(tf.constant(x, tf.float32)), expected, atol=1e-5)


def test_networks_with_a_residual_block_have_no_attention():
    settings = dataclasses.replace(TINY_MODEL, block="residual")
    g, d = generator.Generator(settings), discriminator.Discriminator(settings)
    g.build()
    d.build()
    assert g.non_local is None
    assert d.non_local is None
    names = {name for name in {**shapes(g), **shapes(d)} if "_residual/" in name}
    assert names == {
        f"{network}_residual/{name}"
        for network in "gd"
        for name in ("sigma_ratio", "sn_conv1/w", "sn_conv1/u", "sn_conv2/w", "sn_conv2/u")
    }
    with pytest.raises(ValueError, match="no attention block"):
        g(tf.zeros([2, 8]), tf.constant([0, 1]), return_attention=True)
    with pytest.raises(ValueError, match="no attention block"):
        d(tf.zeros([2, 32, 32, 3]), tf.constant([0, 1]), return_attention=True)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "side"), [(32, 16), (64, 32), (128, 64), (256, 64)])
def test_every_size_runs(size, side):
    settings = config.ModelConfig(
        image_size=size, gf_dim=8, df_dim=8, number_classes=3, attention_resolution=side
    )
    g, d = generator.Generator(settings), discriminator.Discriminator(settings)
    images, g_map = g(tf.zeros([2, 128]), tf.constant([0, 2]), return_attention=True)
    logits, d_map = d(images, tf.constant([0, 2]), return_attention=True)
    assert images.shape == (2, size, size, 3)
    assert logits.shape == (2, 1)
    assert g_map.shape == d_map.shape == (2, side**2, side**2 // 4)
    assert len(g.blocks) == len(d.blocks) - 1 == int(np.log2(size)) - 2


@pytest.mark.slow
def test_label_changes_both_outputs():
    g, d = generator.Generator(TINY_MODEL), discriminator.Discriminator(TINY_MODEL)
    g.build()
    for block in g.blocks:
        block.cbn_0.beta.assign(np.random.default_rng(0).normal(size=block.cbn_0.beta.shape))
    z = tf.random.stateless_normal([1, 8], [0, 0])
    first, second = tf.constant([0]), tf.constant([1])
    images = g(z, first)
    assert np.abs(images - g(z, second)).max() > 1e-3
    assert np.abs(d(images, first) - d(images, second)).max() > 1e-4


def test_evaluation_changes_nothing():
    g, d = generator.Generator(TINY_MODEL), discriminator.Discriminator(TINY_MODEL)
    g.build()
    d.build()
    before = [v.numpy() for v in g.weights + d.weights]
    labels = tf.constant([0, 1, 2, 0])
    d(g(tf.ones([4, 8]), labels, training=False), labels, update_sn=False)
    for old, variable in zip(before, g.weights + d.weights):
        np.testing.assert_array_equal(old, variable)


def test_every_weight_but_those_of_attention_stays_as_it_is_below_one():
    settings = dataclasses.replace(TINY_MODEL, spectral_norm="at_most_one")
    networks = generator.Generator(settings), discriminator.Discriminator(settings)
    for network in networks:
        network.build()
        ops.settle_spectral_norms(network)
        divided = []
        for layer in network.spectral_norm_layers():
            layer.weight.assign(layer.weight * (0.25 / layer.sigma()))
            if np.array_equal(layer.normalized_weight(), layer.oriented_weight()):
                assert layer.remaining_norm() == pytest.approx(0.25, rel=1e-3)
            else:
                assert layer.remaining_norm() == pytest.approx(1, rel=1e-3)
                divided.append(layer)
        assert divided == network.non_local.spectral_norm_layers()


def test_options_of_the_networks_change_no_name_and_no_shape():
    settings = dataclasses.replace(TINY_MODEL, relu_shortcut=True, spectral_norm="at_most_one")
    for kind in (generator.Generator, discriminator.Discriminator):
        found = []
        for network in (kind(TINY_MODEL), kind(settings)):
            network.build()
            found.append(shapes(network))
        assert found[0] == found[1]


def convolved(x, layer):
    """The convolution of a layer with W / sigma and its bias, place by place, by NumPy."""
    kernel = layer.weight.numpy().astype(np.float64)
    kernel /= np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]
    margin = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    y = np.zeros((*x.shape[:3], kernel.shape[-1])) + layer.bias.numpy()
    for row, column in np.ndindex(kernel.shape[:2]):
        places = padded[:, row : row + x.shape[1], column : column + x.shape[2]]
        y += places @ kernel[row, column]
    return y


def halved(x):
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


@pytest.mark.parametrize("optimizations", [{}, {"down_conv": 0, "shortcut": 0}, {"relu": 0}])
@pytest.mark.parametrize("relu_shortcut", [False, True])
@pytest.mark.parametrize("kind", ["first", "down", "last"])
def test_block_of_the_discriminator_by_hand(kind, relu_shortcut, optimizations):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4, 4, 3))
    block = discriminator.DiscriminatorBlock(
        3, kind, relu_shortcut=relu_shortcut, optimizations=optimizations
    )
    block.build(x.shape)
    for layer in block.spectral_norm_layers():
        layer.bias.assign(random.normal(size=3))
    ops.settle_spectral_norms(block)
    found = block(tf.constant(x, tf.float32))

    begun = x if kind == "first" else np.maximum(x, 0)
    branch = convolved(np.maximum(convolved(begun, block.sn_conv1), 0), block.sn_conv2)
    shortcut = begun if relu_shortcut else x
    if kind != "last":
        branch, shortcut = halved(branch), halved(convolved(shortcut, block.sn_conv3))
    np.testing.assert_allclose(found, branch + shortcut, atol=1e-4)


def test_discriminator_has_the_relu_in_every_block_but_the_first():
    network = discriminator.Discriminator(dataclasses.replace(TINY_MODEL, relu_shortcut=True))
    assert [block.relu_shortcut for block in network.blocks] == [True] * 4
    assert [block.kind for block in network.blocks] == ["first", "down", "down", "last"]


def features(network, images):
    """h, the sum over places of what the last block gives above 0."""
    x = images
    for block in network.blocks:
        x = block(x)
    return np.maximum(x.numpy().astype(np.float64), 0).sum(axis=(1, 2))


def of_head(h, head):
    """h W / sigma + bias; sigma by one step of the power iteration from u, by NumPy."""
    w, u = head.weight.numpy().astype(np.float64), head.u.numpy()
    v = u @ w.T / np.linalg.norm(u @ w.T)
    return h @ w / np.linalg.norm(v @ w) + head.bias.numpy()


def test_both_heads_of_the_auxiliary_classifier_by_hand():
    """It has no embedding, and its logits do not depend on labels."""
    settings = dataclasses.replace(PLAIN_MODEL, conditioning="auxiliary_classifier")
    network = discriminator.Discriminator(settings)
    network.build()
    random = np.random.default_rng(0)
    network.sn_classifier.bias.assign(random.normal(size=3))
    images = tf.constant(random.uniform(-1, 1, (2, 32, 32, 3)), tf.float32)
    logits, class_logits = network(images, tf.constant([0, 1]), return_classes=True)
    h = features(network, images)
    np.testing.assert_allclose(logits, of_head(h, network.sn_linear), rtol=1e-4, atol=1e-4)
    expected = of_head(h, network.sn_classifier)
    np.testing.assert_allclose(class_logits, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(network(images, tf.constant([2, 2])), logits)

    width = settings.df_dim * 2 ** (settings.num_blocks - 1)
    expected = {
        "d_sn_linear/Matrix": (width, 1),
        "d_sn_linear/bias": (1,),
        "d_sn_linear/u": (1, 1),
        "d_sn_classifier/Matrix": (width, 3),
        "d_sn_classifier/bias": (3,),
        "d_sn_classifier/u": (1, 3),
    }
    heads = {name: shape for name, shape in shapes(network).items() if "block" not in name}
    assert heads == expected


def test_discriminator_without_conditioning_does_not_see_labels():
    settings = dataclasses.replace(PLAIN_MODEL, conditioning="none")
    network = discriminator.Discriminator(settings)
    network.build()
    network.sn_linear.bias.assign([0.5])
    images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 0], -1, 1)
    logits = network(images, tf.constant([0, 1])).numpy()
    np.testing.assert_array_equal(network(images, tf.constant([2, 0])), logits)
    expected = of_head(features(network, images), network.sn_linear)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    heads = {name for name in shapes(network) if "block" not in name}
    assert heads == {"d_sn_linear/Matrix", "d_sn_linear/bias", "d_sn_linear/u"}
    with pytest.raises(ValueError, match="return_classes=True, but this discriminator has no"):
        network(images, tf.constant([0, 1]), return_classes=True)


@pytest.mark.parametrize(
    ("conditioning", "expected"),
    [("auxiliary_classifier", 39_463_618 + 1000), ("none", 39_463_618 - 1_024_000)],
)
def test_weight_counts_of_other_conditionings_at_128_px(without_drawing, conditioning, expected):
    """The classifier's matrix is as large as the embedding, and it has a bias."""
    network = discriminator.Discriminator(dataclasses.replace(PAPER, conditioning=conditioning))
    network.build()
    assert sum(int(np.prod(v.shape)) for v in network.trainable_weights) == expected
