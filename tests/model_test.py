import collections
import contextlib
import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, model, reference_checkpoint
from sagan_tf.config import optimization_names
from sagan_tf.gan import execution, losses, optimizers
from sagan_tf.runs import checkpoints, directory, restore
from sagan_tf.runtime import distribution
from sagan_tf.training import previews
from tests import processes
from tests.testing import PLAIN_MODEL, TINY_MODEL, relative_error


def fields_of(kind, settings):
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in settings.items() if name in names}


def make(settings, **train):
    return model.SAGAN(
        config.ModelConfig(**fields_of(config.ModelConfig, settings)),
        config.TrainConfig(**{"num_towers": 1, **fields_of(config.TrainConfig, settings), **train}),
    )


def initial(numbers):
    return {k[len("init/") :]: v for k, v in numbers.items() if k.startswith("init/")}


def pixels(images):
    return images.astype(np.float32) * np.float32(2 / 255) - 1


# All of them, at all sizes.
EVERYTHING = ",".join(
    f"{name}:0" if name in optimization_names.SIZED else name for name in config.OPTIMIZATIONS
)


@pytest.fixture(
    name="loaded", params=["none", EVERYTHING], ids=["as it reads", "all optimizations"]
)
def fixture_loaded(golden_run, request):
    """A model with the reference's initial weights, and the reference's numbers."""
    settings, numbers = golden_run
    gan = make(settings, optimizations=request.param)
    reference_checkpoint.assign(gan, initial(numbers))
    return gan, numbers


@pytest.mark.slow
def test_forwards_match_the_reference(loaded):
    gan, numbers = loaded
    z, labels = numbers["in/g0/z"], numbers["in/g0/fake_labels"]
    logits = gan.discriminator(
        pixels(numbers["in/g0/images"]), numbers["in/g0/labels"], update_sn=False
    )
    assert relative_error(logits, numbers["out/d_real"]) < 1e-5
    assert relative_error(gan.generator(z, labels, training=False), numbers["out/g_eval"]) < 1e-5
    assert relative_error(gan.generator(z, labels, training=True), numbers["out/g_train"]) < 1e-5


@pytest.mark.process
@pytest.mark.slow
def test_forwards_match_with_the_kernels_that_the_commands_take():
    """oneDNN's, which only a new process can have."""
    code, out, _ = processes.run(
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "test_forwards_match_the_reference",
        env=processes.environment(TF_ENABLE_ONEDNN_OPTS="1", PYTEST_ADDOPTS=""),
    )
    assert code == 0, out
    assert "4 passed" in out


@pytest.mark.slow
def test_three_iterations_match_the_reference(loaded):
    gan, numbers = loaded
    learning_rate = gan.train_config.generator_learning_rate
    for k in range(3):
        g = gan.g_step(numbers[f"in/g{k}/z"], numbers[f"in/g{k}/fake_labels"])
        if k == 0:
            check_after_first_g_step(reference_checkpoint.variables(gan), numbers, learning_rate)
        d = gan.d_step(
            pixels(numbers[f"in/d{k}/images"]),
            numbers[f"in/d{k}/labels"],
            numbers[f"in/d{k}/z"],
            numbers[f"in/d{k}/fake_labels"],
        )
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
        difference = np.abs(variables[key[len("out/after_g0/") :]] - numbers[key])
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


@pytest.fixture(name="tiny_gan", scope="module")
def fixture_tiny_gan():
    """A model, and the values that each test finds in it."""
    gan = model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1))
    gan.generator.non_local.sigma_ratio.assign(1.0)
    return gan, {name: v.numpy() for name, v in gan.state().items()}


@pytest.fixture(name="tiny")
def fixture_tiny(tiny_gan):
    gan, values = tiny_gan
    for name, variable in gan.state().items():
        variable.assign(values[name])
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


def iterations(strategy=None, model_config=TINY_MODEL, count=2, **settings):
    """A model after two iterations on 8 images, from weights that do not depend on the devices;
    losses and gradient norms of both, and the variables after the first."""
    train = config.TrainConfig(**{"batch_size": 2, "num_towers": 4, **settings})
    with strategy.scope() if strategy else contextlib.nullcontext():
        gan = model.SAGAN(model_config, train)

    # Weights of one seed.
    random = np.random.default_rng(1)
    weights = {}
    for name, value in reference_checkpoint.variables(gan).items():
        weight = random.normal(0, 0.3, value.shape).astype(np.float32)
        positive = name.endswith(("var", "variance", "gamma"))
        weights[name] = np.abs(weight) + 0.5 if positive else weight
    reference_checkpoint.assign(gan, weights)

    losses, after_first = [], None
    for _ in range(count):
        z = random.normal(size=(8, 8)).astype(np.float32)
        labels = random.integers(0, 3, 8).astype(np.int32)
        images = random.uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
        numbers = [None, None]
        if gan.augmentation is not None:
            uniform = random.uniform(0.01, 0.99, (8, 3, gan.augmentation.numbers))
            numbers = [uniform[:, 0], uniform[:, 1:]]
        metrics = {
            **gan.g_step(z, labels, numbers[0]),
            **gan.d_step(images, labels, z[::-1].copy(), labels, numbers[1]),
        }
        losses.append([float(metrics[name]) for name in sorted(metrics)])
        after_first = after_first or reference_checkpoint.variables(gan, optimizer=True)
    return gan, losses, after_first


@functools.cache
def one_device(**settings):
    """`iterations` without a strategy: the losses of both, the variables after each."""
    gan, losses, first = iterations(**settings)
    return losses, first, reference_checkpoint.variables(gan)


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 4])
def test_several_devices_walk_as_one(replicas):
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=replicas))
    gan, losses, first = iterations(strategy)
    expected_losses, expected_first, expected_second = one_device()
    second = reference_checkpoint.variables(gan)
    np.testing.assert_allclose(losses[0], expected_losses[0], rtol=1e-5)
    np.testing.assert_allclose(losses[1], expected_losses[1], rtol=2e-3)
    # With beta1 = 0 Adam's first moment is the gradient itself.
    gradients = [name for name in expected_first if name.endswith("/Adam")]
    assert len(gradients) > 60
    for name in gradients:
        scale = np.abs(expected_first[name]).max()
        np.testing.assert_allclose(
            first[name], expected_first[name], atol=2e-4 * scale + 1e-6, err_msg=name
        )
    for name, value in expected_second.items():
        if name.endswith(("/u", "/mean", "/var", "moving_mean", "moving_variance")):
            np.testing.assert_allclose(second[name], value, rtol=2e-3, atol=2e-4, err_msg=name)


def assert_same_walk(walk, **settings):
    """Losses and gradient norms of both iterations, then u and the moving statistics, are those of
    one device with the same settings."""
    losses, _, variables = one_device(**settings)
    assert len(walk[1]) == len(losses)
    np.testing.assert_allclose(walk[1][0], losses[0], rtol=1e-5)
    np.testing.assert_allclose(walk[1][1], losses[1], rtol=2e-3)
    found = reference_checkpoint.variables(walk[0])
    for name, value in variables.items():
        if name.endswith(("/u", "/mean", "/var", "moving_mean", "moving_variance")):
            np.testing.assert_allclose(found[name], value, rtol=2e-3, atol=2e-4, err_msg=name)


@pytest.mark.slow
def test_parts_one_after_the_other_are_the_same():
    assert_same_walk(iterations(model_config=PLAIN_MODEL, accumulate=4), model_config=PLAIN_MODEL)


@pytest.mark.slow
def test_parts_on_each_of_two_devices_are_the_same():
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=2))
    walk = iterations(strategy, PLAIN_MODEL, accumulate=2)
    assert_same_walk(walk, model_config=PLAIN_MODEL)


@pytest.mark.slow
def test_batch_norm_across_devices_is_batch_norm_on_one():
    """Groups of 4 images span two of the four devices."""
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=4))
    walk = iterations(strategy, PLAIN_MODEL, bn_group=4)
    assert_same_walk(walk, model_config=PLAIN_MODEL, bn_group=4)


@pytest.mark.slow
def test_batch_norm_group_matters():
    losses = [
        one_device(model_config=PLAIN_MODEL, **settings)[0][0]
        for settings in ({}, {"bn_group": 4}, {"bn_group": 8, "count": 1})
    ]
    assert not np.allclose(losses[0], losses[1], rtol=1e-3)
    assert not np.allclose(losses[1], losses[2], rtol=1e-3)


@pytest.mark.slow
def test_last_iterations_move_the_weights_less(tiny):
    """With beta1 0, Adam's first step moves a weight by its rate: 3 of 4 parts, then nothing."""
    settings = {"batch_size": 4, "num_towers": 1, "decay_steps": 4, "max_steps": 10}
    gan = model.SAGAN(TINY_MODEL, config.TrainConfig(**settings))
    _, z, labels, images = tiny
    weights = [gan.generator.trainable_variables[0], gan.discriminator.trainable_variables[0]]
    before = [v.numpy() for v in weights]
    gan.step.assign(7)
    gan.g_step(z, labels)
    gan.d_step(images, labels, z, labels)
    moved = [np.abs(v.numpy() - old).max() for v, old in zip(weights, before)]
    np.testing.assert_allclose(moved, [0.75 * 1e-4, 0.75 * 4e-4], rtol=1e-2)

    before = [v.numpy() for v in weights]
    gan.step.assign(10)
    gan.g_step(z, labels)
    gan.d_step(images, labels, z, labels)
    for v, old in zip(weights, before):
        np.testing.assert_array_equal(v, old)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_average_of_the_generator(devices):
    """By hand: a copy before step 2, then 0.9 of itself and 0.1 of the generator."""
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=devices))
    with strategy.scope():
        gan = model.SAGAN(
            PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2, ema_decay=0.9, ema_start=2)
        )
    expected = {v.path: v.numpy().astype(np.float64) for v in gan.generator.weights}
    random = np.random.default_rng(0)
    for step in range(4):
        for v in gan.generator.weights:
            v.assign(random.normal(size=v.shape))
        gan.step.assign(step)
        strategy.run(gan.update_average)
        decay = 0.0 if step < 2 else 0.9
        expected = {
            v.path: decay * expected[v.path] + (1 - decay) * v.numpy()
            for v in gan.generator.weights
        }
    averages = {v.path: v for v in gan.averaged.weights}
    for path, value in expected.items():
        for copy in strategy.experimental_local_results(averages[path].value):
            np.testing.assert_allclose(copy.numpy(), value, atol=1e-6, err_msg=path)
    assert {model.AVERAGE + path for path in expected} <= set(gan.state())


@pytest.mark.slow
def test_samples_of_the_average_are_those_of_its_weights(tiny):
    gan = model.SAGAN(
        TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1, ema_decay=0.5, use_ema=True)
    )
    _, z, labels, _ = tiny
    np.testing.assert_array_equal(gan.sample(z, labels, use_ema=True), gan.sample(z, labels))
    for v in gan.generator.weights:
        v.assign(v + 0.1)
    before = gan.sample(z, labels, use_ema=True)
    assert not np.allclose(before, gan.sample(z, labels), atol=1e-3)
    assert not np.allclose(previews.class_samples(gan, rows=2, columns=2)[0, 0], 0)
    gan.begin_average()
    np.testing.assert_array_equal(gan.sample(z, labels, use_ema=True), gan.sample(z, labels))


def test_gradient_norm_is_that_of_what_adam_took(tiny):
    """With beta1 = 0, Adam's first moment is the gradient."""
    gan, z, labels, images = tiny
    norms = {
        "g": gan.g_step(z, labels)["g_gradient_norm"],
        "d": gan.d_step(images, labels, z, labels)["d_gradient_norm"],
    }
    for network, norm in norms.items():
        moments = [
            v.numpy()
            for name, v in gan.state().items()
            if name.startswith(f"{network}_optimizer/m/")
        ]
        assert float(norm) == pytest.approx(np.sqrt(sum((m**2).sum() for m in moments)), rel=1e-5)


@pytest.mark.slow
def test_bfloat16_keeps_variables_and_results_in_float32(tiny):
    _, z, labels, images = tiny
    gan = model.SAGAN(
        TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1, mixed_precision="bfloat16")
    )
    assert {v.dtype for v in gan.state().values()} == {tf.float32, tf.int64}
    assert gan.generator.blocks[0].snconv1.compute_dtype == "bfloat16"
    assert gan.discriminator.sn_linear.compute_dtype == "float32"
    exact = model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1))
    reference_checkpoint.assign(exact, reference_checkpoint.variables(gan))
    fake, expected = (one.generator(z, labels, training=True) for one in (gan, exact))
    assert fake.dtype == tf.float32
    assert 1e-5 < relative_error(fake, expected) < 0.03
    logits, expected = (one.discriminator(images, labels) for one in (gan, exact))
    assert logits.dtype == tf.float32
    assert 1e-6 < relative_error(logits, expected) < 0.03
    assert np.isfinite(float(gan.d_step(images, labels, z, labels)["d_loss"]))


@pytest.mark.slow
def test_steps_run_inside_strategy_run():
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=2))
    with strategy.scope():
        gan = model.SAGAN(PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2))

    metrics = strategy.run(gan.g_step, args=(tf.ones([2, 8]), tf.constant([0, 1])))
    assert len(strategy.experimental_local_results(metrics["g_loss"])) == 2
    assert gan.g_optimizer.iterations.numpy() == 1


@pytest.mark.slow
def test_sample_does_not_depend_on_the_batch_size(tiny):
    gan, *_ = tiny
    z, labels = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32), [0, 1, 2, 0, 1]
    np.testing.assert_allclose(
        gan.sample(z, labels, batch_size=2), gan.sample(z, labels, batch_size=5), atol=1e-5
    )


@pytest.mark.slow
def test_compiled_parts_walk_as_uncompiled_ones_and_are_traced_once(monkeypatch):
    """On two devices, two parts of the batch on each, twice.

    A part computes its loss once a trace, or, were it not compiled, once a call.
    """
    traces = []

    def counted(function, name):
        return lambda *args: (traces.append(name), function(*args))[1]

    monkeypatch.setattr(losses, "generator_loss", counted(losses.generator_loss, "g"))
    monkeypatch.setattr(losses, "hinge_real", counted(losses.hinge_real, "d"))
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=2))
    walk = iterations(strategy, PLAIN_MODEL, jit_compile=True, accumulate=2)
    assert collections.Counter(traces) == {"g": 2, "d": 2}  # One for each device.
    assert_same_walk(walk, model_config=PLAIN_MODEL)


@pytest.mark.slow
def test_float16_is_near_float32_and_scales_its_losses(monkeypatch):
    monkeypatch.setattr(optimizers.LossScale, "initial", 16.0)  # These gradients are large.
    gan, found, _ = iterations(mixed_precision="float16")
    expected, *_ = one_device()
    np.testing.assert_allclose(found[0], expected[0], rtol=0.05, atol=0.01)
    assert {name: float(v) for name, v in gan.state().items() if "scale" in name} == {
        "loss_scale/g": 16,
        "loss_scale/d": 16,
        "loss_scale/g_good_steps": 2,
        "loss_scale/d_good_steps": 2,
    }


@pytest.mark.slow
def test_two_passes_through_d_give_what_one_gives():
    assert_same_walk(iterations(optimizations="none"))


CLASSIFIER = dataclasses.replace(PLAIN_MODEL, conditioning="auxiliary_classifier")


@pytest.mark.slow
def test_auxiliary_classifier_in_parts_on_two_devices_walks_as_one_device():
    """Compiled, in two passes of D. Five metrics are of classes, two are norms, six the others."""
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=2))
    settings = {"jit_compile": True, "accumulate": 2, "optimizations": "none"}
    walk = iterations(strategy, CLASSIFIER, **settings)
    assert len(walk[1][0]) == 13
    assert_same_walk(walk, model_config=CLASSIFIER)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_auxiliary_classifier_in_half_precision_is_near_float32(monkeypatch, precision):
    monkeypatch.setattr(optimizers.LossScale, "initial", 16.0)
    _, found, first = iterations(model_config=CLASSIFIER, mixed_precision=precision, count=1)
    _, expected, _ = iterations(model_config=CLASSIFIER, count=1)
    norms = [4, 9]  # Gradients of these weights are coarse in bfloat16.
    losses = [np.delete(walk[0], norms) for walk in (found, expected)]
    np.testing.assert_allclose(*losses, rtol=0.05, atol=0.05)
    assert np.abs(first["model/d_sn_classifier/bias/Adam"]).max() > 0.01


AUGMENTED = {
    "diffaugment": {"augment": "diffaugment"},
    "ada": {"augment": "ada", "ada_start": 0.5, "ada_kimg": 0.1},
}


@pytest.mark.slow
@pytest.mark.parametrize("method", AUGMENTED)
def test_augmented_parts_on_two_devices_walk_as_one_device(method):
    """Two parts on each of two devices, and D's two passes one after the other."""
    settings = AUGMENTED[method]
    strategy = distribution.make_strategy(config.TrainConfig(num_devices=2))
    walk = iterations(strategy, PLAIN_MODEL, accumulate=2, optimizations="none", **settings)
    assert_same_walk(walk, model_config=PLAIN_MODEL, **settings)
    plain, *_ = one_device(model_config=PLAIN_MODEL)
    assert not np.isclose(walk[1][0][: len(plain[0])], plain[0], rtol=1e-3).any()


def test_losses_are_those_of_augmented_images(monkeypatch):
    """Of D(T(G(z))) with the numbers given; sign_real by hand, and p after four steps of D."""
    settings = {"augment": "ada", "ada_start": 0.5, "ada_kimg": 0.1, "batch_size": 4}
    gan = model.SAGAN(PLAIN_MODEL, config.TrainConfig(num_towers=1, **settings))
    random = np.random.default_rng(0)
    z, labels = random.normal(size=(4, 8)).astype(np.float32), np.array([0, 1, 2, 0])
    images = random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    numbers = random.uniform(size=(4, 2, gan.augmentation.numbers)).astype(np.float32)
    with pytest.raises(ValueError, match="needs numbers"):
        gan.g_step(z, labels)

    fake = gan.augmentation(gan.generator(z, labels, training=True, update_sn=False), numbers[:, 0])
    expected = -gan.discriminator(fake, labels).numpy().mean()
    assert float(gan.g_step(z, labels, numbers[:, 0])["g_loss"]) == pytest.approx(expected, 1e-4)

    real = gan.augmentation(images, numbers[:, 0])
    logits = gan.discriminator(real, labels).numpy()
    found = gan.d_step(images, labels, z, labels, numbers)
    assert float(found["d_loss_real"]) == pytest.approx(np.maximum(1 - logits, 0).mean(), 1e-4)
    assert float(found["sign_real"]) == np.sign(logits).mean()
    monkeypatch.setattr(gan, "_run_d_part", lambda *_: found_part(gan))
    for _ in range(3):
        gan.d_step(images, labels, z, labels, numbers)
    up = (float(found["sign_real"]) + 3) / 4 > 0.6
    assert gan.adaptive.row()["ada/p"] == pytest.approx(0.5 + (0.16 if up else -0.16))


def found_part(gan):
    """What a step of D finds that has judged all real images to be real."""
    weights = gan.discriminator.trainable_variables
    metrics = {"sign_real": tf.constant(1.0)}
    gradients = [tf.zeros(weight.shape) for weight in weights]
    values = [tf.convert_to_tensor(state.variable) for state in gan._d_states]
    return execution.Outcome(metrics, gradients, values)


@pytest.mark.slow
@pytest.mark.parametrize("option", [{"relu_shortcut": True}, {"spectral_norm": "at_most_one"}])
def test_options_of_the_networks_go_on_exactly_after_a_restart(tmp_path, option):
    """A step, a checkpoint, a step; the option comes back from config.json, and it matters."""
    settings = {"batch_size": 4, "num_towers": 1}
    random = np.random.default_rng(0)
    z, labels = random.normal(size=(4, 8)).astype(np.float32), np.array([0, 1, 2, 0])
    images = random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)

    def step_of(gan):
        losses = [gan.g_step(z, labels)["g_loss"], gan.d_step(images, labels, z, labels)["d_loss"]]
        return np.array(losses), {name: v.numpy() for name, v in gan.state().items()}

    def restored(model_config):
        gan = model.SAGAN(model_config, config.TrainConfig(**settings))
        assert checkpoints.Checkpoints(str(tmp_path), gan.state()).restore() == 1
        return gan

    # Some weights have norms below 1.
    first = model.SAGAN(dataclasses.replace(PLAIN_MODEL, **option), config.TrainConfig(**settings))
    for layer in first.discriminator.spectral_norm_layers()[::2]:
        layer.weight.assign(layer.weight / 3)
    step_of(first)
    checkpoints.Checkpoints(str(tmp_path), first.state()).save(1)
    directory.write_config(str(tmp_path), model=first.model_config)
    losses, state = step_of(first)

    # The same model goes on; the default would go elsewhere.
    found, found_state = step_of(restored(restore.read_model_config(str(tmp_path))))
    np.testing.assert_array_equal(found, losses)
    assert found_state.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(found_state[name], value, err_msg=name)
    assert not np.isclose(step_of(restored(PLAIN_MODEL))[0], losses, rtol=1e-3).all()
