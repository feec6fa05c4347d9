"""What a record is, to write and to read, and the input pipelines.

A record is a `tf.train.Example` with `label` (int64) and one of
- `image_raw`: uint8 bytes, size * size * 3, height x width x RGB (the reference's, `dataset.py`);
- `image`: the bytes of a JPEG or PNG file of size x size pixels.

A directory of such records, or one that TensorFlow Datasets prepared, is opened by `open_records`.
Pipelines give uint8 images; `to_float` makes them what the networks see, on the device.
"""

import contextlib
import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf import config as config_lib
from sagan_tf import dataset_info, order, prepared_by_tfds, record_index
from sagan_tf import images as images_lib

SUFFIX = ".tfrecords"
# What TensorFlow raises when a file or record cannot be read or fails a check.
READ_ERRORS = (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError,
               tf.errors.OutOfRangeError, tf.errors.PermissionDeniedError,
               tf.errors.FailedPreconditionError, OSError, UnicodeDecodeError)
# Neighbours that are read at once. More would make the shuffle of class-sorted files worse, fewer
# would ask the disk more often.
BLOCK = record_index.TURN
# Windows of the shuffle in memory: the one that is used, and two that `interleave` reads ahead.
_WINDOWS = 3
# Records read by an evaluation at the same time.
_EVALUATION_PARALLELISM = 64
_EXPECTED = ("expected is a tf.Example with image_raw (uint8 bytes) or image (bytes of a JPEG or "
             "PNG file), and one int64 label")
_NO_LABEL = tf.int64.min
_FEATURES = {"image_raw": tf.io.FixedLenFeature([], tf.string, ""),
             "image": tf.io.FixedLenFeature([], tf.string, ""),
             "label": tf.io.FixedLenFeature([], tf.int64, _NO_LABEL)}


def encode(image: np.ndarray, label: int, encoding: str = "raw") -> bytes:
    """One serialised record.

    Args:
      image: uint8 [size, size, 3].
      label: class, 0 or more.
      encoding: "raw" (`image_raw`), "png" or "jpeg" (`image`).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 image [size, size, 3], got {image.dtype} {image.shape}")
    return serialize(images_lib.encode(image, encoding), label, encoding)


def serialize(data: bytes, label: int, encoding: str) -> bytes:
    """One serialised record of an image that `images.encode` made bytes of."""
    name = "image_raw" if encoding == "raw" else "image"
    return tf.train.Example(features=tf.train.Features(feature={
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    })).SerializeToString(deterministic=True)


def to_float(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 to float32 in [-1, 1]: x * 2/255 - 1 (reference `utils_ori.py:237`)."""
    return tf.cast(pixels, tf.float32) * (2.0 / 255) - 1.0


def parse(serialized: tf.Tensor, image_size: int,
          number_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Records, checked: images uint8 [n, size, size, 3], labels int32 [n].

    A batch at a time, because an op call for every record costs more than decoding it.

    Args:
      serialized: string [n].
      image_size, number_classes: what the records must be.
    Raises (when it runs): tf.errors.InvalidArgumentError with a message that says what is wrong
      with the first unfit record.
    """
    features = tf.io.parse_example(serialized, _FEATURES)
    raw, encoded, label = features["image_raw"], features["image"], features["label"]
    is_raw = tf.strings.length(raw) > 0
    checks = [
        _check(is_raw | (tf.strings.length(encoded) > 0),
               f"it holds neither image_raw nor image; {_EXPECTED}"),
        _check(label != _NO_LABEL, f"it holds no label; {_EXPECTED}"),
        _check((label >= 0) & (label < number_classes), "its label is ", label,
               f" and expected is 0 to {number_classes - 1}")]
    with tf.control_dependencies(checks):
        images = tf.cond(
            tf.reduce_all(is_raw), lambda: _decode_raw(raw, image_size),
            lambda: tf.map_fn(lambda one: _decode(*one, image_size), (raw, encoded),
                              fn_output_signature=tf.uint8))
    images.set_shape([serialized.shape[0], image_size, image_size, 3])
    return images, tf.cast(label, tf.int32)


def _decode_raw(raw: tf.Tensor, size: int) -> tf.Tensor:
    length, expected = tf.strings.length(raw), size * size * 3
    fits = _check(length == expected, "its image_raw has ", length,
                  f" bytes and expected are {size} x {size} x 3 = {expected}")
    with tf.control_dependencies([fits]):
        return tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, size, size, 3])


def _decode(raw: tf.Tensor, encoded: tf.Tensor, size: int) -> tf.Tensor:
    """One image of either kind."""
    def from_encoded():
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        fits = _check((height == size) & (width == size), "its image has ", height, " x ", width,
                      f" pixels and expected are {size} x {size}")
        with tf.control_dependencies([fits]):
            return tf.reshape(pixels, [size, size, 3])

    return tf.cond(tf.strings.length(encoded) > 0, from_encoded,
                   lambda: _decode_raw(raw[None], size)[0])


def _check(fits: tf.Tensor, *message) -> tf.Operation:
    """Asserts that all fit; the message tells of the first that does not."""
    first = tf.argmin(tf.cast(tf.reshape(fits, [-1]), tf.int32))
    parts = [part if isinstance(part, str) else tf.strings.as_string(tf.reshape(part, [-1])[first])
             for part in message]
    text = tf.cond(tf.reduce_all(fits), lambda: "", lambda: tf.strings.join(["<<", *parts, ">>"]))
    return tf.debugging.Assert(tf.reduce_all(fits), [text])


@dataclasses.dataclass(frozen=True)
class Records:
    """The record files of a directory, and what their records must be.

    Attributes:
      files: names of the record files.
      image_size, number_classes: what the model needs.
      info: the directory's `dataset.json`, if it has one.
      parse_one: for records of another kind, string [] -> (uint8 [size, size, 3], int32 []).
    """

    files: tuple[str, ...]
    image_size: int
    number_classes: int
    info: Optional[dataset_info.DatasetInfo] = None
    parse_one: Optional[Callable] = None

    def parse(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One record: image uint8 [size, size, 3], label int32 []."""
        if self.parse_one is not None:
            image, label = self.parse_one(serialized)
            fits = _check((label >= 0) & (label < self.number_classes), "its label is ", label,
                          f" and expected is 0 to {self.number_classes - 1}")
            with tf.control_dependencies([fits]):
                return tf.identity(image), label
        images, labels = parse(serialized[None], self.image_size, self.number_classes)
        return images[0], labels[0]

    def batches(self, serialized: tf.data.Dataset, batch_size: int,
                drop_remainder: bool = False) -> tf.data.Dataset:
        """Parsed batches of serialised records, in their order."""
        if self.parse_one is not None:
            parsed = serialized.map(self.parse, num_parallel_calls=tf.data.AUTOTUNE)
            return parsed.batch(batch_size, drop_remainder)
        return serialized.batch(batch_size, drop_remainder).map(
            lambda batch: parse(batch, self.image_size, self.number_classes),
            num_parallel_calls=tf.data.AUTOTUNE)

    @functools.cached_property
    def stamps(self) -> tuple[Optional[tuple[int, int]], ...]:
        """Size and time of the last change of each file, as they were when first asked for."""
        return _stamps(self.files)

    @functools.cached_property
    def index(self) -> record_index.Index:
        """Where each record is.

        Raises:
          config.UserError: a file is not made of records, or not what `dataset.json` says.
        """
        if self.info is None:
            return record_index.build(self.files)
        directory = os.path.dirname(self.files[0])
        stored = dataset_info.read_index(directory, self.info)
        if stored is None:
            return record_index.build(self.files)
        sizes = np.array([shard.bytes for shard in self.info.shards], np.int64)
        return record_index.Index(self.files, sizes, stored["counts"], stored["offsets"])



def settings(data_dir: str) -> dict[str, int]:
    """What a directory says of itself, by flag: image_size, number_classes; {} if nothing.

    Raises:
      config.UserError: what it says cannot be read.
    """
    info = dataset_info.read(data_dir)
    if info is not None:
        return {"image_size": info.image_size, "number_classes": info.number_classes}
    if prepared_by_tfds.is_one(data_dir):
        return {"number_classes": prepared_by_tfds.open_directory(data_dir).number_classes}
    return {}


def open_records(data_dir: str, image_size: int, number_classes: int) -> Records:
    """Finds the record files and checks that they are what the model needs.

    Raises:
      config.UserError: no directory, no files, no records, an unreadable or unfit first record,
        files that are not those of `dataset.json`, or a contradiction to it.
    """
    hint = ("make records first (data/README.md), or take the embedded digits: "
            "--flagfile=configs/digits.flags")
    if not tf.io.gfile.isdir(data_dir):
        raise config_lib.UserError(f"--data_dir={data_dir}: no such directory; {hint}")
    if prepared_by_tfds.is_one(data_dir):
        records = _open_tfds(data_dir, image_size, number_classes)
    else:
        records = _open_directory(data_dir, image_size, number_classes, hint)
    records.stamps  # noqa: B018 (from here on a change is noticed)
    with reading(records):
        first = next(_serialized(records.files), None)
        if first is not None:
            records.parse(tf.constant(first))
        is_empty = len(records.index.offsets) == 0
    if is_empty:
        raise config_lib.UserError(
            f"--data_dir={data_dir}: its {len(records.files)} *{SUFFIX} hold no records; {hint}")
    return records


def describe(records: Records) -> dict[str, object]:
    """Number of files, records and bytes, and the encoding of the first record.

    Raises:
      config.UserError: a file is not made of records.
    """
    with reading(records):
        index = records.index
        first = tf.train.Example.FromString(next(_serialized(records.files)))
    facts = {"files": len(records.files), "records": len(index.offsets),
             "bytes": int(index.sizes.sum()),
             "encoding": "image_raw" if "image_raw" in first.features.feature else "image"}
    if records.info is not None:
        facts["fingerprint"] = records.info.fingerprint
    return facts


def list_files(data_dir: str) -> list[str]:
    """Names of the record files in a directory, sorted."""
    # Listed rather than globbed: the directory's own name may hold brackets or stars.
    return sorted(name for name in tf.io.gfile.listdir(data_dir) if name.endswith(SUFFIX))


def refuse_unfinished(data_dir: str, info: Optional[dataset_info.DatasetInfo]) -> None:
    """Raises config.UserError for a directory that prepare_data has begun and not ended."""
    if info is None and tf.io.gfile.isdir(os.path.join(data_dir, dataset_info.WORK_DIRECTORY)):
        raise config_lib.UserError(
            f"--data_dir={data_dir}: its preparation has not ended; run the same prepare_data "
            "again, it finishes what is missing")


def _open_directory(data_dir: str, image_size: int, number_classes: int, hint: str) -> Records:
    info = dataset_info.read(data_dir)
    dataset_info.check(data_dir, info, image_size, number_classes)
    refuse_unfinished(data_dir, info)
    names = list_files(data_dir)
    if not names:
        raise config_lib.UserError(f"--data_dir={data_dir}: it holds no *{SUFFIX}; {hint}")
    for path, fault in shard_faults(data_dir, info) if info is not None else ():
        raise config_lib.UserError(f"{path}: {fault}; put back what belongs together, or prepare "
                                   "the data again")
    files = tuple(os.path.join(data_dir, name) for name in names)
    return Records(files, image_size, number_classes, info)


def _open_tfds(data_dir: str, image_size: int, number_classes: int) -> Records:
    prepared = prepared_by_tfds.open_directory(data_dir)
    if prepared.number_classes != number_classes:
        raise config_lib.UserError(
            f"--number_classes={number_classes}: {data_dir} has {prepared.number_classes} classes; "
            "leave the flag out to train on this data")
    return Records(prepared.files, image_size, number_classes,
                   parse_one=prepared.parser(image_size))


def shard_faults(data_dir: str, info: dataset_info.DatasetInfo) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) for each record file that is not as `dataset.json` says."""
    said = {shard.file: shard.bytes for shard in info.shards}
    there = list_files(data_dir)
    for name in sorted({*said, *there}):
        path = os.path.join(data_dir, name)
        if name not in said:
            yield path, f"there, but not in {dataset_info.FILENAME}"
        elif not tf.io.gfile.exists(path):  # Also a link to nowhere.
            yield path, f"missing, but in {dataset_info.FILENAME}"
        elif (size := tf.io.gfile.stat(path).length) != said[name]:
            yield path, f"has {size} bytes, and {dataset_info.FILENAME} says {said[name]}"


def _serialized(files) -> Iterator[bytes]:
    return (record.numpy() for record in tf.data.TFRecordDataset(list(files)))


@contextlib.contextmanager
def reading(records: Records, note: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Turns an error of reading into a `config.UserError` that names the file and the record.

    Reads the files again to find the first record that fails. If none does, the fault was not in
    the data, and the error comes back as it was.

    Args:
      records: what is being read.
      note: told that the search begins.
    """
    try:
        yield
    except READ_ERRORS as error:
        note("a record cannot be read; looking for it")
        fault = find_fault(records)
        if fault is None:
            raise
        raise config_lib.UserError(fault) from error


def find_fault(records: Records) -> Optional[str]:
    """The first changed file, or unreadable or unfit record, as a line that names it, or None."""
    return find_change(records) or _find_unfit(records)


def find_change(records: Records, removed: bool = True) -> Optional[str]:
    """The first file that was replaced since it was opened, as a line, or None.

    Args:
      records: as opened.
      removed: whether a file that is gone counts.
    """
    for filename, before, after in zip(records.files, records.stamps, _stamps(records.files)):
        if after is None and removed:
            return (f"{filename}: it was there when the run began, and is gone; put it back, and "
                    "the same command continues")
        if after not in (None, before):
            return (f"{filename}: it has changed since the run began ({before[0]} bytes then, "
                    f"{after[0]} now); put back what was there, and the same command continues")
    return None


def _stamps(filenames: Sequence[str]) -> tuple[Optional[tuple[int, int]], ...]:
    with futures.ThreadPoolExecutor(16) as pool:
        return tuple(pool.map(_stamp, filenames))


def _stamp(filename: str) -> Optional[tuple[int, int]]:
    """(bytes, time of the last change in ns) of a file, or None where there is none."""
    try:
        status = tf.io.gfile.stat(filename)
    except tf.errors.NotFoundError:
        return None
    return status.length, status.mtime_nsec


def _find_unfit(records: Records) -> Optional[str]:
    for filename in records.files:
        try:
            for _ in records.batches(tf.data.TFRecordDataset(filename), 64):
                pass
        except READ_ERRORS:
            return _first_fault(filename, records)
    return None


def _first_fault(filename: str, records: Records) -> Optional[str]:
    index = 0
    try:
        for serialized in tf.data.TFRecordDataset(filename):
            records.parse(serialized)
            index += 1
    except READ_ERRORS as error:
        return f"{filename}: record {index} cannot be used: {reason(error)}"
    return None


def reason(error: Exception) -> str:
    """Why a record could not be used, from the error that said so."""
    if isinstance(error, tf.errors.DataLossError):
        return record_index.DAMAGED
    message = str(getattr(error, "message", error))
    own = re.search("<<(.*)>>", message)
    if own:
        return own.group(1)
    # TensorFlow's own words, without its remarks on where in its graph that was.
    words = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", message.splitlines()[0])
    return f"{words}; {_EXPECTED}"


@dataclasses.dataclass(frozen=True)
class Share:
    """What one of several workers reads of every step's images.

    Attributes:
      worker, workers: which of how many; their images follow one another in a step's batch.
      replicas: devices of the worker; they follow one another in its part.
    """

    worker: int = 0
    workers: int = 1
    replicas: int = 1


def training_batches(records: Records, config: config_lib.DataConfig, batch_size: int, seed: int,
                     start: int = 0, share: Share = Share()) -> tf.data.Dataset:
    """Endless shuffled batches: images uint8 [batch, size, size, 3], labels int32 [batch].

    A batch is what one device takes in a step; those of a worker's devices come one after the
    other, in the devices' order.

    The order is that of `order.windows`: a function of the seed, the epoch and the two sizes of
    the shuffle, and of no number of devices, threads or files read at a time. An epoch's remainder
    carries over. No flips (reference `utils_ori.py:189-265`).

    While one window is used, the next ones are read, so each is a third of `shuffle_buffer_size`
    records, or of `shuffle_memory_mb`, whichever is smaller.

    Args:
      records: what to read.
      config: sizes of the shuffle; files read at the same time.
      batch_size: images of a step, over all devices.
      seed: of the order, 0 .. 2**32 - 1.
      start: images used before.
      share: of which worker. All workers read all records, and decode only their own.
    """
    index = records.index
    blocks = index.blocks(BLOCK)
    blocks_per_window = max(shuffled_records(index, config) // _WINDOWS // BLOCK, 1)

    def windows():
        for window in order.windows(blocks.count, blocks_per_window, seed, start):
            chosen = window.blocks
            yield (blocks.file[chosen], blocks.offset[chosen], blocks.length[chosen],
                   blocks.count[chosen], window.seed, window.skip)

    numbers, number = tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64)
    read = functools.partial(_read_window, tf.constant(records.files), config.data_parallelism)
    serialized = tf.data.Dataset.from_generator(
        windows, output_signature=(numbers, numbers, numbers, numbers, number, number)
    ).interleave(read, cycle_length=1, num_parallel_calls=1, deterministic=True)
    if share.workers > 1:
        part = batch_size // share.workers
        serialized = serialized.batch(part, drop_remainder=True).shard(
            share.workers, share.worker).unbatch()
    one = batch_size // (share.workers * share.replicas)
    batches = records.batches(serialized, one, drop_remainder=True)
    # Several workers would ask each other at every step whether all have data left.
    return batches.apply(tf.data.experimental.assert_cardinality(
        tf.data.INFINITE_CARDINALITY)).prefetch(2 * share.replicas)


def shuffled_records(index: record_index.Index, config: config_lib.DataConfig) -> int:
    """Records that the shuffle holds in memory at the same time."""
    size = index.sizes.sum() / len(index.offsets)
    return min(config.shuffle_buffer_size, int(config.shuffle_memory_mb * 1e6 / size))


def _read_window(names, parallelism, file, offset, length, count, seed, skip) -> tf.data.Dataset:
    records = record_index.read(tf.gather(names, file), offset, length, count, parallelism)
    # Dataset.shuffle would mix TensorFlow's global seed into ours.
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records), buffer_size=tf.reduce_sum(count),
        seed=seed, seed2=1, reshuffle_each_iteration=False, output_types=[tf.string],
        output_shapes=[[]])
    return tf.data.experimental.from_variant(shuffled, records.element_spec).skip(skip)


def _read_records(records: Records, numbers: np.ndarray) -> tf.data.Dataset:
    """The records of these numbers (counted through all files), serialised, in this order."""
    blocks = records.index.records(numbers)
    names = tf.gather(tf.constant(records.files), blocks.file)
    return record_index.read(names, blocks.offset, blocks.length, blocks.count,
                             _EVALUATION_PARALLELISM)


def evaluation_records(records: Records, count: int, seed: int) -> np.ndarray:
    """Numbers of the `count` real images that `seed` chooses, int64, ascending.

    Every set of `count` images is equally likely, and no image comes twice.
    """
    return order.choose(len(records.index.offsets), count, seed)


def evaluation_batches(records: Records, count: int, batch_size: int,
                       seed: int) -> tf.data.Dataset:
    """The images of `evaluation_records` in batches (the last may be smaller).

    They come in the order of the files, which is quick to read. uint8 [batch, size, size, 3] and
    int32 [batch].
    """
    chosen = evaluation_records(records, count, seed)
    return records.batches(_read_records(records, chosen), batch_size).prefetch(2)


def preview(records: Records, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first records, files in turn.

    Returns:
      Images uint8 [up to count, size, size, 3], and their labels int32.
    """
    index = records.index
    numbers = np.lexsort((index.file_of, index.number_in_file))[:count]
    pairs = list(records.batches(_read_records(records, numbers), 64).as_numpy_iterator())
    return tuple(np.concatenate(values) for values in zip(*pairs))
