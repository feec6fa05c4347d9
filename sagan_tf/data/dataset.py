"""Directories of training data, and the input pipelines that read them.

A directory holds records (`records.py`), or TensorFlow Datasets prepared it; `open_directory` opens
either. Pipelines give uint8 images, which `records.to_float` converts on the device to the floats
that the networks take.
"""

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Optional, Union

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import DataConfig
from sagan_tf.data import dataset_info, faults, order, record_index, tfds_directory
from sagan_tf.data.records import (
    SUFFIX,
    RecordParser,
    Records,
    list_files,
    open_files,
    serialized_records,
    shard_faults,
)

# Neighbours that are read at once. More would make the shuffle of class-sorted files worse, fewer
# would ask the disk more often.
BLOCK = record_index.BLOCK_LENGTH
# Windows of the shuffle in memory: the one that is used, and two that `interleave` reads ahead.
_WINDOWS = 3
# Records read by an evaluation at the same time.
_EVALUATION_PARALLELISM = 64
_PREVIEW_BATCH = 64
_HINT = (
    "make records first (sagan prepare-data), or try the embedded digits: sagan demo, or "
    "--flagfile=configs/digits.flags in a checkout"
)


@dataclasses.dataclass(frozen=True)
class _RecordDirectory:
    """A directory of our own records, with or without `dataset.json`."""

    path: str
    info: Optional[dataset_info.DatasetInfo]

    @property
    def settings(self) -> dict[str, int]:
        if self.info is None:
            return {}
        return {"image_size": self.info.image_size, "number_classes": self.info.number_classes}

    def check(self, **given: int) -> None:
        dataset_info.check(self.path, self.info, **given)

    def records(self, image_size: int, *, number_classes: int) -> Records:
        # Refuse what contradicts the flags, or is not finished.
        self.check(image_size=image_size, number_classes=number_classes)
        refuse_unfinished(self.path, self.info)

        # Find the record files.
        names = list_files(self.path)
        if not names:
            raise errors.UserError(f"--data_dir={self.path}: it holds no *{SUFFIX}; {_HINT}")

        # Compare them with `dataset.json`.
        if self.info is not None:
            for path, fault in shard_faults(self.path, self.info):
                raise errors.UserError(
                    f"{path}: {fault}; restore the missing files, or prepare the data again"
                )

        files = [os.path.join(self.path, name) for name in names]
        parser = RecordParser(image_size, number_classes)
        return open_files(files, parser, info=self.info)


@dataclasses.dataclass(frozen=True)
class Directory:
    """A directory of training data, opened once.

    Attributes:
      path: as the user gave it.
      content: what is known of it, by kind.
    """

    path: str
    content: Union[_RecordDirectory, tfds_directory.TfdsDirectory]

    @property
    def settings(self) -> dict[str, int]:
        """What the directory says of itself, by flag: image_size, number_classes; {} if nothing."""
        return self.content.settings

    @property
    def info(self) -> Optional[dataset_info.DatasetInfo]:
        """Its `dataset.json`; None where there is none."""
        return self.content.info if isinstance(self.content, _RecordDirectory) else None

    def refuse_other(self, given: Mapping[str, int]) -> None:
        """Refuses flags that contradict what the directory says of itself.

        Args:
          given: value by flag, of the flags that were given.
        Raises:
          errors.UserError: one of image_size and number_classes is another.
        """
        said = self.settings
        self.content.check(**{name: given.get(name, value) for name, value in said.items()})

    def records(self, image_size: int, *, number_classes: int) -> Records:
        """Finds the record files and checks that they are what the model needs.

        Args:
          image_size: side of the model's images, pixels.
          number_classes: number of the model's classes.
        Raises:
          errors.UserError: no directory, no files, no records, an unreadable or unfit first record,
            files that are not those of `dataset.json`, or a contradiction to it.
        """
        # Find the files.
        if not tf.io.gfile.isdir(self.path):
            raise errors.UserError(f"--data_dir={self.path}: no such directory; {_HINT}")
        records = self.content.records(image_size, number_classes=number_classes)

        # Try the first record, and count all.
        with faults.reading(records):
            first = next(serialized_records(records.files), None)
            if first is not None:
                records.parser.parse(tf.constant(first))
            is_empty = len(records.index.offsets) == 0
        if is_empty:
            raise errors.UserError(
                f"--data_dir={self.path}: its {len(records.files)} *{SUFFIX} hold "
                f"no records; {_HINT}"
            )
        return records


def open_directory(data_dir: str) -> Directory:
    """Opens a directory of records, or one that TensorFlow Datasets prepared.

    Whether there is such a directory is found out when its records are asked for.

    Raises:
      errors.UserError: what the directory says of itself cannot be read.
    """
    if tfds_directory.is_one(data_dir):
        return Directory(data_dir, tfds_directory.open_directory(data_dir))
    return Directory(data_dir, _RecordDirectory(data_dir, dataset_info.read(data_dir)))


def open_records(data_dir: str, image_size: int, *, number_classes: int) -> Records:
    """`Directory.records` of a directory that is opened for this alone."""
    return open_directory(data_dir).records(image_size, number_classes=number_classes)


def describe(records: Records) -> dict[str, object]:
    """Number of files, records and bytes, and the encoding of the first record.

    Raises:
      errors.UserError: a file is not made of records.
    """
    # Look at the index and at the first record.
    with faults.reading(records):
        index = records.index
        first = tf.train.Example.FromString(next(serialized_records(records.files)))
    is_raw = "image_raw" in first.features.feature

    # Say what is there.
    facts = {
        "files": len(records.files),
        "records": len(index.offsets),
        "bytes": int(index.sizes.sum()),
        "encoding": "image_raw" if is_raw else "image",
    }
    if records.info is not None:
        facts["fingerprint"] = records.info.fingerprint
    return facts


def refuse_unfinished(data_dir: str, info: Optional[dataset_info.DatasetInfo]) -> None:
    """Raises errors.UserError for a directory that prepare_data has begun and not ended."""
    if info is None and tf.io.gfile.isdir(os.path.join(data_dir, dataset_info.WORK_DIRECTORY)):
        raise errors.UserError(
            f"--data_dir={data_dir}: its preparation is unfinished; run the same prepare_data "
            "command again to finish it"
        )


@dataclasses.dataclass(frozen=True)
class InputShard:
    """The part of every step's images that one of several workers reads.

    Attributes:
      index: which worker, 0 .. count - 1; their images follow one another in a step's batch.
      count: number of workers.
      replicas: devices of the worker; they follow one another in its part.
    """

    index: int = 0
    count: int = 1
    replicas: int = 1


def training_batches(
    records: Records,
    config: DataConfig,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    shard: InputShard = InputShard(),
) -> tf.data.Dataset:
    """Endless shuffled batches: images uint8 [batch, size, size, 3], labels int32 [batch].

    A batch is what one device takes in a step. Those of a worker's devices come one after the
    other, in the devices' order.

    The order is that of `order.windows`. It depends on the seed, the epoch and the two sizes of the
    shuffle, and not on the number of devices, threads or files. An epoch's remainder carries over.
    No flips (reference `utils_ori.py:189-265`). With `balance_classes` an epoch is that of
    `order.balanced`.

    While one window is used, the next ones are read. So each is a third of `shuffle_buffer_size`
    records, or of `shuffle_memory_mb`, whichever is smaller.

    Args:
      records: what to read.
      config: sizes of the shuffle; files read at the same time; whether to balance the classes.
      batch_size: images of a step, over all devices.
      seed: of the order, 0 .. 2**32 - 1.
      start: images used before.
      shard: of which worker. All workers read all records, and decode only their own.
    """
    # Put blocks of neighbouring records into the order of the epochs.
    blocks, length = _blocks(records, config)
    blocks_per_window = max(shuffled_records(records.index, config) // _WINDOWS // length, 1)
    windows = tf.data.Dataset.from_generator(
        functools.partial(
            _read_windows, blocks, blocks_per_window=blocks_per_window, seed=seed, start=start
        ),
        output_signature=_WINDOW_SIGNATURE,
    )

    # Read and shuffle each window's records; the next windows are read ahead.
    read = functools.partial(_read_window, tf.constant(records.files), config.data_parallelism)
    serialized = windows.interleave(read, cycle_length=1, num_parallel_calls=1, deterministic=True)

    # Take this worker's part of every step's images.
    if shard.count > 1:
        parts = serialized.batch(batch_size // shard.count, drop_remainder=True)
        serialized = parts.shard(shard.count, shard.index).unbatch()

    # Decode.
    device_batch = batch_size // (shard.count * shard.replicas)
    batches = records.parser.batches(serialized, device_batch, drop_remainder=True)

    # Several workers would ask each other at every step whether all have data left.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.apply(endless).prefetch(2 * shard.replicas)


def _blocks(records: Records, config: DataConfig) -> tuple[record_index.RecordRanges, int]:
    """The blocks of an epoch, and the records of a whole one."""
    if not config.balance_classes:
        return records.index.blocks(BLOCK), BLOCK

    # Single records, those of small classes several times.
    return records.index.records(balanced(records)), 1


def balanced(records: Records) -> np.ndarray:
    """`order.balanced` of the records' labels, which are read.

    Raises:
      errors.UserError: a file is not made of records.
    """
    with faults.reading(records):
        return order.balanced(records.labels)


def shuffled_records(index: record_index.Index, config: DataConfig) -> int:
    """Records that the shuffle holds in memory at the same time."""
    size = index.sizes.sum() / len(index.offsets)
    return min(config.shuffle_buffer_size, int(config.shuffle_memory_mb * 1e6 / size))


# File, offset, length and count of each block of a window; seed of its shuffle; records to skip.
_WINDOW_SIGNATURE = (
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([], tf.int64),
    tf.TensorSpec([], tf.int64),
)


def _read_windows(
    blocks: record_index.RecordRanges, *, blocks_per_window: int, seed: int, start: int
) -> Iterator[tuple]:
    """What `_read_window` needs of each window, as `_WINDOW_SIGNATURE` has it."""
    for window in order.windows(blocks.count, blocks_per_window, seed=seed, start=start):
        yield (
            blocks.file[window.blocks],
            blocks.offset[window.blocks],
            blocks.length[window.blocks],
            blocks.count[window.blocks],
            window.seed,
            window.skip,
        )


# There is no Python's control flow on tensors in it: AutoGraph need not read its source.
@tf.autograph.experimental.do_not_convert
def _read_window(names, parallelism, file, offset, length, count, seed, skip) -> tf.data.Dataset:
    """The shuffled records of one window, serialised, less the first `skip`."""
    records = record_index.read(
        tf.gather(names, file), offset, lengths=length, counts=count, parallelism=parallelism
    )

    # Dataset.shuffle would mix TensorFlow's global seed into ours.
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=tf.reduce_sum(count),
        seed=seed,
        seed2=1,
        reshuffle_each_iteration=False,
        output_types=[tf.string],
        output_shapes=[[]],
    )
    return tf.data.experimental.from_variant(shuffled, records.element_spec).skip(skip)


def _read_records(records: Records, numbers: np.ndarray) -> tf.data.Dataset:
    """The records of these numbers (counted through all files), serialised, in this order."""
    ranges = records.index.records(numbers)
    names = tf.gather(tf.constant(records.files), ranges.file)
    return record_index.read(
        names,
        ranges.offset,
        lengths=ranges.length,
        counts=ranges.count,
        parallelism=_EVALUATION_PARALLELISM,
    )


def evaluation_records(records: Records, count: int, *, seed: int) -> np.ndarray:
    """Numbers of the `count` real images that `seed` chooses, int64, ascending.

    Every set of `count` images is equally likely, and no image comes twice.
    """
    return order.choose(len(records.index.offsets), count, seed)


def evaluation_batches(
    records: Records, count: int, *, batch_size: int, seed: int
) -> tf.data.Dataset:
    """The images of `evaluation_records` in batches (the last may be smaller).

    They come in the order of the files, which is quick to read. uint8 [batch, size, size, 3] and
    int32 [batch].
    """
    chosen = evaluation_records(records, count, seed=seed)
    serialized = _read_records(records, chosen)
    return records.parser.batches(serialized, batch_size).prefetch(2)


def preview(records: Records, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first records, files in turn.

    Returns:
      Images uint8 [up to count, size, size, 3], and their labels int32.
    """
    # Choose the first record of each file, then the second, and so on.
    index = records.index
    numbers = np.lexsort((index.file_of, index.number_in_file))[:count]
    return images_of(records, numbers)


def images_of(records: Records, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some records, in the order of their numbers (counted through all files).

    Returns:
      Images uint8 [records, size, size, 3], and their labels int32.
    """
    images = []
    labels = []
    batches = records.parser.batches(_read_records(records, numbers), _PREVIEW_BATCH)
    for some_images, some_labels in batches.as_numpy_iterator():
        images.append(some_images)
        labels.append(some_labels)
    return np.concatenate(images), np.concatenate(labels)
