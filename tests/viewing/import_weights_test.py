import io
import json

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.bridges import imports, torch_file
from sagan_tf.runs import restore
from sagan_tf.viewing import import_weights, trained
from tests.bridges import sources


def imported(out, source="mmgen", **changes):
    """What the import of a source's file prints."""
    stream = io.StringIO()
    options = sources.options(source)
    changed = {**options.__dict__, "out": str(out), **changes}
    import_weights.import_weights(type(options)(**changed), stream)
    return stream.getvalue()


@pytest.fixture(name="model", scope="module")
def fixture_model(tmp_path_factory):
    """(directory, what was printed) of an exported model."""
    out = tmp_path_factory.mktemp("imported") / "model"
    return str(out), imported(out)


@pytest.fixture(name="run", scope="module")
def fixture_run(tmp_path_factory):
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
def test_run_has_both_networks_and_the_average(run):
    expected = sources.computed("mmgen")
    averaged = trained.open_model(run[0], use_ema=True)
    images = averaged.generate(expected["z"], expected["labels"])
    np.testing.assert_allclose(images, expected["generated"], rtol=0, atol=5e-6)
    critic = restore.open_discriminator(run[0]).network
    logits = critic(expected["images"], expected["labels"], update_sn=False)
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=5e-6)
    assert averaged.card.step == 826_000


def test_run_prints_the_flags_that_fit(run):
    command = run[1].splitlines()[-1]
    assert command.startswith("python train_imagenet.py --data_dir=./data --checkpoint_dir=")
    flags = dict(word[2:].split("=") for word in command.split()[2:])
    assert flags["generator_type"] == flags["discriminator_type"] == "test_64"
    assert (flags["batch_size"], flags["num_towers"], flags["ema_decay"]) == ("32", "8", "0.999")
    assert (flags["cbn_decay"], flags["bn_decay"]) == ("0.9", "0.9")


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


def test_classes_of_ones_own():
    """Each begins as the mean of scales and shifts, and makes the same images."""
    options = sources.options("tfgan", number_classes=2)
    whole = imports.read(options)
    two = import_weights.with_classes(whole, 2)
    assert (two.model_config.number_classes, two.step) == (2, None)
    network = import_weights.folded_generator(two, options)
    z = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    images = network.generate(np.repeat(z, 2, axis=0), [0, 1])
    np.testing.assert_array_equal(images[0], images[1])

    # The source's own tables.
    table = import_weights.folded_generator(whole, options).network
    table = table.get_layer("g_block1_cbn_0_scale").get_weights()[0]
    mean = network.network.get_layer("g_block1_cbn_0_scale").get_weights()[0]
    np.testing.assert_allclose(mean, [table.mean(axis=0)] * 2, rtol=1e-5, atol=1e-6)


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
    with pytest.raises(errors.UserError, match="its images are not finite numbers"):
        imported(tmp_path / "out", "studiogan", path=(str(path),))
    assert not (tmp_path / "out").exists()
