import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.gan import generator
from sagan_tf.images import pixels
from sagan_tf.runs import checkpoints
from sagan_tf.viewing import export as viewing_export
from sagan_tf.viewing import folding, sample, trained
from tests.conftest import ROOT
from tests.testing import PLAIN_MODEL, TINY_MODEL

pytestmark = pytest.mark.usefixtures("open_once")


def export(run_dir, out, **options):
    stream = io.StringIO()
    viewing_export.export(config.ExportConfig(run=run_dir, out=str(out), **options), stream)
    return stream.getvalue()


@pytest.fixture(name="exported", scope="module")
def fixture_exported(tiny_run, tmp_path_factory):
    """(directory, what was printed)."""
    out = tmp_path_factory.mktemp("exported") / "M"
    return str(out), export(tiny_run, out)


@pytest.fixture(name="network", scope="module")
def fixture_network(tiny_run, open_once):
    """The run's generator."""
    return trained.open_model(tiny_run)


@pytest.fixture(name="signatures", scope="module")
def fixture_signatures(exported):
    return tf.saved_model.load(exported[0]).signatures


def expected_images(run_dir, z, labels, prefix="", model_config=TINY_MODEL):
    """float32 images of a checkpoint, by the generator itself."""
    network = generator.Generator(model_config)
    network.build()
    checkpoints.Checkpoints(run_dir, {prefix + v.path: v.value for v in network.weights}).restore(
        complete=False
    )
    return network(z, labels, training=False).numpy()


Z = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
LABELS = np.array([2, 0, 1], np.int32)

# What a user of the SavedModel writes, with TensorFlow alone, and then one of the .keras file.
PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
z, labels = np.load(sys.argv[2]).values()
signatures = tf.saved_model.load(sys.argv[1]).signatures
found = {"images": signatures["serving_default"](z=z, labels=labels)["images"],
         "floats": signatures["floats"](z=z, labels=labels)["images"],
         "names": signatures["card"]()["class_titles"]}
assert not any(name.startswith("sagan_tf") for name in sys.modules)
found = {name: value.numpy() for name, value in found.items()}

import keras
import sagan_tf
model = keras.saving.load_model(sys.argv[1] + "/generator.keras")
found["floats_of_keras"] = model([z, labels], training=False).numpy()
assert [name for name in sys.modules if name.startswith("sagan_tf")] == ["sagan_tf"]
np.savez(sys.argv[3], **{**found, "names": found["names"].astype(str)})
"""


@pytest.mark.process
@pytest.mark.slow
def test_saved_model_needs_tensorflow_alone_and_keras_file_no_class_of_ours(
    exported, tiny_run, tmp_path
):
    np.savez(tmp_path / "in.npz", z=Z, labels=LABELS)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, exported[0], tmp_path / "in.npz", tmp_path / "out.npz"],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    found = np.load(tmp_path / "out.npz")
    expected = expected_images(tiny_run, Z, LABELS)
    np.testing.assert_allclose(found["floats"], expected, atol=1e-5)
    np.testing.assert_allclose(found["floats_of_keras"], expected, atol=1e-5)
    assert found["images"].dtype == np.uint8
    assert np.abs(found["images"] - (expected + 1) * 127.5).max() <= 0.51
    assert found["names"][1] == "goldfish, Carassius auratus"


@pytest.mark.slow
def test_seeds_make_the_pictures_of_sample(signatures, network):
    z, drawn = network.draw([5, 3, 9])
    found = signatures["from_seeds"](
        seeds=tf.constant([5, 3, 9], tf.int64), labels=tf.constant([1, -1, -1])
    )
    labels = [1, *drawn.numpy()[1:]]
    np.testing.assert_array_equal(found["labels"], labels)
    expected = pixels.to_uint8(network.generate(z, labels)).astype(int)
    assert np.abs(found["images"].numpy() - expected).max() <= 1


@pytest.mark.slow
def test_attention_comes_with_it(signatures, network):
    found = signatures["attention"](z=tf.constant(Z), labels=tf.constant(LABELS))
    _, expected, _ = network.attention(Z, LABELS)
    np.testing.assert_allclose(found["attention"], expected, atol=1e-5)


@pytest.mark.slow
def test_average_without_attention(plain_run, tmp_path):
    export(plain_run, tmp_path / "M", use_ema=True)
    found = trained.open_model(str(tmp_path / "M"))
    assert found.card.use_ema
    np.testing.assert_allclose(
        found.generate(Z, LABELS),
        expected_images(plain_run, Z, LABELS, "ema/", PLAIN_MODEL),
        atol=1e-5,
    )
    assert found.card.sigma_ratio is None
    assert found.attention(Z, LABELS)[1:] == (None, None)
    assert "attention" not in tf.saved_model.load(str(tmp_path / "M")).signatures


@pytest.mark.slow
def test_card_says_what_it_is(exported, network, tiny_run):
    with open(os.path.join(exported[0], "model.json"), encoding="utf-8") as file:
        card = json.load(file)
    assert (card["step"], card["use_ema"], card["sigma_ratio"]) == (5, False, 0.5)
    assert card["classes"]["names"] == ["n01440764", "n01443537", "n01484850"]
    assert card["model_config"]["z_dim"] == 8
    assert card["checkpoint_sha256"] == checkpoints.Checkpoints(tiny_run, {}).sha256(5)
    assert card["protocol"]["batch_norm"] == "moving statistics"
    assert trained.open_model(exported[0]).card == network.card


@pytest.mark.slow
def test_size_difference_and_speed_are_said(exported):
    first, second, end = exported[1].split("\n")
    assert end == ""
    size = sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(exported[0])
        for name in names
    )
    assert f"M, {size / 1e6:.1f} MB, of which generator.keras" in first
    assert second.startswith("read back, images differ by at most ")
    assert second.endswith(" ms on this CPU")


@pytest.mark.slow
def test_tools_take_an_exported_model(exported, tiny_run, tmp_path):
    found = []
    for source in (tiny_run, exported[0], exported[0] + "/generator.keras"):
        out = str(tmp_path / "a.npz")
        sample.sample(
            config.SampleConfig(run=source, classes="gold", seeds="1-3", out=out), io.StringIO()
        )
        found.append(np.load(out)["arr_0"].astype(int))
    assert np.abs(found[1] - found[0]).max() <= 1
    np.testing.assert_array_equal(found[1], found[2])
    between = [
        trained.open_model(source).between_classes(0, 2, frames=3).generate(Z, [0, 1, 2])
        for source in (tiny_run, exported[0])
    ]
    np.testing.assert_allclose(between[0], between[1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [({"step": 6}, "--step=6: .* holds only step 5"), ({"use_ema": True}, "--use_ema: .* without")],
)
def test_exported_model_is_what_it_is(exported, options, message):
    with pytest.raises(errors.UserError, match=message):
        trained.open_model(exported[0], **options)


@pytest.mark.slow
def test_damaged_export_is_one_line(exported, tmp_path):
    with open(exported[0] + "/generator.keras", "rb") as file:
        content = file.read()
    for part in (content[:1000], content[:-200], b""):
        (tmp_path / "a.keras").write_bytes(part)
        with pytest.raises(errors.UserError, match="a.keras: expected a model that export wrote"):
            trained.open_model(str(tmp_path / "a.keras"))


def test_what_is_in_the_way_stays(tiny_run, tmp_path):
    (tmp_path / "M").mkdir()
    (tmp_path / "M/mine").write_text("mine")
    with pytest.raises(errors.UserError, match="--out=.*M: expected a new or empty directory"):
        export(tiny_run, tmp_path / "M")
    with pytest.raises(errors.UserError, match="no run there"):
        export(str(tmp_path / "absent"), tmp_path / "N")
    assert os.listdir(tmp_path) == ["M"]
    assert (tmp_path / "M/mine").read_text() == "mine"


@pytest.mark.slow
def test_what_makes_other_images_is_refused(exported, network, tiny_run):
    average, card = trained.open_generator(tiny_run, use_ema=True)
    folded_average = trained.Trained(folding.fold(average), card, source=tiny_run)
    with pytest.raises(OSError, match="what was read back makes images that differ by "):
        viewing_export.check_export(folded_average, exported[0])
    with pytest.raises(errors.UserError, match="with folded weights differ by .*rounding"):
        viewing_export.check_folding(network, average)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, -1, 1], "labels from 0 on"),
        ([0, 3, 1], "labels below the number of classes"),
        ([0], "a label for each z"),
    ],
)
def test_labels_that_are_none_are_refused(signatures, labels, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["serving_default"](z=tf.constant(Z), labels=tf.constant(labels))


def test_nobody_elses_directory_is_touched(tiny_run, tmp_path):
    (tmp_path / "M.unfinished").mkdir()
    (tmp_path / "M.tmp").write_text("mine")
    with pytest.raises(errors.UserError, match="--step=77: "):
        export(tiny_run, tmp_path / "M", step=77)
    assert sorted(os.listdir(tmp_path)) == ["M.tmp", "M.unfinished"]


@pytest.mark.slow
def test_exported_model_is_not_exported_again(exported, tmp_path):
    with pytest.raises(errors.UserError, match="it is an exported model; expected a run"):
        export(exported[0], tmp_path / "N")
