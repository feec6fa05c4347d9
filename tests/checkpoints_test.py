import json

import pytest
import tensorflow as tf

from sagan_tf import checkpoints, config


def state(value=0.0, shape=(2,)):
    return {"net/w": tf.Variable(tf.fill(shape, value)), "net/odd.name": tf.Variable(value),
            "global_step": tf.Variable(0, dtype=tf.int64)}


def test_restores_what_was_saved(tmp_path):
    source, target = state(3.0), state()
    source["global_step"].assign(7)
    checkpoints.Checkpoints(str(tmp_path), source).save(7)
    assert checkpoints.Checkpoints(str(tmp_path), target).restore() == 7
    assert target["net/w"].numpy().tolist() == [3.0, 3.0]
    assert target["net/odd.name"].numpy() == 3.0
    assert target["global_step"].numpy() == 7


def test_keeps_the_newest_and_restores_a_named_one(tmp_path):
    saved = checkpoints.Checkpoints(str(tmp_path), state(), keep=2)
    for step in (1, 2, 3):
        saved.save(step)
    assert saved.steps == [2, 3]
    assert saved.restore(2) == 2
    with pytest.raises(config.UserError, match=r"--checkpoint_step=1: .* but of 2, 3"):
        saved.restore(1)


def test_empty_directory_has_nothing_to_restore(tmp_path):
    assert checkpoints.Checkpoints(str(tmp_path), state()).restore() is None


def test_other_model_is_refused_with_all_differences(tmp_path):
    checkpoints.Checkpoints(str(tmp_path), state()).save(1)
    other = {"net/w": tf.Variable(tf.zeros([3])), "net/new": tf.Variable(0.0),
             "global_step": tf.Variable(0, dtype=tf.int64)}
    with pytest.raises(config.UserError) as error:
        checkpoints.Checkpoints(str(tmp_path), other).restore()
    for part in ("another model", "no net/new there", "net/w is (2,) there, (3,) here",
                 "net/odd.name there only"):
        assert part in str(error.value)


def test_part_of_a_checkpoint_can_be_read(tmp_path):
    checkpoints.Checkpoints(str(tmp_path), state(3.0)).save(1)
    part = {"net/w": tf.Variable([0.0, 0.0])}
    assert checkpoints.Checkpoints(str(tmp_path), part).restore(complete=False) == 1
    assert part["net/w"].numpy().tolist() == [3.0, 3.0]


def test_damaged_checkpoint_is_named(tmp_path):
    checkpoints.Checkpoints(str(tmp_path), state()).save(1)
    (tmp_path / "ckpt-1.index").write_bytes(b"nothing")
    with pytest.raises(config.UserError, match="ckpt-1: the checkpoint cannot be read"):
        checkpoints.Checkpoints(str(tmp_path), state()).restore()


@pytest.mark.parametrize("damage", [
    lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-7]),
    lambda path: path.write_bytes(b"\xff" + path.read_bytes()[1:])],
    ids=["missing", "truncated", "flipped"])
def test_damaged_data_file_is_named_with_the_steps_left(tmp_path, damage):
    saved = checkpoints.Checkpoints(str(tmp_path), state())
    saved.save(1)
    saved.save(2)
    damage(tmp_path / "ckpt-2.data-00000-of-00001")
    with pytest.raises(config.UserError, match=(
            "ckpt-2: the checkpoint cannot be read .* there are checkpoints of steps 1; move")):
        checkpoints.Checkpoints(str(tmp_path), state()).restore()
    assert saved.restore(1) == 1


@pytest.mark.parametrize("text", [None, "garbage"])
def test_lost_state_file_does_not_hide_the_checkpoints(tmp_path, text):
    source = state(3.0)
    checkpoints.Checkpoints(str(tmp_path), source).save(4)
    (tmp_path / "checkpoint").unlink()
    if text:
        (tmp_path / "checkpoint").write_text(text)
    target = state()
    assert checkpoints.Checkpoints(str(tmp_path), target).restore() == 4
    assert target["net/w"].numpy().tolist() == [3.0, 3.0]


def test_config_round_trip(tmp_path):
    model = config.ModelConfig(gf_dim=32)
    checkpoints.write_config(str(tmp_path), model=model)
    assert checkpoints.read_config(str(tmp_path), "model", config.ModelConfig) == model
    assert json.loads((tmp_path / "config.json").read_text())["version"] == 1


def test_missing_config_is_none(tmp_path):
    assert checkpoints.read_config(str(tmp_path), "model", config.ModelConfig) is None


@pytest.mark.parametrize("text", [
    "{", '{"version": 1, "model": {"gf_dim": -1}}', '{"version": 1}',
    '{"version": 1, "model": {"odd": 1}}'])
def test_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(config.UserError, match=r"config.json: expected a run's settings"):
        checkpoints.read_config(str(tmp_path), "model", config.ModelConfig)


def test_config_of_a_later_version_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"version": 2}')
    with pytest.raises(config.UserError, match="version 2, expected at most 1"):
        checkpoints.read_config(str(tmp_path), "model", config.ModelConfig)
