"""Runs that begin with the networks of others."""

import dataclasses
import os
import shutil

import numpy as np
import pytest

from sagan_tf import config, errors, model
from sagan_tf.data import class_names
from sagan_tf.runs import beginnings, directory
from sagan_tf.viewing import export
from tests import processes
from tests.conftest import ROOT
from tests.testing import TINY_MODEL, make_run, relative_error

NAMES = ("n01440764", "n01443537", "n01484850")


def classes(*names):
    return class_names.make(names, None, count=len(names))


def new(model_config=TINY_MODEL, **changes):
    return model.SAGAN(model_config, config.TrainConfig(ema_decay=0.5, **changes))


def key(path):
    """Where a checkpoint has a variable."""
    return "state/" + path.replace("/", ".S") + "/.ATTRIBUTES/VARIABLE_VALUE"


def arrays_of(gan):
    """Path -> values, of both networks."""
    weights = [*gan.generator.weights, *gan.discriminator.weights]
    return {weight.path: weight.value.numpy() for weight in weights}


@pytest.fixture(name="stored", scope="module")
def fixture_stored(tiny_run):
    """Path -> values of the run's checkpoint, of the average for the generator."""
    state = processes.state(tiny_run, 5)

    def values(path):
        return state[key("ema/" + path if path.startswith("generator/") else path)]

    return values


@pytest.fixture(name="exported", scope="module")
def fixture_exported(tiny_run, tmp_path_factory):
    """The directory of a model of the run's average, exported for training."""
    out = str(tmp_path_factory.mktemp("exported") / "model")
    return export.export(
        config.ExportConfig(run=tiny_run, use_ema=True, out=out, for_training=True)
    )


@pytest.mark.parametrize("name", ["run", "", "training.npz", "generator.keras"])
def test_a_run_and_its_export_hold_the_same_networks(name, exported, tiny_run, stored):
    found = beginnings.read(tiny_run if name == "run" else os.path.join(exported, name))
    assert (found.model_config, found.classes.names) == (TINY_MODEL, NAMES)
    assert any(weight.endswith("/u") for weight in found.arrays)
    for weight, values in found.arrays.items():
        np.testing.assert_array_equal(values, stored(weight), err_msg=weight)


def test_networks_are_those_of_the_checkpoint(tiny_run, stored):
    gan = new()
    notes = []
    beginnings.begin(gan, tiny_run, classes=classes(*NAMES), note=notes.append)
    words = "each class as the one of its name, or of its number where there are no names"
    assert notes == [f"beginning with the networks of {tiny_run}, {words}"]
    for name, values in arrays_of(gan).items():
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


def test_a_classifier_of_classes_becomes_the_mean_too(tmp_path):
    settings = dataclasses.replace(TINY_MODEL, conditioning="auxiliary_classifier")
    run = make_run(tmp_path, settings)
    gan = new(dataclasses.replace(settings, number_classes=4))
    beginnings.begin(gan, run, classes=classes(*"abcd"))

    state = processes.state(run, 5)
    matrix = state[key("discriminator/d_sn_classifier/Matrix")]
    found = arrays_of(gan)
    assert matrix.shape[1] == 3
    for column in found["discriminator/d_sn_classifier/Matrix"].T:
        assert relative_error(column, matrix.astype(np.float64).sum(axis=1) / 3) < 1e-6
    np.testing.assert_allclose(found["discriminator/d_sn_classifier/u"], np.full((1, 4), 0.5))


@pytest.mark.parametrize("average", [True, False])
def test_a_checkpoint_without_average_gives_the_generator(average, tmp_path):
    """The settings may have an average before a checkpoint does."""
    run = make_run(tmp_path, average=False)
    train = config.TrainConfig(ema_decay=0.9 if average else 0.0)
    directory.write_config(run, model=TINY_MODEL, data=config.DataConfig(), train=train)
    state = processes.state(run, 5)
    for name, values in beginnings.of_run(run).arrays.items():
        np.testing.assert_array_equal(values, state[key(name)])


FREE_MODEL = dataclasses.replace(TINY_MODEL, generator_sn=False)
RESIDUAL_MODEL = dataclasses.replace(FREE_MODEL, block="residual")


@pytest.fixture(name="narrow")
def fixture_narrow(tmp_path):
    """Networks without SN in G, 7 wide: (their file's directory, the generator)."""
    gan = new(dataclasses.replace(FREE_MODEL, gf_dim=7))
    rng = np.random.default_rng(0)
    for weight in gan.generator.weights:
        if weight.path.endswith(("biases", "bias", "gamma", "beta", "mean")):
            weight.assign(weight.value.numpy() + 0.3 * rng.normal(size=weight.shape))
    gan.generator.inserted.sigma_ratio.assign(0.5)
    found = beginnings.Beginning(gan.model_config, classes=classes(*NAMES), arrays=arrays_of(gan))
    beginnings.write(found, str(tmp_path))
    return str(tmp_path), gan.generator


@pytest.mark.parametrize("width", [8, 10, 14, 21])
def test_a_wider_generator_begins_with_the_same_images(width, narrow):
    """Its theta and phi have 1, 2, 3 and 5 channels in the place of one, as 1 / 8 of the map's."""
    path, generator = narrow
    gan = new(dataclasses.replace(FREE_MODEL, gf_dim=width))
    notes = []
    beginnings.begin(gan, path, classes=classes(*NAMES), note=notes.append)
    assert notes[1:] == [
        f"--gf_dim={width}: their generator, of 7, made wider with equal images",
    ]

    # Its images are the same, by moving statistics and by those of the batch.
    rng = np.random.default_rng(1)
    z = rng.normal(size=[4, FREE_MODEL.z_dim]).astype(np.float32)
    labels = np.array([0, 1, 2, 0])
    for training in (False, True):
        expected = generator(z, labels, training=training).numpy()
        assert expected.std() > 0.1
        for wider in (gan.generator, gan.averaged):
            assert relative_error(wider(z, labels, training=training), expected) < 1e-5

    # Copies are read otherwise than what they repeat, and the discriminator is theirs.
    before, after = beginnings.read(path).arrays, arrays_of(gan)
    name = "generator/g_block1/snconv2/w"
    channels = before[name].shape[2]
    copies = after[name][:, :, channels : 2 * channels]
    assert (copies != after[name][:, :, : copies.shape[2]]).mean() > 0.99
    for name, values in before.items():
        if name.startswith("discriminator/"):
            np.testing.assert_array_equal(after[name], values)


@pytest.mark.parametrize(
    ("settings", "width"), [(TINY_MODEL, 16), (RESIDUAL_MODEL, 16), (FREE_MODEL, 4)]
)
def test_generators_that_cannot_become_wider_are_refused(settings, width, tmp_path):
    """Those with SN, and with a residual block; and a narrower one."""
    beginnings.write(
        beginnings.Beginning(settings, classes=classes(*NAMES), arrays={}), str(tmp_path)
    )
    gan = new(dataclasses.replace(settings, gf_dim=width))
    words = f"gf_dim: 8 there, {width} here.*G can be wider with --nogenerator_sn"
    with pytest.raises(errors.UserError, match=words):
        beginnings.begin(gan, str(tmp_path), classes=classes(*NAMES))


def test_weights_that_are_wider_than_they_say_are_named(tmp_path):
    found = beginnings.of_run(make_run(tmp_path, FREE_MODEL))
    arrays = {**found.arrays, "generator/g_bn/gamma": np.ones(17, np.float32)}
    beginnings.write(dataclasses.replace(found, arrays=arrays), str(tmp_path))
    gan = new(dataclasses.replace(FREE_MODEL, gf_dim=16))
    with pytest.raises(errors.UserError, match=r"g_bn/gamma has shape \(17,\) .* become \(16,\)"):
        beginnings.begin(gan, str(tmp_path), classes=found.classes)


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
    (tmp_path / "training.npz").mkdir()
    with pytest.raises(errors.UserError, match="training.npz cannot be read.*--for_training"):
        beginnings.read(str(tmp_path))


def damaged_bytes(path, content):
    """The file with a byte of compressed numbers inverted."""
    del content
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def cut_off(path, content):
    del content
    path.write_bytes(path.read_bytes()[:10])


def without_facts(path, content):
    np.savez(path, **{name: values for name, values in content.items() if name != "facts"})


def another_array(path, content):
    np.savez(path, **content, another=np.zeros(3))


def not_finite(path, content):
    name = "generator/g_snh0/bias"
    np.savez(path, **{**content, name: np.full_like(content[name], np.nan)})


def not_numbers(path, content):
    name = "generator/g_snh0/bias"
    np.savez(path, **{**content, name: content[name].astype(str)})


@pytest.mark.parametrize(
    "damage", [damaged_bytes, cut_off, without_facts, another_array, not_finite, not_numbers]
)
def test_a_damaged_file_is_one_line(damage, exported, tmp_path):
    path = tmp_path / "training.npz"
    shutil.copy(f"{exported}/training.npz", path)
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    damage(path, content)
    with pytest.raises(errors.UserError, match=r"^--init_from=.*cannot be read.*--for_training$"):
        beginnings.read(str(path))


def test_a_text_is_not_taken_for_a_pickle(tmp_path):
    (tmp_path / "training.npz").write_text("weights\n")
    with pytest.raises(errors.UserError, match=r"cannot be read \(it is not an .npz file\); exp"):
        beginnings.read(str(tmp_path))


def test_a_file_without_a_weight_is_named(exported, tmp_path):
    with np.load(f"{exported}/training.npz") as archive:
        content = {name: archive[name] for name in archive.files}
    del content["discriminator/d_block2/sn_conv1/w"]
    np.savez(tmp_path / "training.npz", **content)
    notes = []
    with pytest.raises(errors.UserError, match="^--init_from=.*missing model/d_block2/sn_conv1/w"):
        beginnings.begin(new(), str(tmp_path), classes=classes(*NAMES), note=notes.append)
    assert not notes


@pytest.mark.parametrize(("name", "width"), [("emoji_networks", 16), ("emoji_model", 24)])
def test_the_repository_has_networks_to_begin_with(name, width):
    """They fit configs/emoji.flags, with classes of one's own."""
    folder = ROOT / "data" / name
    assert (folder / "training.npz").stat().st_size < 6e6
    settings = config.ModelConfig(
        image_size=64,
        gf_dim=width,
        df_dim=16,
        z_dim=32,
        number_classes=2,
        generator_sn=False,
        cbn_decay=0.99,
        bn_decay=0.99,
    )
    gan = new(settings)
    before = arrays_of(gan)
    beginnings.begin(gan, str(folder), classes=classes("cat", "dog"))
    for name, values in arrays_of(gan).items():
        assert np.isfinite(values).all()
        assert not np.array_equal(values, before[name]), name
