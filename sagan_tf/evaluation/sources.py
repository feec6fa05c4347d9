"""Images that a generator makes, as a source of images to score."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf.config import EvalConfig, ModelConfig, Sampling
from sagan_tf.data import order
from sagan_tf.evaluation import features, generators
from sagan_tf.evaluation.console import Console
from sagan_tf.evaluation.devices import Devices
from sagan_tf.gan import noise
from sagan_tf.images import pixels, sets

_QUANTIZE = {"round": tf.round, "truncate": tf.floor}
_LABELS = {
    "uniform": "uniform random labels",
    "balanced": "balanced labels",
    "real": "labels as often as the real images have them",
}
_GRID_COLUMNS = 10


class GeneratedImages:
    """Images that a generator makes with the weights of a checkpoint.

    `load` has to be called before they mean anything.

    Args:
      config: how many, labels and quantization.
      network: the generator, which is made here.
      devices: that generate.
      stopwatch: takes the time.
      console: told of damaged checkpoints that were skipped.

    Attributes:
      name, count, work: as `features.Source`.
      network, devices: as given.
      real_labels: int32 [real images], to be set where `--label_sampling` is "real"; None.
    Raises:
      errors.UserError: the weights cannot be read.
    """

    # Devices work while the host goes on, so that only the sum of both times is known.
    work = "generate and classify"

    def __init__(
        self,
        config: EvalConfig,
        network: generators.AnyGenerator,
        *,
        devices: Devices,
        stopwatch: features.Stopwatch,
        console: Console,
    ):
        self.name = ""
        self.count = config.eval_sample_size
        self._config = config
        self.network = network
        self.devices = devices
        self.real_labels: Optional[np.ndarray] = None
        self._stopwatch = stopwatch
        network.make(devices, stopwatch=stopwatch, console=console)
        self._generate = tf.function(self._generate_on_devices, autograph=False)

    @property
    def model_config(self) -> ModelConfig:
        """The settings of the network."""
        return self.network.model_config

    def load(self, step: int = -1) -> int:
        """As of `generators.RunGenerator`."""
        found = self.network.load(step)
        self.name = f"step {found}"
        return found

    def reset(self) -> None:
        """As of `generators.RunGenerator`."""
        self.network.reset()
        self.name = "untrained"

    def describe(self) -> dict[str, Any]:
        """What the images are, for the protocol."""
        # Say it in words.
        config = self._config
        sampling = self.network.sampling
        quantized = f"uint8 by {config.quantization}"
        words = [
            _LABELS[config.label_sampling],
            sampling.words,
            self.network.u,
            "EMA" if config.use_ema else "no EMA",
            "not quantized" if config.quantization == "none" else quantized,
        ]

        # Say it for programs too. A record says nothing of what is not used, as it always did.
        described = {
            "batch_norm": sampling.statistics,
            "ema": config.use_ema,
            "images": ", ".join(filter(None, words)),
        }
        if sampling != Sampling():
            described["sampling"] = dataclasses.asdict(sampling)
        if self.network.u:
            described["spectral_norm"] = self.network.u
        return described

    def batches(self) -> Iterator[features.Batch]:
        """The images that scores are made of; the network is prepared first."""
        self.network.prepare()
        z, labels = self._draw(self._config.seed, self.count)
        if self._config.label_sampling == "balanced":
            labels = np.arange(self.count, dtype=np.int32) % self.model_config.number_classes
        if self._config.label_sampling == "real":
            labels = as_often(self.real_labels, self.count, seed=self._config.seed)
        return self.batches_of(z, labels)

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
            limit=self.network.sampling.limit,
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
            limit=self.network.sampling.limit,
        )
        return z.numpy(), labels.numpy()

    def _generate_on_devices(self, z, labels):
        return self.devices.strategy.run(self._generate_on_one, args=(z, labels))

    def _generate_on_one(self, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Images of one device, float32 [batch, size, size, 3] in [-1, 1]."""
        images = self.network.generate(z, labels)
        if self._config.quantization == "none":
            return images
        levels = _QUANTIZE[self._config.quantization]((images + 1.0) * 127.5)
        return tf.clip_by_value(levels, 0.0, 255.0) * (2.0 / 255) - 1.0


def as_often(real_labels: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """`count` labels, of which each class has its share among `real_labels`, rounded.

    Args:
      real_labels: int32 [real images].
      count: how many to make.
      seed: of their order.
    Returns:
      int32 [count].
    """
    spread = (2 * np.arange(count) + 1) * len(real_labels) // (2 * count)
    return np.sort(real_labels)[spread][order.permutation(count, seed)]


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
