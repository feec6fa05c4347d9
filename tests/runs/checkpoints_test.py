import pytest
import tensorflow as tf
from tensorflow.python.trackable import trackable_utils

from sagan_tf import errors
from sagan_tf.runs import checkpoints


def state(value=0.0, shape=(2,)):
    return {
        "net/w": tf.Variable(tf.fill(shape, value)),
        "net/odd.name": tf.Variable(value),
        "global_step": tf.Variable(0, dtype=tf.int64),
    }


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
    with pytest.raises(errors.UserError, match=r"--checkpoint_step=1: .* but of 2, 3"):
        saved.restore(1)


def test_empty_directory_has_nothing_to_restore(tmp_path):
    assert checkpoints.Checkpoints(str(tmp_path), state()).restore() is None


def test_other_model_is_refused_with_all_differences(tmp_path):
    checkpoints.Checkpoints(str(tmp_path), state()).save(1)
    other = {
        "net/w": tf.Variable(tf.zeros([3])),
        "net/new": tf.Variable(0.0),
        "global_step": tf.Variable(0, dtype=tf.int64),
    }
    with pytest.raises(errors.UserError) as error:
        checkpoints.Checkpoints(str(tmp_path), other).restore()
    for part in (
        "another model",
        "no net/new there",
        "net/w is (2,) there, (3,) here",
        "net/odd.name there only",
    ):
        assert part in str(error.value)


def test_part_of_a_checkpoint_can_be_read(tmp_path):
    checkpoints.Checkpoints(str(tmp_path), state(3.0)).save(1)
    part = {"net/w": tf.Variable([0.0, 0.0])}
    assert checkpoints.Checkpoints(str(tmp_path), part).restore(complete=False) == 1
    assert part["net/w"].numpy().tolist() == [3.0, 3.0]


def test_damaged_checkpoint_is_named(tmp_path):
    checkpoints.Checkpoints(str(tmp_path), state()).save(1)
    (tmp_path / "ckpt-1.index").write_bytes(b"nothing")
    with pytest.raises(errors.UserError, match="ckpt-1: the checkpoint cannot be read"):
        checkpoints.Checkpoints(str(tmp_path), state()).restore()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()[1:]),
    ],
    ids=["missing", "truncated", "flipped"],
)
def test_newest_readable_checkpoint_is_taken(tmp_path, damage):
    source, target, notes = state(1.0), state(), []
    saved = checkpoints.Checkpoints(str(tmp_path), source)
    saved.save(1)
    source["net/w"].assign([2.0, 2.0])
    saved.save(2)
    damage(tmp_path / "ckpt-2.data-00000-of-00001")
    restored = checkpoints.Checkpoints(str(tmp_path), target)
    assert restored.restore(note=notes.append) == 1
    assert target["net/w"].numpy().tolist() == [1.0, 1.0]
    assert len(notes) == 1
    assert notes[0].startswith(f"{tmp_path}/ckpt-2: the checkpoint cannot be read (")
    assert notes[0].endswith("; skipped")
    with pytest.raises(
        errors.UserError,
        match=("ckpt-2: the checkpoint cannot be read .* there is a checkpoint of step 1$"),
    ):
        restored.restore(2)


def test_nothing_is_set_from_a_damaged_checkpoint(tmp_path):
    many = {f"v{i:02}": tf.Variable(tf.fill([100], float(i))) for i in range(20)}
    checkpoints.Checkpoints(str(tmp_path), many).save(1)
    data = tmp_path / "ckpt-1.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[-3000] ^= 1
    data.write_bytes(content)
    target = {name: tf.Variable(tf.zeros([100])) for name in many}
    with pytest.raises(errors.UserError, match="no checkpoint of .* is left"):
        checkpoints.Checkpoints(str(tmp_path), target).restore()
    assert all((v.numpy() == 0).all() for v in target.values())


def test_last_good_checkpoint_outlives_damaged_newer_ones(tmp_path):
    """The run has gone back from damaged step 20 to step 10; it keeps one checkpoint."""
    saved = checkpoints.Checkpoints(str(tmp_path), state(), keep=1)
    saved.save(10)
    for suffix in ("index", "data-00000-of-00001"):
        (tmp_path / f"ckpt-20.{suffix}").write_bytes(b"damaged")
    saved.save(12)
    assert saved.steps == [12, 20]
    assert saved.restore() == 12
    saved.save(20)
    assert saved.steps == [20]
    assert saved.restore() == 20


def test_damaged_checkpoint_does_not_count_among_those_kept(tmp_path):
    saved = checkpoints.Checkpoints(str(tmp_path), state(), keep=2)
    saved.save(1)
    saved.save(2)
    (tmp_path / "ckpt-2.data-00000-of-00001").write_bytes(b"")
    again = checkpoints.Checkpoints(str(tmp_path), state(), keep=2)
    assert again.restore() == 1
    again.save(3)
    assert again.steps == [1, 3]


def test_save_that_cannot_be_read_back_is_no_save(tmp_path, monkeypatch):
    saved = checkpoints.Checkpoints(str(tmp_path), state(), keep=1)
    saved.save(1)
    write = tf.train.Checkpoint.write

    def write_and_damage(checkpoint, path):
        write(checkpoint, path)
        data = tmp_path / "unfinished-ckpt-2.data-00000-of-00001"
        data.write_bytes(data.read_bytes()[:-3])

    monkeypatch.setattr(tf.train.Checkpoint, "write", write_and_damage)
    with pytest.raises(errors.UserError, match="cannot be written to"):
        saved.save(2)
    assert saved.steps == [1]
    assert not list(tmp_path.glob("*ckpt-2*"))
    assert saved.restore() == 1


def test_leavings_of_a_killed_save_are_cleared(tmp_path):
    saved = checkpoints.Checkpoints(str(tmp_path), state())
    saved.save(1)
    (tmp_path / "unfinished-ckpt-2_temp").mkdir()
    (tmp_path / "unfinished-ckpt-2_temp" / "part-00000-of-00001.index").write_bytes(b"x")
    (tmp_path / "unfinished-ckpt-2.index").write_bytes(b"x")
    (tmp_path / "ckpt-2.data-00000-of-00001").write_bytes(b"x")
    (tmp_path / "ckpt-1x").write_bytes(b"somebody else's")
    assert saved.steps == [1]
    saved.clear_unfinished()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint",
        "ckpt-1.data-00000-of-00001",
        "ckpt-1.index",
        "ckpt-1x",
    ]


def test_average_may_be_missing_or_too_much(tmp_path):
    with_average = {**state(3.0), "ema/net/w": tf.Variable([7.0, 7.0])}
    checkpoints.Checkpoints(str(tmp_path / "with"), with_average).save(1)
    checkpoints.Checkpoints(str(tmp_path / "without"), state(3.0)).save(1)
    saved = checkpoints.Checkpoints(str(tmp_path / "with"), state(), optional=("ema/", "other"))
    assert saved.restore() == 1
    target = {**state(), "ema/net/w": tf.Variable([1.0, 1.0])}
    restored = checkpoints.Checkpoints(str(tmp_path / "without"), target, optional=["ema/"])
    assert restored.restore() == 1
    assert restored.missing == ["ema/net/w"]
    assert target["ema/net/w"].numpy().tolist() == [1.0, 1.0]


def test_what_is_not_optional_is_part_of_the_model(tmp_path):
    with_average = {**state(3.0), "ema/net/w": tf.Variable([7.0, 7.0])}
    checkpoints.Checkpoints(str(tmp_path / "with"), with_average).save(1)
    checkpoints.Checkpoints(str(tmp_path / "without"), state(3.0)).save(1)
    with pytest.raises(errors.UserError, match="it differs in ema/net/w there only$"):
        checkpoints.Checkpoints(str(tmp_path / "with"), state()).restore()
    with pytest.raises(errors.UserError, match="it differs in no ema/net/w there$"):
        checkpoints.Checkpoints(str(tmp_path / "without"), with_average).restore()


@pytest.mark.parametrize("name", ["a/b.c", "a..b", ".S", "./", "/.", "a.S/b", "plain", ""])
def test_names_come_back_from_tensorflows_escaped_form(name):
    assert checkpoints.unescaped(trackable_utils.escape_local_name(name)) == name


def test_escaped_form_is_the_one_in_old_checkpoints():
    assert checkpoints.unescaped("g_optimizer.Sm.Snet.Sodd..name") == "g_optimizer/m/net/odd.name"


def test_tensorflow_finds_the_latest(tmp_path):
    saved = checkpoints.Checkpoints(str(tmp_path), state(), keep=2)
    for step in (5, 6, 7):
        saved.save(step)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-7")
    assert tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths == [
        str(tmp_path / "ckpt-6"),
        str(tmp_path / "ckpt-7"),
    ]


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
