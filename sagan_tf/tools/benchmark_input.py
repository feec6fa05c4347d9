"""Measures the input pipeline alone, without training:
    python -m sagan_tf.tools.benchmark_input data/imagenet

Ours (uint8 batches, which become floats on the device), ours with floats made on the host, and the
plain pipeline of the reference (`utils_ori.py:189-265`: one interleave, 16 parallel maps, floats),
in turns, each in a process of its own. `--encodings=raw,png,jpeg` also measures copies of the first
`--images` records in these encodings.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from sagan_tf import cli, config

PIPELINES = ("ours", "ours, floats", "plain")
_PREFETCHED = 3  # Batches that may be ready before the clock starts.


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    batch_size: int = config.option(256, "Images of a batch.")
    seconds: float = config.option(5.0, "Seconds of one measurement.")
    rounds: int = config.option(3, "Measurements of each pipeline, in turns; medians are printed.")
    encodings: str = config.option(
        "", "Also measure copies of the records in these encodings, as in raw,png,jpeg.")
    images: int = config.option(8192, "Records of such a copy.")
    pipeline: str = config.option(
        "", "Measure this one once, print JSON and leave: " + "; ".join(PIPELINES) + ".")

    def __post_init__(self):
        config.require_positive(self, "batch_size", "seconds", "rounds", "images")
        if unknown := set(self.encodings.split(",")) - {"", "raw", "png", "jpeg"}:
            raise config.UserError(f"--encodings={self.encodings}: {unknown.pop()} is unknown; "
                                   "expected some of raw,png,jpeg")
        if self.pipeline and self.pipeline not in PIPELINES:
            raise config.UserError(f"--pipeline={self.pipeline}: expected one of "
                                   + "; ".join(PIPELINES))


def plain_pipeline(records, data_config: config.DataConfig, batch_size: int):
    """The reference's pipeline, in today's words."""
    import tensorflow as tf

    from sagan_tf import dataset

    features = {"image_raw": tf.io.FixedLenFeature([], tf.string, ""),
                "image": tf.io.FixedLenFeature([], tf.string, ""),
                "label": tf.io.FixedLenFeature([], tf.int64)}
    shape = [records.image_size, records.image_size, 3]

    def parse(serialized):
        example = tf.io.parse_single_example(serialized, features)
        pixels = tf.cond(
            tf.strings.length(example["image_raw"]) > 0,
            lambda: tf.reshape(tf.io.decode_raw(example["image_raw"], tf.uint8), shape),
            lambda: tf.reshape(tf.io.decode_image(example["image"], 3, expand_animations=False),
                               shape))
        return dataset.to_float(pixels), tf.cast(example["label"], tf.int32)

    names = tf.data.Dataset.from_tensor_slices(list(records.files)).shuffle(len(records.files))
    serialized = names.interleave(
        lambda name: tf.data.TFRecordDataset(name).prefetch(
            max(batch_size // data_config.data_parallelism, 1)),
        cycle_length=data_config.data_parallelism)
    parsed = serialized.shuffle(data_config.shuffle_buffer_size).map(parse, num_parallel_calls=16)
    return parsed.prefetch(batch_size).repeat().batch(batch_size, drop_remainder=True)


def measure(options: BenchmarkConfig, data_config: config.DataConfig) -> dict[str, float]:
    """Measures one pipeline in this process."""
    import tensorflow as tf

    from sagan_tf import check_lib, dataset, process

    process.keep_freed_memory()  # As training does.
    size, classes = check_lib.expected(data_config.data_dir)
    records = dataset.open_records(data_config.data_dir, size, classes)
    index = records.index
    before = process.memory_mb(peak=True)
    began = time.perf_counter()
    if options.pipeline == "plain":
        batches = plain_pipeline(records, data_config, options.batch_size)
    else:
        batches = dataset.training_batches(records, data_config, options.batch_size, seed=0)
        if options.pipeline == "ours, floats":
            batches = batches.map(lambda x, y: (dataset.to_float(x), y),
                                  num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
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
    return {"images_per_second": images / seconds, "first_batch_seconds": first,
            "cores": busy / seconds, "megabytes": process.memory_mb(peak=True) - before,
            "record_bytes": float(index.sizes.sum() / len(index.offsets))}


def copy(data_dir: str, out: str, encoding: str, count: int) -> None:
    """Writes the first records of a directory in another encoding, in four files."""
    import tensorflow as tf

    from sagan_tf import check_lib, dataset

    records = dataset.open_records(data_dir, *check_lib.expected(data_dir))
    images, labels = dataset.preview(records, count)
    os.makedirs(out)
    for shard in range(4):
        with tf.io.TFRecordWriter(os.path.join(out, f"{shard}{dataset.SUFFIX}")) as writer:
            for image, label in zip(images[shard::4], labels[shard::4]):
                writer.write(dataset.encode(image, int(label), encoding))


def _in_child(options: BenchmarkConfig, data_config: config.DataConfig) -> dict[str, float]:
    given = {**dataclasses.asdict(options), **dataclasses.asdict(data_config)}
    command = [sys.executable, "-m", "sagan_tf.tools.benchmark_input",
               *(f"--{name}={value}" for name, value in given.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise config.UserError(f"{options.pipeline}: {words[-1].removeprefix('error: ')}")
    return json.loads(done.stdout.splitlines()[-1])


def _compare(name: str, data_config: config.DataConfig, options: BenchmarkConfig) -> None:
    from sagan_tf import prepared_by_tfds

    is_tfds = prepared_by_tfds.is_one(data_config.data_dir)  # Which plain cannot read.
    runs = {pipeline: [] for pipeline in PIPELINES[:2 if is_tfds else 3]}
    for _ in range(options.rounds):
        for pipeline, found in runs.items():
            found.append(_in_child(dataclasses.replace(options, pipeline=pipeline), data_config))
    medians = {pipeline: {key: statistics.median(run[key] for run in found) for key in found[0]}
               for pipeline, found in runs.items()}
    for pipeline, row in medians.items():
        rate = row["images_per_second"]
        print(f"{name:12} {pipeline:13} {rate:9,.0f} {rate * row['record_bytes'] / 1e6:9.1f} "
              f"{row['cores']:6.2f} {row['megabytes']:9,.0f} {row['first_batch_seconds']:8.2f} "
              + ("" if is_tfds else
                 f"{rate / medians['plain']['images_per_second']:8.2f}"), flush=True)


def main() -> None:
    options, data_config = cli.make(BenchmarkConfig), cli.make(config.DataConfig)
    if options.pipeline:
        print(json.dumps(measure(options, data_config)))
        return
    print(f"batch {options.batch_size}, {options.rounds} x {options.seconds:g} s each, "
          f"{len(os.sched_getaffinity(0))} cores; records/s = images/s, all are delivered\n"
          f"{'data':12} {'pipeline':13} {'images/s':>9} {'MB/s':>9} {'cores':>6} {'peak MB':>9} "
          f"{'first s':>8} {'x plain':>8}")
    _compare("as it is", data_config, options)
    with tempfile.TemporaryDirectory() as directory:
        for encoding in filter(None, dict.fromkeys(options.encodings.split(","))):
            out = os.path.join(directory, encoding)
            copy(data_config.data_dir, out, encoding, options.images)
            _compare(encoding, dataclasses.replace(data_config, data_dir=out), options)


if __name__ == "__main__":
    cli.define(BenchmarkConfig, config.DataConfig)
    cli.run(main, "data_dir")
