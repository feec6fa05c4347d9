"""Images that a run's generator makes, as a source of images to score."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import EvalConfig, ModelConfig, Sampling
from sagan_tf.evaluation import features
from sagan_tf.evaluation.console import Console
from sagan_tf.evaluation.devices import Devices
from sagan_tf.gan import generator, noise, ops, standing_statistics
from sagan_tf.images import pixels, sets
from sagan_tf.runs import restore
from sagan_tf.runtime import distribution

_QUANTIZE = {"round": tf.round, "truncate": tf.floor}
_LABELS = {"uniform": "uniform random labels", "balanced": "balanced labels"}
_GRID_COLUMNS = 10
_STATISTICS = "standing statistics"


class GeneratedImages:
    """Images that the generator of a run makes with the weights of a checkpoint.

    `load` has to be called before they mean anything.

    Args:
      config: of which run, how many, labels and quantization.
      model_config: of the run's networks.
      devices: that generate.
      stopwatch: takes the time.
      console: told of damaged checkpoints that were skipped.

    Attributes:
      name, count, work: as `features.Source`.
      model_config, devices: as given.
      sampling: truncation and standing statistics, with the size of the run's batches.
      restored: the generator, and the run's checkpoints.
    Raises:
      errors.UserError: the checkpoints cannot be read.
    """

    # Devices work while the host goes on, so that only the sum of both times is known.
    work = "generate and classify"

    def __init__(
        self,
        config: EvalConfig,
        model_config: ModelConfig,
        *,
        devices: Devices,
        stopwatch: features.Stopwatch,
        console: Console,
    ):
        self.name = ""
        self.count = config.eval_sample_size
        self._config = config
        self.model_config = model_config
        self.devices = devices
        self.sampling = restore.sampling_of_run(config.sampling, config.run_dir)
        self._stopwatch = stopwatch
        self._console = console

        # Make the network on all devices.
        keras.utils.set_random_seed(config.seed)
        with devices.strategy.scope():
            self._generator = generator.Generator(
                model_config, optimizations=distribution.optimizations()
            )
            self._generator.build()
        self._untrained = self._generator.get_weights() if config.compare_untrained else None
        self._generate = tf.function(self._generate_on_devices, autograph=False)

        # Find the checkpoints.
        self.restored = restore.RestoredNetwork(
            config.run_dir,
            self._generator,
            use_ema=config.use_ema,
            flag="checkpoint_step",
            note=console.say,
        )

    def require_checkpoint(self) -> None:
        """Raises errors.UserError where the run has no checkpoint."""
        if not self.restored.checkpoints.steps:
            raise errors.UserError(
                f"{self._config.run_dir}: holds no checkpoint to score; train first, or give the "
                "directory of another run"
            )

    def load(self, step: int = -1) -> int:
        """Sets the generator's weights to those of a step (-1: the newest that can be read).

        Returns:
          The step.
        Raises:
          checkpoints.Unreadable: there is no such checkpoint, or it cannot be read.
          errors.UserError: it is of another model, or has no moving average.
        """
        with self.devices.strategy.scope():
            found = self.restored.load(step)
        self.name = f"step {found}"
        return found

    def reset(self) -> None:
        """Sets the weights to those before any training; needs `config.compare_untrained`."""
        self._generator.set_weights(self._untrained)
        self.name = "untrained"

    def describe(self) -> dict[str, Any]:
        """What the images are, for the protocol."""
        # Say it in words.
        config = self._config
        quantized = f"uint8 by {config.quantization}"
        words = [
            _LABELS[config.label_sampling],
            self.sampling.z,
            self.sampling.statistics,
            "EMA" if config.use_ema else "no EMA",
            "not quantized" if config.quantization == "none" else quantized,
        ]

        # Say it for programs too. A record says nothing of what is not used, as it always did.
        described = {
            "batch_norm": self.sampling.statistics,
            "ema": config.use_ema,
            "images": ", ".join(filter(None, words)),
        }
        if self.sampling != Sampling():
            described["sampling"] = dataclasses.asdict(self.sampling)
        return described

    def batches(self) -> Iterator[features.Batch]:
        """The images that scores are made of.

        SN's u is settled first, so that scores do not depend on batch size or order. Standing
        statistics, if they are asked for, are gathered next.
        """
        with self.devices.strategy.scope():
            ops.settle_spectral_norms(self._generator)
        self._gather_statistics()
        z, labels = self._draw(self._config.seed, self.count)
        if self._config.label_sampling == "balanced":
            labels = np.arange(self.count, dtype=np.int32) % self.model_config.number_classes
        return self.batches_of(z, labels)

    def _gather_statistics(self) -> None:
        """Gathers the standing statistics that are asked for."""
        batches = self.sampling.batches
        if not batches:
            return
        progress = self._console.progress(_STATISTICS, batches, unit=" batches")
        watched = self._stopwatch.measuring(_STATISTICS, batches * self.sampling.batch_size)
        with self.devices.strategy.scope(), progress as shown, watched:
            standing_statistics.gather(self._generator, self.sampling, after_batch=shown.update)

    def batches_of_class(self, label: int, count: int) -> Iterator[features.Batch]:
        """Images of one class, which have z of their own."""
        z, _ = self._draw(self._config.seed + label + 1, count)
        return self.batches_of(z, np.full(count, label, np.int32))

    def grid(self) -> np.ndarray:
        """Images of fixed z, float32 [rows, columns, size, size, 3], one class a row."""
        # Draw z.
        rows = min(10, self.model_config.number_classes)
        z, labels = noise.draw_grid(
            self._config.seed,
            rows,
            columns=_GRID_COLUMNS,
            z_dim=self.model_config.z_dim,
            number_classes=self.model_config.number_classes,
            limit=self.sampling.limit,
        )

        # Generate the images.
        parts = [
            self.devices.on_host(images, count)
            for images, _, count in self.batches_of(z.numpy(), labels)
        ]
        images = np.concatenate(parts)
        return images.reshape(rows, _GRID_COLUMNS, *images.shape[1:])

    def batches_of(self, z: np.ndarray, labels: np.ndarray) -> Iterator[features.Batch]:
        """Images of z, float32 [images, z_dim], and labels, int32 [images]."""
        step = self.devices.global_batch
        for start in range(0, len(z), step):
            part = slice(start, min(start + step, len(z)))
            count = part.stop - part.start
            # The images are counted where they are classified, under the same name.
            with self._stopwatch.measuring(self.work, 0):
                images = self._generate(*self.devices.share_out(z[part], labels[part]))
            yield images, labels[part], count

    def _draw(self, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """z and labels of an evaluation."""
        z, labels = noise.draw_samples(
            seed,
            noise.EVALUATION,
            count=count,
            z_dim=self.model_config.z_dim,
            number_classes=self.model_config.number_classes,
            limit=self.sampling.limit,
        )
        return z.numpy(), labels.numpy()

    def _generate_on_devices(self, z, labels):
        return self.devices.strategy.run(self._generate_on_one, args=(z, labels))

    def _generate_on_one(self, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Images of one device, float32 [batch, size, size, 3] in [-1, 1]."""
        images = self._generator(z, labels, training=False, update_sn=False)
        if self._config.quantization == "none":
            return images
        levels = _QUANTIZE[self._config.quantization]((images + 1.0) * 127.5)
        return tf.clip_by_value(levels, 0.0, 255.0) * (2.0 / 255) - 1.0


class SavedOnTheWay:
    """Images of another source, which are written to a file as they come.

    Args:
      source: of the images, which have labels.
      writer: of the file.
      devices: that the images are on.

    Attributes:
      name, count, work: of the source.
    """

    def __init__(self, source: features.Source, writer: sets.Writer, *, devices: Devices):
        self.name = source.name
        self.count = source.count
        self.work = source.work
        self._source = source
        self._writer = writer
        self._devices = devices

    def batches(self) -> Iterator[features.Batch]:
        """The source's images."""
        for images, labels, count in self._source.batches():
            self._writer.add(pixels.to_uint8(self._devices.on_host(images, count)), labels)
            yield images, labels, count
