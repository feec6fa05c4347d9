"""Benchmark of the input pipeline."""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

from sagan_tf import config, errors

_PREFETCHED = 3  # Batches that may be ready before the clock starts.


def plain_pipeline(records, data_config: config.DataConfig, *, batch_size: int):
    """The reference's pipeline, in today's words."""
    import tensorflow as tf

    from sagan_tf.data import records as data_records

    features = {
        "image_raw": tf.io.FixedLenFeature([], tf.string, ""),
        "image": tf.io.FixedLenFeature([], tf.string, ""),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    shape = [records.image_size, records.image_size, 3]

    def parse(serialized):
        example = tf.io.parse_single_example(serialized, features)
        pixels = tf.cond(
            tf.strings.length(example["image_raw"]) > 0,
            lambda: tf.reshape(tf.io.decode_raw(example["image_raw"], tf.uint8), shape),
            lambda: tf.reshape(
                tf.io.decode_image(example["image"], 3, expand_animations=False), shape
            ),
        )
        return data_records.to_float(pixels), tf.cast(example["label"], tf.int32)

    names = tf.data.Dataset.from_tensor_slices(list(records.files)).shuffle(len(records.files))
    serialized = names.interleave(
        lambda name: tf.data.TFRecordDataset(name).prefetch(
            max(batch_size // data_config.data_parallelism, 1)
        ),
        cycle_length=data_config.data_parallelism,
    )
    parsed = serialized.shuffle(data_config.shuffle_buffer_size).map(parse, num_parallel_calls=16)
    return parsed.prefetch(batch_size).repeat().batch(batch_size, drop_remainder=True)


def measure(
    options: config.BenchmarkInputConfig, data_config: config.DataConfig
) -> dict[str, float]:
    """Measures one pipeline in this process."""
    import tensorflow as tf

    from sagan_tf.data import check, dataset
    from sagan_tf.data import records as data_records
    from sagan_tf.runtime import memory

    memory.keep_freed_memory()  # As training does.
    size, classes = check.expected(data_config.data_dir)
    records = dataset.open_records(data_config.data_dir, size, number_classes=classes)
    index = records.index
    before = memory.memory_mb(peak=True)
    began = time.perf_counter()
    if options.pipeline == "plain":
        batches = plain_pipeline(records, data_config, batch_size=options.batch_size)
    else:
        batches = dataset.training_batches(
            records, data_config, batch_size=options.batch_size, seed=0
        )
        if options.pipeline == "ours, floats":
            batches = batches.map(
                lambda x, y: (data_records.to_float(x), y), num_parallel_calls=tf.data.AUTOTUNE
            ).prefetch(2)
    iterator = iter(batches)
    next(iterator)
    first = time.perf_counter() - began
    for _ in range(_PREFETCHED):
        next(iterator)
    images, began, busy = 0, time.perf_counter(), time.process_time()
    while (seconds := time.perf_counter() - began) < options.seconds:
        next(iterator)
        images += options.batch_size
    busy = time.process_time() - busy
    return {
        "images_per_second": images / seconds,
        "first_batch_seconds": first,
        "cores": busy / seconds,
        "megabytes": memory.memory_mb(peak=True) - before,
        "record_bytes": float(index.sizes.sum() / len(index.offsets)),
    }


def copy(data_dir: str, out: str, *, encoding: str, count: int) -> None:
    """Writes the first records of a directory in another encoding, in four files."""
    import tensorflow as tf

    from sagan_tf.data import check, dataset
    from sagan_tf.data import records as data_records

    size, classes = check.expected(data_dir)
    records = dataset.open_records(data_dir, size, number_classes=classes)
    images, labels = dataset.preview(records, count)
    os.makedirs(out)
    for shard in range(4):
        with tf.io.TFRecordWriter(os.path.join(out, f"{shard}{data_records.SUFFIX}")) as writer:
            for image, label in zip(images[shard::4], labels[shard::4]):
                writer.write(data_records.encode(image, int(label), encoding=encoding))


def _in_child(
    options: config.BenchmarkInputConfig, data_config: config.DataConfig
) -> dict[str, float]:
    given = {**dataclasses.asdict(options), **dataclasses.asdict(data_config)}
    command = [
        sys.executable,
        "-m",
        "sagan_tf.tools.benchmark_input",
        *(f"--{name}={value}" for name, value in given.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise errors.UserError(f"{options.pipeline}: {words[-1].removeprefix('error: ')}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(
    name: str, data_config: config.DataConfig, *, options: config.BenchmarkInputConfig
) -> None:
    from sagan_tf.data import tfds_directory

    is_tfds = tfds_directory.is_one(data_config.data_dir)  # Which plain cannot read.
    runs = {pipeline: [] for pipeline in config.PIPELINES[: 2 if is_tfds else 3]}
    for _ in range(options.rounds):
        for pipeline, found in runs.items():
            found.append(_in_child(dataclasses.replace(options, pipeline=pipeline), data_config))
    medians = {
        pipeline: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for pipeline, found in runs.items()
    }
    for pipeline, row in medians.items():
        rate = row["images_per_second"]
        print(
            f"{name:12} {pipeline:13} {rate:9,.0f} {rate * row['record_bytes'] / 1e6:9.1f} "
            f"{row['cores']:6.2f} {row['megabytes']:9,.0f} {row['first_batch_seconds']:8.2f} "
            + ("" if is_tfds else f"{rate / medians['plain']['images_per_second']:8.2f}"),
            flush=True,
        )
