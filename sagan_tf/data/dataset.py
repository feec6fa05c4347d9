"""What a record is, to write and to read, and the input pipelines.

A record is a `tf.train.Example` with `label` (int64) and one of
- `image_raw`: uint8 bytes, size * size * 3, height x width x RGB (the reference's, `dataset.py`);
- `image`: the bytes of a JPEG or PNG file of size x size pixels.

A directory of such records, or one that TensorFlow Datasets prepared, is opened by `open_records`.
Pipelines give uint8 images; `to_float` makes them what the networks see, on the device.
"""

import dataclasses
import functools
import os
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import DataConfig
from sagan_tf.data import dataset_info, faults, order, record_index, tfds_directory
from sagan_tf.data import records as data_records

# Neighbours that are read at once. More would make the shuffle of class-sorted files worse, fewer
# would ask the disk more often.
BLOCK = record_index.TURN
# Windows of the shuffle in memory: the one that is used, and two that `interleave` reads ahead.
_WINDOWS = 3
# Records read by an evaluation at the same time.
_EVALUATION_PARALLELISM = 64


def settings(data_dir: str) -> dict[str, int]:
    """What a directory says of itself, by flag: image_size, number_classes; {} if nothing.

    Raises:
      config.UserError: what it says cannot be read.
    """
    info = dataset_info.read(data_dir)
    if info is not None:
        return {"image_size": info.image_size, "number_classes": info.number_classes}
    if tfds_directory.is_one(data_dir):
        return {"number_classes": tfds_directory.open_directory(data_dir).number_classes}
    return {}


def open_records(data_dir: str, image_size: int, *, number_classes: int) -> data_records.Records:
    """Finds the record files and checks that they are what the model needs.

    Raises:
      config.UserError: no directory, no files, no records, an unreadable or unfit first record,
        files that are not those of `dataset.json`, or a contradiction to it.
    """
    hint = (
        "make records first (data/README.md), or take the embedded digits: "
        "--flagfile=configs/digits.flags"
    )
    if not tf.io.gfile.isdir(data_dir):
        raise errors.UserError(f"--data_dir={data_dir}: no such directory; {hint}")
    if tfds_directory.is_one(data_dir):
        records = _open_tfds(data_dir, image_size, number_classes)
    else:
        records = _open_directory(data_dir, image_size, number_classes, hint)
    records.stamps  # noqa: B018 (from here on a change is noticed)
    with faults.reading(records):
        first = next(data_records.serialized_records(records.files), None)
        if first is not None:
            records.parse(tf.constant(first))
        is_empty = len(records.index.offsets) == 0
    if is_empty:
        raise errors.UserError(
            f"--data_dir={data_dir}: its {len(records.files)} *{data_records.SUFFIX} hold no records; {hint}"
        )
    return records


def describe(records: data_records.Records) -> dict[str, object]:
    """Number of files, records and bytes, and the encoding of the first record.

    Raises:
      config.UserError: a file is not made of records.
    """
    with faults.reading(records):
        index = records.index
        first = tf.train.Example.FromString(next(data_records.serialized_records(records.files)))
    facts = {
        "files": len(records.files),
        "records": len(index.offsets),
        "bytes": int(index.sizes.sum()),
        "encoding": "image_raw" if "image_raw" in first.features.feature else "image",
    }
    if records.info is not None:
        facts["fingerprint"] = records.info.fingerprint
    return facts


def refuse_unfinished(data_dir: str, info: Optional[dataset_info.DatasetInfo]) -> None:
    """Raises config.UserError for a directory that prepare_data has begun and not ended."""
    if info is None and tf.io.gfile.isdir(os.path.join(data_dir, dataset_info.WORK_DIRECTORY)):
        raise errors.UserError(
            f"--data_dir={data_dir}: its preparation has not ended; run the same prepare_data "
            "again, it finishes what is missing"
        )


def _open_directory(
    data_dir: str, image_size: int, number_classes: int, hint: str
) -> data_records.Records:
    info = dataset_info.read(data_dir)
    dataset_info.check(data_dir, info, image_size=image_size, number_classes=number_classes)
    refuse_unfinished(data_dir, info)
    names = data_records.list_files(data_dir)
    if not names:
        raise errors.UserError(f"--data_dir={data_dir}: it holds no *{data_records.SUFFIX}; {hint}")
    for path, fault in data_records.shard_faults(data_dir, info) if info is not None else ():
        raise errors.UserError(
            f"{path}: {fault}; put back what belongs together, or prepare the data again"
        )
    files = tuple(os.path.join(data_dir, name) for name in names)
    return data_records.Records(files, image_size, number_classes, info)


def _open_tfds(data_dir: str, image_size: int, number_classes: int) -> data_records.Records:
    prepared = tfds_directory.open_directory(data_dir)
    if prepared.number_classes != number_classes:
        raise errors.UserError(
            f"--number_classes={number_classes}: {data_dir} has {prepared.number_classes} classes; "
            "leave the flag out to train on this data"
        )
    return data_records.Records(
        prepared.files, image_size, number_classes, parse_one=prepared.parser(image_size)
    )


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


def training_batches(
    records: data_records.Records,
    config: DataConfig,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    share: Share = Share(),
) -> tf.data.Dataset:
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
        for window in order.windows(blocks.count, blocks_per_window, seed=seed, start=start):
            chosen = window.blocks
            yield (
                blocks.file[chosen],
                blocks.offset[chosen],
                blocks.length[chosen],
                blocks.count[chosen],
                window.seed,
                window.skip,
            )

    numbers, number = tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64)
    read = functools.partial(_read_window, tf.constant(records.files), config.data_parallelism)
    serialized = tf.data.Dataset.from_generator(
        windows, output_signature=(numbers, numbers, numbers, numbers, number, number)
    ).interleave(read, cycle_length=1, num_parallel_calls=1, deterministic=True)
    if share.workers > 1:
        part = batch_size // share.workers
        serialized = (
            serialized.batch(part, drop_remainder=True).shard(share.workers, share.worker).unbatch()
        )
    one = batch_size // (share.workers * share.replicas)
    batches = records.batches(serialized, one, drop_remainder=True)
    # Several workers would ask each other at every step whether all have data left.
    return batches.apply(
        tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    ).prefetch(2 * share.replicas)


def shuffled_records(index: record_index.Index, config: DataConfig) -> int:
    """Records that the shuffle holds in memory at the same time."""
    size = index.sizes.sum() / len(index.offsets)
    return min(config.shuffle_buffer_size, int(config.shuffle_memory_mb * 1e6 / size))


def _read_window(names, parallelism, file, offset, length, count, seed, skip) -> tf.data.Dataset:
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


def _read_records(records: data_records.Records, numbers: np.ndarray) -> tf.data.Dataset:
    """The records of these numbers (counted through all files), serialised, in this order."""
    blocks = records.index.records(numbers)
    names = tf.gather(tf.constant(records.files), blocks.file)
    return record_index.read(
        names,
        blocks.offset,
        lengths=blocks.length,
        counts=blocks.count,
        parallelism=_EVALUATION_PARALLELISM,
    )


def evaluation_records(records: data_records.Records, count: int, *, seed: int) -> np.ndarray:
    """Numbers of the `count` real images that `seed` chooses, int64, ascending.

    Every set of `count` images is equally likely, and no image comes twice.
    """
    return order.choose(len(records.index.offsets), count, seed)


def evaluation_batches(
    records: data_records.Records, count: int, *, batch_size: int, seed: int
) -> tf.data.Dataset:
    """The images of `evaluation_records` in batches (the last may be smaller).

    They come in the order of the files, which is quick to read. uint8 [batch, size, size, 3] and
    int32 [batch].
    """
    chosen = evaluation_records(records, count, seed=seed)
    return records.batches(_read_records(records, chosen), batch_size).prefetch(2)


def preview(records: data_records.Records, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first records, files in turn.

    Returns:
      Images uint8 [up to count, size, size, 3], and their labels int32.
    """
    index = records.index
    numbers = np.lexsort((index.file_of, index.number_in_file))[:count]
    pairs = list(records.batches(_read_records(records, numbers), 64).as_numpy_iterator())
    return tuple(np.concatenate(values) for values in zip(*pairs))
