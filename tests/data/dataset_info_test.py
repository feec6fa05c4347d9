import dataclasses
import json
import re

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.data import dataset_info
from tests.testing import random_images


def shard_of(file, images):
    pixels = images.reshape(-1, 3).astype(object)
    return dataset_info.Shard(
        file,
        len(images),
        1000 + len(images),
        "ab" * 32,
        tuple(pixels.sum(0)),
        tuple((pixels**2).sum(0)),
    )


def make_info(**changes):
    images = random_images(9)
    values = {
        "source": "/data/ILSVRC2012_img_train.tar",
        "source_kind": "tar",
        "image_size": 32,
        "encoding": "jpeg",
        "quality": 95,
        "resize": "clean",
        "class_names": ("n01440764", "no title", "caf\u00e9"),
        "class_titles": ("tench, Tinca tinca", "", "goldfish"),
        "class_counts": (4, 0, 5),
        "channel_mean": (1.5, 2.25, 1 / 3),
        "channel_deviation": (0.1, 0.2, 70.123456789012345),
        "fingerprint": "f00d" * 16,
        "shards": (shard_of("a.tfrecords", images[:7]), shard_of("b.tfrecords", images[7:])),
        "settings": {"size": 32, "quality": None, "classes": ["n01440764", "no title"]},
        "damaged": ((0, "n01440764/x.JPEG", "truncated"), (1, "y.png", "no image")),
        "made_with": {"numpy": "2.0"},
    }
    return dataset_info.DatasetInfo(**{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"class_titles": None, "quality": None, "encoding": "raw", "damaged": (), "made_with": {}},
    ],
)
def test_what_is_written_is_read(tmp_path, changes):
    info = make_info(**changes)
    dataset_info.write(str(tmp_path), info)
    assert dataset_info.read(str(tmp_path)) == info
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]


def test_written_file_tells_the_numbers_that_people_look_for(tmp_path):
    dataset_info.write(str(tmp_path), make_info())
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert (content["version"], content["records"], content["number_classes"]) == (1, 9, 3)
    assert content["shards"][1]["file"] == "b.tfrecords"
    assert content["shards"][1]["records"] == 2


def test_records_and_classes_are_counted():
    info = make_info()
    assert (info.records, info.number_classes) == (9, 3)


def test_directory_without_the_file_has_no_info(tmp_path):
    assert dataset_info.read(str(tmp_path)) is None


def test_moments_are_those_of_the_pixels():
    images = random_images(11, 16)
    images[3:, :, :, 1] //= 4  # so that the channels differ
    shards = [shard_of("a", images[:5]), shard_of("b", images[5:5]), shard_of("c", images[5:])]
    means, deviations = dataset_info.moments(shards, 16)
    np.testing.assert_allclose(means, images.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(deviations, images.std((0, 1, 2)), rtol=1e-12)


def test_moments_of_a_million_pictures_lose_nothing():
    """One of n pixels is v + 1, all others v: mean v + 1/n, deviation sqrt(n - 1) / n."""
    pixels, values = 10**6 * 256**2, (0, 100, 254)
    shard = dataset_info.Shard(
        "a",
        10**6,
        0,
        "",
        tuple(v * pixels + 1 for v in values),
        tuple(v**2 * (pixels - 1) + (v + 1) ** 2 for v in values),
    )
    means, deviations = dataset_info.moments([shard], 256)
    np.testing.assert_allclose(means, [1 / pixels, 100, 254], rtol=1e-12)
    np.testing.assert_allclose(deviations, (pixels - 1) ** 0.5 / pixels, rtol=1e-9)


def test_moments_of_no_records_are_zero():
    assert dataset_info.moments([], 32) == ([0, 0, 0], [0, 0, 0])


def changed(**values):
    def change(content):
        content.update(values)

    return change


def without(name):
    def change(content):
        del content[name]

    return change


def short_of_a_digest(content):
    del content["shards"][0]["sha256"]


def one_record_more(content):
    content["shards"][0]["records"] += 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed(version=2), "version 2, expected at most 1; it was written by a later release"),
        (changed(version="one"), ""),
        (without("version"), "version"),
        (without("fingerprint"), "fingerprint"),
        (without("shards"), "shards"),
        (changed(shards="none"), ""),
        (changed(shards=None), ""),
        (short_of_a_digest, "sha256"),
        (one_record_more, "10 records in its shards and 9 in its class_counts"),
        (changed(class_counts=[4, 5]), "3 class_names and 2 class_counts"),
        (changed(class_counts=[4, 0, 6]), "9 records in its shards and 10 in its class_counts"),
        (changed(class_counts="405"), ""),
        (changed(class_titles=["tench"]), "class_titles"),
        (changed(image_size=0), "image_size 0"),
        (changed(image_size="32"), ""),
    ],
)
def test_damaged_later_or_inconsistent_file_is_named(tmp_path, change, words):
    dataset_info.write(str(tmp_path), make_info())
    path = tmp_path / "dataset.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(errors.UserError) as error:
        dataset_info.read(str(tmp_path))
    text = str(error.value)
    assert text.startswith(f"{path}: expected what prepare_data writes (")
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"7", b'"version"', b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n"],
)
def test_file_that_is_no_description_is_named(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=f"^{re.escape(str(path))}: expected what prepare"):
        dataset_info.read(str(tmp_path))


def test_file_cut_anywhere_is_named(tmp_path):
    dataset_info.write(str(tmp_path), make_info())
    path = tmp_path / "dataset.json"
    whole = path.read_bytes()
    for keep in range(0, len(whole.rstrip()), 97):
        path.write_bytes(whole[:keep])
        with pytest.raises(errors.UserError, match="dataset.json: expected what prepare_data"):
            dataset_info.read(str(tmp_path))


def test_field_of_a_later_release_of_the_same_version_is_passed_over(tmp_path):
    dataset_info.write(str(tmp_path), make_info())
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour_space": "sRGB"}))
    assert dataset_info.read(str(tmp_path)) == make_info()


@pytest.fixture(name="indexed")
def fixture_indexed(tmp_path):
    """A directory with an `index.npz` of `make_info()`."""
    dataset_info.write_index(
        str(tmp_path),
        make_info().fingerprint,
        counts=np.array([7, 2]),
        offsets=np.arange(9) * 100,
        labels=np.array([0, 2, 0, 2, 0, 2, 0, 2, 2], np.int32),
    )
    return tmp_path


def is_the_index(index):
    return (
        set(index) == {"fingerprint", "counts", "offsets", "labels"}
        and index["counts"].tolist() == [7, 2]
        and index["offsets"].tolist() == [0, 100, 200, 300, 400, 500, 600, 700, 800]
        and index["labels"].tolist() == [0, 2, 0, 2, 0, 2, 0, 2, 2]
    )


def test_index_is_read_as_it_was_written(indexed):
    assert is_the_index(dataset_info.read_index(str(indexed), make_info()))
    assert [path.name for path in indexed.iterdir()] == ["index.npz"]


def test_missing_index_is_none(tmp_path):
    assert dataset_info.read_index(str(tmp_path), make_info()) is None


def test_index_of_other_data_is_none(indexed):
    assert dataset_info.read_index(str(indexed), make_info(fingerprint="beef" * 16)) is None


def test_truncated_index_is_none(indexed):
    path = indexed / "index.npz"
    whole = path.read_bytes()
    for keep in [*range(0, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:keep])
        assert dataset_info.read_index(str(indexed), make_info()) is None, keep


def test_index_with_a_wrong_byte_is_none_or_harmless(indexed):
    path = indexed / "index.npz"
    whole = path.read_bytes()
    # The last quarter is zip's table of contents, where a byte may mean anything.
    table = len(whole) * 3 // 4
    for place in [*range(0, table, 29), *range(table, len(whole), 3)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        index = dataset_info.read_index(str(indexed), make_info())
        assert index is None or is_the_index(index), place


def test_index_with_a_wrong_number_is_none(indexed):
    path = indexed / "index.npz"
    whole = path.read_bytes()
    number = whole.index((700).to_bytes(8, "little"))
    path.write_bytes(whole[:number] + b"\xbd" + whole[number + 1 :])
    assert dataset_info.read_index(str(indexed), make_info()) is None


def test_asking_for_what_the_data_are_is_no_contradiction(tmp_path):
    assert dataset_info.check(str(tmp_path), make_info(), image_size=32, number_classes=3) is None
    assert dataset_info.check(str(tmp_path), None, image_size=128, number_classes=1000) is None


@pytest.mark.parametrize(
    ("size", "classes", "message"),
    [
        (128, 3, "--image_size=128: DIR/dataset.json says 32;"),
        (32, 1000, "--number_classes=1000: DIR/dataset.json says 3;"),
    ],
)
def test_contradiction_shows_both_numbers(tmp_path, size, classes, message):
    with pytest.raises(errors.UserError) as error:
        dataset_info.check(str(tmp_path), make_info(), image_size=size, number_classes=classes)
    assert str(error.value).startswith(message.replace("DIR", str(tmp_path)))


def test_name_of_a_class_is_the_titles_first_name_or_its_own():
    info = make_info()
    assert [info.classes.name(label) for label in range(3)] == ["tench", "no title", "goldfish"]
    untitled = dataclasses.replace(info, class_titles=None)
    assert [untitled.classes.name(label) for label in range(3)] == [
        "n01440764",
        "no title",
        "caf\u00e9",
    ]
