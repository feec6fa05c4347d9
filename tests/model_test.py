import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, distribution, model, reference_checkpoint
from tests.testing import TINY_MODEL, relative_error


def fields_of(kind, settings):
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in settings.items() if name in names}


def make(settings, **train):
    return model.SAGAN(config.ModelConfig(**fields_of(config.ModelConfig, settings)),
                       config.TrainConfig(**{"num_towers": 1,
                                             **fields_of(config.TrainConfig, settings), **train}))


def initial(numbers):
    return {k[len("init/"):]: v for k, v in numbers.items() if k.startswith("init/")}


def pixels(images):
    return images.astype(np.float32) * np.float32(2 / 255) - 1


@pytest.fixture(name="loaded")
def fixture_loaded(golden_run):
    """A model with the reference's initial weights, and the reference's numbers."""
    settings, numbers = golden_run
    gan = make(settings)
    reference_checkpoint.assign(gan, initial(numbers))
    return gan, numbers


def test_forwards_match_the_reference(loaded):
    gan, numbers = loaded
    z, labels = numbers["in/g0/z"], numbers["in/g0/fake_labels"]
    logits = gan.discriminator(pixels(numbers["in/g0/images"]), numbers["in/g0/labels"],
                               update_sn=False)
    assert relative_error(logits, numbers["out/d_real"]) < 1e-5
    assert relative_error(gan.generator(z, labels, training=False), numbers["out/g_eval"]) < 1e-5
    assert relative_error(gan.generator(z, labels, training=True), numbers["out/g_train"]) < 1e-5


def test_three_iterations_match_the_reference(loaded):
    gan, numbers = loaded
    learning_rate = gan.train_config.generator_learning_rate
    for k in range(3):
        g = gan.g_step(numbers[f"in/g{k}/z"], numbers[f"in/g{k}/fake_labels"])
        if k == 0:
            check_after_first_g_step(reference_checkpoint.variables(gan), numbers, learning_rate)
        d = gan.d_step(pixels(numbers[f"in/d{k}/images"]), numbers[f"in/d{k}/labels"],
                       numbers[f"in/d{k}/z"], numbers[f"in/d{k}/fake_labels"])
        losses = [g["g_loss"], d["d_loss"], d["d_loss_real"], d["d_loss_fake"]]
        np.testing.assert_allclose(losses, numbers[f"out/loss/{k}"], rtol=1e-5 if k == 0 else 1e-3)
    final = reference_checkpoint.variables(gan)
    for name, value in final.items():
        assert relative_error(value, numbers[f"out/final/{name}"]) < 5e-3, name


def check_after_first_g_step(variables, numbers, learning_rate):
    """Adam's first step is about lr * sign(gradient): where a gradient is nearly 0 its sign, and
    so up to 2 lr, is rounding; that may be so in a few single weights only."""
    compared = off = 0
    for key in [k for k in numbers if k.startswith("out/after_g0/")]:
        difference = np.abs(variables[key[len("out/after_g0/"):]] - numbers[key])
        assert difference.max() <= 2.01 * learning_rate, key
        compared += difference.size
        off += (difference > 1e-5).sum()
    assert compared > 3000
    assert off < 0.005 * compared


def state_after(gan, step, *inputs):
    before = reference_checkpoint.variables(gan)
    getattr(gan, step)(*inputs)
    after = reference_checkpoint.variables(gan)
    return {name for name in after if not np.array_equal(before[name], after[name])}


@pytest.fixture(name="tiny")
def fixture_tiny():
    gan = model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1))
    gan.generator.non_local.sigma_ratio.assign(1.0)
    random = np.random.default_rng(0)
    z, labels = random.normal(size=(4, 8)).astype(np.float32), np.array([0, 1, 2, 0])
    images = random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    return gan, z, labels, images


def ending(names, *suffixes):
    return {name for name in names if name.endswith(suffixes)}


def test_g_step_moves_g_and_nothing_of_d(tiny):
    gan, z, labels, _ = tiny
    changed = state_after(gan, "g_step", z, labels)
    everything = set(reference_checkpoint.variables(gan))
    assert all(name.startswith("model/g_") for name in changed)
    state = {name for name in everything if name.startswith("model/g_")}
    statistics = ("/mean", "/var", "/moving_mean", "/moving_variance")
    assert ending(changed, *statistics) == ending(state, *statistics)
    assert len(ending(changed, "/w", "/Matrix")) > 8


def test_d_step_moves_d_and_the_state_of_g(tiny):
    gan, z, labels, images = tiny
    changed = state_after(gan, "d_step", images, labels, z, labels)
    of_g = {name for name in changed if name.startswith("model/g_")}
    assert of_g == ending(of_g, "/u", "/mean", "/var", "/moving_mean", "/moving_variance")
    everything = set(reference_checkpoint.variables(gan))
    statistics = ("/mean", "/var", "/moving_mean", "/moving_variance")
    assert ending(of_g, *statistics) == ending(everything, *statistics)
    assert len(ending(changed - of_g, "/u")) > 8
    assert len(ending(changed - of_g, "/w", "/Matrix")) > 8


def test_fake_pass_leaves_u_unchanged(tiny):
    """D's u after a step depends on the weights and the old u, not on how often D ran."""
    gan, z, labels, images = tiny
    before = reference_checkpoint.variables(gan)
    gan.d_step(images, labels, z, labels)
    after = reference_checkpoint.variables(gan)
    name = "model/d_block2/sn_conv1"
    matrix = before[f"{name}/w"].reshape(-1, before[f"{name}/w"].shape[-1])
    v = before[f"{name}/u"] @ matrix.T
    u = (v / np.linalg.norm(v)) @ matrix
    np.testing.assert_allclose(after[f"{name}/u"], u / np.linalg.norm(u), rtol=1e-4, atol=1e-6)


def test_adam_follows_the_formula():
    """lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t); w -= lr_t m / (sqrt(v) + 1e-8)."""
    gan = model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=4, beta1=0.5, beta2=0.9,
                                                     generator_learning_rate=0.1))
    variable = gan.generator.snconv_last.bias
    others = [tf.zeros(v.shape) for v in gan.generator.trainable_variables]
    index = [v is variable for v in gan.generator.trainable_variables].index(True)
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(([1.0, -2.0, 1e-9], [0.5, 3.0, 1e-9]), start=1):
        others[index] = tf.constant(gradient)
        gan.g_optimizer.apply(others, gan.generator.trainable_variables)
        m = 0.5 * m + 0.5 * np.array(gradient)
        v = 0.9 * v + 0.1 * np.array(gradient) ** 2
        w -= 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.5**t) * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(variable, w, rtol=1e-4)


def run_two_iterations(strategy=None, num_towers=4):
    """Losses of two iterations of 4 towers of 2 images, and the variables after each."""
    train = config.TrainConfig(batch_size=2, num_towers=num_towers)
    if strategy is None:
        gan = model.SAGAN(TINY_MODEL, train)
    else:
        with strategy.scope():
            gan = model.SAGAN(TINY_MODEL, train)
    random = np.random.default_rng(1)
    values = {name: random.normal(0, 0.3, value.shape).astype(np.float32)
              for name, value in reference_checkpoint.variables(gan).items()}
    values = {n: np.abs(v) + 0.5 if n.endswith(("var", "variance", "gamma")) else v
              for n, v in values.items()}
    reference_checkpoint.assign(gan, values)
    losses, after_first = [], None
    for _ in range(2):
        z = random.normal(size=(8, 8)).astype(np.float32)
        labels = random.integers(0, 3, 8).astype(np.int32)
        images = random.uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
        g = gan.g_step(z, labels)
        d = gan.d_step(images, labels, z[::-1].copy(), labels)
        losses.append([float(g["g_loss"]), *(float(d[n]) for n in sorted(d))])
        if after_first is None:
            after_first = reference_checkpoint.variables(gan, optimizer=True)
    return np.array(losses), after_first, reference_checkpoint.variables(gan)


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_several_devices_walk_as_one(replicas):
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=replicas))
    losses, first, second = run_two_iterations(strategy)
    expected_losses, expected_first, expected_second = run_two_iterations()
    np.testing.assert_allclose(losses[0], expected_losses[0], rtol=1e-5)
    np.testing.assert_allclose(losses[1], expected_losses[1], rtol=2e-3)
    # With beta1 = 0 Adam's first moment is the gradient itself.
    gradients = [name for name in expected_first if name.endswith("/Adam")]
    assert len(gradients) > 60
    for name in gradients:
        scale = np.abs(expected_first[name]).max()
        np.testing.assert_allclose(first[name], expected_first[name], atol=2e-4 * scale + 1e-6,
                                   err_msg=name)
    for name, value in expected_second.items():
        if name.endswith(("/u", "/mean", "/var", "moving_mean", "moving_variance")):
            np.testing.assert_allclose(second[name], value, rtol=2e-3, atol=2e-4, err_msg=name)


def test_steps_run_inside_strategy_run():
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=2))
    with strategy.scope():
        gan = model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=2, num_towers=2))

    @tf.function
    def step(z, labels):
        return strategy.run(gan.g_step, args=(z, labels))

    metrics = step(tf.ones([2, 8]), tf.constant([0, 1]))
    assert len(strategy.experimental_local_results(metrics["g_loss"])) == 2
    assert gan.g_optimizer.iterations.numpy() == 1


def test_step_compiles_under_xla(tiny):
    gan, z, labels, images = tiny
    values = reference_checkpoint.variables(gan, optimizer=True)
    plain = gan.d_step(images, labels, z, labels)
    reference_checkpoint.assign(gan, values)
    compiled = tf.function(gan.d_step, jit_compile=True)(images, labels, z, labels)
    np.testing.assert_allclose(compiled["d_loss"], plain["d_loss"], rtol=1e-4)


def test_sample_does_not_depend_on_the_batch_size(tiny):
    gan, *_ = tiny
    z, labels = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32), [0, 1, 2, 0, 1]
    np.testing.assert_allclose(gan.sample(z, labels, 2), gan.sample(z, labels, 5), atol=1e-5)


def test_class_grid_has_one_class_a_row(tiny):
    assert tiny[0].class_grid(columns=4).shape == (3 * 32, 4 * 32, 3)
