"""Speed and memory of the training step and of the networks, through the code that trains.

Random images in record files, the loop's own input pipeline and its own compiled loop: what is
timed here is what a run does between two looks of the host at the device.
"""

import contextlib
import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf import model as model_lib
from sagan_tf.benchmarks import kernels, operation_count
from sagan_tf.data import dataset
from sagan_tf.data import records as data_records
from sagan_tf.gan import noise, updates
from sagan_tf.runtime import distribution, memory
from sagan_tf.training import steps as training_steps
from sagan_tf.training import train as training_train

_SHARDS = 4


class Setting(NamedTuple):
    """What is measured: one model, trained in one way."""

    model: config.ModelConfig
    train: config.TrainConfig

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self.train.batch_size * self.train.num_towers

    def changed(self, text: str) -> "Setting":
        """A copy with other values: "mixed_precision=bfloat16 batch_size=32".

        Raises:
          config.UserError: no such setting, or a value that does not fit.
        """
        changes = [{}, {}]
        for word in text.split():
            name, given, value = word.partition("=")
            at = next(
                (
                    i
                    for i, part in enumerate(self)
                    if name in {field.name for field in dataclasses.fields(part)}
                ),
                None,
            )
            if not given or at is None:
                raise errors.UserError(
                    f"--compare={text}: expected name=value of training's flags, got {word}"
                )
            changes[at][name] = _converted(value, getattr(self[at], name), text)
        return Setting(
            *(dataclasses.replace(part, **values) for part, values in zip(self, changes))
        )


def _converted(value: str, like: Any, text: str) -> Any:
    try:
        if isinstance(like, bool):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        return type(like)(value)
    except (KeyError, ValueError) as error:
        raise errors.UserError(f"--compare={text}: {value} is no {type(like).__name__}") from error


class Subject:
    """One setting, compiled and warm, ready to be timed.

    Args:
      setting: what to measure.
      what: "train", the training loop, an iteration of which is a step of G and one of D;
        "generator" or "discriminator", a forward pass as in training; "generate", images as an
        evaluation makes them, which leaves them on the devices.
      data_config: records of its size and classes, and how to read them.
      iterations: how many a call makes.

    Attributes:
      first_seconds: from nothing to the end of the first call: networks, tracing, compilation.
    """

    def __init__(
        self, setting: Setting, what: str, *, data_config: config.DataConfig, iterations: int = 1
    ):
        began = time.perf_counter()
        self.setting, self.iterations = setting, iterations
        training_train.set_tensorflow_options(setting.train)
        strategy = distribution.make_strategy(setting.train)
        keras.utils.set_random_seed(setting.train.seed)
        with strategy.scope(), _enough_memory(setting.train):
            self.gan = model_lib.SAGAN(*setting)
            self.device_kind = distribution.device_kind()
        self._call = {
            "train": self._train,
            "generator": self._generator,
            "discriminator": self._discriminator,
            "generate": self._generate,
        }[what](data_config)
        self.seconds()
        self.first_seconds = time.perf_counter() - began

    def seconds(self) -> float:
        """Runs one call and returns the seconds of one of its iterations."""
        training_train.set_tensorflow_options(self.setting.train)
        began = time.perf_counter()
        with _enough_memory(self.setting.train):
            self._call()
        return (time.perf_counter() - began) / self.iterations

    def _train(self, data_config: config.DataConfig) -> Callable[[], None]:
        setting = self.setting
        records = dataset.open_records(
            data_config.data_dir,
            setting.model.image_size,
            number_classes=setting.model.number_classes,
        )
        batches = training_steps.input_batches(
            self.gan, records, data_config=data_config, seed=setting.train.seed
        )
        steps, count = (
            training_steps.make_train_steps(self.gan, setting.train.seed),
            self.iterations,
        )

        def call():
            metrics, bad_step = steps(batches, tf.constant(count))
            if int(bad_step) >= 0:
                raise errors.UserError(
                    f"step {int(bad_step)}: the losses are not finite ("
                    + ", ".join(f"{name} {float(value):g}" for name, value in metrics.items())
                    + "); there is nothing to measure"
                )

        return call

    def _inputs(self) -> tuple:
        """z, labels, images of one replica."""
        setting = self.setting
        share = setting.batch // self.gan.strategy.num_replicas_in_sync
        z, labels = noise.draw_samples(
            0,
            noise.EVALUATION,
            count=share,
            z_dim=setting.model.z_dim,
            number_classes=setting.model.number_classes,
        )
        size = setting.model.image_size
        return z, labels, tf.random.stateless_uniform([share, size, size, 3], [0, 0], -1, 1)

    def _on_replicas(self, forward: Callable) -> Callable[[], None]:
        strategy, inputs = self.gan.strategy, self._inputs()
        forward = tf.function(
            forward, autograph=False, jit_compile=self.setting.train.jit_compile or None
        )

        @tf.function(autograph=False)
        def run(*inputs):
            return strategy.reduce("SUM", strategy.run(forward, args=inputs), axis=None)

        def call():
            for _ in range(self.iterations):
                run(*inputs).numpy()

        return call

    def _generator(self, _) -> Callable[[], None]:
        def forward(z, labels, _):
            unused = updates.Collection()  # The moving statistics stay as they are.
            return tf.reduce_sum(
                self.gan.generator(z, labels, training=True, update_sn=False, collection=unused)
            )

        return self._on_replicas(forward)

    def _discriminator(self, _) -> Callable[[], None]:
        return self._on_replicas(
            lambda z, labels, images: tf.reduce_sum(
                self.gan.discriminator(images, labels, update_sn=False)
            )
        )

    def _generate(self, _) -> Callable[[], None]:
        return self._on_replicas(
            lambda z, labels, _: tf.reduce_sum(
                self.gan.generator(z, labels, training=False, update_sn=False)
            )
        )

    def peak_memory(self) -> float:
        """Megabytes that one call needs at most, with all that the process holds."""
        if self.device_kind == "GPU":
            devices = [
                device.name.split("device:")[-1] for device in tf.config.list_logical_devices("GPU")
            ]
            for device in devices:
                tf.config.experimental.reset_memory_stats(device)
            self.seconds()
            return sum(tf.config.experimental.get_memory_info(d)["peak"] for d in devices) / 1e6
        memory.give_back_freed_memory()
        memory.forget_peak()
        self.seconds()
        return memory.memory_mb(peak=True)


@contextlib.contextmanager
def _enough_memory(train: config.TrainConfig) -> Iterator[None]:
    """Where the device's memory is too small, the error names the flags that decide on it."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise errors.UserError(
            f"--batch_size={train.batch_size} --num_towers={train.num_towers}: too much for the "
            "device's memory"
        ) from error


@contextlib.contextmanager
def random_records(
    setting: Setting, data_config: Optional[config.DataConfig] = None
) -> Iterator[config.DataConfig]:
    """Record files of one batch of random images, in a temporary directory, to be read as
    `data_config` says."""
    rng, size = np.random.default_rng(0), setting.model.image_size
    with tempfile.TemporaryDirectory() as directory:
        for shard in range(_SHARDS):
            with tf.io.TFRecordWriter(
                os.path.join(directory, f"{shard}{data_records.SUFFIX}")
            ) as writer:
                for _ in range(-(-setting.batch // _SHARDS)):
                    image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                    label = int(rng.integers(setting.model.number_classes))
                    writer.write(data_records.encode(image, label))
        yield dataclasses.replace(data_config or config.DataConfig(), data_dir=directory)


def count(setting: Setting, what: str) -> operation_count.Cost:
    """What an iteration, or a forward pass, costs, by its graph.

    XLA and parts of a batch (`accumulate`) change where things are computed, not how many.

    Args:
      what: as in `Subject`.
    """
    setting = setting._replace(
        train=dataclasses.replace(setting.train, accumulate=1, jit_compile=False, bn_group=0)
    )
    with tf.device("CPU:0"):
        gan, size = model_lib.SAGAN(*setting), setting.model.image_size
        one = {
            "z": tf.TensorSpec([setting.batch, setting.model.z_dim]),
            "labels": tf.TensorSpec([setting.batch], tf.int32),
            "images": tf.TensorSpec([setting.batch, size, size, 3], tf.uint8),
        }
        iteration = training_steps.make_iteration(gan, 0)
        function, names = {
            "train": (
                lambda images, labels: iteration([(images, labels)] * setting.train.d_step),
                ("images", "labels"),
            ),
            "generator": (
                lambda z, labels: gan.generator(z, labels, training=True),
                ("z", "labels"),
            ),
            "discriminator": (
                lambda images, labels: gan.discriminator(data_records.to_float(images), labels),
                ("images", "labels"),
            ),
            "generate": (gan.generator, ("z", "labels")),
        }[what]
        traced = tf.function(function, autograph=False).get_concrete_function(
            *(one[name] for name in names)
        )
    return operation_count.cost_of(traced.graph)


def ceilings(train: config.TrainConfig, device: str, *, rounds: int = 5) -> dict[str, float]:
    """FLOP/s of the best of a few convolutions, and products, in the setting's precision.

    Forward, 3x3, of the shapes that the networks have: what this machine gives, to measure the step
    against.

    Returns:
      "conv" and "matmul".
    """
    training_train.set_tensorflow_options(train)
    with _enough_memory(train):
        return _ceilings(train.mixed_precision, device == "CPU", rounds)


def _ceilings(dtype: str, small: bool, rounds: int) -> dict[str, float]:
    scale, best = 8 if small else 128, {"conv": 0.0, "matmul": 0.0}
    shapes = [(scale, 64, 64), (scale, 32, 128), (scale, 16, 256), (scale, 16, 512)]
    for batch, side, channels in shapes:
        x = tf.cast(tf.random.stateless_normal([batch, side, side, channels], [0, 0]), dtype)
        w = tf.cast(tf.random.stateless_normal([3, 3, channels, channels], [0, 1]), dtype)
        seconds = _best_time(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), (x, w), rounds)
        flop = 2 * batch * side**2 * 9 * channels**2
        best["conv"] = max(best["conv"], flop / seconds)
    for side in (1024, 2048) if small else (4096, 8192):
        x = tf.cast(tf.random.stateless_normal([side, side], [0, 0]), dtype)
        best["matmul"] = max(best["matmul"], 2 * side**3 / _best_time(tf.matmul, (x, x), rounds))
    return best


def _best_time(function: Callable, inputs: tuple, rounds: int) -> float:
    """Seconds of the quickest of `rounds` calls; several at a time where one is too short."""
    compiled, times = tf.function(function, autograph=False), []

    def run(calls: int) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            result = compiled(*inputs)
        tf.reshape(result, [-1])[0].numpy()
        return (time.perf_counter() - began) / calls

    run(1)
    calls = max(1, math.ceil(0.05 / run(2)))
    for _ in range(rounds):
        times.append(run(calls))
    return min(times)


def measure(
    subjects: Sequence[Subject], rounds: int, *, show: Callable[[str], None] = lambda _: None
) -> list[list[float]]:
    """Seconds an iteration of every subject in every round, in turns: noise hits all alike.

    The newest has made the older ones cold: these run once before.
    """
    found = [[] for _ in subjects]
    for subject in subjects[:-1]:
        subject.seconds()
    for number in range(rounds):
        for times, subject in zip(found, subjects):
            times.append(subject.seconds())
        show(
            f"round {number + 1} of {rounds}: " + ", ".join(f"{times[-1]:.4g} s" for times in found)
        )
    return found


def summary(
    setting: Setting,
    seconds: Sequence[float],
    *,
    cost: operation_count.Cost,
    ceiling: Optional[dict[str, float]] = None,
    replicas: int = 1,
) -> dict[str, Any]:
    """One row of results: times in seconds, rates per second; `ceiling` is of one replica."""
    median = statistics.median(seconds)
    rate = cost.total_flop / median
    return {
        "batch": setting.batch,
        "seconds": list(seconds),
        "median_seconds": median,
        "min_seconds": min(seconds),
        "max_seconds": max(seconds),
        "images_per_second": setting.batch / median,
        "flop": cost.total_flop,
        "flop_by_type": cost.flop,
        "flop_per_second": rate,
        "bytes_moved": cost.bytes_moved,
        "bytes_per_second": cost.bytes_moved / median,
        **{
            f"share_of_{name}_ceiling": rate / (most * replicas)
            for name, most in (ceiling or {}).items()
        },
    }


def describe(name: str, row: dict[str, Any]) -> str:
    """A row in words."""
    lines = [
        f"{name}: batch {row['batch']}, {row['median_seconds']:.4g} s (median of "
        f"{len(row['seconds'])}; {row['min_seconds']:.4g} to {row['max_seconds']:.4g}), "
        f"{row['images_per_second']:.4g} images/s",
        f"  {row['flop'] / 1e9:,.1f} GFLOP in convolutions and products, "
        f"{row['flop_per_second'] / 1e9:,.1f} GFLOP/s"
        + "".join(
            f", {row[key]:.0%} of the {key.split('_')[2]} ceiling"
            for key in row
            if key.startswith("share_of")
        ),
        f"  {row['bytes_moved'] / 1e9:,.2f} GB read and written if nothing were fused, "
        f"{row['bytes_per_second'] / 1e9:,.1f} GB/s",
    ]
    if "peak_mb" in row:
        lines.append(
            f"  peak memory {row['peak_mb']:,.0f} MB; first call after {row['first_seconds']:.1f} s"
        )
    if "kernels" in row:
        lines.append(
            f"  time by kind of kernel: {kernels.shares(row['kernels']) or 'none were seen'}"
        )
    return "\n".join(lines)


def new_row(
    name: str, subject, *, seconds: list[float], options: config.BenchmarkStepConfig
) -> dict:
    """What is found of a subject while nothing else is in memory."""
    pass  # no import left

    train = subject.setting.train
    row = {
        "name": name,
        "what": options.what,
        "seconds": seconds,
        "peak_mb": subject.peak_memory(),
        "first_seconds": subject.first_seconds,
        "optimizations": subject.gan.optimizations,
        "model": vars(subject.setting.model),
        "train": vars(train),
    }
    if options.profile:
        on_gpu = subject.device_kind == "GPU"
        # XLA's kernels on a CPU are not seen by the profiler.
        seen = on_gpu or not train.jit_compile
        row["kernels"] = kernels.kernel_classes(subject.seconds, on_gpu) if seen else {}
    row["ceilings"] = ceilings(train, subject.device_kind) if options.ceilings else None
    return row
