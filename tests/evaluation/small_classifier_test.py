"""A small classifier of any set of pictures learns it, and serves as "Inception"."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import prepare, records
from sagan_tf.evaluation import inception, small_classifier
from tests import processes
from tests.conftest import ROOT
from tests.testing import make_pictures

LEVELS = (0.5, -0.5)  # light, dark


@pytest.mark.parametrize(
    ("side", "filters"), [(32, [16, 32, 64]), (64, [16, 32, 64, 64]), (128, [16, 32, 64, 64, 64])]
)
def test_convolutions_halve_the_side_down_to_four(side, filters):
    network = small_classifier.build(side, 7, fill_mode="nearest")
    convolutions = [one for one in network.layers if isinstance(one, keras.layers.Conv2D)]
    assert [one.filters for one in convolutions] == filters
    assert convolutions[-1].output.shape == (None, 4, 4, 64)
    assert [output.shape for output in network.outputs] == [(None, 64), (None, 7)]


def light_and_dark(directory, count: int) -> str:
    """Records of pictures that are light or dark, `count` of each, with noise on them."""
    noise = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (directory / "pictures" / name).mkdir(parents=True)
        for i in range(count):
            pixels = level + noise.integers(-40, 40, [32, 32, 3])
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(directory / "pictures" / name / f"{i}.png")
    settings = config.PrepareConfig(
        source=str(directory / "pictures"),
        out=str(directory / "records"),
        size=32,
        resize="clean",
        workers=1,
    )
    prepare.prepare(settings, io.StringIO())
    return settings.out


@pytest.mark.slow
@pytest.mark.process
def test_classifier_tells_light_from_dark_and_serves_as_inception(tmp_path):
    out = tmp_path / "classifier"
    code, said, err = processes.run(
        "-m",
        "sagan_tf.tools.make_classifier",
        light_and_dark(tmp_path, 80),
        f"--out={out}",
        "--epochs=20",
        "--held_out=0.25",
    )
    assert (code, said) == (0, "held-out accuracy: 40 of 40 = 100.00%\n"), err
    facts = json.loads((out / "accuracy.json").read_text())
    assert facts == {"held_out_images": 40, "correct": 40, "accuracy": 1.0}

    # Classes are numbered by their sorted names.
    pool, logits = inception.load(str(out))(
        tf.stack([tf.fill([32, 32, 3], level) for level in LEVELS])
    )
    assert pool.shape == (2, 64)
    assert logits.numpy().argmax(1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"a": 3, "b": 4}, "7 images, 2 classes; expected at least 128 images and 2 classes"),
        ({"a": 130}, "130 images, 1 class; expected at least 128 images and 2 classes"),
    ],
)
def test_too_little_to_learn_is_refused(tmp_path, counts, line):
    source = make_pictures(tmp_path / "pictures", counts, side=32)
    settings = config.PrepareConfig(source=source, out=str(tmp_path / "records"), size=32)
    prepare.prepare(settings, io.StringIO())
    options = config.ClassifierConfig(data_dir=settings.out, out=str(tmp_path / "out"))
    with pytest.raises(errors.UserError) as error:
        small_classifier.make_of_directory(options)
    assert str(error.value) == f"--data_dir={settings.out}: {line}"
    assert not (tmp_path / "out").exists()


def test_records_without_their_description_are_refused(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "x.tfrecords")) as writer:
        writer.write(records.encode(np.zeros([32, 32, 3], np.uint8), 0, encoding="png"))
    with pytest.raises(errors.UserError, match=r"it does not say its image size .*dataset\.json"):
        small_classifier.make_of_directory(config.ClassifierConfig(data_dir=str(tmp_path), out="x"))


def test_missing_directory_is_named(tmp_path):
    options = config.ClassifierConfig(data_dir=str(tmp_path / "absent"), out="x")
    with pytest.raises(errors.UserError, match=r"^--data_dir=.*absent: no such directory"):
        small_classifier.make_of_directory(options)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_share_that_tests_is_within_bounds(share):
    with pytest.raises(errors.UserError, match=f"--held_out={share}: expected a share from 0.01"):
        config.ClassifierConfig(data_dir="data", out="x", held_out=share)


@pytest.mark.parametrize("name", ["emoji_classifier", "emoji_all_classifier"])
def test_emoji_classifiers_say_their_accuracy_and_take_their_pictures(name):
    """Those in data/; nine classes, 64 px."""
    classifier = inception.load(str(ROOT / "data" / name))
    assert (classifier.input_size, classifier.features) == (64, 64)
    _, logits = classifier(tf.zeros([2, 64, 64, 3]))
    assert logits.shape == (2, 9)
    facts = json.loads((ROOT / "data" / name / "accuracy.json").read_text())
    assert facts["accuracy"] == facts["correct"] / facts["held_out_images"]
