import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.gan import execution, optimizers
from sagan_tf.runtime import distribution


@pytest.mark.parametrize("one_kernel", [True, False], ids=["one kernel", "operations"])
def test_adam_follows_the_formula(one_kernel):
    """lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t); w -= lr_t m / (sqrt(v) + 1e-8)."""
    weight = keras.Variable([0.0, 0.0, 0.0], name="w")
    other = keras.Variable([[1.0]], name="other")
    optimizer = optimizers.Adam([other, weight], 0.1, beta1=0.5, beta2=0.9, one_kernel=one_kernel)
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(([1.0, -2.0, 1e-9], [0.5, 3.0, 1e-9]), start=1):
        optimizer.apply([tf.zeros([1, 1]), tf.constant(gradient)])
        m = 0.5 * m + 0.5 * np.array(gradient)
        v = 0.9 * v + 0.1 * np.array(gradient) ** 2
        w -= 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.5**t) * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(weight, w, rtol=1e-4)
    np.testing.assert_array_equal(other, [[1.0]])

    state = optimizer.state()
    assert list(state) == ["iterations", "m/other", "v/other", "m/w", "v/w"]
    assert state["iterations"].numpy() == 2
    np.testing.assert_allclose(state["m/w"], m, rtol=1e-6)
    np.testing.assert_allclose(state["v/w"], v, rtol=1e-5)


def test_learning_rate_falls_to_0_on_a_line():
    """SNGAN-projection's: all of it up to 400,000 of 450,000 iterations, then a line to 0."""
    steps = {0: 1.0, 400_000: 1.0, 425_000: 0.5, 440_000: 0.2, 450_000: 0.0, 460_000: 0.0}
    step = tf.Variable(0, dtype=tf.int64)
    share = optimizers.linear_decay(step, decay_steps=50_000, max_steps=450_000)
    for at, expected in steps.items():
        step.assign(at)
        assert float(share()) == pytest.approx(expected)
    assert optimizers.linear_decay(step, decay_steps=0, max_steps=9) is None


@pytest.mark.parametrize("one_kernel", [True, False], ids=["one kernel", "operations"])
def test_share_of_the_learning_rate(one_kernel):
    """With beta1 0 the first step moves a weight by the rate, whatever the gradient."""
    weight = keras.Variable([1.0, 1.0], name="w")
    share = tf.Variable(0.25)
    adam = optimizers.Adam(
        [weight], 0.1, beta1=0.0, beta2=0.9, rate_share=share.read_value, one_kernel=one_kernel
    )
    gradients = [tf.constant([2.0, -3.0])]
    optimizers.take_step(adam, gradients)
    np.testing.assert_allclose(weight, [0.975, 1.025], rtol=1e-5)
    assert float(adam.rate()) == pytest.approx(0.025)
    share.assign(0.0)
    optimizers.take_step(adam, gradients)
    np.testing.assert_allclose(weight, [0.975, 1.025], rtol=1e-5)
    assert adam.iterations.numpy() == 2


@pytest.mark.parametrize("devices", [1, 2])
def test_gradient_that_is_not_finite_leaves_the_step_out_and_halves_the_scale(devices):
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=devices))
    with strategy.scope():
        weights = [keras.Variable(tf.ones(shape)) for shape in ([3, 4], [5])]
        adam = optimizers.Adam(weights, 1e-4, beta1=0.0, beta2=0.999)
        scale = optimizers.LossScale("g")
    # Only the last replica meets the fault; the mean over replicas is what Adam gets.
    gradients = [tf.ones(v.shape) for v in weights]
    bad = [tf.fill(weights[0].shape, np.inf), gradients[1]]

    def step():
        context = tf.distribute.get_replica_context()
        last = context.replica_id_in_sync_group == devices - 1
        found = [tf.where(last & faulty, b, g) for b, g in zip(bad, gradients)]
        outcome = execution.mean_over_replicas(execution.Outcome({}, found, []))
        return optimizers.take_step(adam, outcome.gradients, scale=scale)

    before = [v.numpy() for v in weights]
    faulty = tf.constant(True)
    norm = strategy.experimental_local_results(strategy.run(step))[0]
    assert (float(norm), float(scale.value()), adam.iterations.numpy()) == (0, 16384, 0)
    for value, v in zip(before, weights):
        np.testing.assert_array_equal(v, value)

    faulty = tf.constant(False)
    norm = strategy.experimental_local_results(strategy.run(step))[0]
    # Gradients of 1 of a loss 16384 times too large: each weight moves by the rate.
    size = sum(v.size for v in before)
    assert float(norm) == pytest.approx(size**0.5 / 16384, rel=1e-4)
    assert adam.iterations.numpy() == 1
    np.testing.assert_allclose(before[0] - weights[0].numpy(), 1e-4, rtol=0.02)


def test_scale_doubles_after_2000_good_steps_and_stays_above_1():
    scale = optimizers.LossScale("g")
    state = scale.state()

    def step(finite):
        for variable, value, _ in scale.updates(tf.constant(finite)):
            variable.assign(value)
        return [float(v) for v in state.values()]

    assert step(True) == [32768, 1]
    state["loss_scale/g_good_steps"].assign(1999)
    assert step(True) == [65536, 0]
    assert [step(False)[0] for _ in range(17)][-2:] == [1, 1]
    # With a scale of 1 the loss itself is at fault: the loop is to see it.
    _, norm, finite = scale.unscaled([tf.constant([np.inf])])
    assert (np.isinf(norm.numpy()), finite.numpy()) == (True, False)
