"""A trained generator's images do not depend on what they are made with."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.images import pixels
from sagan_tf.viewing import export, trained
from tests.testing import PLAIN_MODEL, make_run


@pytest.fixture(name="network", scope="module")
def fixture_network(tiny_run):
    return trained.open_model(tiny_run)


def test_pixels_of_the_device_are_those_of_the_host():
    """Around every boundary between two levels, and beyond both ends."""
    boundaries = ((np.arange(256) + 0.5) / 127.5 - 1).astype(np.float32)
    below = np.nextafter(boundaries, np.float32(-2))
    above = np.nextafter(boundaries, np.float32(2))
    halves = np.linspace(-1.25, 1.25, 41, dtype=np.float32)
    images = np.concatenate([boundaries, below, above, halves])
    expected = pixels.to_uint8(images)
    assert {0, 127, 128, 255} <= set(expected.tolist())
    assert len(set(expected.tolist())) == 256
    for function in (trained.to_uint8, tf.function(trained.to_uint8)):
        found = function(tf.constant(images))
        assert found.dtype == tf.uint8
        np.testing.assert_array_equal(found, expected)


def test_pixels_round_to_the_nearest_even_level():
    images = tf.constant([-1.5, -1.0, 0.0, 1 / 255, 3 / 255, 1.0, 1.5], tf.float64)
    np.testing.assert_array_equal(trained.to_uint8(images), [0, 0, 128, 128, 129, 255, 255])


@pytest.mark.slow
def test_pixels_are_those_of_the_images(network):
    z, labels = network.draw([3, 5])
    np.testing.assert_array_equal(
        network.generate_pixels(z, labels), pixels.to_uint8(network.generate(z, labels))
    )


@pytest.mark.slow
def test_python_finds_a_class_by_its_name_and_generates_it(network):
    """As in the README."""
    z, _ = network.draw(seeds=[0, 1, 2])
    assert network.classes.find("goldfish") == [1]
    assert network.generate(z, network.classes.find("goldfish") * 3).shape == (3, 32, 32, 3)


@pytest.mark.slow
def test_captions_name_class_and_seed(network):
    assert network.caption(1, 7) == "seed 7, goldfish"
    assert network.caption(2, 7, two_lines=True) == "great white shark\nseed 7"


@pytest.mark.slow
def test_a_seed_is_one_picture_whatever_comes_with_it(network, monkeypatch):
    """Other seeds and other sizes of the batch may differ in rounding, by a level in few pixels."""
    z, labels = network.draw(range(40))
    alone, _ = network.draw([7])
    np.testing.assert_array_equal(z[7], alone[0])
    monkeypatch.setattr(network, "batch_size", 40)
    together = pixels.to_uint8(network.generate(z, labels)).astype(int)
    for size in (1, 7):
        monkeypatch.setattr(network, "batch_size", size)
        parts = pixels.to_uint8(network.generate(z, labels)).astype(int)
        assert np.abs(parts - together).max() <= 1
        assert (parts != together).mean() < 1e-3


def test_run_without_average_says_how_to_get_one(tmp_path):
    run_dir = make_run(tmp_path, PLAIN_MODEL, average=False)
    with pytest.raises(errors.UserError, match="--use_ema: .* holds no moving average"):
        trained.open_model(run_dir, use_ema=True)


@pytest.mark.slow
def test_classes_that_mean_nothing_are_one_line(tmp_path):
    """Of a run whose D has not seen classes, and of what is exported from it."""
    unconditional = dataclasses.replace(PLAIN_MODEL, conditioning="none")
    run_dir = make_run(tmp_path, unconditional)
    line = (
        "--conditioning=none: the discriminator did not see classes, so samples of a class are "
        "not of that class"
    )
    out = str(tmp_path / "exported")
    stream = io.StringIO()
    export.export(config.ExportConfig(run=run_dir, out=out), stream)
    assert stream.getvalue().count(line) == 1
    for path in (run_dir, out):
        notes = []
        trained.open_model(path, note=notes.append)
        assert notes == [line]


@pytest.mark.parametrize("conditioning", ["projection", "auxiliary_classifier"])
def test_classes_of_other_runs_need_no_line(conditioning):
    settings = dataclasses.replace(PLAIN_MODEL, conditioning=conditioning)
    assert settings.note_on_classes == ""
