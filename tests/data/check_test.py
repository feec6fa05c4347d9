import dataclasses
import hashlib
import io
import json
import os
import re
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import cli, config, errors
from sagan_tf.data import check as data_check
from sagan_tf.data import dataset_info, records
from sagan_tf.images import pixels as images_pixels
from sagan_tf.tools import check_data
from tests import processes
from tests.testing import make_data, random_images, write_records

DAMAGED = "the file is damaged or truncated there; make it again"
EXPECTED = (
    "expected is a tf.Example with image_raw (uint8 bytes) or image (bytes of a JPEG or "
    "PNG file), and one int64 label"
)


def check(directory, **flags):
    """The faults that are not allowed, and the lines that are printed."""
    stream = io.StringIO()
    faults = data_check.check(
        config.CheckConfig(
            **{"data_dir": str(directory), "grid": str(directory) + ".png", **flags}
        ),
        stream,
    )
    return faults, stream.getvalue().splitlines()


def fault_lines(lines):
    """Those before the summary."""
    (first,) = (i for i, line in enumerate(lines) if re.match(r"\d+ readable records in ", line))
    return lines[:first]


def assert_faults(directory, expected, **flags):
    """Exactly these lines are printed as faults, and they count; returns the summary's lines."""
    faults, lines = check(directory, **flags)
    assert fault_lines(lines) == expected
    assert [f"{fault.where}: {fault.kind}: {fault.what}" for fault in faults] == expected
    assert lines[-1].startswith("FAULTY: ")
    return lines[len(expected) :]


def write_examples(path, images, labels, change=None, encoding="png"):
    """A record file; `change` maps a record's number to what is done to its tf.Example's features,
    or to the bytes that stand in its place."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i, (image, label) in enumerate(zip(images, labels)):
            serialized = records.encode(image, int(label), encoding=encoding)
            other = (change or {}).get(i)
            if callable(other):
                example = tf.train.Example.FromString(serialized)
                other(example.features.feature)
                serialized = example.SerializeToString()
            writer.write(other if isinstance(other, bytes) else serialized)
    return str(path)


def frames(content):
    """Where each record of a file's bytes begins, and where the last one ends."""
    offsets = [0]
    while offsets[-1] < len(content):
        offsets.append(offsets[-1] + 16 + struct.unpack_from("<Q", content, offsets[-1])[0])
    return offsets


def flip(path, record, place):
    """Inverts one byte of a record, header counted."""
    content = bytearray(path.read_bytes())
    content[frames(content)[record] + place] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture(name="data")
def fixture_data(tmp_path):
    """A new directory for records."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def six(directory, change=None, encoding="png"):
    """Six records of three classes in one file, and their images."""
    images = random_images(6)
    path = directory / "a.tfrecords"
    write_examples(path, images, [0, 1, 2, 0, 1, 2], change, encoding)
    return path, images


# Sound data.


@pytest.mark.slow
def test_sound_data_have_no_faults_and_a_summary(tmp_path):
    make_data(tmp_path / "data")
    size = sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    faults, lines = check(tmp_path / "data")
    assert faults == []
    assert lines == [
        f"12 readable records in 2 files, {size / 1e6:.1f} MB, 32 x 32 pixels, 3 classes",
        "records of a class: 4 to 4, median 4",
        "dataset.json: none",
        f"one image a class: {tmp_path}/data.png",
        "sound",
    ]


def test_grid_shows_the_first_image_of_each_class(data, tmp_path):
    _, images = six(data)
    check(data)
    with Image.open(tmp_path / "data.png") as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture)
    # Images of 32 pixels are enlarged to the 128 that a caption needs, with a margin and a caption.
    assert pixels.shape[1:] == (3 * 132, 3)
    assert 128 + 10 < pixels.shape[0] < 128 + 40
    for label in range(3):
        left = label * 132 + 2
        np.testing.assert_array_equal(pixels[2:130:4, left : left + 128 : 4], images[label])
        caption = pixels[130:, left : left + 128]
        assert caption.min() < 128 < caption.max()  # there are letters


@pytest.mark.slow
def test_grid_of_many_classes_has_forty_pictures_of_evenly_chosen_ones(data, tmp_path):
    images = random_images(95)
    write_records(data / "a.tfrecords", images, range(95), "png")
    faults, _ = check(data)
    assert faults == []
    with Image.open(tmp_path / "data.png") as picture:
        width, height = picture.size
        pixels = np.asarray(picture)
    assert width == 10 * 132
    assert 4 * 138 < height < 4 * 172
    last = pixels[height // 4 * 3 + 2 : height // 4 * 3 + 130 : 4, 1190:1318:4]
    shown = [i for i, image in enumerate(images) if np.array_equal(image, last)]
    assert 90 <= shown[0] <= 94


def test_grid_that_cannot_be_written_is_named(data, tmp_path):
    six(data)
    grid = f"{tmp_path}/absent/grid.png"
    with pytest.raises(errors.UserError, match=f"^--grid={re.escape(grid)}: cannot be written"):
        check(data, grid=grid)


def test_records_of_the_references_converter_are_sound(data, tmp_path):
    """128 pixels, raw, with features that nobody reads; names and labels as ImageNet has them."""
    images = random_images(6, 128)
    for shard in range(2):
        with tf.io.TFRecordWriter(str(data / f"train-0000{shard}-of-00002.tfrecords")) as writer:
            for i in range(shard, 6, 2):
                values = {"height": 128, "width": 128, "depth": 3, "label": i // 2}
                feature = {
                    name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                    for name, value in values.items()
                }
                feature["image_raw"] = tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[images[i].tobytes()])
                )
                writer.write(
                    tf.train.Example(
                        features=tf.train.Features(feature=feature)
                    ).SerializeToString()
                )
    faults, lines = check(data)
    assert faults == []
    assert lines[0] == "6 readable records in 2 files, 0.3 MB, 128 x 128 pixels, 3 classes"
    assert lines[-1] == "sound"
    with Image.open(tmp_path / "data.png") as picture:
        assert picture.size[0] == 3 * 132


# Damaged files.


@pytest.mark.slow
def test_damaged_payloads_are_named_and_the_others_are_read(data):
    """Three batches of 64: damage inside, at the end and at the beginning of one; one is whole."""
    path = data / "a.tfrecords"
    write_records(path, random_images(130), np.arange(130) % 3)
    write_records(data / "b.tfrecords", random_images(5, seed=1), [0, 1, 2, 0, 1])
    damaged = [5, 63, 128]
    for number in damaged:
        flip(path, number, 200)
    summary = assert_faults(
        data, [f"{path}: record {number}: damaged record: {DAMAGED}" for number in damaged]
    )
    assert summary[0].startswith("132 readable records in 2 files")
    # 44, 43 and 43 in one file, 2, 2 and 1 in the other, less one of class 0 and two of class 2.
    assert summary[1] == "records of a class: 42 to 45, median 45"
    assert summary[-1] == "FAULTY: damaged record: 3"


@pytest.mark.slow
def test_damaged_checksums_are_named(data):
    """That of a header, and that of a payload."""
    path, _ = six(data)
    flip(path, 2, 9)
    flip(path, 4, -1 + np.diff(frames(path.read_bytes()))[4])
    summary = assert_faults(
        data, [f"{path}: record {number}: damaged record: {DAMAGED}" for number in (2, 4)]
    )
    assert summary[0].startswith("4 readable records")


@pytest.mark.slow
def test_first_record_may_be_the_damaged_one(data):
    """The size is that of the first record that can be read."""
    path, _ = six(data)
    flip(path, 0, 200)
    summary = assert_faults(data, [f"{path}: record 0: damaged record: {DAMAGED}"])
    assert summary[0].startswith("5 readable records in 1 file")


@pytest.mark.slow
def test_files_with_a_damaged_end_are_named(data):
    """Cut in the last checksum, in a payload, in a header; bytes too many; a damaged length."""
    whole, expected = six(data)[0].read_bytes(), []
    (data / "a.tfrecords").unlink()
    offsets = frames(whole)
    for name, content, record in (
        ("checksum", whole[:-1], 5),
        ("payload", whole[: offsets[5] - 40], 4),
        ("header", whole[: offsets[3] + 8], 3),
        ("more", whole + b"12345", 6),
        ("length", whole[: offsets[2] + 6] + b"\xff" + whole[offsets[2] + 7 :], 2),
    ):
        (data / f"{name}.tfrecords").write_bytes(content)
        expected.append(f"{data}/{name}.tfrecords: record {record}: damaged file: {DAMAGED}")
    faults, lines = check(data, max_duplicates=100)
    assert [f"{fault.where}: {fault.kind}: {fault.what}" for fault in faults] == sorted(expected)
    assert set(expected) <= set(lines)
    assert f"{5 + 4 + 3 + 6 + 2} readable records in 5 files" in "\n".join(lines)


def test_other_files_are_read_where_one_cannot_be(data):
    six(data)
    (data / "b.tfrecords").mkdir()
    faults, lines = check(data)
    assert [(fault.kind, fault.where) for fault in faults] == [
        ("unreadable file", f"{data}/b.tfrecords")
    ]
    assert "6 readable records in 2 files" in lines[1]


def test_link_to_nowhere_is_an_unreadable_file(data):
    six(data)
    (data / "b.tfrecords").symlink_to(data / "moved.tfrecords")
    faults, lines = check(data)
    assert [(fault.kind, fault.where) for fault in faults] == [
        ("unreadable file", f"{data}/b.tfrecords")
    ]
    assert "6 readable records in 2 files" in lines[1]


# Unfit records.


def garbage(feature):
    feature["image"].bytes_list.value[0] = b"GARBAGE"


def half(feature):
    """Half of the file of the image."""
    whole = feature["image"].bytes_list.value[0]
    feature["image"].bytes_list.value[0] = whole[: len(whole) // 2]


def no_label(feature):
    del feature["label"]


def no_image(feature):
    del feature["image"]


def two_labels(feature):
    feature["label"].int64_list.value.append(1)


@pytest.mark.slow
def test_unfit_records_are_named(data):
    jpeg = images_pixels.encode(random_images(1)[0], "jpeg")
    any_words = f".*; {re.escape(EXPECTED)}"
    unfit = [
        (garbage, any_words),
        (half, any_words),
        (no_label, re.escape(f"it holds no label; {EXPECTED}")),
        (no_image, re.escape(f"it holds neither image_raw nor image; {EXPECTED}")),
        (two_labels, any_words),
        (b"not an example", any_words),
        (b"\xff\xff\xff", any_words),
        (
            records.encode(random_images(1, 64)[0], 1, encoding="png"),
            "its image has 64 x 64 pixels and expected are 32 x 32",
        ),
        (
            records.encode(random_images(1, 64)[0], 1),
            "its image_raw has 12288 bytes and expected are 32 x 32 x 3 = 3072",
        ),
        (records.encode(random_images(1)[0], -1), "its label is -1 and expected is 0 to [0-9]+"),
        (records.serialize(jpeg[: len(jpeg) // 2], 1, encoding="jpeg"), any_words),
    ]
    path, count = data / "a.tfrecords", 2 * len(unfit) + 1
    write_examples(
        path,
        random_images(count),
        np.arange(count) % 3,
        {2 * i + 1: other for i, (other, _) in enumerate(unfit)},
    )
    faults, lines = check(data)
    assert len(faults) == len(fault_lines(lines)) == len(unfit)
    for i, (line, (_, words)) in enumerate(zip(lines, unfit)):
        start = re.escape(f"{path}: record {2 * i + 1}: unfit record: ")
        assert re.fullmatch(start + words, line)
        assert not re.search(r"function_node|\[Op|\{\{", line)
    assert lines[len(unfit)].startswith(f"{len(unfit) + 1} readable records in 1 file")
    assert lines[-1] == f"FAULTY: unfit record: {len(unfit)}"


def test_size_and_classes_may_be_given(data):
    """They tell a first record that is not like them, too."""
    path, _ = six(data, {0: records.encode(random_images(1, 64)[0], 1, encoding="png")})
    expected = [
        f"{path}: record 0: unfit record: its image has 64 x 64 pixels and expected are 32 x 32"
    ]
    expected += [
        f"{path}: record {number}: unfit record: its label is 2 and expected is 0 to 1"
        for number in (2, 5)
    ]
    assert_faults(data, expected, image_size=32, number_classes=2)


@pytest.mark.slow
def test_first_record_may_be_the_unfit_one(data):
    path, _ = six(data, {0: garbage})
    faults, lines = check(data)
    assert [fault.where for fault in faults] == [f"{path}: record 0"]
    assert lines[1].startswith("5 readable records in 1 file")


# Faults of the whole.


def test_empty_classes_are_named(data):
    write_records(data / "a.tfrecords", random_images(3), [0, 2, 2], "png")
    assert_faults(data, [f"{data}: class 1: empty class: no readable record"])
    summary = assert_faults(
        data,
        [f"{data}: class {label}: empty class: no readable record" for label in (1, 3, 4)],
        number_classes=5,
    )
    assert summary[1] == "records of a class: 0 to 2, median 0"


def test_one_stray_label_does_not_drown_the_report(data):
    """Somebody has to find the record; a line for each of the classes below it is no help."""
    write_records(data / "a.tfrecords", random_images(3), [0, 1, 100_000], "png")
    faults, lines = check(data)
    assert faults
    assert len(lines) < 1000


@pytest.fixture(name="twins")
def fixture_twins(data):
    """Two files; three records are as another one is, of whatever encoding and label."""
    images = random_images(6)
    one = write_records(data / "a.tfrecords", images[[0, 1, 2, 1]], [0, 1, 2, 1], "png")
    two = write_records(data / "b.tfrecords", images[[3, 0, 4, 1]], [0, 1, 2, 1], "raw")
    return data, [
        f"{one}: record 3: duplicate: the same pixels as {one}: record 1",
        f"{two}: record 1: duplicate: the same pixels as {one}: record 0",
        f"{two}: record 3: duplicate: the same pixels as {one}: record 1",
    ]


def test_duplicates_are_named_with_their_first(twins):
    data, expected = twins
    summary = assert_faults(data, expected, max_duplicates=2)
    assert summary[-1] == "FAULTY: duplicate: 3"
    assert summary[0].startswith("8 readable records")


def test_as_many_duplicates_as_allowed_are_no_fault(twins):
    data, expected = twins
    faults, lines = check(data, max_duplicates=3)
    assert faults == []
    assert fault_lines(lines) == expected
    assert lines[-1] == "sound, allowing duplicate: 3"


@pytest.fixture(name="plain")
def fixture_plain(data):
    """Two images of one colour each among six; one more has a single other pixel."""
    images = random_images(6)
    images[1], images[2], images[4] = 0, 7, (200, 100, 50)
    images[2, 31, 31, 2] = 8
    path = write_records(data / "a.tfrecords", images, [0, 1, 2, 0, 1, 2], "png")
    return data, [
        f"{path}: record 1: constant image: every pixel is (0, 0, 0)",
        f"{path}: record 4: constant image: every pixel is (200, 100, 50)",
    ]


def test_constant_images_are_named(plain):
    data, expected = plain
    summary = assert_faults(data, expected, max_constant=1)
    assert summary[-1] == "FAULTY: constant image: 2"


def test_as_many_constant_images_as_allowed_are_no_fault(plain):
    data, expected = plain
    faults, lines = check(data, max_constant=2)
    assert faults == []
    assert fault_lines(lines) == expected
    assert lines[-1] == "sound, allowing constant image: 2"


def test_what_is_allowed_does_not_excuse_the_rest(plain):
    data, expected = plain
    path = data / "a.tfrecords"
    flip(path, 5, 200)
    faults, lines = check(data, max_constant=2)
    assert [fault.where for fault in faults] == [f"{path}: record 5"]
    assert lines[:3] == [*expected, f"{path}: record 5: damaged record: {DAMAGED}"]
    assert lines[-1] == "FAULTY: constant image: 2, damaged record: 1"


# Against dataset.json.

LABELS = {"s-0.tfrecords": [0, 1, 2, 0], "s-1.tfrecords": [1, 2, 0]}


@pytest.fixture(name="told")
def fixture_told(data):
    """Seven raw records of three classes in two shards with `dataset.json`."""
    shards, first, images = [], 0, random_images(7)
    for name, labels in LABELS.items():
        part = images[first : first + len(labels)]
        first += len(labels)
        write_records(data / name, part, labels)
        content, pixels = (data / name).read_bytes(), part.reshape(-1, 3).astype(int)
        shards.append(
            dataset_info.Shard(
                name,
                len(labels),
                len(content),
                hashlib.sha256(content).hexdigest(),
                tuple(pixels.sum(0).tolist()),
                tuple((pixels**2).sum(0).tolist()),
            )
        )
    pixels = images.reshape(-1, 3)
    digests = "".join(shard.sha256 for shard in shards)
    info = dataset_info.DatasetInfo(
        source="pictures",
        source_kind="folders",
        image_size=32,
        encoding="raw",
        quality=None,
        resize="legacy",
        class_names=("n01", "n02", "n03"),
        class_titles=None,
        class_counts=(3, 2, 2),
        channel_mean=tuple(pixels.mean(0).tolist()),
        channel_deviation=tuple(pixels.std(0).tolist()),
        fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
        shards=tuple(shards),
        settings={"size": 32},
    )
    dataset_info.write(str(data), info)
    return data, info


def test_sound_data_with_their_description(told):
    data, info = told
    faults, lines = check(data)
    assert faults == []
    assert lines[0] == "7 readable records in 2 files, 0.0 MB, 32 x 32 pixels, 3 classes"
    assert lines[1] == "records of a class: 2 to 3, median 2"
    assert lines[2] == f"dataset.json: fingerprint {info.fingerprint}"
    assert lines[-1] == "sound"


def test_missing_shard_is_named(told):
    data, _ = told
    (data / "s-1.tfrecords").unlink()
    assert_faults(
        data,
        [
            f"{data}: class 0 (n01): wrong count: 2 readable records and dataset.json says 3",
            f"{data}: class 1 (n02): wrong count: 1 readable records and dataset.json says 2",
            f"{data}: class 2 (n03): wrong count: 1 readable records and dataset.json says 2",
            f"{data}/s-1.tfrecords: wrong file: missing, but in dataset.json",
        ],
    )


def test_shard_too_many_is_named(told):
    data, _ = told
    write_records(data / "another.tfrecords", random_images(1, seed=9), [2])
    assert_faults(
        data,
        [
            f"{data}: class 2 (n03): wrong count: 3 readable records and dataset.json says 2",
            f"{data}/another.tfrecords: wrong file: there, but not in dataset.json",
        ],
    )


def test_shard_of_another_size_is_named(told):
    """The same pictures and labels, as PNG."""
    data, info = told
    path = write_records(
        data / "s-0.tfrecords", random_images(7)[:4], LABELS["s-0.tfrecords"], "png"
    )
    size = os.path.getsize(path)
    assert_faults(
        data,
        [f"{path}: wrong file: has {size} bytes, and dataset.json says {info.shards[0].bytes}"],
    )


@pytest.mark.slow
def test_wrong_counts_are_named(told):
    """Files of the right size with another label in one record."""
    data, info = told
    path = data / "s-1.tfrecords"
    write_records(path, random_images(7)[4:], [1, 2, 1])
    assert path.stat().st_size == info.shards[1].bytes
    assert_faults(
        data,
        [
            f"{data}: class 0 (n01): wrong count: 2 readable records and dataset.json says 3",
            f"{data}: class 1 (n02): wrong count: 3 readable records and dataset.json says 2",
        ],
    )


@pytest.mark.slow
def test_damaged_record_is_missed_in_its_class(told):
    data, _ = told
    path = data / "s-1.tfrecords"
    flip(path, 0, 1000)
    assert_faults(
        data,
        [
            f"{path}: record 0: damaged record: {DAMAGED}",
            f"{data}: class 1 (n02): wrong count: 1 readable records and dataset.json says 2",
        ],
    )


def test_titles_name_the_classes(told):
    data, info = told
    dataset_info.write(
        str(data), dataclasses.replace(info, class_titles=("tench, Tinca tinca", "goldfish", ""))
    )
    write_records(data / "s-1.tfrecords", random_images(7)[4:], [2, 2, 2])
    assert_faults(
        data,
        [
            f"{data}: class 0 (tench): wrong count: 2 readable records and dataset.json says 3",
            f"{data}: class 1 (goldfish): wrong count: 1 readable records and dataset.json says 2",
            f"{data}: class 2 (n03): wrong count: 4 readable records and dataset.json says 2",
        ],
    )


@pytest.mark.parametrize(
    "names", [("caf\udce9", "\u4e2d\u6587", "x" * 300), ("two\nlines", "tab\t", "")]
)
def test_classes_may_have_any_name_that_a_folder_may_have(told, names):
    data, info = told
    dataset_info.write(str(data), dataclasses.replace(info, class_names=names))
    faults, _ = check(data)
    assert faults == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"image_size": 64}, r"--image_size=64: .*dataset.json says 32;"),
        ({"number_classes": 4}, r"--number_classes=4: .*dataset.json says 3;"),
    ],
)
def test_contradiction_to_the_description_shows_both(told, flags, message):
    with pytest.raises(errors.UserError, match=message):
        check(told[0], **flags)


def test_damaged_description_is_named(told):
    data, _ = told
    path = data / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(errors.UserError, match=r"dataset.json: .*version 99.*later release"):
        check(data)


# Nothing to check.


def test_missing_directory_and_missing_files_are_named(data, tmp_path):
    with pytest.raises(errors.UserError, match=r"^--data_dir=.*/absent: no such directory"):
        check(tmp_path / "absent")
    (data / "notes.txt").touch()
    with pytest.raises(errors.UserError, match=r"^--data_dir=.*/data: it holds no \*.tfrecords"):
        check(data)
    with pytest.raises(errors.UserError, match=r"^--data_dir=.*notes.txt: no such directory"):
        check(data / "notes.txt")


def test_empty_files_are_not_sound(data):
    (data / "a.tfrecords").touch()
    (data / "b.tfrecords").touch()
    with pytest.raises(errors.UserError, match=r"^--data_dir=.*/data: .*no records"):
        check(data)


def test_expected_is_what_the_records_or_their_description_say(data, told):
    assert data_check.expected(str(told[0])) == (32, 3)
    (data / "dataset.json").unlink()
    size, classes = data_check.expected(str(data))
    assert size == 32
    assert classes >= 3


# The command.


@pytest.mark.slow
def test_command_leaves_with_0_where_data_are_sound(tmp_path, monkeypatch, capsys):
    grid = tmp_path / "sound.png"
    given = config.CheckConfig(make_data(tmp_path / "sound"), grid=str(grid))
    monkeypatch.setattr(cli, "make", {config.CheckConfig: given}.get)
    check_data.main()  # It would raise SystemExit.
    assert capsys.readouterr().out.splitlines()[-1] == "sound"
    with Image.open(grid) as picture:
        assert picture.size[0] == 3 * 132


@pytest.mark.process
@pytest.mark.slow
def test_command_leaves_with_1_and_names_the_fault(tmp_path):
    grid = tmp_path / "faulty.png"
    path = tmp_path / "faulty" / "part-1.tfrecords"
    make_data(tmp_path / "faulty")
    flip(path, 2, 500)
    code, out, err = processes.run(
        "-m", "sagan_tf.tools.check_data", tmp_path / "faulty", f"--grid={grid}"
    )
    assert code == 1, err
    lines = out.splitlines()
    assert lines[0] == f"{path}: record 2: damaged record: {DAMAGED}"
    assert lines[1].startswith("11 readable records in 2 files")
    assert lines[-1] == "FAULTY: damaged record: 1"
    assert "Traceback" not in err
    assert grid.exists()


def test_other_pictures_of_the_same_size_in_bytes_are_named(told):
    """Only the SHA-256 tells."""
    directory, path = told[0], sorted(told[0].glob("*.tfrecords"))[0]
    labels = [
        tf.train.Example.FromString(record.numpy()).features.feature["label"].int64_list.value[0]
        for record in tf.data.TFRecordDataset(str(path))
    ]
    size = path.stat().st_size
    write_records(path, random_images(len(labels), seed=99), labels)
    assert path.stat().st_size == size
    faults, _ = check(directory)
    assert [(fault.where, fault.what) for fault in faults] == [
        (str(path), "its SHA-256 is not the one in dataset.json")
    ]


def test_unfinished_preparation_is_refused(data):
    six(data)
    (data / ".prepare").mkdir()
    with pytest.raises(errors.UserError, match="its preparation is unfinished"):
        check(data)
