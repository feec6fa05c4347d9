"""The walk of ADA's probability, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import adaptive


def make(**changes):
    settings = {"target": 0.6, "kimg": 1.0, "start": 0.0, "images_per_step": 25, **changes}
    return adaptive.AdaptiveAugment(["brightness"], **settings)


def walk(augment, signs):
    """p after each step of D."""
    found = []
    for sign in signs:
        augment.observe(tf.constant(sign))
        found.append(augment.row()["ada/p"])
    return found


def test_p_moves_after_every_fourth_step():
    """4 x 25 images of 1,000: by 0.1, up where the mean is above 0.6, else down."""
    augment = make()
    np.testing.assert_allclose(walk(augment, [1.0, 1.0, 0.5, 0.0]), [0, 0, 0, 0.1])  # 0.625
    assert augment.row()["ada/r"] == 0.625
    np.testing.assert_allclose(walk(augment, [1.0] * 8), [0.1] * 3 + [0.2] * 4 + [0.3], rtol=1e-6)
    np.testing.assert_allclose(walk(augment, [0.5] * 4), [0.3] * 3 + [0.2], rtol=1e-6)
    assert augment.row()["ada/r"] == 0.5


def test_p_stays_between_0_and_1():
    assert walk(make(), [-1.0] * 4)[-1] == 0
    assert walk(make(start=0.95), [1.0] * 4)[-1] == 1


def test_p_that_is_fixed_stays():
    assert walk(make(kimg=0.0, start=0.25), [1.0] * 8)[-1] == 0.25


def test_papers_numbers():
    """500,000 images of batches of 64: p is 0.5 after 250,000."""
    augment = make(kimg=500.0, images_per_step=64)
    assert walk(augment, [1.0] * 4)[-1] == pytest.approx(256 / 500_000)


def test_state_goes_on_between_two_adjustments():
    augment = make()
    walk(augment, [1.0] * 6)
    other = make()
    for name, variable in augment.state().items():
        other.state()[name].assign(variable)
    assert walk(other, [1.0] * 2) == walk(augment, [1.0] * 2)
    assert set(other.state()) == {"ada/p", "ada/r", "ada/sum_of_signs", "ada/steps"}
    other.begin()
    assert [float(v.numpy()) for v in other.state().values()] == [0, 0, 0, 0]


def test_p_is_the_same_on_two_devices():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        augment = make()
    for _ in range(4):
        strategy.run(augment.observe, args=(tf.constant(1.0),))
    copies = strategy.experimental_local_results(augment.state()["ada/p"])
    assert [float(copy) for copy in copies] == [pytest.approx(0.1)] * 2
