import io
import json
import zipfile

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.bridges import imports, torch_file
from sagan_tf.runs import imported_run as runs_imported
from sagan_tf.runs import restore
from sagan_tf.viewing import import_weights, trained
from tests.bridges import sngan, sources
from tests.processes import error_line, run


def imported(out, source="mmgen", **changes):
    """What the import of a source's file prints."""
    stream = io.StringIO()
    options = sources.options(source, changes.get("path"))
    changed = {**options.__dict__, "out": str(out), **changes}
    import_weights.import_weights(type(options)(**changed), stream)
    return stream.getvalue()


@pytest.fixture(name="model", scope="module")
def fixture_model(tmp_path_factory):
    """(directory, what was printed) of an exported model."""
    out = tmp_path_factory.mktemp("imported") / "model"
    return str(out), imported(out)


@pytest.fixture(name="imported_run", scope="module")
def fixture_imported_run(tmp_path_factory):
    """(directory, what was printed) of a run."""
    out = tmp_path_factory.mktemp("imported") / "run"
    return str(out), imported(out, to="run")


def test_model_makes_the_images_of_the_source(model):
    expected = sources.computed("mmgen")
    network = trained.open_model(model[0], use_ema=True)
    images = network.generate(expected["z"], expected["labels"])
    np.testing.assert_allclose(images, expected["generated"], rtol=0, atol=5e-6)


def test_card_says_where_the_weights_are_from(model):
    card = trained.open_model(model[0]).card
    assert (card.step, card.use_ema, card.sigma_ratio) == (826_000, True, pytest.approx(0.3))
    assert card.origin["project"] == "mmgeneration"
    assert card.origin["licence"] == "code Apache-2.0; for weights none is stated"
    assert card.origin["files"] == {"mmgen_biggan_schedule.pth": card.checkpoint_sha256}
    assert card.origin["epsilon"] == 1e-5
    with open(f"{model[0]}/model.json") as file:
        assert json.load(file)["origin"] == card.origin


def test_model_has_a_model_card_with_source_and_licence(model):
    with open(f"{model[0]}/README.md", encoding="utf-8") as file:
        text = file.read()
    assert text.startswith('---\nlicense: "unknown"\nlibrary_name: "keras"\n')
    assert "Its weights are from mmgeneration." in text
    assert "The source states: code Apache-2.0; for weights none is stated" in text
    assert "File `mmgen_biggan_schedule.pth`: SHA-256 `d25b3af3" in text
    assert "Step: 826,000, their moving average." in text


def test_what_is_printed(model):
    text = model[1]
    images = trained.open_model(model[0])
    pixels = images.generate(*images.draw(range(8)))
    for part in (
        "mmgen_biggan_schedule.pth: SHA-256 d25b3af3",
        "128 px, 5 classes, z 16, widths 8 and 8, attention on 64x64 of G and 64x64 of D, step 826",
        f"mean {pixels.mean():.4f}, standard deviation {pixels.std():.4f}",
        "averaged: 511,332 parameters; sigma, source / ours, 1.0000 to 1.0000",
    ):
        assert part in text


@pytest.mark.slow
def test_run_has_both_networks_and_the_average(imported_run):
    expected = sources.computed("mmgen")
    averaged = trained.open_model(imported_run[0], use_ema=True)
    images = averaged.generate(expected["z"], expected["labels"])
    np.testing.assert_allclose(images, expected["generated"], rtol=0, atol=5e-6)
    critic = restore.open_discriminator(imported_run[0]).network
    logits = critic(expected["images"], expected["labels"], update_sn=False)
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=5e-6)
    assert averaged.card.step == 826_000


def test_run_prints_the_flags_that_fit(imported_run):
    command = imported_run[1].splitlines()[-1]
    assert command.startswith("python train_imagenet.py --data_dir=./data --checkpoint_dir=")
    flags = dict(word[2:].split("=") for word in command.split()[2:])
    assert flags["generator_type"] == flags["discriminator_type"] == "test_64"
    assert (flags["batch_size"], flags["num_towers"], flags["ema_decay"]) == ("32", "8", "0.999")
    assert (flags["cbn_decay"], flags["bn_decay"]) == ("0.9", "0.9")


@pytest.mark.slow
def test_run_of_sngan_projection(tmp_path):
    """G without spectral norm, and D with channels that are zero, as NumPy computes them."""
    # Import both networks.
    arrays = sngan.networks()
    paths = tuple(str(sngan.write(tmp_path, *one)) for one in zip(arrays, sngan.NAMES))
    out = tmp_path / "run"
    text = imported(out, path=paths, source="sngan_projection", to="run")

    # Images and logits.
    random = np.random.default_rng(0)
    z = random.normal(size=(1, 16)).astype(np.float32)
    labels = np.array([2], np.int32)
    expected = sngan.generate(arrays[0], z, labels)
    network = trained.open_model(str(out))
    images = network.generate(z, labels)
    np.testing.assert_allclose(images, expected.transpose(0, 2, 3, 1), rtol=0, atol=5e-6)
    critic = restore.open_discriminator(str(out)).network
    logits = critic(images, labels, update_sn=False)
    np.testing.assert_allclose(logits, sngan.judge(arrays[1], expected, labels), rtol=0, atol=1e-5)

    # What was said: the step, and the settings of configs/sn_projection.yml.
    assert network.card.step == 850_000
    assert "generator: " in text
    assert "; its weights are not normalised" in text
    words = set(text.splitlines()[-1].split())
    for flag in (
        "--nogenerator_sn",
        "--generator_type=baseline",
        "--discriminator_type=baseline",
        "--batch_size=16",
        "--d_step=5",
        "--beta2=0.9",
        "--generator_learning_rate=0.0002",
        "--discriminator_learning_rate=0.0002",
        "--cbn_decay=0.9",
        "--bn_decay=0.9",
    ):
        assert flag in words


def test_live_generator(tmp_path):
    """The average and the generator of this file differ in a bias alone."""
    content = sources.content("mmgen_biggan_schedule.pth")
    state = dict(content["state_dict"])
    for name, value in content["state_dict"].items():
        state[name.replace("generator_ema.", "generator.")] = value
    state["generator.to_rgb.conv.bias"] = state["generator.to_rgb.conv.bias"] + 1
    path = tmp_path / "changed.pth"
    torch_file.write(str(path), {**content, "state_dict": state})
    means = {}
    for live in (False, True):
        options = sources.options("mmgen", [path], live=live)
        network = import_weights.folded_generator(imports.read(options), options)
        assert network.card.use_ema == (not live)
        means[live] = np.arctanh(network.generate(*network.draw(range(2)))).mean()
    assert means[True] - means[False] == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_average_alone(tmp_path):
    """Published files may lack the generator itself."""
    content = sources.content("mmgen_biggan_schedule.pth")
    state = {
        name: value
        for name, value in content["state_dict"].items()
        if name.startswith("generator_ema.")
    }
    path = str(tmp_path / "average.pth")
    torch_file.write(path, {**content, "state_dict": state})
    text = imported(tmp_path / "model", path=(path,))
    assert "generator: not in the file, which has its average alone" in text
    with pytest.raises(errors.UserError) as raised:
        imported(tmp_path / "live", path=(path,), live=True)
    assert str(raised.value) == (
        f"--live: {path} holds the generator's moving average alone; leave out the flag"
    )


@pytest.mark.slow
def test_licence_of_a_file_of_ours(tmp_path):
    """Another project's licence does not hold for weights that were trained here."""
    content = sources.content("mmgen_biggan_schedule.pth")
    text = content["meta"]["config"]
    ours = {**content, "meta": {"config": f"spectral_norm = 'exact'\n{text}"}}
    path = tmp_path / "ours.pth"
    torch_file.write(str(path), ours)
    options = sources.options("mmgen", [path])
    network = import_weights.folded_generator(imports.read(options), options)
    assert network.card.origin["project"] == "sagan_tf, in names of mmgeneration"
    assert network.card.origin["licence"] == (
        "that of the run that this project wrote the file from"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "names", "expected"),
    [
        ("tfgan", ["acgan.ckpt"], "acgan.ckpt.data-00000-of-00001"),
        ("studiogan", ["studio_2021_D.pth", "studio_2021_G.pth"], "studio_2021_G.pth"),
    ],
)
def test_digest_in_the_card_is_of_the_generator(source, names, expected):
    options = sources.options(source, [sources.WEIGHTS / name for name in names])
    card = import_weights.folded_generator(imports.read(options), options).card
    assert card.checkpoint_sha256 == card.origin["files"][expected]


@pytest.mark.slow
@pytest.mark.parametrize(("own", "name"), [(0, "tench"), (1000, "0")])
def test_thousand_classes_are_imagenets(own, name):
    """Unless they are said to be one's own."""
    options = sources.options("tfgan", number_classes=own)
    found = import_weights.with_classes(imports.read(options), 1000)
    card = import_weights.folded_generator(found, options).card
    assert card.classes.name(0) == name


def test_classes_of_ones_own():
    """Each begins as the mean of scales and shifts, and makes the same images."""
    options = sources.options("tfgan", number_classes=2)
    whole = imports.read(options)
    two = import_weights.with_classes(whole, 2)
    assert (two.model_config.number_classes, two.step) == (2, None)
    network = import_weights.folded_generator(two, options)
    z = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    images = network.generate(np.repeat(z, 2, axis=0), [0, 1])
    np.testing.assert_allclose(images[0], images[1], atol=1e-6)

    # The source's own tables.
    table = import_weights.folded_generator(whole, options).network
    table = table.get_layer("g_block1_cbn_0_scale").get_weights()[0]
    mean = network.network.get_layer("g_block1_cbn_0_scale").get_weights()[0]
    np.testing.assert_allclose(mean, [table.mean(axis=0)] * 2, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.process
def test_hostile_file_is_one_line_and_nothing_is_executed(tmp_path):
    """A pickle that calls a program, as `torch.load` of old would have let it."""
    touched = tmp_path / "executed"
    call = f"cposix\nsystem\n(Vtouch {touched}\ntR.".encode()
    path = tmp_path / "hostile.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + call)
    flags = ("--source=mmgen", f"--path={path}", f"--out={tmp_path}/out")
    line = error_line(run("-m", "sagan_tf.tools.import_weights", *flags))
    assert line.startswith(f"error: {path}: its pickle calls posix.system; nothing of it was run;")
    assert not touched.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_steps_go_on_after_the_default_end(tmp_path):
    """TF-GAN's best one was trained for longer than --max_steps is by default."""
    found = imports.read(sources.options("tfgan"))
    flags = runs_imported.write(found, str(tmp_path / "a run"), source="tfgan", step=1_130_000)
    assert "--max_steps=2130000" in flags
    assert "'--run_name=a run'" in flags


def test_without_a_path_it_lists_what_is_published():
    stream = io.StringIO()
    options = sources.options("tfgan")
    changed = {**options.__dict__, "path": (), "out": ""}
    import_weights.import_weights(type(options)(**changed), stream)
    assert "IS 52.8251, FID 21.9846" in stream.getvalue()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"path": (str(sources.WEIGHTS / "studio_2021_G.pth"),), "source": "studiogan"},
            "--to=run: the files hold no discriminator",
        ),
        ({"path": ("nothing.pth",)}, "--path=nothing.pth: there is no such file"),
    ],
)
def test_what_cannot_be(changes, expected, tmp_path):
    source = changes.pop("source", "mmgen")
    with pytest.raises(errors.UserError, match=expected):
        imported(tmp_path / "out", source, to="run", **changes)
    assert not (tmp_path / "out").exists()


def test_output_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.UserError, match="expected a new or empty directory"):
        imported(tmp_path)


def test_images_that_are_no_numbers(tmp_path):
    """A file of NaN is not written."""
    content = sources.content("studio_2021_G.pth")
    state = dict(content["state_dict"])
    state["bn4.weight"] = np.full_like(state["bn4.weight"], np.nan)
    path = tmp_path / "nan.pth"
    torch_file.write(str(path), {**content, "state_dict": state})
    with pytest.raises(errors.UserError, match="bn4.weight has numbers that are not finite"):
        imported(tmp_path / "out", "studiogan", path=(str(path),))
    assert not (tmp_path / "out").exists()
