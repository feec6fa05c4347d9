import itertools

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.data import dataset, faults
from sagan_tf.data import records as data_records
from tests.testing import make_data, random_images, write_records

# First and last number of the images in each of five files.
FILES = [(0, 70), (70, 71), (71, 120), (120, 168), (168, 200)]


def records_in(tmp_path, size=32, classes=3):
    return dataset.open_records(str(tmp_path), size, number_classes=classes)


def png_example(image, label):
    return tf.train.Example.FromString(data_records.encode(image, label, encoding="png"))


def numbered(count):
    """Images whose pixels all hold the image's number."""
    return (
        np.zeros((count, 32, 32, 3), np.uint8)
        + np.arange(count, dtype=np.uint8)[:, None, None, None]
    )


def order_of(batches, count):
    """Numbers of the first images of a pipeline."""
    found = []
    for images, _ in batches.as_numpy_iterator():
        found += images[:, 0, 0, 0].tolist()
        if len(found) >= count:
            break
    return found[:count]


@pytest.fixture(name="sorted_data", scope="module")
def fixture_sorted_data(tmp_path_factory):
    """200 numbered images in five files of unequal length, in order."""
    path = tmp_path_factory.mktemp("sorted")
    images = numbered(200)
    for i, (first, last) in enumerate(FILES):
        write_records(path / f"{i}.tfrecords", images[first:last], [0] * (last - first), "png")
    return dataset.open_records(str(path), 32, number_classes=3)


@pytest.mark.slow
def test_training_covers_each_epoch_and_carries_the_remainder_over(sorted_data):
    batches = dataset.training_batches(sorted_data, config.DataConfig(), batch_size=7, seed=0)
    seen = order_of(batches, 400)
    assert sorted(seen[:200]) == list(range(200))
    assert sorted(seen[200:]) == list(range(200))
    assert seen[:200] != seen[200:]


class NumberParser:
    """Records of one byte, as images of one pixel: quick to trace, where only the order counts."""

    image_size = 1
    number_classes = 1

    def batches(self, serialized, batch_size, *, drop_remainder=False):
        return serialized.batch(batch_size, drop_remainder).map(self._parse)

    def _parse(self, serialized):
        numbers = tf.io.decode_raw(serialized, tf.uint8)
        return tf.reshape(numbers, [-1, 1, 1, 1]), tf.zeros_like(numbers)


@pytest.fixture(name="numbers", scope="module")
def fixture_numbers(tmp_path_factory):
    """The numbers 0 to 199 in files as those of `sorted_data`."""
    path = tmp_path_factory.mktemp("numbers")
    for i, (first, last) in enumerate(FILES):
        with tf.io.TFRecordWriter(str(path / f"{i}.tfrecords")) as writer:
            for number in range(first, last):
                writer.write(bytes([number]))
    files = sorted(str(file) for file in path.iterdir())
    return data_records.open_files(files, NumberParser())


@pytest.fixture(name="whole_order", scope="module")
def fixture_whole_order(numbers):
    """Size of the shuffle buffer -> the first 500 numbers with seed 1, read in batches of 10."""
    found = {}

    def order(buffer):
        if buffer not in found:
            data = config.DataConfig(shuffle_buffer_size=buffer)
            batches = dataset.training_batches(numbers, data, batch_size=10, seed=1)
            found[buffer] = order_of(batches, 500)
        return found[buffer]

    return order


@pytest.mark.slow
@pytest.mark.parametrize("buffer", [1, 80, 100_000])
def test_order_depends_on_seed_and_epoch_alone(numbers, whole_order, buffer):
    first = whole_order(buffer)[:300]
    for parallelism, batch_size in ((1, 10), (3, 7), (64, 100)):
        tf.random.set_seed(parallelism)
        again = config.DataConfig(shuffle_buffer_size=buffer, data_parallelism=parallelism)
        batches = dataset.training_batches(numbers, again, batch_size=batch_size, seed=1)
        assert order_of(batches, 300) == first
    data = config.DataConfig(shuffle_buffer_size=buffer)
    other = dataset.training_batches(numbers, data, batch_size=10, seed=4)
    assert order_of(other, 300) != first


@pytest.mark.slow
@pytest.mark.parametrize("buffer", [1, 80, 100_000])
@pytest.mark.parametrize("start", [1, 130, 199, 200, 201, 437])
def test_continued_pipeline_goes_on_where_it_stopped(numbers, whole_order, buffer, start):
    data = config.DataConfig(shuffle_buffer_size=buffer)
    rest = dataset.training_batches(numbers, data, batch_size=9, seed=1, start=start)
    assert order_of(rest, 500 - start) == whole_order(buffer)[start:]


def test_balanced_epoch_has_each_image_of_a_small_class_several_times(tmp_path):
    """Of 12 and 4 images the latter come three times each; a continued pipeline goes on."""
    write_records(tmp_path / "a.tfrecords", numbered(16), [0] * 12 + [2] * 4)
    records = records_in(tmp_path)
    data = config.DataConfig(balance_classes=True)
    seen = order_of(dataset.training_batches(records, data, batch_size=6, seed=1), 48)
    expected = sorted([*range(12), *[12, 13, 14, 15] * 3])
    assert sorted(seen[:24]) == sorted(seen[24:]) == expected
    assert seen[:24] != seen[24:]
    rest = dataset.training_batches(records, data, batch_size=6, seed=1, start=29)
    assert order_of(rest, 19) == seen[29:]


def test_balancing_names_a_record_that_cannot_be_read(tmp_path):
    """It is found when the classes are counted."""
    path = tmp_path / "a.tfrecords"
    write_records(path, numbered(3), [0, 1, 2])
    records = records_in(tmp_path, classes=3)
    write_records(path, numbered(3), [0, 1, 7])
    with pytest.raises(errors.UserError, match=r"a\.tfrecords"):
        dataset.training_batches(
            records, config.DataConfig(balance_classes=True), batch_size=3, seed=0
        )


def test_order_of_images_is_that_of_their_numbers(sorted_data, whole_order):
    """The parser has no say in the order."""
    data = config.DataConfig(shuffle_buffer_size=80)
    batches = dataset.training_batches(sorted_data, data, batch_size=10, seed=1)
    assert order_of(batches, 500) == whole_order(80)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "replicas"), [(1, 4), (2, 1), (2, 2), (3, 4)])
def test_shards_of_workers_put_together_are_the_batch(sorted_data, whole_order, workers, replicas):
    """Each device takes its part of every batch of 24, devices in order; start is counted whole."""
    data = config.DataConfig(shuffle_buffer_size=80)
    found = []
    for worker in range(workers):
        batches = dataset.training_batches(
            sorted_data,
            data,
            batch_size=24,
            seed=1,
            start=30,
            shard=dataset.InputShard(worker, workers, replicas),
        )
        assert batches.element_spec[0].shape == (24 // workers // replicas, 32, 32, 3)
        found.append(order_of(batches, 240 // workers))
    parts = np.array(found).reshape(workers, 10, 24 // workers)
    assert parts.transpose(1, 0, 2).ravel().tolist() == whole_order(80)[30 : 30 + 240]


@pytest.mark.slow
def test_continued_pipeline_decodes_nothing_of_what_it_skips(tmp_path):
    """Records that cannot be decoded stand in the part that is skipped: nobody notices."""
    data = config.DataConfig(shuffle_buffer_size=100_000)
    path = tmp_path / "a.tfrecords"
    write_records(path, numbered(60), [0] * 60)
    skipped = order_of(
        dataset.training_batches(records_in(tmp_path), data, batch_size=10, seed=0), 40
    )
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, image in enumerate(numbered(60)):
            garbage = number in skipped and number != 0  # the first record is looked at on opening
            writer.write(b"garbage" if garbage else data_records.encode(image, 0))
    rest = dataset.training_batches(records_in(tmp_path), data, batch_size=10, seed=0, start=40)
    assert sorted(order_of(rest, 20)) == sorted(set(range(60)) - set(skipped))


def test_shuffle_mixes_sorted_files(sorted_data):
    """Neighbours in the files are no neighbours in the order: of 199 steps a random order has
    about two from a number to the next, and reading in blocks without a shuffle has 180."""
    seen = order_of(
        dataset.training_batches(sorted_data, config.DataConfig(), batch_size=10, seed=0), 200
    )
    assert sum(b == a + 1 for a, b in itertools.pairwise(seen)) < 12
    # Every tenth of the order holds numbers of all parts of the files: the mean of 20 numbers out
    # of 0..199 is 99.5 with a deviation of 12.3.
    assert all(99.5 - 50 < np.mean(seen[i : i + 20]) < 99.5 + 50 for i in range(0, 200, 20))


def test_shuffle_is_bounded_by_records_and_by_memory(sorted_data):
    index = sorted_data.index
    size = index.sizes.sum() / 200
    assert dataset.shuffled_records(index, config.DataConfig(shuffle_buffer_size=50)) == 50
    assert dataset.shuffled_records(index, config.DataConfig(shuffle_memory_mb=1)) == min(
        int(1e6 / size), 100_000
    )


@pytest.mark.slow
def test_evaluation_batches_give_no_image_twice(sorted_data):
    batches = dataset.evaluation_batches(sorted_data, 190, batch_size=40, seed=0)
    parts = [x.numpy()[:, 0, 0, 0] for x, _ in batches]
    assert [len(p) for p in parts] == [40, 40, 40, 40, 30]
    assert len(np.unique(np.concatenate(parts))) == 190
    assert order_of(
        dataset.evaluation_batches(sorted_data, 20, batch_size=20, seed=0), 20
    ) != order_of(dataset.evaluation_batches(sorted_data, 20, batch_size=20, seed=1), 20)


def test_preview_takes_the_files_in_turn(sorted_data):
    images, labels = dataset.preview(sorted_data, 9)
    assert images[:, 0, 0, 0].tolist() == [0, 70, 71, 120, 168, 1, 72, 121, 169]
    assert labels.tolist() == [0] * 9


def test_a_directory_is_opened_once(tmp_path):
    make_data(tmp_path, count=11)
    directory = dataset.open_directory(str(tmp_path))
    assert directory.settings == {}
    assert directory.records(32, number_classes=3).number_classes == 3
    absent = dataset.open_directory(str(tmp_path / "absent"))
    assert absent.settings == {}
    with pytest.raises(errors.UserError, match="no such directory"):
        absent.records(32, number_classes=3)


def test_describe_counts_without_reading_payloads(tmp_path):
    make_data(tmp_path, count=11, shards=3)
    facts = dataset.describe(records_in(tmp_path))
    assert (facts["files"], facts["records"], facts["encoding"]) == (3, 11, "image_raw")
    assert facts["bytes"] == sum(f.stat().st_size for f in tmp_path.iterdir())


def test_missing_directory_and_missing_records_say_what_to_do(tmp_path):
    with pytest.raises(errors.UserError, match=r"--data_dir=.*absent: no such.*digits.flags"):
        dataset.open_records(str(tmp_path / "absent"), 32, number_classes=3)
    with pytest.raises(errors.UserError, match=r"holds no \*.tfrecords; .*digits.flags"):
        records_in(tmp_path)
    (tmp_path / "empty.tfrecords").touch()
    with pytest.raises(errors.UserError, match="hold no records"):
        records_in(tmp_path)


def test_encoded_record_of_another_size_is_named(tmp_path):
    write_records(tmp_path / "a.tfrecords", random_images(1, 64), [0], "png")
    with pytest.raises(errors.UserError, match="its image has 64 x 64 pixels and expected are 32"):
        records_in(tmp_path)


def test_record_without_label_is_named(tmp_path):
    example = png_example(random_images(1)[0], 0)
    del example.features.feature["label"]
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(errors.UserError, match="it holds no label; expected is a tf.Example with"):
        records_in(tmp_path)


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"not an example"])
def test_record_that_is_no_example_is_named(tmp_path, payload):
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(payload)
    with pytest.raises(errors.UserError, match="record 0 cannot be used: .*; expected is a tf.Ex"):
        records_in(tmp_path)


def test_image_that_cannot_be_decoded_is_named(tmp_path):
    example = png_example(random_images(1)[0], 0)
    example.features.feature["image"].bytes_list.value[0] = b"GARBAGE"
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(errors.UserError, match="record 0 .*; expected is a tf.Example") as error:
        records_in(tmp_path)
    assert "function_node" not in str(error.value)
    assert "[Op" not in str(error.value)


def test_describe_refuses_a_file_that_is_not_made_of_records(tmp_path):
    make_data(tmp_path)
    (tmp_path / "z.tfrecords").write_text("this is a text, and rather a long one at that")
    with pytest.raises(errors.UserError, match="z.tfrecords: record 0 cannot be used: the file is"):
        dataset.describe(records_in(tmp_path))


@pytest.mark.slow
def test_describe_refuses_a_directory_with_a_records_name(tmp_path):
    make_data(tmp_path)
    (tmp_path / "z.tfrecords").mkdir()
    with pytest.raises(errors.UserError, match=r"z.tfrecords: record 0 cannot be used"):
        dataset.describe(records_in(tmp_path))


def test_directory_name_may_hold_glob_characters(tmp_path):
    make_data(tmp_path / "glob[1]*")
    assert len(records_in(tmp_path / "glob[1]*").files) == 2


@pytest.mark.slow
def test_record_without_image_is_named(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecords")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(errors.UserError, match="record 0 cannot be used: it holds neither image_r"):
        records_in(tmp_path)


@pytest.mark.slow
def test_committed_digits_are_whole():
    records = dataset.open_records("data/digits", 32, number_classes=10)
    assert faults.find_fault(records) is None
    batches = dataset.evaluation_batches(records, 2000, batch_size=100, seed=0)
    labels = np.concatenate([labels for _, labels in batches])
    # Class counts of the test part of the UCI digits, from its documentation.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
