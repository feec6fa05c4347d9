"""Runs that begin with the networks of others."""

import dataclasses
import json

import numpy as np
import pytest

from sagan_tf import config, errors, model
from sagan_tf.data import class_names
from sagan_tf.runs import beginnings
from sagan_tf.viewing import export
from tests import processes
from tests.testing import TINY_MODEL, relative_error

NAMES = ("n01440764", "n01443537", "n01484850")


def classes(*names):
    return class_names.make(names, None, count=len(names))


def new(model_config=TINY_MODEL, **changes):
    return model.SAGAN(model_config, config.TrainConfig(ema_decay=0.5, **changes))


def arrays_of(gan):
    """Path -> values, of both networks."""
    weights = [*gan.generator.weights, *gan.discriminator.weights]
    return {weight.path: weight.value.numpy() for weight in weights}


@pytest.fixture(name="stored", scope="module")
def fixture_stored(tiny_run):
    """Path -> values of the run's checkpoint, of the average for the generator."""
    state = processes.state(tiny_run, 5)

    def values(path):
        average = "ema/" if path.startswith("generator/") else ""
        name = (average + path).replace("/", ".S")
        return state[f"state/{name}/.ATTRIBUTES/VARIABLE_VALUE"]

    return values


@pytest.fixture(name="exported", scope="module")
def fixture_exported(tiny_run, tmp_path_factory):
    """The directory of a model of the run's average, exported for training."""
    out = str(tmp_path_factory.mktemp("exported") / "model")
    return export.export(
        config.ExportConfig(run=tiny_run, use_ema=True, out=out, for_training=True)
    )


@pytest.mark.parametrize("kind", ["run", "model", "file"])
def test_networks_are_those_of_the_checkpoint(kind, tiny_run, exported, stored):
    gan = new()
    path = {"run": tiny_run, "model": exported, "file": f"{exported}/training.npz"}[kind]
    notes = []
    beginnings.begin(gan, path, classes=classes(*NAMES), note=notes.append)
    assert notes == [f"beginning with the networks of {path}, each class as the one of its name"]

    found = arrays_of(gan)
    assert any(name.endswith("/u") for name in found)
    for name, values in found.items():
        np.testing.assert_array_equal(values, stored(name), err_msg=name)
    for average, weight in zip(gan.averaged.weights, gan.generator.weights):
        np.testing.assert_array_equal(average.value.numpy(), weight.value.numpy())


def test_of_another_set_each_class_is_the_mean(tiny_run, stored):
    gan = new(dataclasses.replace(TINY_MODEL, number_classes=5))
    notes = []
    beginnings.begin(gan, tiny_run, classes=classes(*"abcde"), note=notes.append)
    assert notes == [f"beginning with the networks of {tiny_run}, each class as the mean of its 3"]

    found = arrays_of(gan)
    for name in ("generator/g_block2/cbn_1/gamma", "discriminator/d_embedding/embedding_map"):
        table = stored(name)
        assert table.shape[0] == 3
        assert found[name].shape[0] == 5
        for row in found[name]:
            assert relative_error(row, table.astype(np.float64).sum(axis=0) / 3) < 1e-6
    np.testing.assert_allclose(found["discriminator/d_embedding/u"], np.full((1, 5), 5**-0.5))


def test_other_networks_are_refused_and_nothing_changes(tiny_run):
    wider = dataclasses.replace(TINY_MODEL, gf_dim=16)
    gan = new(wider)
    before = arrays_of(gan)
    with pytest.raises(errors.UserError, match=r"--init_from=.*gf_dim.*8.*16.*settings"):
        beginnings.begin(gan, tiny_run, classes=classes(*NAMES))
    for name, values in arrays_of(gan).items():
        np.testing.assert_array_equal(values, before[name])


def test_what_holds_no_networks_is_named(tmp_path):
    with pytest.raises(errors.UserError, match="--init_from=/no/such/place.*run"):
        beginnings.read("/no/such/place")
    (tmp_path / "generator.keras").write_text("")
    with pytest.raises(errors.UserError, match="holds no training.npz.*--for_training"):
        beginnings.read(str(tmp_path))
    (tmp_path / "training.npz").write_text("not an archive")
    with pytest.raises(errors.UserError, match="training.npz cannot be read.*--for_training"):
        beginnings.read(str(tmp_path))
    np.savez(tmp_path / "training.npz", facts=np.array(json.dumps({"model_config": {}})))
    with pytest.raises(errors.UserError, match="training.npz cannot be read"):
        beginnings.read(str(tmp_path))
