import io
import json
import os
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import dataset, prepare
from sagan_tf.evaluation import neighbours
from sagan_tf.images import grids
from sagan_tf.viewing import nearest, nearest_picture, sample, trained
from tests.processes import run
from tests.testing import make_data, make_pictures, write_records

pytestmark = pytest.mark.usefixtures("open_once")
COUNT = 40


@pytest.fixture(name="place", scope="module")
def fixture_place(tmp_path_factory):
    """A directory with `data`, and a classifier whose features are the means of the colours."""
    place = tmp_path_factory.mktemp("nearest")
    make_data(place / "data", count=COUNT)
    images = keras.Input([32, 32, 3])
    pool = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, pool).save(place / "means.keras")
    return place


@pytest.fixture(name="draw")
def fixture_draw(plain_run, place, tmp_path):
    """(settings) -> the numbers, what was printed, and the picture."""

    def draw(**settings):
        options = {
            "run": plain_run,
            "nearest": True,
            "data_dir": str(place / "data"),
            "inception": str(place / "means.keras"),
            "stats_dir": str(place / "stats"),
            "nearest_count": 30,
            "out": str(tmp_path / "a.png"),
            **settings,
        }
        stream = io.StringIO()
        picture, numbers = sample.sample(config.SampleConfig(**options), stream)
        with open(numbers) as file, Image.open(picture) as image:
            return json.load(file), stream.getvalue(), np.asarray(image)

    return draw


@pytest.fixture(name="training", scope="module")
def fixture_training(place):
    """The training images, uint8, and their labels."""
    records = dataset.open_records(str(place / "data"), 32, number_classes=3)
    return dataset.images_of(records, np.arange(COUNT))


def means(images):
    return (images / 127.5 - 1).mean((1, 2))


def distances(images, others):
    return np.sqrt(((means(images)[:, None] - means(others)[None]) ** 2).sum(-1))


def place_of(directory, number):
    """The place of a record: 20 lie in each of two files."""
    return f"{directory}/part-{number // 20}.tfrecords: record {number % 20}"


@pytest.mark.slow
def test_numbers_are_those_of_all_distances(draw, place, training, plain_run):
    numbers, said, _ = draw(classes="1,0", seeds="5,3", neighbours=2)
    real, _ = training
    network = trained.open_model(plain_run)

    # The picture: each class with each seed.
    order = [(5, 1), (3, 1), (5, 0), (3, 0)]
    assert [(row["seed"], row["class"]) for row in numbers["images"]] == order
    drawn = nearest_picture.Drawn(*np.array(order).T)
    made = nearest_picture.pixels_of(network, drawn)
    expected = distances(made, real)
    for row, found in zip(expected, numbers["images"]):
        near = np.argsort(row)[:2]
        np.testing.assert_allclose([one["distance"] for one in found["nearest"]], row[near], 1e-3)
        places = [place_of(place / "data", number) for number in near]
        assert [one["record"] for one in found["nearest"]] == places

    # The summary: seeds 0 to 29, the two classes in turn.
    summarised = nearest_picture.Drawn(np.arange(30), np.resize([1, 0], 30))
    made = nearest_picture.pixels_of(network, summarised)
    own = distances(made, real).min(1)
    others = (distances(real, real) + np.diag([np.inf] * COUNT)).min(1)
    summary = numbers["summary"]
    assert summary["ratio"] == pytest.approx(np.median(own) / np.median(others), rel=1e-3)
    assert summary["real_least"] == pytest.approx(np.quantile(others, 0.01), rel=1e-2)
    assert (summary["images"], summary["real_images"]) == (30, COUNT)
    first = numbers["nearest_of_all"][0]
    assert first["seed"] == own.argmin()
    assert first["distance"] == pytest.approx(own.min(), rel=1e-2)
    assert f"ratio {summary['ratio']:.2f} (new images: about 1)" in said


@pytest.mark.slow
def test_picture_has_the_generated_images_to_the_left(draw, training, plain_run):
    """Cells of 132 x 148 pixels: 128 of the enlarged image, a margin of 2, and the caption."""
    _, _, picture = draw(classes="0,1", seeds="4", neighbours=3)
    assert picture.shape[1] == 132 + 12 + 3 * 132
    rows = picture[-2 * 148 :]
    network = trained.open_model(plain_run)
    made = nearest_picture.pixels_of(
        network, nearest_picture.Drawn(np.array([4, 4]), np.array([0, 1]))
    )
    real, _ = training
    near = distances(made, real).argsort(1)[:, :3]
    for line in range(2):
        cells = rows[line * 148 + 2 : line * 148 + 130]
        shown = np.asarray(grids.enlarge(made[line], 128), int)
        assert np.abs(cells[:, 2:130] - shown).max() <= 1
        for column in range(3):
            left = 146 + 132 * column
            expected = np.asarray(grids.enlarge(real[near[line, column]], 128))
            np.testing.assert_array_equal(cells[:, left : left + 128], expected)


@pytest.mark.slow
def test_generator_that_copies_is_found_out(draw, place, training, monkeypatch):
    real, _ = training

    def copies(network, drawn):
        return real[drawn.seeds % COUNT]

    monkeypatch.setattr(nearest_picture, "pixels_of", copies)
    numbers, said, _ = draw(classes="2", seeds="7,31", neighbours=1)
    for row in numbers["images"]:
        (near,) = row["nearest"]
        assert near["record"] == place_of(place / "data", row["seed"])
        assert near["distance"] == 0.0
    assert numbers["summary"]["ratio"] == 0.0
    assert numbers["summary"]["copies"] == 1.0
    assert "100.0 % of the generated images" in said


def test_training_images_that_are_there_twice_are_counted():
    """Of distances 0, 0, 1, 1, 1 two are those of a pair."""
    training = nearest_picture.Training("", None, np.zeros((5, 2)), "")
    for real, end in (
        ([0, 0, 1, 1, 1], "; left out: 2 of 5 training images that are there twice"),
        ([1, 1, 1, 1, 1], "50.0 % of the generated images"),
    ):
        real = np.array(real, float)
        summary = neighbours.closeness(np.array([0.5, 1.5]), real, is_twin=real == 0)
        compared = nearest_picture.Comparison(None, None, summary, [])
        lines = nearest_picture.summary_lines(compared, None, training=training)
        assert lines[1].startswith(
            "nearer than 1, as the most alike training images are to each other (too few for 1 % "
            "of them): 50.0 %"
        )
        assert lines[1].endswith(end)


def test_one_per_cent_is_said_from_a_hundred_training_images_on():
    """Distances 1 to 100: the 1 % quantile is 1.99, and one of two generated images is nearer."""
    training = nearest_picture.Training("", None, np.zeros((100, 2)), "")
    real = np.arange(1.0, 101.0)
    summary = neighbours.closeness(np.array([1.5, 2.5]), real, is_twin=real == 0)
    compared = nearest_picture.Comparison(None, None, summary, [])
    lines = nearest_picture.summary_lines(compared, None, training=training)
    assert lines[1] == (
        "nearer than 1.99, as 1 % of the training images are to another: 50.0 % of the generated "
        "images (new images: about 1 %)"
    )


@pytest.mark.slow
def test_usual_seeds_make_eight_images_or_more(draw):
    numbers, said, _ = draw()
    images = [(row["seed"], row["class"]) for row in numbers["images"]]
    assert images == [(seed, label) for label in range(3) for seed in range(3)]
    assert all(len(row["nearest"]) == 5 for row in numbers["images"])
    assert numbers["step"] == 5
    assert numbers["training_images"] == COUNT
    assert said.count("\n") == 7  # Classifier, features, three of the summary, two paths.


@pytest.mark.slow
def test_run_says_its_own_data(draw, place, plain_run, tmp_path):
    shutil.copytree(plain_run, tmp_path / "run")
    path = tmp_path / "run/config.json"
    content = json.loads(path.read_text())
    content["data"]["data_dir"] = str(place / "data")
    path.write_text(json.dumps(content))
    numbers, _, _ = draw(run=str(tmp_path / "run"), data_dir="", seeds="1", classes="1")
    assert numbers["data_dir"] == str(place / "data")


@pytest.mark.slow
@pytest.mark.parametrize("mirror", [False, True])
def test_mirrored_training_is_named(draw, plain_run, tmp_path, mirror):
    """Copies of mirrored images would not be found."""
    shutil.copytree(plain_run, tmp_path / "run")
    path = tmp_path / "run/config.json"
    content = json.loads(path.read_text())
    content["train"]["mirror"] = mirror
    path.write_text(json.dumps(content))
    _, said, _ = draw(run=str(tmp_path / "run"), seeds="1", classes="1")
    assert ("--mirror: copies of mirrored training images are not found" in said) == mirror


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data_dir": "absent"}, "--data_dir=absent: no such directory"),
        ({"data_dir": "{place}/empty"}, "--data_dir={place}/empty: it holds no *.tfrecords"),
        ({"data_dir": "{place}/large"}, "{place}/large/part-0.tfrecords: record 0"),
        ({"inception": "absent"}, "--inception=absent: expected a TF-Hub handle"),
        ({"neighbours": 20, "data_dir": "{place}/few"}, "--neighbours=20: {place}/few holds 12 im"),
        ({"data_dir": "{place}/same"}, "--data_dir={place}/same: more than half of the images"),
        ({"data_dir": "{place}/single"}, "--data_dir={place}/single: it holds 1 image, and how"),
        ({"seeds": "0-99"}, "--nearest: 300 images, each class with each seed, are too many"),
        ({"classes": "goldfsh"}, "--classes=goldfsh: "),
        ({"out": "{place}/means.keras/a.png"}, "--out={place}/means.keras/a.png: cannot be wr"),
    ],
)
def test_what_cannot_be_done_is_one_line(draw, place, settings, message):
    (place / "empty").mkdir(exist_ok=True)
    make_data(place / "large", size=64)
    make_data(place / "few", count=12)
    make_data(place / "single", count=1, shards=1)
    make_same(place / "same")
    settings = {
        name: value.replace("{place}", str(place)) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    with pytest.raises(errors.UserError) as error:
        draw(**settings)
    assert str(error.value).startswith(message.replace("{place}", str(place)))
    assert "\n" not in str(error.value)


def make_same(directory):
    """Records of thirty images that are all the same."""
    directory.mkdir(exist_ok=True)
    images = np.full((30, 32, 32, 3), 77, np.uint8)
    write_records(directory / "0.tfrecords", images, np.zeros(30, int))


@pytest.mark.slow
def test_records_of_another_size_are_refused(draw, tmp_path):
    make_pictures(tmp_path / "source", {"ant": 3, "bee": 3, "cat": 3})
    options = config.PrepareConfig(
        source=str(tmp_path / "source"), out=str(tmp_path / "data"), size=64, workers=1
    )
    prepare.prepare(options, io.StringIO())
    expected = f"--data_dir={tmp_path}/data: its image_size is 64, and that of .* 32; give the"
    with pytest.raises(errors.UserError, match=expected):
        draw(data_dir=str(tmp_path / "data"))


@pytest.mark.slow
def test_exported_model_needs_the_records(draw, plain_run, tmp_path):
    """What tells an exported model from a run is its file."""
    network = trained.open_model(plain_run)
    (tmp_path / "generator.keras").write_text("")
    options = config.SampleConfig(run=str(tmp_path), nearest=True, out=str(tmp_path / "a.png"))
    with pytest.raises(errors.UserError, match="is an exported model, .*; give --data_dir"):
        nearest.write_nearest(options, network, io.StringIO())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 3}, "--neighbours=3: expected --nearest with it"),
        ({"data_dir": "x"}, "--data_dir=x: expected --nearest with it"),
        ({"inception": "x"}, "--inception=x: expected --nearest with it"),
        ({"nearest": True, "count": 3}, "--count=3: expected none with --nearest"),
        ({"nearest": True, "sheet": True}, "--sheet=True: expected none with --nearest"),
        ({"nearest": True, "interpolate": True}, "--interpolate=True: expected none with --near"),
        ({"nearest": True, "neighbours": 0}, "--neighbours=0: expected a number from 1 to 20"),
        ({"nearest": True, "nearest_count": 1}, "--nearest_count=1: expected"),
        ({"nearest": True, "out": "a.npz"}, "--out=a.npz: expected a name that ends in .png"),
    ],
)
def test_flags_are_checked_first(options, message):
    with pytest.raises(errors.UserError) as error:
        config.SampleConfig(**{"run": "x", **options})
    assert str(error.value).startswith(message)


@pytest.mark.process
@pytest.mark.slow
def test_command_names_the_pictures_of_prepared_records(plain_run, place, tmp_path):
    make_pictures(tmp_path / "source", {"ant": 9, "bee": 9, "cat": 9})
    options = config.PrepareConfig(
        source=str(tmp_path / "source"), out=str(tmp_path / "data"), size=32, workers=1
    )
    prepare.prepare(options, io.StringIO())
    code, out, err = run(
        "-m",
        "sagan_tf.tools.sample",
        plain_run,
        "--nearest",
        f"--data_dir={tmp_path}/data",
        f"--inception={place}/means.keras",
        "--stats_dir=",
        "--nearest_count=20",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert code == 0, err
    assert out.endswith(
        f"step 5 of {plain_run}: nearest.png\nstep 5 of {plain_run}: nearest.json\n"
    )
    numbers = json.loads((tmp_path / "nearest.json").read_text())
    picture = numbers["images"][0]["nearest"][0]["picture"]
    assert (tmp_path / "source" / picture).exists()
