"""Workloads of the benchmarks: the training step and passes of the networks, ready to be timed."""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Optional

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import config, errors, model
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.data import dataset, records
from sagan_tf.gan import noise, updates
from sagan_tf.runtime import distribution, memory
from sagan_tf.training import steps, train

_SHARDS = 4


class Workload:
    """One setting, compiled and warm, ready to be timed.

    Args:
      setting: what to measure.
      what: "train", the training loop, an iteration of which is a step of G and one of D;
        "generator" or "discriminator", a forward pass as in training; "generate", images as an
        evaluation makes them, which leaves them on the devices.
      data_config: records of its size and classes, and how to read them.
      iterations: how many a call makes.

    Attributes:
      gan: the networks.
      device_kind: "CPU", "GPU" or "TPU".
      first_seconds: from nothing to the end of the first call: networks, tracing, compilation.
    """

    def __init__(
        self, setting: Setting, what: str, *, data_config: config.DataConfig, iterations: int = 1
    ):
        began = time.perf_counter()
        self.setting = setting
        self.iterations = iterations

        # Build the networks.
        train.set_tensorflow_options(setting.train)
        strategy = distribution.make_strategy(setting.train)
        keras.utils.set_random_seed(setting.train.seed)
        with strategy.scope(), enough_memory(setting.train):
            self.gan = model.SAGAN(*setting)
            self.device_kind = distribution.device_kind()

        # Trace and compile.
        if what == "train":
            self._call = self._training(data_config)
        else:
            self._call = self._forward_passes(what)
        self.seconds()
        self.first_seconds = time.perf_counter() - began

    def seconds(self) -> float:
        """Runs one call and returns the seconds of one of its iterations."""
        train.set_tensorflow_options(self.setting.train)
        began = time.perf_counter()
        with enough_memory(self.setting.train):
            self._call()
        return (time.perf_counter() - began) / self.iterations

    def peak_memory(self) -> float:
        """Megabytes that one call needs at most, with all that the process holds."""
        if self.device_kind == "GPU":
            return self._peak_memory_of_gpus()
        memory.give_back_freed_memory()
        memory.forget_peak()
        self.seconds()
        return memory.memory_mb(peak=True)

    def _peak_memory_of_gpus(self) -> float:
        gpus = tf.config.list_logical_devices("GPU")
        names = [gpu.name.split("device:")[-1] for gpu in gpus]
        for name in names:
            tf.config.experimental.reset_memory_stats(name)
        self.seconds()
        return sum(tf.config.experimental.get_memory_info(name)["peak"] for name in names) / 1e6

    def _training(self, data_config: config.DataConfig) -> Callable[[], None]:
        """A call of the training loop."""
        # Open the records, and make the loop's own pipeline and step.
        setting = self.setting
        opened = dataset.open_records(
            data_config.data_dir,
            setting.model.image_size,
            number_classes=setting.model.number_classes,
        )
        batches = steps.input_batches(
            self.gan, opened, data_config=data_config, seed=setting.train.seed
        )
        train_steps = steps.make_train_steps(self.gan, setting.train.seed)

        def call():
            metrics, bad_step = train_steps(batches, tf.constant(self.iterations))
            if int(bad_step) >= 0:
                losses = ", ".join(f"{name} {float(value):g}" for name, value in metrics.items())
                raise errors.UserError(
                    f"step {int(bad_step)}: the losses are not finite ({losses}); "
                    "there is nothing to measure"
                )

        return call

    def _forward_passes(self, what: str) -> Callable[[], None]:
        """A call of one network, on every replica."""
        # Compile the pass of one replica.
        forward = {
            "generator": self._generator,
            "discriminator": self._discriminator,
            "generate": self._generate,
        }[what]
        jit_compile = self.setting.train.jit_compile or None
        compiled = tf.function(forward, autograph=False, jit_compile=jit_compile)

        # Run it on all of them; the sum makes the host wait for the last one.
        strategy = self.gan.strategy
        inputs = self._inputs()

        @tf.function(autograph=False)
        def run(*inputs):
            return strategy.reduce("SUM", strategy.run(compiled, args=inputs), axis=None)

        def call():
            for _ in range(self.iterations):
                run(*inputs).numpy()

        return call

    def _inputs(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """z [n, z_dim], labels [n] and images [n, size, size, 3] in [-1, 1] of one replica."""
        # Draw z and labels as an evaluation does.
        share = self.setting.batch // self.gan.strategy.num_replicas_in_sync
        model_config = self.setting.model
        z, labels = noise.draw_samples(
            0,
            noise.EVALUATION,
            count=share,
            z_dim=model_config.z_dim,
            number_classes=model_config.number_classes,
        )

        # Draw images.
        shape = [share, model_config.image_size, model_config.image_size, 3]
        return z, labels, tf.random.stateless_uniform(shape, [0, 0], -1, 1)

    def _generator(self, z, labels, images):
        del images
        unused = updates.Collection()  # The moving statistics stay as they are.
        images = self.gan.generator(z, labels, training=True, update_sn=False, collection=unused)
        return tf.reduce_sum(images)

    def _discriminator(self, z, labels, images):
        del z
        return tf.reduce_sum(self.gan.discriminator(images, labels, update_sn=False))

    def _generate(self, z, labels, images):
        del images
        return tf.reduce_sum(self.gan.generator(z, labels, training=False, update_sn=False))


@contextlib.contextmanager
def enough_memory(train_config: config.TrainConfig) -> Iterator[None]:
    """Turns an error about the device's memory into one that names the flags that decide on it.

    Raises:
      errors.UserError: the device's memory is too small.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise errors.UserError(
            f"--batch_size={train_config.batch_size} --num_towers={train_config.num_towers}: "
            "they need more memory than the device has; give less"
        ) from error


@contextlib.contextmanager
def random_records(
    setting: Setting, data_config: Optional[config.DataConfig] = None
) -> Iterator[config.DataConfig]:
    """Record files of one batch of random images, in a temporary directory.

    Args:
      setting: gives the size of the batch and of the images, and the number of classes.
      data_config: how to read them.
    Yields:
      `data_config` with their directory.
    """
    with tempfile.TemporaryDirectory() as directory:
        # Write the files.
        rng = np.random.default_rng(0)
        for shard in range(_SHARDS):
            path = os.path.join(directory, f"{shard}{records.SUFFIX}")
            write_random_images(
                path,
                count=-(-setting.batch // _SHARDS),
                size=setting.model.image_size,
                number_classes=setting.model.number_classes,
                rng=rng,
            )

        # Lend them.
        yield dataclasses.replace(data_config or config.DataConfig(), data_dir=directory)


def write_random_images(
    path: str, *, count: int, size: int, number_classes: int, rng: np.random.Generator
) -> None:
    """Writes a record file of `count` images of random pixels with random labels."""
    with tf.io.TFRecordWriter(path) as writer:
        for _ in range(count):
            image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            label = int(rng.integers(number_classes))
            writer.write(records.encode(image, label))
