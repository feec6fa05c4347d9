"""A run is opened with the weights of a checkpoint; `tiny_run` has one, of step 5."""

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors, model
from sagan_tf.runs import checkpoints, directory, restore
from tests import processes
from tests.testing import TINY_MODEL


def values(run_dir, beginning):
    """Name -> value of a part of the checkpoint, read by TensorFlow alone."""
    stored = processes.state(run_dir, 5)
    names = {name: name.split("/")[1].replace(".S", "/") for name in stored}
    return {names[key]: value for key, value in stored.items() if names[key].startswith(beginning)}


def test_settings_of_the_model_are_read(tiny_run):
    assert restore.read_model_config(tiny_run) == TINY_MODEL


def test_directory_without_a_run_is_one_line_with_a_hint(tmp_path):
    with pytest.raises(
        errors.UserError,
        match=rf"^{tmp_path}: no run there \(config.json is missing\); train first$",
    ):
        restore.read_model_config(str(tmp_path), hint="; train first")
    with pytest.raises(errors.UserError, match="no run there"):
        restore.open_generator(str(tmp_path))


@pytest.mark.parametrize(("use_ema", "prefix"), [(False, ""), (True, "ema/")])
def test_generator_has_the_weights_of_the_checkpoint(tiny_run, use_ema, prefix):
    opened = restore.open_generator(tiny_run, use_ema=use_ema)
    assert opened.step == 5
    assert opened.sha256 == checkpoints.Checkpoints(tiny_run, {}).sha256(5)
    expected = values(tiny_run, prefix + "generator/")
    assert len(opened.network.weights) == len(expected)
    for weight in opened.network.weights:
        np.testing.assert_array_equal(weight.numpy(), expected[prefix + weight.path])


def test_discriminator_has_the_weights_of_the_checkpoint(tiny_run):
    opened = restore.open_discriminator(tiny_run, 5)
    assert float(opened.network.non_local.sigma_ratio.numpy()) == -0.25
    expected = values(tiny_run, "discriminator/")
    assert len(opened.network.weights) == len(expected)
    for weight in opened.network.weights:
        np.testing.assert_array_equal(weight.numpy(), expected[weight.path])


class Weight:
    """A weight of a network, as Keras has it."""

    def __init__(self, path, value):
        self.path = path
        self.value = tf.Variable(value)


class Network(tf.Module):
    """A network of one weight."""

    def __init__(self, value=0.0):
        super().__init__()
        self.weights = [Weight("net/w", value)]


def save(run_dir, step, value, **more):
    network = Network(value)
    state = {"net/w": network.weights[0].value, **more}
    checkpoints.Checkpoints(run_dir, state).save(step)


def test_each_checkpoint_can_be_loaded_in_turn(tmp_path):
    run_dir = str(tmp_path)
    save(run_dir, 1, 1.0)
    save(run_dir, 2, 2.0, rollbacks=tf.Variable(0))
    opened = restore.RestoredNetwork(run_dir, Network())
    assert (opened.step, opened.sha256) == (None, None)
    digests = set()
    for step in (1, 2, -1):
        assert opened.load(step) == abs(step) or step == -1
        digests.add(opened.sha256)
    assert opened.step == 2
    assert opened.network.weights[0].value.numpy() == 2.0
    assert len(digests) == 2


def test_damaged_checkpoint_is_skipped_with_a_note(tmp_path):
    save(str(tmp_path), 1, 1.0)
    save(str(tmp_path), 2, 2.0)
    (tmp_path / "ckpt-2.index").write_bytes(b"nothing")
    notes = []
    opened = restore.RestoredNetwork(str(tmp_path), Network(), note=notes.append)
    assert opened.load() == 1
    assert opened.network.weights[0].value.numpy() == 1.0
    assert len(notes) == 1
    assert "ckpt-2: the checkpoint cannot be read" in notes[0]


def test_step_that_is_not_there_is_named_with_its_flag(tmp_path):
    save(str(tmp_path), 1, 1.0)
    opened = restore.RestoredNetwork(str(tmp_path), Network(), flag="checkpoint_step")
    with pytest.raises(checkpoints.Unreadable, match="^--checkpoint_step=7: .* but of 1$"):
        opened.load(7)
    with pytest.raises(checkpoints.Unreadable, match="^--step=7: "):
        restore.RestoredNetwork(str(tmp_path), Network()).load(7)


def test_average_that_is_not_there_is_one_line(tmp_path):
    save(str(tmp_path), 1, 1.0)
    opened = restore.RestoredNetwork(str(tmp_path), Network(), use_ema=True)
    with pytest.raises(errors.UserError, match=r"^--use_ema: .*ckpt-1 holds no moving average"):
        opened.load()


def test_run_without_a_checkpoint_is_one_line(tmp_path):
    directory.write_config(str(tmp_path), model=config.ModelConfig())
    with pytest.raises(errors.UserError, match="holds no checkpoint yet; the run writes one"):
        restore.RestoredNetwork(str(tmp_path), Network()).load()


def test_checkpoint_of_another_model_is_refused(tiny_run):
    with pytest.raises(errors.UserError, match="of another model; it differs in no net/w there$"):
        restore.RestoredNetwork(tiny_run, Network()).load()


def test_checkpoint_that_goes_while_it_is_read_is_said_to_have_gone(tmp_path, monkeypatch):
    save(str(tmp_path), 1, 1.0)
    opened = restore.RestoredNetwork(str(tmp_path), Network())
    monkeypatch.setattr(opened.checkpoints, "restore", lambda *_, **__: 9)
    with pytest.raises(checkpoints.Unreadable, match="ckpt-9: it has gone while it was read"):
        opened.load()


def test_names_of_optional_state_are_what_old_checkpoints_hold():
    assert model.OPTIONAL_STATE == ("ema/", "loss_scale/", "ada/")
    assert checkpoints.ROLLBACKS == "rollbacks"


@pytest.mark.parametrize(
    ("averages", "use_ema", "is_said"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_last_weights_of_a_run_that_averages_are_said(tmp_path, averages, use_ema, is_said):
    train = config.TrainConfig(ema_decay=0.9, use_ema=averages)
    directory.write_config(str(tmp_path), train=train)
    line = restore.unused_average(str(tmp_path), use_ema=use_ema)
    assert (
        line.startswith("the generator has its last weights; --use_ema --standing_statistics")
        == is_said
    )
    assert bool(line) == is_said


def test_run_without_settings_of_training_has_no_such_line(tmp_path):
    directory.write_config(str(tmp_path), model=TINY_MODEL)
    assert restore.unused_average(str(tmp_path), use_ema=False) == ""
