"""The compiled loop, and one iteration as one program."""

import dataclasses
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, model
from sagan_tf.training import steps as training_steps
from tests.testing import PLAIN_MODEL, random_images
from tests.training.small_runs import settings


def slowly(*batch):
    time.sleep(0.01)
    return batch


@pytest.mark.slow
def test_inner_loop_is_traced_once_whatever_its_count(tmp_path):
    """Six iterations of two steps of D and one of G: in loops of 1, 3 and 2, and of 1."""
    gan = model.SAGAN(PLAIN_MODEL, settings(tmp_path, num_towers=1, d_step=2))
    steps = training_steps.make_train_steps(gan, seed=0)
    images, labels = random_images(24), np.arange(24, dtype=np.int32) % 3
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2, drop_remainder=True)
    batches = batches.map(lambda *batch: tf.numpy_function(slowly, batch, (tf.uint8, tf.int32)))
    batches = batches.map(
        lambda pixels, labels: (
            tf.ensure_shape(pixels, [2, 32, 32, 3]),
            tf.ensure_shape(labels, [2]),
        )
    )
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # nothing beforehand
    batches = batches.with_options(options)
    begin, found = {name: v.numpy() for name, v in gan.state().items()}, []
    for counts in ((1, 3, 2), (1,) * 6):
        for name, v in gan.state().items():
            v.assign(begin[name])
        iterator = iter(batches)
        began = time.monotonic()
        metrics = [steps(iterator, tf.constant(count))[0] for count in counts]
        losses = [one["d_loss"].numpy() for one in metrics]
        # Twelve batches come 10 ms after they are asked for, at the earliest.
        assert 0.12 <= sum(one["input_wait"].numpy() for one in metrics) < time.monotonic() - began
        assert next(iterator, None) is None  # two batches an iteration
        assert gan.step.numpy() == 6
        assert gan.d_optimizer.iterations.numpy() == 12
        assert gan.g_optimizer.iterations.numpy() == 6
        found.append(dict(zip(np.cumsum(counts), losses)))
    assert steps.experimental_get_tracing_count() == 1
    for count, loss in found[0].items():
        assert loss == pytest.approx(found[1][count], rel=1e-3), count
    assert len(set(found[1].values())) == 6


@pytest.mark.slow
def test_whole_iteration_is_one_xla_program():
    """Both steps, forward, backward, Adam, u, moving statistics and average; augmented images."""
    train_config = config.TrainConfig(
        batch_size=2,
        num_towers=2,
        ema_decay=0.9,
        augment="ada",
        ada_start=0.5,
        mirror=True,
    )
    images = make_images(4, 32)
    labels = tf.constant([0, 1, 2, 0])
    found = []
    for compiled in (True, False):
        keras.utils.set_random_seed(0)
        gan = model.SAGAN(PLAIN_MODEL, train_config)  # Attention is compiled in model_test.
        iteration = training_steps.make_iteration(gan, seed=0)
        if compiled:
            iteration = tf.function(iteration, jit_compile=True)
        found.append(
            (
                iteration([(images, labels)]).numpy(),
                {name: v.numpy() for name, v in gan.state().items()},
            )
        )
    (metrics, state), (expected, expected_state) = found
    np.testing.assert_allclose(metrics, expected, rtol=1e-4, atol=1e-5)
    changed = 0
    for name, value in expected_state.items():
        if name.endswith(("/u", "/mean", "/var", "moving_mean", "moving_variance", "iterations")):
            np.testing.assert_allclose(state[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
            changed += 1
    assert changed > 60


def make_images(count, size):
    return tf.constant(random_images(count, size))


def test_iteration_draws_and_mirrors_by_seed_and_step(monkeypatch):
    """Real images turned where their number says so; numbers of their own for every use."""
    seen = {"g": [], "d": []}
    gan = model.SAGAN(
        PLAIN_MODEL,
        config.TrainConfig(
            batch_size=2, num_towers=2, d_step=2, mirror=True, augment="diffaugment"
        ),
    )

    def g_step(z, labels, numbers):
        seen["g"].append(numbers.numpy())
        return dict.fromkeys(training_steps.metric_names(gan.model_config), 1.0)

    def d_step(images, labels, z, fake_labels, numbers):
        seen["d"].append((images.numpy(), numbers.numpy()))
        return dict.fromkeys(training_steps.metric_names(gan.model_config), 1.0)

    monkeypatch.setattr(gan, "g_step", g_step)
    monkeypatch.setattr(gan, "d_step", d_step)
    pixels, labels = random_images(4), tf.constant([0, 1, 2, 0])
    iteration = training_steps.make_iteration(gan, seed=7)
    for step in range(8):
        gan.step.assign(step)
        iteration([(tf.constant(pixels), labels)] * 2)

    # Both ways about equally often; the same images turn otherwise in another step.
    floats = pixels.astype(np.float32) * np.float32(2 / 255) - 1
    turned = []
    for images, _ in seen["d"]:
        for image, plain in zip(images, floats):
            is_turned = np.allclose(image, plain[:, ::-1], atol=1e-6)
            assert is_turned or np.allclose(image, plain, atol=1e-6)
            turned.append(is_turned)
    assert 16 < sum(turned) < 48
    numbers = [*(one.reshape(4, 1, 7) for one in seen["g"]), *(both for _, both in seen["d"])]
    numbers = np.concatenate([one.reshape(-1, 7) for one in numbers])
    assert numbers.shape == (8 * (4 + 2 * 8), 7)
    assert len(np.unique(numbers)) > 0.999 * numbers.size


def test_metrics_are_named_in_the_order_in_which_they_come_to_be():
    """What is not finite first is named: a classifier's loss before the sum that has it."""
    expected = ["g_loss", "g_gradient_norm", "logit_fake", "logit_real"]
    expected += ["d_loss_fake", "d_loss_real", "d_loss", "d_gradient_norm"]
    assert list(training_steps.metric_names(PLAIN_MODEL)) == expected
    classifier = dataclasses.replace(PLAIN_MODEL, conditioning="auxiliary_classifier")
    names = training_steps.metric_names(classifier)
    assert len(names) == len(expected) + 5
    for first, second in (
        ("g_class_loss", "g_loss"),
        ("logit_real", "d_class_loss_fake"),
        ("d_class_loss_real", "d_loss"),
    ):
        assert names.index(first) < names.index(second)
