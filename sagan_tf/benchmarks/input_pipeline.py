"""Benchmark of the input pipeline: ours and the reference's, each in a process of its own."""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Optional

import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.data import check, dataset, records, tfds_directory
from sagan_tf.runtime import memory

_COMMAND = "sagan_tf.tools.benchmark_input"
_PREFETCHED = 3  # Batches that may be ready before the clock starts.
_PARALLEL_MAPS = 16  # Of the reference.
_SHARDS = 4


def run(options: config.BenchmarkInputConfig, data_config: config.DataConfig) -> None:
    """Prints a table of all pipelines; or, with --pipeline, the numbers of one as JSON.

    Raises:
      errors.UserError: the records cannot be read.
    """
    if options.pipeline:
        print(json.dumps(measure(options, data_config)))
        return

    # Measure the records as they are.
    cores = len(os.sched_getaffinity(0))
    print(
        f"batch {options.batch_size}, {options.rounds} x {options.seconds:g} s each, "
        f"{cores} cores; records/s equal images/s\n"
        f"{'data':12} {'pipeline':13} {'images/s':>9} {'MB/s':>9} {'cores':>6} {'peak MB':>9} "
        f"{'first s':>8} {'x plain':>8}"
    )
    compare("as it is", data_config, options=options)

    # Measure copies in other encodings.
    with tempfile.TemporaryDirectory() as directory:
        for encoding in options.encoding_names:
            out = os.path.join(directory, encoding)
            copy(data_config.data_dir, out, encoding=encoding, count=options.images)
            copied = dataclasses.replace(data_config, data_dir=out)
            compare(encoding, copied, options=options)


def measure(
    options: config.BenchmarkInputConfig, data_config: config.DataConfig
) -> dict[str, float]:
    """Measures one pipeline in this process.

    Returns:
      "images_per_second"; "first_batch_seconds"; "cores", busy on average; "megabytes", the most
      memory that the pipeline took; "record_bytes", the mean size of a record.
    """
    # Open the records.
    memory.keep_freed_memory()  # As training does.
    size, classes = check.expected(data_config.data_dir)
    opened = dataset.open_records(data_config.data_dir, size, number_classes=classes)
    index = opened.index

    # Start the pipeline.
    memory_before = memory.memory_mb(peak=True)
    began = time.perf_counter()
    iterator = iter(_pipeline(options, data_config, opened=opened))
    next(iterator)
    first_batch_seconds = time.perf_counter() - began

    # Time it.
    for _ in range(_PREFETCHED):
        next(iterator)
    busy_before = time.process_time()
    images, seconds = _images_and_seconds(iterator, options)
    busy = time.process_time() - busy_before
    return {
        "images_per_second": images / seconds,
        "first_batch_seconds": first_batch_seconds,
        "cores": busy / seconds,
        "megabytes": memory.memory_mb(peak=True) - memory_before,
        "record_bytes": float(index.sizes.sum() / len(index.offsets)),
    }


def _images_and_seconds(
    iterator: Iterator, options: config.BenchmarkInputConfig
) -> tuple[int, float]:
    """Takes batches for --seconds.

    Returns:
      Images taken, and the seconds that it took to the end of the last batch.
    """
    images = 0
    began = time.perf_counter()
    while (seconds := time.perf_counter() - began) < options.seconds:
        next(iterator)
        images += options.batch_size
    return images, seconds


def _pipeline(
    options: config.BenchmarkInputConfig,
    data_config: config.DataConfig,
    *,
    opened: records.Records,
) -> tf.data.Dataset:
    """The batches of --pipeline."""
    if options.pipeline == "plain":
        return plain_pipeline(opened, data_config, batch_size=options.batch_size)
    batches = dataset.training_batches(opened, data_config, batch_size=options.batch_size, seed=0)
    if options.pipeline == "ours, floats":
        batches = batches.map(
            lambda images, labels: (records.to_float(images), labels),
            num_parallel_calls=tf.data.AUTOTUNE,
        ).prefetch(2)
    return batches


def plain_pipeline(
    opened: records.Records, data_config: config.DataConfig, *, batch_size: int
) -> tf.data.Dataset:
    """The reference's pipeline (`utils_ori.py:189-265`), in today's words.

    Returns:
      Batches of float images [batch_size, size, size, 3] in [-1, 1] and int32 labels.
    """
    shape = [opened.image_size, opened.image_size, 3]

    def parse(serialized):
        return _parse(serialized, shape)

    # Interleave the files, whose order is random.
    names = tf.data.Dataset.from_tensor_slices(list(opened.files)).shuffle(len(opened.files))
    records_ahead = max(batch_size // data_config.data_parallelism, 1)
    serialized = names.interleave(
        lambda name: tf.data.TFRecordDataset(name).prefetch(records_ahead),
        cycle_length=data_config.data_parallelism,
    )

    # Shuffle, parse and batch.
    shuffled = serialized.shuffle(data_config.shuffle_buffer_size)
    parsed = shuffled.map(parse, num_parallel_calls=_PARALLEL_MAPS)
    return parsed.prefetch(batch_size).repeat().batch(batch_size, drop_remainder=True)


def _parse(serialized: tf.Tensor, shape: list[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """The image of a record as floats, of this shape, and its label."""
    # Parse the record.
    example = tf.io.parse_single_example(
        serialized,
        {
            "image_raw": tf.io.FixedLenFeature([], tf.string, ""),
            "image": tf.io.FixedLenFeature([], tf.string, ""),
            "label": tf.io.FixedLenFeature([], tf.int64),
        },
    )

    # Decode its image, raw or compressed.
    def raw():
        return tf.reshape(tf.io.decode_raw(example["image_raw"], tf.uint8), shape)

    def encoded():
        pixels = tf.io.decode_image(example["image"], 3, expand_animations=False)
        return tf.reshape(pixels, shape)

    pixels = tf.cond(tf.strings.length(example["image_raw"]) > 0, raw, encoded)
    return records.to_float(pixels), tf.cast(example["label"], tf.int32)


def copy(data_dir: str, out: str, *, encoding: str, count: int) -> None:
    """Writes the first records of a directory in another encoding, in four files.

    Args:
      data_dir: the records.
      out: directory to make.
      encoding: "raw", "png" or "jpeg".
      count: how many records.
    """
    # Read them.
    size, classes = check.expected(data_dir)
    opened = dataset.open_records(data_dir, size, number_classes=classes)
    images, labels = dataset.preview(opened, count)

    # Write them.
    os.makedirs(out)
    for shard in range(_SHARDS):
        path = os.path.join(out, f"{shard}{records.SUFFIX}")
        with tf.io.TFRecordWriter(path) as writer:
            for image, label in zip(images[shard::_SHARDS], labels[shard::_SHARDS]):
                writer.write(records.encode(image, int(label), encoding=encoding))


def compare(
    name: str, data_config: config.DataConfig, *, options: config.BenchmarkInputConfig
) -> None:
    """Measures all pipelines in turns, and prints a row of medians for each.

    Args:
      name: of the records, for the table.
      data_config: the records, and how to read them.
      options: how to measure.
    """
    # The plain pipeline cannot read what TensorFlow Datasets prepared.
    pipelines = list(config.PIPELINES)
    if tfds_directory.is_one(data_config.data_dir):
        pipelines.remove("plain")

    # Measure in turns.
    found = {pipeline: [] for pipeline in pipelines}
    for _ in range(options.rounds):
        for pipeline in pipelines:
            one = dataclasses.replace(options, pipeline=pipeline)
            found[pipeline].append(measure_in_child(one, data_config))

    # Print the medians.
    rows = {pipeline: _medians(results) for pipeline, results in found.items()}
    plain = rows["plain"]["images_per_second"] if "plain" in rows else None
    for pipeline, row in rows.items():
        print(_line(name, pipeline, row=row, plain=plain), flush=True)


def measure_in_child(
    options: config.BenchmarkInputConfig, data_config: config.DataConfig
) -> dict[str, float]:
    """`measure` in a process of its own.

    Raises:
      errors.UserError: the process failed; the error is its last line.
    """
    # Run the same command for this pipeline alone.
    given = {**dataclasses.asdict(options), **dataclasses.asdict(data_config)}
    flags = [f"--{name}={value}" for name, value in given.items()]
    command = [sys.executable, "-m", _COMMAND, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    # Read its last line.
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise errors.UserError(f"{options.pipeline}: {lines[-1].removeprefix('error: ')}")
    return json.loads(done.stdout.splitlines()[-1])


def _medians(results: list[dict[str, float]]) -> dict[str, float]:
    medians = {}
    for key in results[0]:
        values = [result[key] for result in results]
        medians[key] = statistics.median(values)
    return medians


def _line(name: str, pipeline: str, *, row: dict[str, float], plain: Optional[float]) -> str:
    """A row of the table.

    Args:
      name: of the records.
      pipeline: one of `config.PIPELINES`.
      row: what `measure` returns.
      plain: images per second of the plain pipeline, if it was measured.
    """
    rate = row["images_per_second"]
    megabytes_per_second = rate * row["record_bytes"] / 1e6
    ratio = "" if plain is None else f"{rate / plain:8.2f}"
    return (
        f"{name:12} {pipeline:13} {rate:9,.0f} {megabytes_per_second:9.1f} "
        f"{row['cores']:6.2f} {row['megabytes']:9,.0f} {row['first_batch_seconds']:8.2f} {ratio}"
    )
