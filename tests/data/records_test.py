import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.data import records
from tests.testing import random_images


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_round_trip(encoding):
    images = random_images(2)
    parsed, labels = records.parse(
        tf.constant([records.encode(image, 2, encoding=encoding) for image in images]),
        32,
        number_classes=3,
    )
    np.testing.assert_array_equal(parsed, images)
    assert labels.numpy().tolist() == [2, 2]


def test_a_batch_may_hold_records_of_both_kinds():
    images = random_images(2)
    parsed, labels = records.parse(
        tf.constant(
            [
                records.encode(images[0], 0, encoding="png"),
                records.encode(images[1], 1, encoding="raw"),
            ]
        ),
        32,
        number_classes=3,
    )
    np.testing.assert_array_equal(parsed, images)
    assert labels.numpy().tolist() == [0, 1]


def test_records_are_parsed_by_one_trace_for_all_pipelines(monkeypatch):
    """A trace takes longer than a step of a small model; shapes are as if each had its own."""
    traced = []
    parse = records.parse

    def counted(*args, **options):
        traced.append(args)
        return parse(*args, **options)

    monkeypatch.setattr(records, "parse", counted)
    (image,) = random_images(1, 4)
    parser = records.RecordParser(4, 9)
    serialized = tf.data.Dataset.from_tensors(records.encode(image, 7)).repeat(3)
    pairs = parser.batches(serialized, 2, drop_remainder=True)
    all_of_them = parser.batches(serialized, 2)
    assert [spec.shape[0] for spec in pairs.element_spec] == [2, 2]
    assert [spec.shape[0] for spec in all_of_them.element_spec] == [None, None]
    assert pairs.element_spec[0].shape[1:] == (4, 4, 3)
    assert [len(labels) for _, labels in all_of_them] == [2, 1]
    for images, labels in pairs:
        np.testing.assert_array_equal(images, [image, image])
        np.testing.assert_array_equal(labels, [7, 7])
    assert len(traced) == 1


def test_uint8_becomes_the_references_floats():
    """x * 2/255 - 1."""
    np.testing.assert_allclose(
        records.to_float(np.array([0, 51, 255], np.uint8)), [-1, -0.6, 1], atol=1e-6
    )


def test_raw_record_is_the_references():
    """`image_raw` holds the uint8 bytes, height x width x RGB; `label` an int64."""
    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    example = tf.train.Example.FromString(records.encode(image, 7))
    assert example.features.feature["image_raw"].bytes_list.value[0] == image.tobytes()
    assert example.features.feature["label"].int64_list.value[0] == 7


def test_jpeg_is_read():
    grey = np.full((32, 32, 3), 200, np.uint8)
    parsed, _ = records.parse(
        tf.constant([records.encode(grey, 1, encoding="jpeg")]), 32, number_classes=3
    )
    np.testing.assert_allclose(parsed, grey[None], atol=1)
