import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors, model, reference_checkpoint
from sagan_tf.runs import conversion, directory
from tests.testing import PLAIN_MODEL, TINY_MODEL


def fill(gan):
    """Gives every variable a value of its own, as after a thousand steps."""
    rng = np.random.default_rng(0)
    for variable in gan.state().values():
        if variable.dtype.is_floating:
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
        else:
            variable.assign(1234)


@pytest.mark.slow
def test_reference_checkpoint_becomes_a_run_and_comes_back(tmp_path):
    train = config.TrainConfig(checkpoint_dir=str(tmp_path), batch_size=2, num_towers=1)
    gan = model.SAGAN(TINY_MODEL, train)
    fill(gan)
    source, back = str(tmp_path / "a.ckpt"), str(tmp_path / "b.ckpt")
    reference_checkpoint.write(gan, source)
    expected = reference_checkpoint.variables(gan, optimizer=True)

    notes = []
    how = {"train_config": train, "note": notes.append}
    assert conversion.import_run(source, TINY_MODEL, **how) == 1234
    assert conversion.export_run(back, **how) == 1234
    assert not notes

    for variable in gan.state().values():
        variable.assign(tf.zeros_like(variable))
    reference_checkpoint.read(gan, back)
    found = reference_checkpoint.variables(gan, optimizer=True)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    with pytest.raises(errors.UserError, match="imagenet_2: holds a run already"):
        conversion.import_run(source, TINY_MODEL, train_config=train)


@pytest.mark.slow
def test_what_the_reference_has_no_place_for_is_left_out(tiny_run, tmp_path):
    """The run has a moving average, which the model here has not."""
    train = config.TrainConfig(checkpoint_dir=os.path.dirname(tiny_run), batch_size=2, num_towers=1)
    path = str(tmp_path / "a.ckpt")
    assert conversion.export_run(path, train) == 5
    names = [name for name, _ in tf.train.list_variables(path)]
    assert names
    assert not [name for name in names if name.startswith("ema")]


def test_export_of_a_run_without_a_checkpoint_is_one_line(tmp_path):
    train = config.TrainConfig(checkpoint_dir=str(tmp_path), batch_size=2, num_towers=1)
    directory.write_config(train.run_dir, model=PLAIN_MODEL)
    with pytest.raises(errors.UserError, match="imagenet_2: holds no checkpoint$"):
        conversion.export_run("x", train)


def test_export_without_a_run_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match="no run there"):
        conversion.export_run("x", config.TrainConfig(checkpoint_dir=str(tmp_path)))


def test_options_that_the_reference_has_not_are_a_line_each(tmp_path, monkeypatch):
    model_config = dataclasses.replace(PLAIN_MODEL, relu_shortcut=True, spectral_norm="at_most_one")
    train = config.TrainConfig(checkpoint_dir=str(tmp_path), batch_size=2, num_towers=1)
    monkeypatch.setattr(reference_checkpoint, "read", lambda *_: None)
    monkeypatch.setattr(reference_checkpoint, "write", lambda *_: None)
    notes = []
    conversion.import_run("a.ckpt", model_config, train_config=train, note=notes.append)
    expected = [
        f"--{option}: the reference has no such option, and computes other numbers with these "
        "weights"
        for option in ("relu_shortcut=True", "spectral_norm=at_most_one")
    ]
    assert notes == expected
    conversion.export_run("b.ckpt", train, note=notes.append)
    assert notes == 2 * expected
