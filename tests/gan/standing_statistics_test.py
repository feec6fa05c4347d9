import functools

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.gan import generator, noise, standing_statistics
from sagan_tf.viewing import folding
from tests.testing import PLAIN_MODEL

BATCH = 6


def make_network():
    network = generator.Generator(PLAIN_MODEL)
    network.build()
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if weight.path.endswith(("gamma", "beta", "bias", "biases")):
            weight.assign(weight.numpy() + 0.3 * rng.normal(size=weight.shape))
    return network


@pytest.fixture(name="network")
def fixture_network():
    return make_network()


@pytest.fixture(name="gathered", scope="module")
def fixture_gathered():
    """A network with the statistics of four batches, and its weights before, by path."""
    network = make_network()
    before = {weight.path: weight.numpy() for weight in network.weights}
    standing_statistics.gather(network, config.Sampling(0.0, 4, BATCH, seed=2))
    return network, before


def test_statistics_return_after_their_use(network):
    sampling = config.Sampling(0.0, 2, BATCH)
    standing = standing_statistics.StandingStatistics(network, sampling)
    before = np.concatenate(sum(statistics(network), ()))
    with standing.in_place():
        inside = np.concatenate(sum(statistics(network), ()))
    np.testing.assert_array_equal(np.concatenate(sum(statistics(network), ())), before)
    standing.gather()
    np.testing.assert_array_equal(np.concatenate(sum(statistics(network), ())), inside)
    assert not np.allclose(before, inside)


def draw(number, seed=0, limit=np.inf):
    return noise.draw_batch(
        seed, number, batch_size=BATCH, z_dim=8, number_classes=3, share=noise.share_within(limit)
    )


def statistics(network):
    """[(mean, variance)] of each batch norm."""
    return [
        (layer.moving_mean.numpy().ravel(), layer.moving_variance.numpy().ravel())
        for layer in network.batch_norm_layers()
    ]


def of_each_batch(network, batches, **drawing):
    """[batch][layer] (mean, variance) that a moving statistic without memory takes."""
    for layer in network.batch_norm_layers():
        layer.decay = 0.0
    found = []
    for number in range(batches):
        network(*draw(number, **drawing), training=True, update_sn=False)
        found.append(statistics(network))
    return found


@pytest.mark.slow
def test_one_batch_gives_the_images_of_training(network):
    """With the batch's own moments for statistics, Keras's layers make what training makes."""
    z, labels = draw(0)
    expected = network(z, labels, training=True, update_sn=False).numpy()
    standing_statistics.gather(network, config.Sampling(0.0, 1, BATCH))
    np.testing.assert_allclose(folding.fold(network)([z, labels]), expected, atol=1e-3)


@pytest.mark.slow
def test_several_batches_count_as_one_set_of_images(network):
    """variance = mean of the variances + variance of the means, layer by layer."""
    truncation = 0.7
    batches = of_each_batch(make_network_like(network), 3, seed=5, limit=truncation)
    calls = []
    standing_statistics.gather(
        network,
        config.Sampling(truncation, 3, BATCH, seed=5),
        after_batch=functools.partial(calls.append, 1),
    )
    assert len(calls) == 3
    for layer, (mean, variance) in enumerate(statistics(network)):
        means = np.array([batch[layer][0] for batch in batches], np.float64)
        variances = np.array([batch[layer][1] for batch in batches], np.float64)
        np.testing.assert_allclose(mean, means.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, variances.mean(0) + means.var(0), rtol=1e-4)


def make_network_like(network):
    copy = generator.Generator(PLAIN_MODEL)
    copy.build()
    copy.set_weights(network.get_weights())
    return copy


def first_map(network, z):
    """float64 [n, 16, channels], what the first batch norm sees: z W / sigma + bias."""
    weight = np.asarray(network.snh0.normalized_weight(), np.float64)
    x = z.astype(np.float64) @ weight + network.snh0.bias.numpy()
    return x.reshape(len(z), 16, -1)


def test_first_layer_has_the_moments_of_all_images_together(gathered):
    network, _ = gathered
    z = np.concatenate([draw(number, seed=2)[0].numpy() for number in range(4)])
    x = first_map(network, z)
    mean, variance = statistics(network)[0]
    np.testing.assert_allclose(mean, x.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(variance, x.var((0, 1)), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truncation", "variance_of_z"),
    # Cut off at a: 1 - 2 a phi(a) / (2 Phi(a) - 1).
    [(0.0, 1.0), (0.5, 1 - 2 * 0.5 * 0.3520653 / (2 * 0.6914625 - 1))],
)
def test_many_batches_give_the_moments_of_the_population(network, truncation, variance_of_z):
    """x = z W + b at 16 places: E x = mean of b, Var x = var z * mean |W|^2 + variance of b."""
    standing_statistics.gather(network, config.Sampling(truncation, 100, 40))
    weight = np.asarray(network.snh0.normalized_weight(), np.float64).reshape(8, 16, -1)
    bias = first_map(network, np.zeros([1, 8]))[0]
    expected = variance_of_z * (weight**2).sum(0).mean(0) + bias.var(0)
    mean, variance = statistics(network)[0]
    np.testing.assert_allclose(mean, bias.mean(0), atol=5 * np.sqrt(expected.max() / 4000))
    np.testing.assert_allclose(variance, expected, rtol=0.1)
    assert variance.mean() == pytest.approx(expected.mean(), rel=0.02)


def test_nothing_else_moves(gathered):
    network, before = gathered
    moved = {
        weight.path
        for weight in network.weights
        if not np.array_equal(weight.numpy(), before[weight.path])
    }
    norms = network.batch_norm_layers()
    assert moved == {state.variable.path for layer in norms for state in layer.states()}


@pytest.mark.slow
def test_seed_decides(network):
    found = []
    for seed in (0, 0, 1):
        standing_statistics.gather(network, config.Sampling(0.0, 2, BATCH, seed=seed))
        found.append(statistics(network)[0][0])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.isclose(found[0], found[2]).any()


@pytest.mark.slow
def test_number_of_devices_does_not_matter(network):
    sampling = config.Sampling(0.7, 2, BATCH)
    standing_statistics.gather(network, sampling)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        shared = make_network_like(network)
        standing_statistics.gather(shared, sampling)
    for one, other in zip(statistics(network), statistics(shared)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    copies = shared.bn.moving_mean.value.values
    np.testing.assert_array_equal(*[copy.numpy() for copy in copies])
