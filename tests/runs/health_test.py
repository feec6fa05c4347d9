import dataclasses

import keras
import numpy as np
import pytest

from sagan_tf import config, model
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


def test_cross_entropies_of_classes_do_not_hide_that_d_has_won(health_check):
    """d_loss of an AC-GAN is the sum of all four."""
    check, lines = health_check
    terms = {"d_loss_real": 0.01, "d_loss_fake": 0.02, "d_class_loss_real": 1.0}
    for step in range(20):
        check.check_row(step, row(d_loss=2.0, d_class_loss_fake=0.97, **terms))
    assert lines[0].startswith("warning: step 19: d_loss_real + d_loss_fake has been below 0.05")


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
    assert [step for step in range(1, 40) if health.is_due(step, 15)] == [*range(2, 15, 2), 15, 30]
    assert [step for step in range(1, 20) if health.is_due(step, 7)] == [*range(1, 8), 14]


@pytest.mark.parametrize("every", [1, 7, 10, 15, 99, 100, 101, 1005])
def test_at_most_nine_checks_come_before_the_first_that_is_asked_for(every):
    assert sum(health.is_due(step, every) for step in range(1, every)) <= 9
    assert health.is_due(every, every)


def test_never_is_never_due():
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


def test_noise_is_no_variety():
    """A sound set whose average is grey for a while is not warned of; a later collapse is."""
    lines = []
    check = health.HealthCheck(lines.append, 2.0, real_within_class=1.0, noise_until=300)
    varied = np.random.default_rng(0).normal(size=(3, 10, 4))
    alike = np.zeros([3, 10, 4])
    for step, samples in ((1, varied), (299, varied), (400, alike), (500, varied)):
        check.check_samples(step, samples)
    assert lines == []
    check.check_samples(600, alike)
    assert len(lines) == 1
    assert lines[0].startswith("warning: step 600: samples of one class vary by 0.0%")


def test_run_that_never_varied_is_warned_once_it_has_had_time():
    """With an average of 1,000 steps from 3,000 on; `noise_until` 300 and below: from 10,000 on."""
    alike = np.zeros((2, 4, 3))
    for noise_until, first in ((1000, 3000), (300, 10_000), (5000, 10_000)):
        lines = []
        check = health.HealthCheck(
            lines.append, 1.0, real_within_class=1.0, noise_until=noise_until
        )
        check.check_samples(first - 1, alike)
        assert lines == []
        check.check_samples(first, alike)
        assert lines[0].startswith(f"warning: step {first}: samples of one class vary by 0.0%")
        rows = [{"step": step, health.RATIO: 0.0} for step in (first - 1, first)]
        assert health.course_of_variety(rows, noise_until).lost == first


def test_old_recipe_of_the_digits_is_warned_of_before_step_1000():
    """Ratios of the demo that lost its variety, seed 0, of samples with these variances."""
    found = [(100, 0.29), (200, 1.50), (300, 1.52), (400, 1.10), (500, 0.72), (600, 0.61)]
    lines = []
    noise_until = health.steps_of_noise(config.TrainConfig(ema_decay=0.99, use_ema=True))
    check = health.HealthCheck(lines.append, 1.0, real_within_class=1.0, noise_until=noise_until)
    for step, ratio in (*found, (700, 0.42), (800, 0.32), (900, 0.32)):
        side = np.sqrt(ratio / 2)  # -side and side have the variance ratio / 2 * 2 / 1, unbiased.
        numbers = check.check_samples(step, np.array([[[-side], [side]]]))
        assert numbers["health/variety_ratio"] == pytest.approx(ratio)
    assert len(lines) == 1
    assert lines[0].startswith("warning: step 800: samples of one class vary by 32.0%")


def test_noise_lasts_as_long_as_the_average_remembers_it():
    """1 / (1 - decay) steps: 0.999^1000 = 0.37 of an average over 1,000 steps was there before."""

    def steps(**settings):
        return health.steps_of_noise(config.TrainConfig(**settings))

    assert steps() == steps(ema_decay=0.999) == 300
    assert steps(ema_decay=0.99, use_ema=True) == 300
    assert steps(ema_decay=0.999, use_ema=True) == 1000


def test_run_that_continues_remembers_its_variety():
    alike = np.zeros([3, 10, 4])
    early = {"step": 200, "health/variety_ratio": 1.1}
    late = {"step": 400, "health/variety_ratio": 0.9}
    for rows, warnings in (([], 0), ([early], 0), ([early, late, {"step": 500}], 1)):
        lines = []
        check = health.HealthCheck(lines.append, 1.0, real_within_class=1.0, noise_until=300)
        check.take_up(rows)
        check.check_samples(600, alike)
        assert len(lines) == warnings


def test_ratio_is_that_of_unbiased_variances():
    """0 and 2 have the variance 2 without bias; a class of real images has 4."""
    check = health.HealthCheck(print, real_variety=5.0, real_within_class=4.0)
    numbers = check.check_samples(0, np.array([[[0.0], [2.0]], [[5.0], [7.0]]]))
    assert numbers == {"health/variety_within_class": 0.2, "health/variety_ratio": 0.5}
    unknown = health.HealthCheck(print, real_variety=5.0)
    assert set(unknown.check_samples(0, np.zeros([1, 2, 1]))) == {"health/variety_within_class"}


def test_variance_within_classes_by_hand():
    """2 of the pair 1, 3 and 4 of the three 10, 12, 14, unbiased; one image alone has none."""
    values = np.array([1.0, 10.0, 3.0, 12.0, 14.0, 50.0])
    labels = np.array([0, 1, 0, 1, 1, 2])
    variances = health.Variances(range(3))
    for part in (slice(0, 2), slice(2, 6)):
        variances.add(values[part, None].astype(np.float32), labels[part])
    assert variances.within() == pytest.approx((2 + 4) / 2)
    one = health.Variances([1])
    one.add(values[:, None], labels)
    assert one.within() == pytest.approx(4.0)
    one = health.Variances([1])
    one.add(values[:2, None], labels[:2])
    assert one.within() is None


def test_real_images_against_themselves_have_ratio_one():
    """90 images of a class that varies little, 10 of one that varies much; samples have 10 each."""
    rng = np.random.default_rng(0)
    images = np.concatenate([rng.normal(size=(90, 6)), 3 * rng.normal(size=(10, 6))])
    labels = np.repeat([0, 1], [90, 10])
    variances = health.Variances([0, 1])
    variances.add(images, labels)
    check = health.HealthCheck(print, 1.0, real_within_class=variances.within())

    # Any ten of the first class in turn have its variance on average.
    ratios = []
    for start in range(0, 90, 10):
        samples = np.stack([images[start : start + 10], images[90:]])
        ratios.append(check.check_samples(0, samples)["health/variety_ratio"])
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)


def test_largest_norm_is_the_largest_singular_value_of_a_normalised_weight(health_check):
    check, lines = health_check
    keras.utils.set_random_seed(0)
    gan = model.SAGAN(TINY_MODEL)
    for _ in range(5):
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


def test_generator_without_spectral_norm_has_no_largest_norm(health_check):
    check, lines = health_check
    settings = dataclasses.replace(PLAIN_MODEL, generator_sn=False)
    network = generator.Generator(settings)
    network.build()
    assert check.check_networks(7, generator=network) == {}
    assert not lines


def test_residual_block_that_outweighs_is_called_by_its_name(health_check):
    check, lines = health_check
    check.check_row(5, row(**{"model/d_residual/sigma_ratio": 21.0}))
    assert lines == [
        "warning: step 5: model/d_residual/sigma_ratio is 21: the residual block outweighs the "
        "features"
    ]


def test_at_most_one_has_a_norm_of_at_most_one(health_check):
    """Below 1 without attention, whose weights are divided in any case; a u that lags warns."""
    check, lines = health_check
    settings = dataclasses.replace(PLAIN_MODEL, spectral_norm="at_most_one")
    keras.utils.set_random_seed(0)
    network = generator.Generator(settings)
    network.build()
    for _ in range(5):
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


def test_course_of_variety_begins_after_the_noise():
    """Noise at step 100 is no variety; it is lost where it falls below 40 % after having been."""
    ratios = {100: 0.9, 300: 0.2, 400: 0.7, 500: 0.3, 600: 0.1, 700: 0.5}
    rows = [{"step": step, "health/variety_ratio": ratio} for step, ratio in ratios.items()]
    found = health.course_of_variety([{"step": 50}, *rows], 300)
    assert found == (500, True, 0.1, 600, 0.5)
    assert health.course_of_variety(rows[:2], 300) == (None, False, 0.2, 300, 0.2)
    assert health.course_of_variety([{"step": 400}], 300) is None
