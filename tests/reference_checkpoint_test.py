import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors, model, reference_checkpoint
from tests.testing import TINY_MODEL

TRAIN = config.TrainConfig(batch_size=2, num_towers=1)


def make_gan(seed=0, steps=0):
    gan = model.SAGAN(TINY_MODEL, TRAIN)
    random = np.random.default_rng(seed)
    for _ in range(steps):
        z = random.normal(size=(2, 8)).astype(np.float32)
        gan.g_step(z, [0, 1])
        gan.d_step(random.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32), [0, 1], z, [0, 1])
        gan.step.assign_add(1)
    return gan


@pytest.fixture(name="trained", scope="module")
def fixture_trained():
    """A model after two steps; no test changes it."""
    return make_gan(seed=3, steps=2)


@pytest.fixture(name="other", scope="module")
def fixture_other():
    """A model that some tests assign to."""
    return make_gan()


def saver_graph(arrays):
    """A TensorFlow 1 graph with variables of these names, and its Saver."""
    graph = tf.Graph()
    with graph.as_default():
        variables = [
            tf.compat.v1.Variable(value, name=name, use_resource=False)
            for name, value in arrays.items()
        ]
        saver = tf.compat.v1.train.Saver(variables)
    return graph, variables, saver


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_names_are_the_references(golden_run):
    settings, numbers = golden_run
    gan = model.SAGAN(
        config.ModelConfig(
            gf_dim=4,
            df_dim=4,
            number_classes=5,
            generator_type=settings["generator_type"],
            discriminator_type=settings["discriminator_type"],
        ),
        TRAIN,
    )
    shapes = {name: value.shape for name, value in reference_checkpoint.variables(gan).items()}
    assert shapes == {k[5:]: v.shape for k, v in numbers.items() if k.startswith("init/")}


@pytest.mark.slow
def test_optimizer_names_are_those_tensorflow_1_makes(trained):
    gan = trained
    trainable = {"d": {}, "g": {}}
    for network, group in ((gan.generator, "g"), (gan.discriminator, "d")):
        for v in network.trainable_variables:
            trainable[group]["model/" + v.path.split("/", 1)[1]] = v.numpy()
    with tf.Graph().as_default():
        v1 = tf.compat.v1
        for group in ("d", "g"):  # the order of reference model.py:173-187
            variables = [v1.Variable(value, name=name) for name, value in trainable[group].items()]
            gradients = [(tf.zeros(v.shape), v) for v in variables]
            step = v1.get_variable(f"{group}_step", initializer=0, trainable=False)
            v1.train.AdamOptimizer(1e-4, beta1=0.0).apply_gradients(gradients, global_step=step)
        v1.train.create_global_step()
        names = {v.op.name: (tuple(v.shape), v.dtype.base_dtype) for v in v1.global_variables()}
    ours = reference_checkpoint.variables(gan, optimizer=True)
    state = {"/u", "/mean", "/var", "/moving_mean", "/moving_variance"}
    assert names == {
        name: (value.shape, tf.as_dtype(value.dtype))
        for name, value in ours.items()
        if not name.endswith(tuple(state))
    }


@pytest.mark.slow
def test_written_checkpoint_is_restored_by_tensorflow_1(trained, tmp_path):
    gan = trained
    arrays = reference_checkpoint.variables(gan, optimizer=True)
    path = str(tmp_path / "model.ckpt-2")
    reference_checkpoint.write(gan, path)
    graph, variables, saver = saver_graph({k: np.zeros_like(v) for k, v in arrays.items()})
    with tf.compat.v1.Session(graph=graph) as session:
        saver.restore(session, path)
        restored = {v.op.name: value for v, value in zip(variables, session.run(variables))}
    assert_same(restored, arrays)
    assert restored["global_step"] == 2
    assert restored["g_step"] == restored["d_step"] == 2
    assert restored["beta2_power"] == pytest.approx(0.999**3)


@pytest.mark.slow
def test_checkpoint_that_tensorflow_1_saved_is_read(trained, other, tmp_path):
    arrays = reference_checkpoint.variables(trained, optimizer=True)
    path = str(tmp_path / "model.ckpt")
    graph, variables, saver = saver_graph(arrays)
    with tf.compat.v1.Session(graph=graph) as session:
        session.run(tf.compat.v1.variables_initializer(variables))
        saver.save(session, path)
    reference_checkpoint.read(other, path)
    assert_same(reference_checkpoint.variables(other, optimizer=True), arrays)


def test_weights_alone_can_be_assigned(trained):
    target = make_gan()
    reference_checkpoint.assign(target, reference_checkpoint.variables(trained))
    assert_same(reference_checkpoint.variables(target), reference_checkpoint.variables(trained))
    assert target.g_optimizer.iterations.numpy() == 0


def test_all_faults_are_listed_and_nothing_is_assigned(other):
    gan = other
    before = reference_checkpoint.variables(gan)
    values = {name: value + 1 for name, value in before.items()}
    del values["model/g_bn/beta"], values["model/d_sn_linear/u"]
    values["model/extra"] = np.zeros(2)
    values["model/g_snh0/bias"] = np.zeros(3)
    with pytest.raises(errors.UserError) as error:
        reference_checkpoint.assign(gan, values)
    for part in (
        "missing model/g_bn/beta",
        "missing model/d_sn_linear/u",
        "unexpected model/extra",
        "model/g_snh0/bias has shape (3,) there, (512,) here",
    ):
        assert part in str(error.value)
    assert_same(reference_checkpoint.variables(gan), before)


def test_half_an_optimizer_is_refused(trained, other):
    values = reference_checkpoint.variables(trained, optimizer=True)
    del values["model/g_bn/beta/Adam_1"]
    with pytest.raises(errors.UserError, match="missing model/g_bn/beta/Adam_1"):
        reference_checkpoint.assign(other, values)


def test_missing_file_is_named(other, tmp_path):
    with pytest.raises(errors.UserError, match="absent: expected a TensorFlow 1 checkpoint"):
        reference_checkpoint.read(other, str(tmp_path / "absent"))
