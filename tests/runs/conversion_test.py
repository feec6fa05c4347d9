import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors, model, reference_checkpoint
from sagan_tf.bridges import imports
from sagan_tf.runs import checkpoints, conversion, directory, imported_run, restore
from sagan_tf.viewing import folding
from tests.testing import PLAIN_MODEL, TINY_MODEL, make_run

# The smallest that has the channels of other projects' networks.
LARGE_MODEL = config.ModelConfig(
    generator_type="test_64",
    discriminator_type="test_64",
    z_dim=4,
    gf_dim=8,
    df_dim=8,
    number_classes=3,
)


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


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"block": "residual"}, "--block=residual: the reference has no such network, .* expected"),
        ({"generator_sn": False}, "--generator_sn=False: the reference has no such network, .* no"),
    ],
)
def test_networks_that_the_reference_has_not_are_one_line(tmp_path, option, text):
    """Before anything is read."""
    model_config = dataclasses.replace(TINY_MODEL, **option)
    train = config.TrainConfig(checkpoint_dir=str(tmp_path), batch_size=2, num_towers=1)
    with pytest.raises(errors.UserError, match=text):
        conversion.import_run("a.ckpt", model_config, train_config=train)
    directory.write_config(train.run_dir, model=model_config)
    with pytest.raises(errors.UserError, match=text):
        conversion.export_run("b.ckpt", train)
    (name,) = option
    with pytest.raises(errors.UserError, match=f"--names=mmgen: this run has --{name}="):
        conversion.export_state_dicts(to_torch(tmp_path / "a.pth"), train.run_dir)


def to_torch(path, names="mmgen", **options):
    """Settings of --to=torch-state-dict."""
    return config.ConvertConfig(to="torch-state-dict", path=str(path), names=names, **options)


@pytest.fixture(scope="module", name="large_run")
def fixture_large_run(tmp_path_factory):
    """A run at 128 px in which no number is at its initial value."""
    run_dir = make_run(tmp_path_factory.mktemp("large"), LARGE_MODEL)
    gan = model.SAGAN(LARGE_MODEL, config.TrainConfig(ema_decay=0.9))
    saved = checkpoints.Checkpoints(run_dir, gan.state())
    saved.restore()
    rng = np.random.default_rng(1)
    for network in (gan.generator, gan.averaged, gan.discriminator):
        for weight in network.weights:
            factors = rng.uniform(0.9, 1.1, weight.shape)
            weight.assign(weight * factors)
            if weight.path.endswith(("/bias", "/biases")):
                weight.assign(0.01 * rng.normal(size=weight.shape))
    for network in (gan.generator, gan.averaged):
        network.bn.gamma.assign(network.bn.gamma / 50)  # No colour is -1 or 1.
    saved.save(5)
    return run_dir


def arrays_of(run_dir):
    """Every variable of the newest checkpoint that is no optimizer's, by name."""
    _, networks = conversion.read_networks(run_dir)
    return {
        (network, name): values
        for network, arrays in networks.items()
        for name, values in arrays.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("names", ["mmgen", "studiogan"])
def test_run_comes_back_from_a_state_dict(large_run, tmp_path, names):
    lines = conversion.export_state_dicts(to_torch(tmp_path / "out", names), large_run)
    files = tuple(line.rpartition(" -> ")[2] for line in lines)
    assert len(files) == {"mmgen": 1, "studiogan": 3}[names]
    assert lines[0] == f"step 5: {large_run} -> {files[0]}"

    # A run, to the last bit.
    imported = imports.read(config.ImportConfig(source=names, path=files, out="out"))
    back = str(tmp_path / "back")
    imported_run.write(imported, back, source=names, step=imported.step)
    expected = arrays_of(large_run)
    found = arrays_of(back)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=str(name))

    # What an exported model is made of gives the images of the run.
    average = restore.open_generator(large_run, use_ema=True).network
    sigmas = imported.sampled(live=False).sigmas
    z = np.float32(np.random.default_rng(2).normal(size=(2, 4)))
    labels = np.array([0, 2])
    expected = folding.fold(average)([z, labels]).numpy()
    found = folding.fold(average, sigmas)([z, labels]).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_state_dict_of_a_run_without_an_average_has_none(tmp_path):
    run_dir = make_run(tmp_path, LARGE_MODEL, average=False)
    _, networks = conversion.read_networks(run_dir)
    assert list(networks) == ["generator", "discriminator"]


def test_state_dict_is_refused_before_the_run_is_read(tiny_run, tmp_path):
    with pytest.raises(errors.UserError, match="^--names=mmgen: this run makes images of 32 px"):
        conversion.export_state_dicts(to_torch(tmp_path / "a.pth"), tiny_run)
    with pytest.raises(errors.UserError, match="no run there"):
        conversion.export_state_dicts(to_torch(tmp_path / "a.pth"), str(tmp_path))


def test_state_dicts_of_studiogan_need_an_empty_directory(tmp_path):
    run_dir = str(tmp_path / "run")
    directory.write_config(run_dir, model=LARGE_MODEL)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(errors.UserError, match="full: expected a new or empty directory$"):
        conversion.export_state_dicts(to_torch(tmp_path / "full", "studiogan"), run_dir)
    with pytest.raises(errors.UserError, match="run: holds no checkpoint$"):
        conversion.export_state_dicts(to_torch(tmp_path / "new", "studiogan"), run_dir)


def test_direction_import_has_no_state_dict():
    assert to_torch("a").to_torch
    with pytest.raises(errors.UserError, match="^--direction=import: expected export with --to="):
        to_torch("a", direction="import")
