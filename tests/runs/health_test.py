import dataclasses

import numpy as np
import pytest

from sagan_tf import model
from sagan_tf.gan import generator, ops, spectral_norm
from sagan_tf.runs import health
from tests.testing import PLAIN_MODEL, TINY_MODEL


@pytest.fixture(name="health_check")
def fixture_health_check():
    lines = []
    check = health.HealthCheck(lines.append, real_variety=2.0, real_within_class=1.0)
    return check, lines


def row(**changes):
    return {"d_loss": 1.0, "g_gradient_norm": 1.0, "model/g_non_local/sigma_ratio": 0.1, **changes}


def test_warns_once_when_d_has_won(health_check):
    check, lines = health_check
    for step in range(19):
        check.check_row(step, row(d_loss=0.01))
    assert lines == []
    for step in range(19, 40):
        check.check_row(step, row(d_loss=0.01))
    assert lines == [
        "warning: step 19: d_loss has been below 0.05 for 20 rows: D has won, and G "
        "learns nothing more"
    ]
    check.check_row(40, row())
    for step in range(41, 62):
        check.check_row(step, row(d_loss=0.01))
    assert len(lines) == 2


def test_warns_of_a_gradient_far_above_the_usual(health_check):
    check, lines = health_check
    for step in range(10):
        check.check_row(step, row(g_gradient_norm=2.0 + step % 2))
    check.check_row(10, row(g_gradient_norm=200.0))
    assert lines == []
    check.check_row(11, row(g_gradient_norm=400.0))
    assert len(lines) == 1
    assert lines[0].startswith("warning: step 11: g_gradient_norm is 400, and 3 is usual")


def test_steps_that_float16_left_out_are_no_usual_gradient(health_check):
    check, lines = health_check
    for step, norm in enumerate([0.0] * 12 + [5.0] * 12):
        check.check_row(step, row(g_gradient_norm=norm))
    assert lines == []


def test_warns_of_a_large_sigma_ratio(health_check):
    check, lines = health_check
    check.check_row(5, row(**{"model/g_non_local/sigma_ratio": -21.0}))
    assert lines == [
        "warning: step 5: model/g_non_local/sigma_ratio is -21: attention outweighs the features"
    ]


def test_checks_are_ten_times_as_frequent_at_first():
    due = [step for step in range(1, 3200) if health.is_due(step, 1000)]
    assert due == [*range(100, 1000, 100), 1000, 2000, 3000]
    assert [step for step in range(1, 40) if health.is_due(step, 15)] == [*range(1, 16), 30]
    assert not any(health.is_due(step, 0) for step in range(100))


def test_steps_until_a_check_lead_to_it():
    assert health.steps_until_due(0, 1000) == 100
    assert health.steps_until_due(250, 1000) == 50
    assert health.steps_until_due(1000, 1000) == 1000
    assert health.steps_until_due(1001, 1000) == 999


def test_variety_is_the_variance_within_a_class():
    samples = np.array([[[0.0], [2.0]], [[5.0], [5.0]]])  # variances 1 and 0
    assert health.variety(samples) == 0.5


def test_warns_when_samples_of_a_class_become_alike(health_check):
    check, lines = health_check
    alike = np.zeros([3, 10, 4])
    assert check.check_samples(1000, alike) == {
        "health/variety_within_class": 0.0,
        "health/variety_ratio": 0.0,
    }
    assert lines == []  # it has not learnt yet
    varied = np.random.default_rng(0).normal(size=(3, 10, 4))
    check.check_samples(2000, varied)
    check.check_samples(3000, alike)
    assert len(lines) == 1
    assert "step 3000: samples of one class vary by 0.0% of what real images of one" in lines[0]
    late = []
    health.HealthCheck(late.append, 1.0, real_within_class=1.0).check_samples(10_000, alike)
    assert len(late) == 1


def test_ratio_is_that_of_unbiased_variances():
    """0 and 2 have the variance 2 without bias; a class of real images has 4."""
    check = health.HealthCheck(print, real_variety=5.0, real_within_class=4.0)
    numbers = check.check_samples(0, np.array([[[0.0], [2.0]], [[5.0], [7.0]]]))
    assert numbers == {"health/variety_within_class": 0.2, "health/variety_ratio": 0.5}
    unknown = health.HealthCheck(print, real_variety=5.0)
    assert set(unknown.check_samples(0, np.zeros([1, 2, 1]))) == {"health/variety_within_class"}


def test_variance_within_classes_by_hand():
    """Deviations 1 + 1 of the pair, 4 + 0 + 4 of the three; 1 + 2 degrees; one alone has none."""
    values = np.array([1.0, 10.0, 3.0, 12.0, 14.0, 50.0])
    labels = np.array([0, 1, 0, 1, 1, 2])
    variances = health.Variances(3)
    for part in (slice(0, 2), slice(2, 6)):
        variances.add(values[part, None].astype(np.float32), labels[part])
    assert variances.within() == pytest.approx((2 + 8) / 3)
    alone = health.Variances(1)
    alone.add(values[:, None], labels)
    assert alone.within() == pytest.approx(2.0)
    alone = health.Variances(1)
    alone.add(values[:1, None], labels)
    assert alone.within() is None


def test_largest_norm_is_the_largest_singular_value_of_a_normalised_weight(health_check):
    check, lines = health_check
    gan = model.SAGAN(TINY_MODEL)
    ops.settle_spectral_norms(gan.generator)
    layer = gan.generator.blocks[1].snconv1
    layer.u.assign(np.random.default_rng(0).normal(size=layer.u.shape))
    w_bar, _ = spectral_norm.spectral_normalize(layer.oriented_weight(), np.asarray(layer.u))
    expected = np.linalg.svd(np.asarray(w_bar).reshape(-1, w_bar.shape[-1]))[1][0]
    norm, path = health.spectral_norms(gan.generator)
    assert norm == pytest.approx(expected, rel=1e-3)
    assert path.endswith("g_block2/snconv1")
    assert expected > 1.01
    numbers = check.check_networks(7, generator=gan.generator)
    assert numbers == {"health/generator_largest_norm": norm}
    assert len(lines) == (norm > health.HIGH_NORM)
    ops.settle_spectral_norms(gan.generator)
    assert health.spectral_norms(gan.generator)[0] == pytest.approx(1.0, abs=1e-3)


def test_at_most_one_has_a_norm_of_at_most_one(health_check):
    """Below 1 without attention, whose weights are divided in any case; a u that lags warns."""
    check, lines = health_check
    settings = dataclasses.replace(PLAIN_MODEL, spectral_norm="at_most_one")
    network = generator.Generator(settings)
    network.build()
    ops.settle_spectral_norms(network)
    for layer in network.spectral_norm_layers():
        layer.weight.assign(layer.weight * (0.5 / layer.sigma()))
    found = check.check_networks(7, generator=network)
    assert found == {"health/generator_largest_norm": pytest.approx(0.5, rel=1e-3)}
    assert not lines

    last = network.snconv_last
    weight = np.zeros(last.weight.shape)
    weight[0, 0, :3] = np.diag([2, 0.5, 0.5])
    last.weight.assign(weight)
    last.u.assign([[1e-3, 1, 0]])
    found = check.check_networks(8, generator=network)
    assert found == {"health/generator_largest_norm": pytest.approx(2, rel=1e-3)}
    assert lines == [
        "warning: step 8: the normalised weight of generator/g_snconv_last has a singular value "
        "of 2.00: one power iteration a step does not keep up"
    ]
