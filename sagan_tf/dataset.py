"""What a record is, to write and to read, and the input pipelines.

A record is a `tf.train.Example` with `label` (int64) and one of
- `image_raw`: uint8 bytes, size * size * 3, height x width x RGB (the reference's, `dataset.py`);
- `image`: the bytes of a JPEG or PNG file of size x size pixels.
"""

import contextlib
import dataclasses
import os
import re
import struct
from collections.abc import Callable, Iterator
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf import config as config_lib
from sagan_tf import images as images_lib

SUFFIX = ".tfrecords"
# What TensorFlow raises when a file or record cannot be read or fails a check of `parse`.
READ_ERRORS = (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError,
               tf.errors.OutOfRangeError, tf.errors.PermissionDeniedError,
               tf.errors.FailedPreconditionError, UnicodeDecodeError)
_EXPECTED = ("expected is a tf.Example with image_raw (uint8 bytes) or image (bytes of a JPEG or "
             "PNG file), and one int64 label")
_DAMAGED = "the file is damaged or truncated there; make it again"
_NO_LABEL = tf.int64.min
_FEATURES = {"image_raw": tf.io.FixedLenFeature([], tf.string, ""),
             "image": tf.io.FixedLenFeature([], tf.string, ""),
             "label": tf.io.FixedLenFeature([], tf.int64, _NO_LABEL)}


def encode(image: np.ndarray, label: int, encoding: str = "raw") -> bytes:
    """One serialised record.

    Args:
      image: uint8 [size, size, 3].
      label: class, 0 or more.
      encoding: "raw" (`image_raw`) or "png" (`image`).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 image [size, size, 3], got {image.dtype} {image.shape}")
    name, data = (("image_raw", image.tobytes()) if encoding == "raw"
                  else ("image", images_lib.encode_png(image)))
    return tf.train.Example(features=tf.train.Features(feature={
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    })).SerializeToString(deterministic=True)


def parse(serialized: tf.Tensor, image_size: int,
          number_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """One record, checked: image float32 [size, size, 3] in [-1, 1], label int32.

    uint8 pixels become x * 2/255 - 1 (reference `utils_ori.py:237`).

    Raises (when it runs): tf.errors.InvalidArgumentError with a message that says what is wrong.
    """
    features = tf.io.parse_single_example(serialized, _FEATURES)
    raw, encoded, label = features["image_raw"], features["image"], features["label"]
    expected = image_size * image_size * 3
    _check(tf.strings.length(raw) + tf.strings.length(encoded) > 0,
           f"it holds neither image_raw nor image; {_EXPECTED}")
    _check(label != _NO_LABEL, f"it holds no label; {_EXPECTED}")
    _check(tf.logical_and(label >= 0, label < number_classes),
           "its label is ", label, f" and expected is 0 to {number_classes - 1}")

    def from_raw():
        size = tf.strings.length(raw)
        _check(size == expected, "its image_raw has ", size,
               f" bytes and expected are {image_size} x {image_size} x 3 = {expected}")
        return tf.reshape(tf.io.decode_raw(raw, tf.uint8), [image_size, image_size, 3])

    def from_encoded():
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        _check(tf.logical_and(height == image_size, width == image_size), "its image has ", height,
               " x ", width, f" pixels and expected are {image_size} x {image_size}")
        return tf.reshape(pixels, [image_size, image_size, 3])

    pixels = tf.cond(tf.strings.length(raw) > 0, from_raw, from_encoded)
    image = tf.cast(pixels, tf.float32) * (2.0 / 255) - 1.0
    return image, tf.cast(label, tf.int32)


def _check(condition: tf.Tensor, *message) -> None:
    parts = [part if isinstance(part, str) else tf.strings.as_string(part) for part in message]
    tf.debugging.Assert(condition, [tf.strings.join(["<<", *parts, ">>"])])


@dataclasses.dataclass(frozen=True)
class Records:
    """The record files of a directory, and what their records must be."""

    files: tuple[str, ...]
    image_size: int
    number_classes: int

    def parse(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`parse` with this data's size and number of classes."""
        return parse(serialized, self.image_size, self.number_classes)

    def describe(self) -> dict[str, object]:
        """Number of files, records and bytes, and the encoding of the first record.

        Raises:
          config.UserError: a file is not made of records.
        """
        with reading(self):
            first = tf.train.Example.FromString(next(_serialized(self.files)))
            counts = [count_records(name) for name in self.files]
            sizes = [tf.io.gfile.stat(name).length for name in self.files]
        return {"files": len(self.files), "records": sum(counts), "bytes": sum(sizes),
                "encoding": "image_raw" if "image_raw" in first.features.feature else "image"}


def open_records(data_dir: str, image_size: int, number_classes: int) -> Records:
    """Finds the record files and checks that the first record is what the model needs.

    Raises:
      config.UserError: no directory, no files, no records, or an unreadable or unfit first record.
    """
    hint = ("make records first (data/README.md), or take the embedded digits: "
            "--flagfile=configs/digits.flags")
    if not tf.io.gfile.isdir(data_dir):
        raise config_lib.UserError(f"--data_dir={data_dir}: no such directory; {hint}")
    # Listed rather than globbed: the directory's own name may hold brackets or stars.
    files = tuple(os.path.join(data_dir, name) for name in sorted(tf.io.gfile.listdir(data_dir))
                  if name.endswith(SUFFIX))
    if not files:
        raise config_lib.UserError(f"--data_dir={data_dir}: it holds no *{SUFFIX}; {hint}")
    records = Records(files, image_size, number_classes)
    with reading(records):
        first = next(_serialized(files), None)
        if first is not None:
            records.parse(first)
    if first is None:
        raise config_lib.UserError(
            f"--data_dir={data_dir}: its {len(files)} *{SUFFIX} hold no records; {hint}")
    return records


def _serialized(files) -> Iterator[bytes]:
    return (record.numpy() for record in tf.data.TFRecordDataset(list(files)))


def count_records(filename: str) -> int:
    """Records in a file, by hopping from header to header; nothing else is read.

    Raises:
      config.UserError: the file does not end where a record does.
    """
    count = position = 0
    size = tf.io.gfile.stat(filename).length
    with tf.io.gfile.GFile(filename, "rb") as file:
        while position + 12 <= size:
            file.seek(position)
            (length,) = struct.unpack("<Q", file.read(8))
            position += 12 + length + 4
            count += position <= size
    if position != size:
        raise config_lib.UserError(f"{filename}: record {count} cannot be used: {_DAMAGED}")
    return count


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
    """The first unreadable or unfit record as a line that names it, or None."""
    for filename in records.files:
        checked = tf.data.TFRecordDataset(filename).map(
            records.parse, num_parallel_calls=tf.data.AUTOTUNE)
        try:
            for _ in checked:
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
        return f"{filename}: record {index} cannot be used: {_reason(error)}"
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, tf.errors.DataLossError):
        return _DAMAGED
    message = str(getattr(error, "message", error))
    own = re.search("<<(.*)>>", message)
    if own:
        return own.group(1)
    # TensorFlow's own words, without its remarks on where in its graph that was.
    reason = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", message.splitlines()[0])
    return f"{reason}; {_EXPECTED}"


def _read(records: Records, parallelism: int, seed: Optional[int]) -> tf.data.Dataset:
    """Serialised records of all files, `parallelism` files at a time, one record of each in turn.
    """
    names = tf.data.Dataset.from_tensor_slices(list(records.files))
    if seed is not None:
        names = names.shuffle(len(records.files), seed=seed)
    return names.interleave(tf.data.TFRecordDataset,
                            cycle_length=min(parallelism, len(records.files)),
                            num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def training_batches(records: Records, config: config_lib.DataConfig, batch_size: int,
                     seed: int) -> tf.data.Dataset:
    """Endless shuffled batches: images float32 [batch, size, size, 3] in [-1, 1], labels int32.

    Files are shuffled, interleaved, records shuffled in a buffer of `shuffle_buffer_size`
    serialised records, anew each epoch; an epoch's remainder carries over. No flips.

    Source: reference `utils_ori.py:189-265`.
    """
    return (_read(records, config.data_parallelism, seed)
            .shuffle(config.shuffle_buffer_size, seed=seed)
            .repeat()
            .map(records.parse, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE))


def evaluation_batches(records: Records, count: int, batch_size: int, buffer_size: int,
                       seed: int) -> tf.data.Dataset:
    """`count` real images in batches (the last may be smaller), chosen by `seed`.

    Files are read in shuffled order, 64 at a time, through a shuffle buffer, once, so that no
    image comes twice.
    """
    return (_read(records, 64, seed)
            .shuffle(buffer_size, seed=seed)
            .take(count)
            .map(records.parse, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size)
            .prefetch(tf.data.AUTOTUNE))


def preview(records: Records, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first records, files in turn.

    Returns:
      Images float32 [up to count, size, size, 3] in [-1, 1], and their labels int32.
    """
    pairs = [(image.numpy(), label.numpy())
             for image, label in _read(records, 64, None).take(count).map(records.parse)]
    return tuple(np.stack(values) for values in zip(*pairs))
