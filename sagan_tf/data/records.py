"""One record of an image and its label: written, parsed and checked.

A record is a `tf.train.Example` with `label` (int64) and one of
- `image_raw`: uint8 bytes, size * size * 3, height x width x RGB (reference `dataset.py`);
- `image`: the bytes of a JPEG or PNG file of size x size pixels.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Optional, Protocol

import numpy as np
import tensorflow as tf

from sagan_tf.data import dataset_info, record_index
from sagan_tf.images import pixels

SUFFIX = ".tfrecords"
EXPECTED = (
    "expected is a tf.Example with image_raw (uint8 bytes) or image (bytes of a JPEG or "
    "PNG file), and one int64 label"
)
_NO_LABEL = tf.int64.min
_FEATURES = {
    "image_raw": tf.io.FixedLenFeature([], tf.string, ""),
    "image": tf.io.FixedLenFeature([], tf.string, ""),
    "label": tf.io.FixedLenFeature([], tf.int64, _NO_LABEL),
}
_LABELS_AT_A_TIME = 64
# Files that are asked for their size and time at once.
_THREADS = 16

# Size and time of the last change (ns) of a file; None where there is none.
Stamp = Optional[tuple[int, int]]


def encode(image: np.ndarray, label: int, *, encoding: str = "raw") -> bytes:
    """One serialised record.

    Args:
      image: uint8 [size, size, 3].
      label: class, 0 or more.
      encoding: "raw" (`image_raw`), "png" or "jpeg" (`image`).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 image [size, size, 3], got {image.dtype} {image.shape}")
    return serialize(pixels.encode(image, encoding), label, encoding=encoding)


def serialize(data: bytes, label: int, *, encoding: str) -> bytes:
    """One serialised record of an image that `pixels.encode` made bytes of."""
    name = "image_raw" if encoding == "raw" else "image"
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def to_float(images: tf.Tensor) -> tf.Tensor:
    """uint8 to float32 in [-1, 1]: x * 2/255 - 1 (reference `utils_ori.py:237`)."""
    return tf.cast(images, tf.float32) * (2.0 / 255) - 1.0


def parse(
    serialized: tf.Tensor, image_size: int, *, number_classes: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Records, checked: images uint8 [n, size, size, 3], labels int32 [n].

    A batch at a time, because an op call for every record costs more than decoding it.

    Args:
      serialized: string [n].
      image_size: side that the images must have, pixels.
      number_classes: labels must be below it.
    Raises (when it runs):
      tf.errors.InvalidArgumentError: its message says what is wrong with the first unfit record.
    """
    # Parse the features.
    features = tf.io.parse_example(serialized, _FEATURES)
    raw = features["image_raw"]
    encoded = features["image"]
    label = features["label"]

    # Check that they are there.
    is_raw = tf.strings.length(raw) > 0
    has_image = is_raw | (tf.strings.length(encoded) > 0)
    checks = [
        check(has_image, f"it holds neither image_raw nor image; {EXPECTED}"),
        check(label != _NO_LABEL, f"it holds no label; {EXPECTED}"),
        check_label(label, number_classes),
    ]

    # Decode: all raw images at once, others one by one.
    with tf.control_dependencies(checks):
        images = tf.cond(
            tf.reduce_all(is_raw),
            lambda: _decode_raw(raw, image_size),
            lambda: tf.map_fn(
                lambda one: _decode(*one, image_size), (raw, encoded), fn_output_signature=tf.uint8
            ),
        )
    images.set_shape([serialized.shape[0], image_size, image_size, 3])
    return images, tf.cast(label, tf.int32)


def _decode_raw(raw: tf.Tensor, size: int) -> tf.Tensor:
    """`image_raw`, string [n], as uint8 [n, size, size, 3]."""
    length = tf.strings.length(raw)
    expected = size * size * 3
    fits = check(
        length == expected,
        "its image_raw has ",
        length,
        f" bytes and expected are {size} x {size} x 3 = {expected}",
    )
    with tf.control_dependencies([fits]):
        return tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, size, size, 3])


def _decode(raw: tf.Tensor, encoded: tf.Tensor, size: int) -> tf.Tensor:
    """One image of either kind, uint8 [size, size, 3]."""
    return tf.cond(
        tf.strings.length(encoded) > 0,
        lambda: _decode_file(encoded, size),
        lambda: _decode_raw(raw[None], size)[0],
    )


def _decode_file(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """The bytes of a JPEG or PNG file, string [], as uint8 [size, size, 3]."""
    # Decode the file.
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    height = tf.shape(image)[0]
    width = tf.shape(image)[1]

    # Check its size.
    fits = check(
        (height == size) & (width == size),
        "its image has ",
        height,
        " x ",
        width,
        f" pixels and expected are {size} x {size}",
    )
    with tf.control_dependencies([fits]):
        return tf.reshape(image, [size, size, 3])


def check(fits: tf.Tensor, *message) -> tf.Operation:
    """Asserts that all fit; the message tells of the first that does not.

    Args:
      fits: bool, any shape.
      message: strings, and tensors of the shape of `fits`.
    """
    # Find the first that does not fit.
    all_fit = tf.reduce_all(fits)
    first = tf.argmin(tf.cast(tf.reshape(fits, [-1]), tf.int32))

    # Write the message about it, between brackets that `faults.reason` finds again.
    parts = ["<<"]
    for part in message:
        if not isinstance(part, str):
            part = tf.strings.as_string(tf.reshape(part, [-1])[first])
        parts.append(part)
    parts.append(">>")
    text = tf.cond(all_fit, lambda: "", lambda: tf.strings.join(parts))
    return tf.debugging.Assert(all_fit, [text])


def check_label(label: tf.Tensor, number_classes: int) -> tf.Operation:
    """Asserts that all labels, integers of any shape, are class numbers."""
    return check(
        (label >= 0) & (label < number_classes),
        "its label is ",
        label,
        f" and expected is 0 to {number_classes - 1}",
    )


class Parser(Protocol):
    """From serialised records to images and labels.

    Attributes:
      image_size: side of the images, pixels.
      number_classes: labels are below it.
    """

    image_size: int
    number_classes: int

    def parse(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One record, string []: image uint8 [size, size, 3], label int32 []."""

    def batches(
        self, serialized: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Parsed batches of serialised records, in their order."""


@dataclasses.dataclass(frozen=True)
class RecordParser:
    """The `Parser` of this module's records."""

    image_size: int
    number_classes: int

    def parse(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One record, string []: image uint8 [size, size, 3], label int32 []."""
        images, labels = self.parse_batch(serialized[None])
        return images[0], labels[0]

    def batches(
        self, serialized: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Parsed batches of serialised records, in their order."""
        batches = serialized.batch(batch_size, drop_remainder)
        return batches.map(self.parse_batch, num_parallel_calls=tf.data.AUTOTUNE)

    # There is no Python's control flow on tensors in it: AutoGraph need not read its source.
    @tf.autograph.experimental.do_not_convert
    def parse_batch(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Records, string [n]: images uint8 [n, size, size, 3], labels int32 [n]."""
        images, labels = self._traced(serialized)
        images.set_shape([serialized.shape[0], self.image_size, self.image_size, 3])
        labels.set_shape([serialized.shape[0]])
        return images, labels

    @functools.cached_property
    def _traced(self) -> Callable:
        """`parse`, traced once for all pipelines: each trace takes a third of a second."""
        traced = functools.partial(
            parse, image_size=self.image_size, number_classes=self.number_classes
        )
        many = tf.TensorSpec([None], tf.string)
        return tf.function(traced, input_signature=[many], autograph=False)


@dataclasses.dataclass(frozen=True)
class Records:
    """The record files of a directory, and how to read them.

    Attributes:
      files: names of the record files.
      parser: what makes images and labels of their records.
      stamps: size and time of each file when it was opened.
      info: the directory's `dataset.json`, if it has one.
    """

    files: tuple[str, ...]
    parser: Parser
    stamps: tuple[Stamp, ...]
    info: Optional[dataset_info.DatasetInfo] = None

    @property
    def image_size(self) -> int:
        """Side of the images, pixels."""
        return self.parser.image_size

    @property
    def number_classes(self) -> int:
        """Number of classes; labels are below it."""
        return self.parser.number_classes

    @functools.cached_property
    def index(self) -> record_index.Index:
        """Where each record is.

        Raises:
          errors.UserError: a file is not made of records, or not what `dataset.json` says.
        """
        # Take the index that the preparation wrote.
        stored = None
        if self.info is not None:
            stored = dataset_info.read_index(os.path.dirname(self.files[0]), self.info)
        if stored is not None:
            sizes = np.array([shard.bytes for shard in self.info.shards], np.int64)
            return record_index.Index(self.files, sizes, stored["counts"], stored["offsets"])

        # Without one, look into the files.
        return record_index.build(self.files)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The label of every record, int32 [records]. Reads and decodes all of them.

        Raises:
          tf.errors.OpError: a record cannot be read or is unfit.
        """
        batches = self.parser.batches(tf.data.TFRecordDataset(list(self.files)), _LABELS_AT_A_TIME)
        return np.concatenate([labels for _, labels in batches.as_numpy_iterator()])


def open_files(
    files: Sequence[str], parser: Parser, *, info: Optional[dataset_info.DatasetInfo] = None
) -> Records:
    """`Records` of these files; from here on a change of a file is noticed."""
    return Records(tuple(files), parser, stamps_of(files), info)


def list_files(data_dir: str) -> list[str]:
    """Names of the record files in a directory, sorted."""
    # Listed rather than globbed: the directory's own name may hold brackets or stars.
    return sorted(name for name in tf.io.gfile.listdir(data_dir) if name.endswith(SUFFIX))


def shard_faults(data_dir: str, info: dataset_info.DatasetInfo) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) for each record file that is not as `dataset.json` says."""
    expected = {shard.file: shard.bytes for shard in info.shards}
    found = list_files(data_dir)
    for name in sorted({*expected, *found}):
        path = os.path.join(data_dir, name)
        if name not in expected:
            yield path, f"there, but not in {dataset_info.FILENAME}"
            continue

        # Compare the sizes; a link to nowhere is missing too.
        if not tf.io.gfile.exists(path):
            yield path, f"missing, but in {dataset_info.FILENAME}"
            continue
        size = tf.io.gfile.stat(path).length
        if size != expected[name]:
            yield path, f"has {size} bytes, and {dataset_info.FILENAME} says {expected[name]}"


def serialized_records(files: Sequence[str]) -> Iterator[bytes]:
    """All records of these files, one file after the other."""
    for record in tf.data.TFRecordDataset(list(files)):
        yield record.numpy()


def stamps_of(filenames: Sequence[str]) -> tuple[Stamp, ...]:
    """Size and time of each file."""
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        return tuple(pool.map(_stamp, filenames))


def _stamp(filename: str) -> Stamp:
    try:
        status = tf.io.gfile.stat(filename)
    except tf.errors.NotFoundError:
        return None
    return status.length, status.mtime_nsec
