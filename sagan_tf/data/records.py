"""One record of an image and its label: written, parsed and checked."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf.data import dataset_info, record_index
from sagan_tf.images import pixels as images_pixels

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


def encode(image: np.ndarray, label: int, *, encoding: str = "raw") -> bytes:
    """One serialised record.

    Args:
      image: uint8 [size, size, 3].
      label: class, 0 or more.
      encoding: "raw" (`image_raw`), "png" or "jpeg" (`image`).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 image [size, size, 3], got {image.dtype} {image.shape}")
    return serialize(images_pixels.encode(image, encoding), label, encoding=encoding)


def serialize(data: bytes, label: int, *, encoding: str) -> bytes:
    """One serialised record of an image that `images.encode` made bytes of."""
    name = "image_raw" if encoding == "raw" else "image"
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
        )
    ).SerializeToString(deterministic=True)


def to_float(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 to float32 in [-1, 1]: x * 2/255 - 1 (reference `utils_ori.py:237`)."""
    return tf.cast(pixels, tf.float32) * (2.0 / 255) - 1.0


def parse(
    serialized: tf.Tensor, image_size: int, *, number_classes: int
) -> tuple[tf.Tensor, tf.Tensor]:
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
        check(
            is_raw | (tf.strings.length(encoded) > 0),
            f"it holds neither image_raw nor image; {EXPECTED}",
        ),
        check(label != _NO_LABEL, f"it holds no label; {EXPECTED}"),
        check(
            (label >= 0) & (label < number_classes),
            "its label is ",
            label,
            f" and expected is 0 to {number_classes - 1}",
        ),
    ]
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
    length, expected = tf.strings.length(raw), size * size * 3
    fits = check(
        length == expected,
        "its image_raw has ",
        length,
        f" bytes and expected are {size} x {size} x 3 = {expected}",
    )
    with tf.control_dependencies([fits]):
        return tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, size, size, 3])


def _decode(raw: tf.Tensor, encoded: tf.Tensor, size: int) -> tf.Tensor:
    """One image of either kind."""

    def from_encoded():
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        fits = check(
            (height == size) & (width == size),
            "its image has ",
            height,
            " x ",
            width,
            f" pixels and expected are {size} x {size}",
        )
        with tf.control_dependencies([fits]):
            return tf.reshape(pixels, [size, size, 3])

    return tf.cond(
        tf.strings.length(encoded) > 0, from_encoded, lambda: _decode_raw(raw[None], size)[0]
    )


def check(fits: tf.Tensor, *message) -> tf.Operation:
    """Asserts that all fit; the message tells of the first that does not."""
    first = tf.argmin(tf.cast(tf.reshape(fits, [-1]), tf.int32))
    parts = [
        part if isinstance(part, str) else tf.strings.as_string(tf.reshape(part, [-1])[first])
        for part in message
    ]
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
            fits = check(
                (label >= 0) & (label < self.number_classes),
                "its label is ",
                label,
                f" and expected is 0 to {self.number_classes - 1}",
            )
            with tf.control_dependencies([fits]):
                return tf.identity(image), label
        images, labels = parse(
            serialized[None], self.image_size, number_classes=self.number_classes
        )
        return images[0], labels[0]

    def batches(
        self, serialized: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Parsed batches of serialised records, in their order."""
        if self.parse_one is not None:
            parsed = serialized.map(self.parse, num_parallel_calls=tf.data.AUTOTUNE)
            return parsed.batch(batch_size, drop_remainder)
        return serialized.batch(batch_size, drop_remainder).map(
            lambda batch: parse(batch, self.image_size, number_classes=self.number_classes),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    @functools.cached_property
    def stamps(self) -> tuple[Optional[tuple[int, int]], ...]:
        """Size and time of the last change of each file, as they were when first asked for."""
        return stamps_of(self.files)

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


def list_files(data_dir: str) -> list[str]:
    """Names of the record files in a directory, sorted."""
    # Listed rather than globbed: the directory's own name may hold brackets or stars.
    return sorted(name for name in tf.io.gfile.listdir(data_dir) if name.endswith(SUFFIX))


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


def serialized_records(files) -> Iterator[bytes]:
    return (record.numpy() for record in tf.data.TFRecordDataset(list(files)))


def stamps_of(filenames: Sequence[str]) -> tuple[Optional[tuple[int, int]], ...]:
    with futures.ThreadPoolExecutor(16) as pool:
        return tuple(pool.map(_stamp, filenames))


def _stamp(filename: str) -> Optional[tuple[int, int]]:
    """(bytes, time of the last change in ns) of a file, or None where there is none."""
    try:
        status = tf.io.gfile.stat(filename)
    except tf.errors.NotFoundError:
        return None
    return status.length, status.mtime_nsec
