"""Truncation with standing statistics, from a run to what other programs load."""

import dataclasses
import hashlib
import io
import json
import pathlib
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.config import Sampling
from sagan_tf.gan import generator, noise, standing_statistics
from sagan_tf.images import pixels
from sagan_tf.runs import card, checkpoints
from sagan_tf.viewing import export, interpolate, sample, trained
from tests.testing import PLAIN_MODEL

# The run has two images in a tower.
ASKED = Sampling(0.7, 3, seed=1)
GATHERED = dataclasses.replace(ASKED, batch_size=2)
FLAGS = {"truncation": 0.7, "standing_batches": 3, "standing_seed": 1}


def digests(directory):
    """Name -> SHA-256 of each file."""
    files = (path for path in pathlib.Path(directory).rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(name="network", scope="module")
def fixture_network(plain_run):
    """The run's generator for truncated z."""
    return trained.open_model(plain_run, sampling=ASKED)


@pytest.fixture(name="exported", scope="module")
def fixture_exported(plain_run, tmp_path_factory):
    """(directory, what was printed), of the same generator."""
    out = str(tmp_path_factory.mktemp("exported") / "M")
    stream = io.StringIO()
    export.export(config.ExportConfig(run=plain_run, out=out, **FLAGS), stream)
    return out, stream.getvalue()


def sampled(source, out, **flags):
    """Pixels of two seeds, and what was printed."""
    stream = io.StringIO()
    asked = config.SampleConfig(run=source, seeds="4,9", classes="1", out=str(out), **flags)
    sample.sample(asked, stream)
    return np.load(out)["arr_0"].astype(int), stream.getvalue()


@pytest.mark.slow
def test_images_are_those_of_the_live_generator_with_the_statistics(network, plain_run):
    live = generator.Generator(PLAIN_MODEL)
    live.build()
    state = {weight.path: weight.value for weight in live.weights}
    checkpoints.Checkpoints(plain_run, state).restore(complete=False)
    standing_statistics.gather(live, GATHERED)

    z, drawn = network.draw([4, 9])
    expected_z, expected_labels = noise.draw_seeds(
        np.array([4, 9]), PLAIN_MODEL.z_dim, number_classes=3, limit=0.7
    )
    np.testing.assert_array_equal(z, expected_z)
    np.testing.assert_array_equal(drawn, expected_labels)
    np.testing.assert_allclose(
        network.generate(z, [1, 1]), live(z, np.array([1, 1]), training=False), atol=1e-4
    )
    assert network.card.sampling == GATHERED


@pytest.mark.slow
def test_run_does_not_change(plain_run, network, tmp_path):
    before = digests(plain_run)
    found, _ = sampled(plain_run, tmp_path / "a.npz", **FLAGS)
    assert digests(plain_run) == before
    z, _ = network.draw([4, 9])
    np.testing.assert_array_equal(found, network.generate_pixels(z, [1, 1]))
    untruncated, _ = sampled(plain_run, tmp_path / "b.npz")
    assert np.abs(found - untruncated).max() > 5


@pytest.mark.slow
def test_statistics_of_training_stay_where_the_user_wants_them(plain_run):
    as_before = trained.open_model(plain_run, sampling=Sampling(0.7))
    as_trained = trained.open_model(plain_run)
    z, _ = as_before.draw([4])
    assert np.abs(z).max() < 0.7
    np.testing.assert_array_equal(as_before.generate(z, [1]), as_trained.generate(z, [1]))


@pytest.mark.slow
def test_moving_statistics_of_the_average_are_remarked_on(plain_run, exported, tmp_path):
    """In one line, unless the user has asked for them; not of an exported model."""
    remark = (
        "--use_ema: the average's moving statistics lag behind it; --standing_statistics gathers "
        "its own\n"
    )
    _, said = sampled(plain_run, tmp_path / "a.npz", use_ema=True)
    assert said.startswith(remark)
    assert said.count("\n") == 2
    for source, flags in (
        (plain_run, {}),
        (plain_run, {"use_ema": True, **FLAGS}),
        (plain_run, {"use_ema": True, "truncation": 0.7, "standing_batches": 0}),
        (exported[0], {}),
    ):
        _, said = sampled(source, tmp_path / "a.npz", **flags)
        assert said.count("\n") == 1


@pytest.mark.slow
def test_interpolation_ends_at_the_truncated_pictures(network):
    frames = interpolate.interpolate(network, [0, 2], seeds=[4, 9], frames=3).astype(int)
    z, _ = network.draw([4, 9])
    ends = pixels.to_uint8(network.generate(z, [0, 2])).astype(int)
    assert np.abs(frames[[0, 2]] - ends).max() <= 1


@pytest.mark.slow
def test_exported_model_makes_the_same_images(exported, network, tmp_path):
    z, _ = network.draw([4, 9])
    expected = network.generate_pixels(z, [1, 1]).astype(int)
    for flags in ({}, FLAGS):
        found, said = sampled(exported[0], tmp_path / "a.npz", **flags)
        assert np.abs(found - expected).max() <= 1
        assert said.count("\n") == 1

    signatures = tf.saved_model.load(exported[0]).signatures
    found = signatures["from_seeds"](
        seeds=tf.constant([4, 9], tf.int64), labels=tf.constant([1, 1])
    )
    assert np.abs(found["images"].numpy() - expected).max() <= 1


@pytest.mark.slow
def test_card_says_truncation_and_statistics(exported):
    content = json.loads(pathlib.Path(exported[0], "model.json").read_text())
    assert content["version"] == 1
    assert content["sampling"] == {"truncation": 0.7, "batches": 3, "batch_size": 2, "seed": 1}
    protocol = content["protocol"]
    assert "standard normal, cut off at -0.7 and 0.7;" in protocol["inputs"]
    expected = "standing statistics of 3 batches of 2 images from seed 1"
    assert protocol["batch_norm"] == expected


@pytest.mark.slow
def test_export_says_truncation_and_statistics(exported):
    _, line, _, end = exported[1].split("\n")
    assert line == "z truncated at 0.7, standing statistics of 3 batches of 2 images from seed 1"
    assert end == ""


@pytest.mark.slow
def test_another_truncation_is_refused(exported, tmp_path):
    with pytest.raises(errors.UserError, match="--truncation=0.5: .* for z truncated at 0.7"):
        sampled(exported[0], tmp_path / "a.npz", truncation=0.5)


@pytest.mark.slow
def test_model_of_an_older_release_opens_and_takes_truncation(plain_run, tmp_path):
    """Its card says nothing of truncation."""
    network = trained.open_model(plain_run)
    content = json.loads(network.card.to_json())
    del content["sampling"]
    old = card.card_from_json(json.dumps(content))
    assert old == network.card
    assert old.sampling == Sampling()

    # Write it as it was.
    path = str(tmp_path / "old.keras")
    network.network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(card.CARD_FILE, json.dumps(content))
    _, said = sampled(path, tmp_path / "a.npz")
    assert said.count("\n") == 1
    with pytest.raises(errors.UserError, match="--truncation=0.7: batch norm's statistics"):
        sampled(path, tmp_path / "b.npz", truncation=0.7)
    found, said = sampled(path, tmp_path / "b.npz", truncation=0.7, standing_batches=0)
    assert said.count("\n") == 1
    z, _ = trained.open_model(plain_run, sampling=Sampling(0.7)).draw([4, 9])
    assert np.abs(found - network.generate_pixels(z, [1, 1])).max() <= 1
