import io
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, dataset
from tests.testing import make_data, random_images, write_records


def records_in(tmp_path, size=32, classes=3):
    return dataset.open_records(str(tmp_path), size, classes)


def jpeg_record(image, label):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=95)
    return tf.train.Example(features=tf.train.Features(feature={
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[buffer.getvalue()])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))}))


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_round_trip(encoding):
    (image,) = random_images(1)
    parsed, label = dataset.parse(dataset.encode(image, 2, encoding), 32, 3)
    np.testing.assert_allclose(parsed, image.astype(np.float32) * (2 / 255) - 1, atol=1e-7)
    assert int(label) == 2


def test_raw_record_is_the_references():
    """`image_raw` holds the uint8 bytes, height x width x RGB; `label` an int64."""
    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    example = tf.train.Example.FromString(dataset.encode(image, 7))
    assert example.features.feature["image_raw"].bytes_list.value[0] == image.tobytes()
    assert example.features.feature["label"].int64_list.value[0] == 7


def test_jpeg_and_grey_png_are_read():
    grey = np.full((32, 32), 200, np.uint8)
    parsed, _ = dataset.parse(
        jpeg_record(np.repeat(grey[..., None], 3, 2), 1).SerializeToString(), 32, 3)
    np.testing.assert_allclose(parsed, np.full((32, 32, 3), 200 * 2 / 255 - 1), atol=0.01)


def test_training_batches_cover_each_epoch_and_carry_the_remainder_over(tmp_path):
    images = np.zeros((7, 32, 32, 3), np.uint8) + np.arange(7, dtype=np.uint8)[:, None, None, None]
    write_records(tmp_path / "a.tfrecords", images[:4], [0] * 4)
    write_records(tmp_path / "b.tfrecords", images[4:], [1] * 3)
    batches = dataset.training_batches(records_in(tmp_path), config.DataConfig(), 2, seed=0)
    seen = [round((float(x) + 1) * 127.5)
            for batch, _ in batches.take(7) for x in batch[:, 0, 0, 0]]
    assert sorted(seen[:7]) == list(range(7))
    assert sorted(seen[7:]) == list(range(7))


def test_evaluation_batches_give_no_image_twice(tmp_path):
    images = np.zeros((7, 32, 32, 3), np.uint8) + np.arange(7, dtype=np.uint8)[:, None, None, None]
    write_records(tmp_path / "a.tfrecords", images, [0] * 7)
    batches = dataset.evaluation_batches(records_in(tmp_path), 6, 4, 100, seed=0)
    parts = [x.numpy()[:, 0, 0, 0] for x, _ in batches]
    assert [len(p) for p in parts] == [4, 2]
    assert len(np.unique(np.concatenate(parts))) == 6


def test_describe_counts_without_reading_payloads(tmp_path):
    make_data(tmp_path, count=11, shards=3)
    facts = records_in(tmp_path).describe()
    assert (facts["files"], facts["records"], facts["encoding"]) == (3, 11, "image_raw")
    assert facts["bytes"] == sum(f.stat().st_size for f in tmp_path.iterdir())


def test_missing_directory_and_missing_records_say_what_to_do(tmp_path):
    with pytest.raises(config.UserError, match=r"--data_dir=.*absent: no such.*digits.flags"):
        dataset.open_records(str(tmp_path / "absent"), 32, 3)
    with pytest.raises(config.UserError, match=r"holds no \*.tfrecords; .*digits.flags"):
        records_in(tmp_path)
    (tmp_path / "empty.tfrecords").touch()
    with pytest.raises(config.UserError, match="hold no records"):
        records_in(tmp_path)


@pytest.mark.parametrize(("size", "classes", "message"), [
    (64, 3, r"record 0 cannot be used: its image_raw has 3072 bytes and expected are 64 x 64 x 3 "
            "= 12288"),
    (32, 2, r"part-0.tfrecords: record 1 cannot be used: its label is 2 and expected is 0 to 1"),
])
def test_unfit_record_is_named(tmp_path, size, classes, message):
    make_data(tmp_path)
    files = tuple(str(path) for path in sorted(tmp_path.iterdir()))
    assert re.search(message, dataset.find_fault(dataset.Records(files, size, classes)))


def test_encoded_record_of_another_size_is_named(tmp_path):
    write_records(tmp_path / "a.tfrecords", random_images(1, 64), [0], "png")
    with pytest.raises(config.UserError, match="its image has 64 x 64 pixels and expected are 32"):
        records_in(tmp_path)


def test_record_without_label_is_named(tmp_path):
    example = jpeg_record(random_images(1)[0], 0)
    del example.features.feature["label"]
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(config.UserError, match="it holds no label; expected is a tf.Example with"):
        records_in(tmp_path)


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"not an example"])
def test_record_that_is_no_example_is_named(tmp_path, payload):
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(payload)
    with pytest.raises(config.UserError, match="record 0 cannot be used: .*; expected is a tf.Ex"):
        records_in(tmp_path)


def test_image_that_cannot_be_decoded_is_named(tmp_path):
    example = jpeg_record(random_images(1)[0], 0)
    example.features.feature["image"].bytes_list.value[0] = b"GARBAGE"
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(config.UserError, match="record 0 .*; expected is a tf.Example") as error:
        records_in(tmp_path)
    assert "function_node" not in str(error.value)
    assert "[Op" not in str(error.value)


def test_describe_refuses_a_file_that_is_not_made_of_records(tmp_path):
    make_data(tmp_path)
    (tmp_path / "z.tfrecords").write_text("this is a text, and rather a long one at that")
    with pytest.raises(config.UserError, match="z.tfrecords: record 0 cannot be used: the file is"):
        records_in(tmp_path).describe()


def test_describe_refuses_a_directory_with_a_records_name(tmp_path):
    make_data(tmp_path)
    (tmp_path / "z.tfrecords").mkdir()
    with pytest.raises(config.UserError, match=r"z.tfrecords: record 0 cannot be used"):
        records_in(tmp_path).describe()


def test_directory_name_may_hold_glob_characters(tmp_path):
    make_data(tmp_path / "glob[1]*")
    assert len(records_in(tmp_path / "glob[1]*").files) == 2


def test_record_without_image_is_named(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(config.UserError, match="record 0 cannot be used: it holds neither image_r"):
        records_in(tmp_path)


def test_corrupt_and_truncated_records_are_named(tmp_path):
    make_data(tmp_path, count=12, shards=2)
    records, path = records_in(tmp_path), tmp_path / "part-1.tfrecords"
    whole = path.read_bytes()
    size = len(whole) // 6
    path.write_bytes(whole[:3 * size + 50] + b"\xff" + whole[3 * size + 51:])
    assert "part-1.tfrecords: record 3 cannot be used: the file is damaged" in dataset.find_fault(
        records)
    path.write_bytes(whole[:-5])
    assert "part-1.tfrecords: record 5 cannot be used: the file is damaged" in dataset.find_fault(
        records)
    path.write_bytes(whole)
    assert dataset.find_fault(records) is None


def test_committed_digits_are_whole():
    records = dataset.open_records("data/digits", 32, 10)
    assert dataset.find_fault(records) is None
    batches = dataset.evaluation_batches(records, 2000, 100, 1, 0)
    labels = np.concatenate([labels for _, labels in batches])
    # Class counts of the test part of the UCI digits, from its documentation.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
