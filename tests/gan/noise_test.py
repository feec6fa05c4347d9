import numpy as np
import pytest

from sagan_tf.gan import noise


def draw(step=5, purpose=noise.G_STEP, first=0, towers=4, seed=3, substep=0, batch=6):
    return [
        x.numpy()
        for x in noise.draw_towers(
            seed,
            step,
            purpose=purpose,
            substep=substep,
            first_tower=first,
            towers=towers,
            batch_size=batch,
            z_dim=16,
            number_classes=10,
        )
    ]


def test_same_position_draws_the_same():
    for a, b in zip(draw(), draw()):
        np.testing.assert_array_equal(a, b)


def test_two_devices_draw_what_one_draws():
    for whole, *halves in zip(draw(), draw(first=0, towers=2), draw(first=2, towers=2)):
        np.testing.assert_array_equal(whole, np.concatenate(halves))


@pytest.mark.parametrize(
    "change",
    [
        {"step": 6},
        {"purpose": noise.D_STEP},
        {"seed": 4},
        {"substep": 1},
        {"first": 1},
        {"seed": 3 + 2**31},
    ],
)
def test_every_part_of_the_position_matters(change):
    z, other = draw()[0], draw(**change)[0]
    assert not np.isclose(z, other).any(axis=1).all()
    assert not np.array_equal(z, other)


def test_towers_differ():
    z = draw()[0].reshape(4, 6, 16)
    assert len(np.unique(z.reshape(4, -1), axis=0)) == 4


def test_distributions():
    z, labels = (
        x.numpy()
        for x in noise.draw_samples(0, noise.EVALUATION, count=50_000, z_dim=8, number_classes=10)
    )
    assert z.dtype == np.float32
    assert abs(z.mean()) < 5 / 400_000**0.5
    assert z.std() == pytest.approx(1, abs=0.005)
    assert (np.abs(z) > 1.959964).mean() == pytest.approx(0.05, abs=0.002)
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - 5000).max() < 5 * (50_000 * 0.09) ** 0.5


def test_grid_has_one_class_a_row():
    z, labels = noise.draw_grid(0, 3, columns=4, z_dim=8, number_classes=1000)
    assert z.shape == (12, 8)
    np.testing.assert_array_equal(labels, [0] * 4 + [500] * 4 + [999] * 4)


def test_seed_draws_the_same_whatever_comes_with_it():
    z, labels = noise.draw_seeds(np.arange(20), 16, number_classes=10)
    alone, label = noise.draw_seeds(np.array([13]), 16, number_classes=10)
    np.testing.assert_array_equal(z[13], alone[0])
    assert labels[13] == label[0]
    assert len(np.unique(z, axis=0)) == 20
    far, _ = noise.draw_seeds(np.array([13 + 2**32, 2**62]), 16, number_classes=10)
    assert not np.isclose(far[0], alone[0]).any()


@pytest.mark.slow
def test_truncated_z_is_normal_between_the_limits():
    """Variance of a normal distribution cut off at a: 1 - 2 a phi(a) / (2 Phi(a) - 1)."""
    z, labels = (
        x.numpy() for x in noise.draw_seeds(np.arange(4000), 50, number_classes=10, limit=0.5)
    )
    whole, same_labels = (
        x.numpy() for x in noise.draw_seeds(np.arange(4000), 50, number_classes=10)
    )
    np.testing.assert_array_equal(labels, same_labels)
    assert np.abs(z).max() < 0.5
    assert z.var() == pytest.approx(1 - 2 * 0.5 * 0.3520653 / (2 * 0.6914625 - 1), rel=0.01)
    assert whole.var() == pytest.approx(1, rel=0.01)
    np.testing.assert_array_equal(np.argsort(z[0]), np.argsort(whole[0]))  # it changes gradually
    assert np.bincount(labels, minlength=10).min() > 300


def test_classes_are_spread_evenly():
    np.testing.assert_array_equal(noise.spread_classes(1000, 3), [0, 500, 999])
    np.testing.assert_array_equal(noise.spread_classes(3, 10), [0, 1, 2])


def draw_numbers(first=0, towers=4, step=5, substep=0, purpose=noise.G_AUGMENT, batch=6):
    return noise.draw_numbers(
        3,
        step,
        purpose=purpose,
        substep=substep,
        first_tower=first,
        towers=towers,
        batch_size=batch,
        shape=[2, 7],
    ).numpy()


def test_numbers_are_those_of_their_towers():
    whole = draw_numbers()
    assert whole.shape == (24, 2, 7)
    halves = [draw_numbers(first=0, towers=2), draw_numbers(first=2, towers=2)]
    np.testing.assert_array_equal(whole, np.concatenate(halves))
    for change in ({"step": 6}, {"substep": 1}, {"purpose": noise.D_AUGMENT}, {"first": 1}):
        assert not np.isclose(whole, draw_numbers(**change)).any(axis=(1, 2)).all()
    assert len(np.unique(whole.reshape(24, -1), axis=0)) == 24


def test_numbers_are_uniform():
    numbers = draw_numbers(batch=5000).ravel()
    assert numbers.dtype == np.float32
    assert 0 < numbers.min() < 1e-4
    assert 1 - 1e-4 < numbers.max() < 1
    counts = np.histogram(numbers, 10, (0, 1))[0]
    assert np.abs(counts - len(numbers) / 10).max() < 5 * (len(numbers) * 0.09) ** 0.5
