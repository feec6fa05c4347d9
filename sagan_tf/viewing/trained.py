"""A generator that has been trained, from a run's checkpoint or from a model that was exported."""

import os
import zipfile
from collections.abc import Callable, Sequence
from typing import Optional

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ModelConfig
from sagan_tf.data import class_names
from sagan_tf.gan import discriminator, generator, noise
from sagan_tf.runs import directory, restore
from sagan_tf.runtime import distribution, files, memory
from sagan_tf.viewing import card as viewing_card
from sagan_tf.viewing import folding

KERAS_FILE = "generator.keras"
_BATCH = 100  # images at a time


class Trained:
    """A generator ready to make images.

    Args:
      network: as of `folding.fold`.
      card: what is known of it.
      source: the run or file that it came from, for captions.
      batch_size: images at a time; 0: what suits the device.
    """

    def __init__(
        self, network: keras.Model, card: viewing_card.Card, *, source: str, batch_size: int = 0
    ):
        self.network, self.card, self.source = network, card, source
        self.batch_size = batch_size or distribution.fitting_batch(_BATCH)
        self._generate = tf.function(
            lambda z, labels: network([z, labels], training=False),
            autograph=False,
            reduce_retracing=True,
        )

    @property
    def model_config(self) -> ModelConfig:
        """The networks' settings."""
        return self.card.model_config

    @property
    def classes(self) -> class_names.Classes:
        """Names of the classes."""
        return self.card.classes

    @property
    def step(self) -> int:
        """Iterations it was trained."""
        return self.card.step

    @property
    def sigma_ratio(self) -> Optional[float]:
        """Of its attention block; None without one."""
        return self.card.sigma_ratio

    def draw(self, seeds: Sequence[int], truncation: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """z float32 [n, z_dim] and labels int32 [n] of seeds (`noise.draw_seeds`).

        Args:
          seeds: numbers from 0 on.
          truncation: z stays between this and its negative; 0: anywhere.
        """
        config, limit = self.model_config, truncation or np.inf
        z, labels = noise.draw_seeds(
            tf.constant(seeds, tf.int64),
            config.z_dim,
            number_classes=config.number_classes,
            limit=float(limit),
        )
        return z.numpy(), labels.numpy()

    def generate(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Images with moving statistics, float32 [n, size, size, 3] in [-1, 1].

        Args:
          z: float32 [n, z_dim].
          labels: int [n].
        """
        parts = [
            slice(start, start + self.batch_size) for start in range(0, len(z), self.batch_size)
        ]
        return np.concatenate(
            [
                self._generate(
                    tf.constant(z[part], tf.float32), tf.constant(labels[part], tf.int32)
                ).numpy()
                for part in parts
            ]
        )

    def attention(
        self, z: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """A few images, as of `generate`, and the generator's attention over them.

        Returns:
          float32 images, and float32 [n, side^2, side^2 / 4]; None without an attention block.
        """
        if self.model_config.attention_side("generator") is None:
            return self.generate(z, labels), None
        images, attention = folding.with_attention(self.network)(
            [tf.constant(z, tf.float32), tf.constant(labels, tf.int32)], training=False
        )
        return images.numpy(), attention.numpy()

    def between_classes(self, first: int, second: int, *, frames: int) -> "Trained":
        """The same generator with `frames` classes, which go evenly from one class to another."""
        shares = np.zeros((frames, self.model_config.number_classes))
        on_the_way = np.linspace(0, 1, frames)
        shares[:, first] += 1 - on_the_way
        shares[:, second] += on_the_way
        mixed = folding.with_mixed_classes(self.network, shares)
        return Trained(mixed, self.card, source=self.source, batch_size=self.batch_size)


def open_model(
    path: str,
    step: int = -1,
    *,
    use_ema: bool = False,
    note: Callable[[str], None] = lambda _: None,
    batch_size: int = 0,
) -> Trained:
    """The generator of a run, as its checkpoint has it (u as it stands), or of an exported model.

    Args:
      path: a run, as of `find_run`, or what `export_lib.export` wrote.
      step: step of the checkpoint; -1: the newest that can be read.
      use_ema: whether to take the moving average.
      note: told of checkpoints that were passed over.
      batch_size: images at a time; 0: what suits the device.
    Raises:
      config.UserError: there is neither, or not what is asked of it.
    """
    if is_exported(path):
        return _open_exported(path, step, use_ema, batch_size)
    run_dir = directory.find_run(path)
    network, card = open_generator(run_dir, step, use_ema=use_ema, note=note)
    return Trained(folding.fold(network), card, source=run_dir, batch_size=batch_size)


def is_exported(path: str) -> bool:
    """Whether a path is what `export_lib.export` wrote, or the `.keras` file in it."""
    return tf.io.gfile.exists(_keras_file(path))


def _keras_file(path: str) -> str:
    return path if path.endswith(".keras") else os.path.join(path, KERAS_FILE)


def open_generator(
    run_dir: str,
    step: int = -1,
    *,
    use_ema: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[generator.Generator, viewing_card.Card]:
    """The generator of a run as its checkpoint has it, and what is known of it.

    Raises:
      errors.UserError: as `open_model`.
    """
    _prepare()
    restored = restore.open_generator(run_dir, step, use_ema=use_ema, note=note)
    network = restored.network
    config = network.config
    ratio = network.non_local and float(network.non_local.sigma_ratio.numpy())
    card = viewing_card.Card(
        model_config=config,
        classes=class_names.read(run_dir, config.number_classes),
        step=restored.step,
        use_ema=use_ema,
        sigma_ratio=ratio,
        run=directory.run_id(run_dir),
        checkpoint_sha256=restored.sha256,
        made_with={"tensorflow": tf.__version__, "keras": keras.__version__},
    )
    return network, card


def open_discriminator(
    run_dir: str, step: int = -1, *, note: Callable[[str], None] = lambda _: None
) -> tuple[discriminator.Discriminator, int]:
    """The discriminator of a run as its checkpoint has it, and the step.

    Raises:
      errors.UserError: as `open_model`.
    """
    _prepare()
    restored = restore.open_discriminator(run_dir, step, note=note)
    return restored.network, restored.step


def _prepare() -> None:
    memory.keep_freed_memory()
    # A seed is one picture: no TensorFloat-32, which only some devices have.
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _open_exported(path: str, step: int, use_ema: bool, batch_size: int) -> Trained:
    _prepare()
    file = _keras_file(path)
    try:
        with zipfile.ZipFile(file) as archive:
            card = viewing_card.card_from_json(archive.read(viewing_card.CARD_FILE).decode())
        network = keras.saving.load_model(file, compile=False)
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        zipfile.BadZipFile,
        EOFError,
        errors.UserError,
    ) as error:
        raise errors.UserError(
            f"--run={path}: expected a model that export wrote ({files.first_line(error)}); export "
            "it again"
        ) from error
    if step not in (-1, card.step):
        raise errors.UserError(f"--step={step}: {path} holds step {card.step} only")
    if use_ema and not card.use_ema:
        raise errors.UserError(f"--use_ema: {path} was exported without --use_ema")
    return Trained(network, card, source=path, batch_size=batch_size)


def write_keras(trained: Trained, path: str) -> None:
    """Writes a generator as a `.keras` file with its card inside. Raises what the disk raises."""
    trained.network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(viewing_card.CARD_FILE, trained.card.to_json())
