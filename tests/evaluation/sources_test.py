import io
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.data import dataset
from sagan_tf.evaluation import (
    comparison,
    console,
    evaluate,
    features,
    generators,
    protocol,
    sources,
)
from sagan_tf.gan import generator, noise, ops, standing_statistics
from sagan_tf.runs import checkpoints
from sagan_tf.runs import directory as runs_directory
from tests import processes
from tests.evaluation.conftest import DIGITS_MODEL

TRUNCATED = {"truncation": 0.7, "standing_batches": 3, "standing_seed": 1}
SAMPLING = config.Sampling(0.7, 3, 4, seed=1)


def open_source(eval_config):
    network = generators.find(eval_config)
    return sources.GeneratedImages(
        network.config,
        network,
        devices=comparison.make_devices(eval_config),
        stopwatch=features.Stopwatch(),
        console=console.Console(io.StringIO()),
    )


@pytest.mark.slow
def test_quantization_and_balanced_labels_are_what_they_say(settings, run, first):
    evaluate.evaluate(
        settings(
            quantization="truncate", label_sampling="balanced", save_samples=str(run / "folder")
        ),
        io.StringIO(),
    )
    names = sorted(
        path.relative_to(run / "folder").as_posix() for path in (run / "folder").glob("*/*.png")
    )
    assert len(names) == 120
    assert names[0] == "0000/000000.png"
    assert names[-1] == "0009/000119.png"
    exact = np.load(run / "samples.npz")["arr_0"]
    assert exact.shape == (120, 32, 32, 3)
    generated = open_source(settings(quantization="truncate"))
    generated.load(5)
    z = np.zeros([3, 8], np.float32)
    ((images, labels, count),) = list(generated.batches_of(z, np.arange(3, dtype=np.int32)))
    np.testing.assert_array_equal(labels, [0, 1, 2])
    pixels = (generated.devices.on_host(images, count) + 1) * 127.5
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)


def test_labels_as_often_as_the_real_images_have_them(settings):
    """Of 4 real images one is of class 7, one of class 2 and two are of class 5: of 120 images 30,
    30 and 60 are."""
    generated = open_source(settings(label_sampling="real"))
    generated.load(5)
    generated.real_labels = np.array([5, 7, 5, 2], np.int32)
    labels = np.concatenate([labels for _, labels, _ in generated.batches()])
    assert labels.dtype == np.int32
    assert set(labels[:30]) == {2, 5, 7}
    assert dict(zip(*np.unique(labels, return_counts=True))) == {2: 30, 5: 60, 7: 30}
    assert "labels as often as the real images have them" in generated.describe()["images"]


def test_share_of_a_class_is_rounded():
    """Of 7 labels 5 are of class 0, and one each of 1 and 2; of 3 the middle ones of each third."""
    real = np.array([0, 1, 0, 0, 2, 0, 0], np.int32)
    assert sorted(sources.as_often(real, 3, seed=0)) == [0, 0, 1]
    assert np.bincount(sources.as_often(real, 14, seed=0)).tolist() == [10, 2, 2]


def test_scores_with_the_labels_of_the_real_images(settings, tmp_path):
    """Generated images have the real ones' classes, which those that are written show."""
    own = settings(label_sampling="real", save_samples=str(tmp_path / "own.npz"))
    evaluate.evaluate(own, io.StringIO())
    with np.load(tmp_path / "own.npz") as file:
        counts = np.bincount(file["arr_1"], minlength=10)
    records = dataset.open_records(own.real_dir, 32, number_classes=10)
    chosen = dataset.evaluation_records(records, 120, seed=own.seed)
    _, real = dataset.images_of(records, chosen)
    assert counts.tolist() == np.bincount(real, minlength=10).tolist()


def test_statistics_without_labels_give_none(settings, tmp_path):
    with pytest.raises(errors.UserError, match="--label_sampling=real: expected uniform or"):
        settings(label_sampling="real", real_stats=str(tmp_path / "real.npz"))


@pytest.fixture(name="towers_run", scope="module")
def fixture_towers_run(run, tmp_path_factory):
    """The same run, with four images in a tower."""
    directory = tmp_path_factory.mktemp("towers")
    run_dir = directory / "imagenet_64"
    shutil.copytree(run / "imagenet_64", run_dir)
    train = config.TrainConfig(batch_size=4)
    runs_directory.write_config(str(run_dir), model=DIGITS_MODEL, train=train)
    return directory


def images_of(source, batches):
    parts = [source.devices.on_host(images, count) for images, _, count in batches]
    return np.concatenate(parts)


def expected_images(run_dir, count, seed=0, label=None):
    """Images of truncated z by a generator with standing statistics."""
    network = generator.Generator(DIGITS_MODEL)
    network.build()
    state = {weight.path: weight.value for weight in network.weights}
    checkpoints.Checkpoints(str(run_dir), state).restore(complete=False)
    ops.settle_spectral_norms(network)
    standing_statistics.gather(network, SAMPLING)
    z, labels = noise.draw_samples(
        seed, noise.EVALUATION, count=count, z_dim=8, number_classes=10, limit=0.7
    )
    assert np.abs(z).max() < 0.7
    if label is not None:
        labels = tf.fill([count], label)
    return network(z, labels, training=False).numpy()


def test_record_says_nothing_new_of_what_is_not_used(settings):
    """As rows of older releases, which go on being comparable."""
    generated = open_source(settings())
    assert generated.describe() == {
        "batch_norm": "moving statistics",
        "ema": False,
        "images": "uniform random labels, moving statistics, no EMA, not quantized",
    }
    assert settings().departures(120) == {"eval_sample_size": 120}


def test_record_says_truncation_and_statistics(settings, towers_run):
    truncated = settings(checkpoint_dir=str(towers_run), **TRUNCATED)
    words = "standing statistics of 3 batches of 4 images from seed 1"
    assert open_source(truncated).describe() == {
        "batch_norm": words,
        "ema": False,
        "images": f"uniform random labels, z truncated at 0.7, {words}, no EMA, not quantized",
        "sampling": {"truncation": 0.7, "batches": 3, "batch_size": 4, "seed": 1},
    }
    assert truncated.departures(120) == {
        "eval_sample_size": 120,
        "truncation": 0.7,
        "standing_batches": 3,
    }
    as_before = settings(truncation=0.7, standing_batches=0)
    described = open_source(as_before).describe()
    assert described["batch_norm"] == "moving statistics"
    assert ", z truncated at 0.7, moving statistics, " in described["images"]
    assert as_before.departures(120) == {"eval_sample_size": 120, "truncation": 0.7}


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [1, 2])
def test_images_have_truncated_z_and_the_statistics_of_these(settings, towers_run, num_devices):
    generated = open_source(
        settings(
            checkpoint_dir=str(towers_run),
            eval_sample_size=20,
            num_devices=num_devices,
            **TRUNCATED,
        )
    )
    generated.load(5)
    found = images_of(generated, generated.batches())
    expected = expected_images(towers_run / "imagenet_64", 20)
    np.testing.assert_allclose(found, expected, atol=1e-4)

    # Images of a class too.
    found = images_of(generated, generated.batches_of_class(3, 5))
    expected = expected_images(towers_run / "imagenet_64", 5, seed=4, label=3)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_next_checkpoint_has_statistics_of_its_own(settings, towers_run):
    truncated = settings(checkpoint_dir=str(towers_run), eval_sample_size=20, **TRUNCATED)
    generated = open_source(truncated)
    found = []
    for step in (5, 0, 5):
        generated.load(step)
        found.append(images_of(generated, generated.batches()))
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.1


@pytest.mark.slow
def test_scores_of_truncated_images_are_another_protocol(settings, towers_run):
    stream = io.StringIO()
    for flags in ({}, TRUNCATED):
        asked = settings(checkpoint_dir=str(towers_run), compare_untrained=True, **flags)
        scores = evaluate.evaluate(asked, stream)
        names = [found.name for found in scores]
        assert names == ["step 5", "real images", "real, held out", "untrained"]
    plain, truncated = processes.rows(towers_run / "eval/imagenet_64")
    assert not protocol.same_protocol(plain["protocol"], truncated["protocol"])
    assert "sampling" not in plain["protocol"]
    expected = (
        "protocol reference, eval_sample_size 120, truncation 0.7, standing_batches 3: 120 images "
        "(uniform random labels, z truncated at 0.7, standing statistics of 3 batches of 4 images "
        "from seed 1, no EMA, not quantized)"
    )
    assert expected in truncated["citation"]
    assert "standing statistics" in truncated["seconds_per_1000_images"]
    assert "standing statistics" not in plain["seconds_per_1000_images"]
