import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import dataset, faults, preprocessing, tfds_directory
from sagan_tf.data import prepare as data_prepare
from tests import tfds_builder
from tests.testing import make_pictures

COUNTS = {"ant": 14, "bee": 9, "cat": 7}


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory):
    return pathlib.Path(make_pictures(tmp_path_factory.mktemp("pets") / "folder", COUNTS))


@pytest.fixture(name="prepared", scope="module")
def fixture_prepared(folder, tmp_path_factory):
    return tfds_builder.prepare(folder, tmp_path_factory.mktemp("tfds"))


def prepare(source, out, **options):
    return data_prepare.prepare(
        config.PrepareConfig(
            **{
                "source": source,
                "out": str(out),
                "size": 32,
                "shards": 3,
                "workers": 1,
                "resize": "clean",
                **options,
            }
        ),
        io.StringIO(),
    )


def images_of(directory, number_classes=3):
    records = dataset.open_records(str(directory), 32, number_classes=number_classes)
    images, labels = dataset.preview(records, 100)
    return sorted((int(label), image.tobytes()) for image, label in zip(images, labels))


def expected(folder, label_of):
    return sorted(
        (label_of[path.parent.name], preprocessing.clean(path.read_bytes(), 32).tobytes())
        for path in folder.glob("*/*")
        if path.parent.name in label_of
    )


@pytest.mark.slow
def test_preparing_takes_every_picture_with_its_label(folder, prepared, tmp_path):
    info = prepare(prepared, tmp_path)
    assert (info.source_kind, info.class_names) == ("tfds", ("ant", "bee", "cat"))
    assert info.class_counts == tuple(COUNTS.values())
    assert images_of(tmp_path) == expected(folder, {"ant": 0, "bee": 1, "cat": 2})


def test_array_records_give_the_same_records(folder, prepared, tmp_path):
    other = tfds_builder.prepare(folder, tmp_path / "tfds", "array_record")
    before, after = (
        prepare(source, tmp_path / str(i)) for i, source in enumerate((prepared, other))
    )
    assert after.fingerprint == before.fingerprint
    with pytest.raises(errors.UserError, match="format array_record; training reads tfrecord"):
        dataset.open_records(other, 32, number_classes=3)


@pytest.mark.slow
def test_classes_and_limit(folder, prepared, tmp_path):
    (tmp_path / "classes").write_text("cat\nant\n")
    info = prepare(prepared, tmp_path / "a", classes=str(tmp_path / "classes"))
    assert images_of(tmp_path / "a", 2) == expected(folder, {"cat": 0, "ant": 1})
    assert info.class_counts == (7, 14)
    assert prepare(prepared, tmp_path / "b", limit_per_class=8).class_counts == (8, 8, 7)


@pytest.mark.slow
def test_training_reads_a_prepared_directory_on_the_fly(folder, prepared):
    """TensorFlow's Lanczos and Pillow's differ by rounding: by 2 of 255 at most."""
    assert dataset.open_directory(prepared).settings == {"number_classes": 3}
    records = dataset.open_records(prepared, 32, number_classes=3)
    wanted = [
        (
            preprocessing.clean(path.read_bytes(), 32).astype(int),
            ["ant", "bee", "cat"].index(path.parent.name),
        )
        for path in folder.glob("*/*")
    ]
    images, labels = [
        np.concatenate(parts)
        for parts in zip(
            *[
                (x.numpy(), y.numpy())
                for x, y in dataset.training_batches(
                    records, config.DataConfig(), batch_size=10, seed=0
                ).take(3)
            ]
        )
    ]
    assert images.dtype == np.uint8
    found = set()
    for image, label in zip(images.astype(int), labels):
        distances = [np.abs(image - other).max() for other, _ in wanted]
        nearest = int(np.argmin(distances))
        assert distances[nearest] <= 2
        assert wanted[nearest][1] == label
        found.add(nearest)
    assert len(found) == 30


@pytest.mark.slow
def test_continued_training_goes_on_in_a_prepared_directory(prepared):
    records, data = dataset.open_records(prepared, 32, number_classes=3), config.DataConfig()
    whole = [
        x.numpy() for x, _ in dataset.training_batches(records, data, batch_size=5, seed=1).take(9)
    ]
    rest = [
        x.numpy()
        for x, _ in dataset.training_batches(records, data, batch_size=5, seed=1, start=20).take(5)
    ]
    np.testing.assert_array_equal(np.stack(whole[4:]), np.stack(rest))


@pytest.mark.parametrize("shape", [(60, 40), (40, 61), (32, 32), (20, 30), (1, 50)])
def test_on_the_fly_resize_is_the_clean_one(shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    found = tfds_directory.crop_and_resize(tf.constant(noise), 32).numpy().astype(int)
    assert np.abs(found - preprocessing.clean(buffer.getvalue(), 32)).max() <= 2


def test_contradiction_to_the_data_shows_both(prepared):
    with pytest.raises(errors.UserError, match=r"--number_classes=10: .* has 3 classes; leave the"):
        dataset.open_records(prepared, 32, number_classes=10)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tfds:no_such_data_set", "tfds:no_such_data_set: TensorFlow Datasets cannot use it"),
        ("tfds:mnist", "tfds:mnist: it has not been prepared in .*; run: tfds build mnist"),
    ],
)
def test_absent_data_set_is_one_line(source, message, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(errors.UserError, match=message):
        prepare(source, tmp_path / "out")


def test_damaged_directory_is_one_line(prepared, tmp_path):
    (tmp_path / "dataset_info.json").write_text("{")
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(errors.UserError, match="TensorFlow Datasets cannot use it"):
        dataset.open_records(str(tmp_path), 32, number_classes=3)


def test_examples_without_a_label_are_named(folder, tmp_path):
    """TensorFlow Datasets writes -1 for them."""
    make_pictures(tmp_path / "folder", {"ant": 2, "unlabelled": 1})
    directory = tfds_builder.prepare(tmp_path / "folder", tmp_path / "tfds")
    with pytest.raises(errors.UserError, match=r"the label of train\[\d\] is -1; expected 0 to 2"):
        prepare(directory, tmp_path / "out")

    def read():
        records = dataset.open_records(directory, 32, number_classes=3)
        with faults.reading(records):
            next(iter(dataset.training_batches(records, config.DataConfig(), batch_size=3, seed=0)))

    with pytest.raises(errors.UserError, match="its label is -1 and expected is 0 to 2"):
        read()
