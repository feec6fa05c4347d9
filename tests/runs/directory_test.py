import json
import os

import pytest

from sagan_tf import config, errors
from sagan_tf.runs import directory
from sagan_tf.runtime import files


def test_config_round_trip(tmp_path):
    model = config.ModelConfig(gf_dim=32)
    directory.write_config(str(tmp_path), model=model)
    assert directory.read_config(str(tmp_path), "model", kind=config.ModelConfig) == model
    assert json.loads((tmp_path / "config.json").read_text())["version"] == 1


def test_missing_config_is_none(tmp_path):
    assert directory.read_config(str(tmp_path), "model", kind=config.ModelConfig) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"version": 1, "model": {"gf_dim": -1}}',
        '{"version": 1}',
        '{"version": 1, "model": {"odd": 1}}',
    ],
)
def test_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(errors.UserError, match=r"config.json: expected a run's settings"):
        directory.read_config(str(tmp_path), "model", kind=config.ModelConfig)


def test_config_of_a_later_version_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"version": 2}')
    with pytest.raises(errors.UserError, match="version 2, expected at most 1"):
        directory.read_config(str(tmp_path), "model", kind=config.ModelConfig)


def test_name_of_a_run_stays_and_differs_from_others(tmp_path):
    model = config.ModelConfig(gf_dim=32)
    assert directory.run_id(str(tmp_path)) is None
    directory.write_config(str(tmp_path / "one"), model=model)
    name = directory.run_id(str(tmp_path / "one"))
    directory.write_config(str(tmp_path / "one"), model=model, data=config.DataConfig())
    assert directory.run_id(str(tmp_path / "one")) == name
    directory.write_config(str(tmp_path / "two"), model=model)
    assert directory.run_id(str(tmp_path / "two")) not in (name, None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": 1}'])
def test_run_of_an_old_release_has_no_name(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert directory.run_id(str(tmp_path)) is None


def test_run_is_found_by_its_path_and_by_the_one_above(tmp_path):
    run = str(tmp_path / "imagenet_64")
    directory.write_config(run, model=config.ModelConfig())
    (tmp_path / "other").mkdir()
    assert directory.find_run(run) == run
    assert directory.find_run(str(tmp_path)) == run
    directory.write_config(str(tmp_path / "imagenet_2"), model=config.ModelConfig())
    expected = f"--run={tmp_path}: several runs are there; name one of {tmp_path}/imagenet_2, {run}"
    with pytest.raises(errors.UserError, match=f"^{expected}$"):
        directory.find_run(str(tmp_path))


def test_run_is_found_in_the_directory_of_runs(tiny_run, tmp_path):
    parent = os.path.dirname(tiny_run)
    assert directory.find_run(parent) == directory.find_run(tiny_run) == tiny_run
    for name in ("imagenet_2", "imagenet_4"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(errors.UserError, match="several runs are there; name one of .*net_2, "):
        directory.find_run(str(tmp_path))
    with pytest.raises(errors.UserError, match="no run there"):
        directory.find_run(str(tmp_path / "absent"))


def test_networks_to_train_on_with_are_no_run_and_said_to_be_for_training(tmp_path):
    (tmp_path / "training.npz").touch()
    words = (
        r"no run there .*; its training.npz is for --init_from of a training; give the directory"
    )
    with pytest.raises(directory.NoRun, match=f"^--run={tmp_path}: {words}"):
        directory.find_run(str(tmp_path))


def test_runs_further_below_are_named(tmp_path):
    digits, own = str(tmp_path / "digits" / "imagenet_16"), str(tmp_path / "own" / "imagenet_8")
    directory.write_config(digits, model=config.ModelConfig())
    assert directory.find_run(str(tmp_path)) == digits
    # What lies in a run, as its best checkpoints do, is no run beside it.
    directory.write_config(os.path.join(digits, "best"), model=config.ModelConfig())
    assert directory.find_run(str(tmp_path)) == digits
    directory.write_config(own, model=config.ModelConfig())
    expected = f"--run={tmp_path}: several runs are there; name one of {digits}, {own}"
    with pytest.raises(errors.UserError, match=f"^{expected}$"):
        directory.find_run(str(tmp_path))


def test_of_many_runs_a_few_are_named(tmp_path):
    for number in range(8):
        directory.write_config(str(tmp_path / f"imagenet_{number}"), model=config.ModelConfig())
    with pytest.raises(errors.UserError, match=r"net_0, .*/imagenet_5, \.\.\.$"):
        directory.find_run(str(tmp_path))


def test_place_without_a_run_is_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(errors.UserError, match=f"--run={path}: no run there") as error:
            directory.find_run(str(path))
        assert "\n" not in str(error.value)


def test_lock_is_seen_and_not_taken(tmp_path):
    path = str(tmp_path / "lock")
    assert not directory.is_locked(path)
    with files.locked(path, "taken"):
        assert directory.is_locked(path)
        assert not directory.is_locked(str(tmp_path))
    assert not directory.is_locked(path)
    with files.locked(path, "taken"):
        pass
