import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import batch_norm, discriminator, generator, non_local, ops, residual_block
from tests.testing import TINY_MODEL, relative_error

SN_CASES = {
    "snconv2d": lambda **how: ops.SNConv2D(6, 3, **how),
    "snlinear": lambda **how: ops.SNDense(6, **how),
    "sn_embedding": lambda **how: ops.SNEmbedding(9, 5, **how),
    "non_local": lambda **how: non_local.NonLocalBlock(**how),
}
_BY_HAND = {"spectral_norm": 0, "batch_norm": 0}
_FOR_XLA = {**_BY_HAND, "relu": 0, "one_pass": 0, "attention": 0}
BY_HAND = {"autodiff": {}, "by hand": _BY_HAND, "for XLA": _FOR_XLA}


def load(layer, numbers):
    """Builds the layer on the golden input and sets its weights; name -> variable."""
    inputs = [numbers[key] for key in sorted(numbers) if key.startswith("in/")]
    (x,) = inputs
    layer.build(x.shape)
    variables = {}
    for variable in layer.weights:
        name = variable.path.split("/", 1)[1]
        variable.assign(numbers[f"init/layer/{name}"])
        variables[name] = variable
    return tf.constant(x), variables


@pytest.mark.parametrize("variant", ["update", "no_update"])
@pytest.mark.parametrize("case", SN_CASES)
def test_sn_layer_matches_reference(golden_ops, case, variant):
    numbers = golden_ops(case, variant)
    layer = SN_CASES[case]()
    x, variables = load(layer, numbers)
    out = layer(x, update_sn=variant == "update")
    assert relative_error(out, numbers["out"]) < 1e-5
    for name, variable in variables.items():
        assert relative_error(variable, numbers[f"after/layer/{name}"]) < 1e-5


@pytest.mark.parametrize("optimizations", BY_HAND.values(), ids=BY_HAND)
@pytest.mark.parametrize("case", SN_CASES)
def test_sn_layer_gradients_match_reference(golden_ops, case, optimizations):
    numbers = golden_ops(case, "no_update")
    layer = SN_CASES[case](optimizations=optimizations)
    x, variables = load(layer, numbers)
    sources = {f"layer/{name}": v.value for name, v in variables.items() if v.trainable}
    if x.dtype.is_floating:
        sources["x"] = x
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, update_sn=False) * numbers["cotangent"])
    gradients = tape.gradient(loss, sources)
    assert {f"grad/{name}" for name in gradients} == {k for k in numbers if k.startswith("grad/")}
    for name, gradient in gradients.items():
        assert relative_error(gradient, numbers[f"grad/{name}"]) < 1e-5, name


@pytest.mark.parametrize("optimizations", BY_HAND.values(), ids=BY_HAND)
@pytest.mark.parametrize("variant", ["train", "eval"])
def test_conditional_batch_norm_matches_reference(golden_ops, variant, optimizations):
    numbers = golden_ops("conditional_batch_norm", variant)
    layer = ops.ConditionalBatchNorm(4, optimizations=optimizations)
    layer.build(numbers["in/x"].shape)
    variables = {v.path.split("/", 1)[1]: v for v in layer.weights}
    for name, variable in variables.items():
        variable.assign(numbers[f"init/layer/{name}"])
    x, labels = tf.constant(numbers["in/x"]), tf.constant(numbers["in/labels"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, labels, training=variant == "train")
        loss = tf.reduce_sum(out * numbers["cotangent"])
    assert relative_error(out, numbers["out"]) < 1e-5
    gradients = tape.gradient(
        loss,
        {"layer/gamma": variables["gamma"].value, "layer/beta": variables["beta"].value, "x": x},
    )
    for name, gradient in gradients.items():
        assert relative_error(tf.convert_to_tensor(gradient), numbers[f"grad/{name}"]) < 1e-5, name
    for name, variable in variables.items():
        assert relative_error(variable, numbers[f"after/layer/{name}"]) < 1e-5, name


@pytest.mark.parametrize("layer", [ops.SNConv2D(5, 3), ops.SNDense(5)])
def test_settled_weight_has_largest_singular_value_one(layer):
    layer.build((2, 4, 4, 7) if isinstance(layer, ops.SNConv2D) else (2, 7))
    raw = layer.weight.numpy()
    layer.settle()
    matrix = layer.normalized_weight(update_sn=False).numpy().reshape(-1, 5)
    assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_array_equal(layer.weight, raw)  # the raw weight is never overwritten


def test_tower_moments_equal_separate_batches():
    x = tf.random.stateless_normal([6, 4, 4, 5], [1, 2]) * 3 + 1
    labels = tf.constant([0, 1, 2, 2, 1, 0])
    towers, single = (ops.ConditionalBatchNorm(3, group_size=n) for n in (2, None))
    for layer in (towers, single):
        layer.build(x.shape)
        layer.gamma.assign(np.arange(15).reshape(3, 5) / 7)
    together = towers(x, labels, training=True)
    means = []
    for start in range(0, 6, 2):
        part = slice(start, start + 2)
        np.testing.assert_allclose(
            together[part], single(x[part], labels[part], training=True), rtol=1e-5, atol=1e-6
        )
        means.append(x.numpy()[part].mean((0, 1, 2)))
    # Starting from 0, the moving mean is 0.001 times the mean over towers of their means.
    np.testing.assert_allclose(
        towers.moving_mean.numpy().ravel(), 0.001 * np.mean(means, 0), rtol=1e-4
    )


@pytest.mark.parametrize("kind", [ops.BatchNorm, lambda **how: ops.ConditionalBatchNorm(3, **how)])
def test_batch_norm_and_relu_by_hand_have_the_gradient_of_the_formula(kind):
    """Of towers, with a ReLU that cuts about half, far from mean 0."""
    x = tf.random.stateless_normal([6, 4, 4, 5], [1, 2]) * 3 + 20
    cotangent = tf.random.stateless_normal(x.shape, [3, 4])
    labels = [] if kind is ops.BatchNorm else [tf.constant([0, 1, 2, 2, 1, 0])]
    found = []
    for optimizations in BY_HAND.values():
        layer = kind(group_size=2, relu=True, optimizations=optimizations)
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(-1, 2, tf.size(layer.gamma)).reshape(layer.gamma.shape))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, *labels, training=True)
            loss = tf.reduce_sum(y * cotangent)
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        found.append([y, *map(tf.convert_to_tensor, gradients), layer.moving_variance.value])
    assert 0.3 < np.mean(found[0][0] > 0) < 0.7
    for others in found[1:]:
        for expected, value in zip(found[0], others):
            assert relative_error(value, expected) < 2e-5


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_moments_in_one_pass_are_those_of_numpy(dtype):
    """Of two groups whose means are 100 times their deviations, around numbers near the means."""
    x = tf.random.stateless_normal([2, 3, 8, 8, 5], [1, 2]) + 100
    x = tf.cast(x, dtype)
    values = tf.cast(x, tf.float64).numpy()
    mean, variance = batch_norm.moments(x, around=tf.linspace(99.0, 101.0, 5))
    assert mean.dtype == variance.dtype == tf.float32
    assert mean.shape == variance.shape == (2, 1, 1, 1, 5)
    np.testing.assert_allclose(np.squeeze(mean), values.mean((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(np.squeeze(variance), values.var((1, 2, 3)), rtol=1e-4)


def test_moments_of_one_number_in_one_pass_have_no_negative_variance():
    x = tf.fill([1, 2, 3, 3, 4], tf.constant(100.1, tf.bfloat16))
    mean, variance = batch_norm.moments(x, around=tf.zeros([4]))
    np.testing.assert_array_equal(mean, np.full((1, 1, 1, 1, 4), 100.0, np.float32))
    assert np.all((variance >= 0) & (variance < 1e-2))


def test_batch_norm_moving_variance_takes_the_unbiased_variance():
    x = np.array([0.0, 2.0, 4.0, 6.0], np.float32).reshape(4, 1, 1, 1)
    layer = ops.BatchNorm(decay=0.9)
    out = layer(tf.constant(x), training=True).numpy().ravel()
    # Mean 3; biased variance 5; unbiased 20/3.
    np.testing.assert_allclose(out, (x.ravel() - 3) / np.sqrt(5 + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, [0.3], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [0.9 + 0.1 * 20 / 3], rtol=1e-6)


def test_conditional_batch_norm_moving_variance_takes_the_biased_variance():
    x = np.array([0.0, 2.0, 4.0, 6.0], np.float32).reshape(4, 1, 1, 1)
    layer = ops.ConditionalBatchNorm(1, decay=0.9)
    layer(tf.constant(x), tf.zeros([4], tf.int32), training=True)
    np.testing.assert_allclose(layer.moving_variance.numpy().ravel(), [0.9 + 0.1 * 5], rtol=1e-6)


def test_batch_that_is_no_multiple_of_the_tower_is_refused():
    layer = ops.BatchNorm(group_size=4)
    with pytest.raises(ValueError, match="6 images cannot be split into towers of 4"):
        layer(tf.zeros([6, 2, 2, 1]), training=True)


def test_initial_values():
    layer = ops.SNConv2D(200, 3)
    layer.build((1, 8, 8, 100))
    limit = (6 / (9 * 300)) ** 0.5  # Glorot: sqrt(6 / (fan_in + fan_out))
    weight = layer.weight.numpy()
    assert np.abs(weight).max() <= limit
    assert weight.std() == pytest.approx(limit / 3**0.5, rel=0.01)
    assert np.abs(layer.u.numpy()).max() <= 2.0
    np.testing.assert_array_equal(layer.bias, np.zeros(200))


@pytest.mark.parametrize(
    "layer",
    [
        ops.SNConv2D(4, 1, use_bias=False),
        ops.SNConv2D(4, 3, resample="up"),
        ops.SNConv2D(4, 3, optimizations={"down_conv": 8}),
        ops.SNDense(4),
        ops.SNDense(4, at_most_one=True),
        ops.SNDense(4, normalized=False),
        ops.SNEmbedding(3, 4),
        discriminator.DiscriminatorBlock(8, "last", relu_shortcut=True, at_most_one=True),
        generator.GeneratorBlock(8, 3, at_most_one=True),
        ops.ConditionalBatchNorm(3, 0.9, group_size=2),
        ops.BatchNorm(0.9),
        non_local.NonLocalBlock(),
        residual_block.ResidualBlock(),
    ],
)
def test_layer_comes_back_from_its_config(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_sigmas_are_the_largest_singular_values_once_u_has_settled():
    network = discriminator.Discriminator(TINY_MODEL)
    network.build()
    ops.settle_spectral_norms(network)
    found = ops.sigmas(network)
    attention = {name for name in found if name.startswith("d_non_local/")}
    assert attention == {f"d_non_local/sn_conv_{name}" for name in ("theta", "phi", "g", "attn")}
    weight = network.non_local.g.weight.numpy()[0, 0]
    expected = np.linalg.svd(weight, compute_uv=False)[0]
    assert found["d_non_local/sn_conv_g"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [0.25, 4.0])
@pytest.mark.parametrize("layer", [ops.SNConv2D, ops.SNDense, ops.SNEmbedding])
def test_norms_of_at_most_one_on_both_sides_of_one(layer, size):
    """W by its singular values; what is left of the norm is at most 1, and its own below."""
    layer = layer(3, **({"units": 6} if layer is ops.SNEmbedding else {}), at_most_one=True)
    layer.build((2, 6) if isinstance(layer, ops.SNDense) else (2, 4, 4, 6))
    own = np.linalg.svd(np.reshape(layer.weight, (-1, layer.weight.shape[-1])))[1][0]
    layer.weight.assign(layer.weight * (size / own))
    layer.settle()
    assert layer.sigma() == pytest.approx(size, rel=1e-4)
    assert layer.remaining_norm() == pytest.approx(min(size, 1), rel=1e-4)
    expected = layer.oriented_weight() / max(size, 1)
    np.testing.assert_allclose(layer.normalized_weight(), expected, rtol=1e-4)


def test_remaining_norm_above_one_means_that_u_lags():
    """diag(4, 0.5) from the u of 0.5: sigma is taken for 0.5, and W stays as it is."""
    layer = ops.SNDense(2, at_most_one=True)
    layer.build((1, 2))
    layer.weight.assign([[4.0, 0.0], [0.0, 0.5]])
    layer.u.assign([[1e-4, 1.0]])
    assert layer.sigma() == pytest.approx(0.5, rel=1e-3)
    assert layer.remaining_norm() == pytest.approx(4, rel=1e-3)
