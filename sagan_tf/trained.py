"""A generator that has been trained, from a run's checkpoint or from a model that was exported."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from typing import Optional

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import (
    checkpoints,
    discriminator,
    distribution,
    files,
    folding,
    generator,
    model,
    noise,
    process,
)
from sagan_tf import classes as classes_lib
from sagan_tf import config as config_lib

KERAS_FILE = "generator.keras"
CARD_FILE = "model.json"  # beside an exported model, and inside its .keras file
CARD_VERSION = 1
_BATCH = 100  # images at a time


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known of a trained generator beside its weights.

    Attributes:
      model_config: the networks' settings.
      classes: names of the classes.
      step: iterations it was trained.
      use_ema: whether it is the moving average.
      sigma_ratio: of its attention block; None without one.
      run: the run's own name.
      checkpoint_sha256: of the checkpoint it was read from.
      made_with: versions.
    """

    model_config: config_lib.ModelConfig
    classes: classes_lib.Classes
    step: int
    use_ema: bool
    sigma_ratio: Optional[float]
    run: Optional[str] = None
    checkpoint_sha256: Optional[str] = None
    made_with: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """The card as text, with what a user of the weights has to know in words."""
        words = {
            "inputs": f"z: float32 [n, {self.model_config.z_dim}], standard normal; labels: int32 "
                      f"[n], 0 to {self.model_config.number_classes - 1}",
            "images": "float in [-1, 1]; as uint8 round((x + 1) * 127.5)",
            "batch_norm": "moving statistics", "spectral_norm": "folded into the weights"}
        return json.dumps({"version": CARD_VERSION, "protocol": words,
                           **dataclasses.asdict(self)}, indent=1, ensure_ascii=False) + "\n"


def card_from_json(text: str) -> Card:
    """The inverse of `Card.to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    content = json.loads(text)
    if content["version"] > CARD_VERSION:
        raise ValueError(f"version {content['version']}, expected at most {CARD_VERSION}")
    values = {field.name: content[field.name] for field in dataclasses.fields(Card)}
    values["model_config"] = config_lib.ModelConfig(**values["model_config"])
    values["classes"] = classes_lib.from_json(values["classes"])
    return Card(**values)


class Trained:
    """A generator ready to make images.

    Args:
      network: as of `folding.fold`.
      card: what is known of it.
      source: the run or file that it came from, for captions.
      batch_size: images at a time; 0: what suits the device.
    """

    def __init__(self, network: keras.Model, card: Card, source: str, batch_size: int = 0):
        self.network, self.card, self.source = network, card, source
        self.batch_size = batch_size or distribution.fitting_batch(_BATCH)
        self._generate = tf.function(lambda z, labels: network([z, labels], training=False),
                                     autograph=False, reduce_retracing=True)

    @property
    def model_config(self) -> config_lib.ModelConfig:
        """The networks' settings."""
        return self.card.model_config

    @property
    def classes(self) -> classes_lib.Classes:
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
        z, labels = noise.draw_seeds(tf.constant(seeds, tf.int64), config.z_dim,
                                     config.number_classes, float(limit))
        return z.numpy(), labels.numpy()

    def generate(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Images with moving statistics, float32 [n, size, size, 3] in [-1, 1].

        Args:
          z: float32 [n, z_dim].
          labels: int [n].
        """
        parts = [slice(start, start + self.batch_size)
                 for start in range(0, len(z), self.batch_size)]
        return np.concatenate([self._generate(tf.constant(z[part], tf.float32),
                                              tf.constant(labels[part], tf.int32)).numpy()
                               for part in parts])

    def attention(self, z: np.ndarray, labels: np.ndarray) -> tuple[
            np.ndarray, Optional[np.ndarray]]:
        """A few images, as of `generate`, and the generator's attention over them.

        Returns:
          float32 images, and float32 [n, side^2, side^2 / 4]; None without an attention block.
        """
        if self.model_config.attention_side("generator") is None:
            return self.generate(z, labels), None
        images, attention = folding.with_attention(self.network)(
            [tf.constant(z, tf.float32), tf.constant(labels, tf.int32)], training=False)
        return images.numpy(), attention.numpy()

    def between_classes(self, first: int, second: int, frames: int) -> "Trained":
        """The same generator with `frames` classes, which go evenly from one class to another."""
        shares = np.zeros((frames, self.model_config.number_classes))
        on_the_way = np.linspace(0, 1, frames)
        shares[:, first] += 1 - on_the_way
        shares[:, second] += on_the_way
        mixed = folding.with_mixed_classes(self.network, shares)
        return Trained(mixed, self.card, self.source, self.batch_size)


def find_run(path: str) -> str:
    """The directory of a run: the path itself, or the only run in it.

    Raises:
      config.UserError: there is none, or there are several.
    """
    if _is_run(path):
        return path
    names = tf.io.gfile.listdir(path) if tf.io.gfile.isdir(path) else []
    runs = [os.path.join(path, name.rstrip("/")) for name in sorted(names)]
    runs = [run for run in runs if _is_run(run)]
    if len(runs) == 1:
        return runs[0]
    raise config_lib.UserError(f"--run={path}: " + (
        f"several runs are there; name one of {', '.join(runs)}" if runs else
        "no run there (config.json is missing); expected <checkpoint_dir>/imagenet_<batch_size>"))


def _is_run(path: str) -> bool:
    return tf.io.gfile.exists(os.path.join(path, "config.json"))


def open_model(path: str, step: int = -1, use_ema: bool = False,
               note: Callable[[str], None] = lambda _: None, batch_size: int = 0) -> Trained:
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
    run_dir = find_run(path)
    network, card = open_generator(run_dir, step, use_ema, note)
    return Trained(folding.fold(network), card, run_dir, batch_size)


def is_exported(path: str) -> bool:
    """Whether a path is what `export_lib.export` wrote, or the `.keras` file in it."""
    return tf.io.gfile.exists(_keras_file(path))


def _keras_file(path: str) -> str:
    return path if path.endswith(".keras") else os.path.join(path, KERAS_FILE)


def open_generator(run_dir: str, step: int = -1, use_ema: bool = False,
                   note: Callable[[str], None] = lambda _: None
                   ) -> tuple[generator.Generator, Card]:
    """The generator of a run as its checkpoint has it, and what is known of it.

    Raises:
      config.UserError: as `open_model`.
    """
    _prepare()
    config = _read_model_config(run_dir)
    network = generator.Generator(config, optimizations=distribution.optimizations())
    network.build()
    prefix = model.AVERAGE if use_ema else ""
    saved = checkpoints.Checkpoints(run_dir, {prefix + v.path: v.value for v in network.weights})
    step = _restore(saved, step, note)
    if saved.missing:
        raise config_lib.UserError(
            f"--use_ema: {saved.path(step)} holds no moving average; train with --ema_decay, or "
            "leave the flag out")
    try:
        sha256 = saved.sha256(step)
    except (OSError, tf.errors.OpError) as error:
        raise checkpoints.Unreadable(
            f"{saved.path(step)}: it has gone while it was read; try again") from error
    ratio = network.non_local and float(network.non_local.sigma_ratio.numpy())
    card = Card(config, classes_lib.read(run_dir, config.number_classes), step, use_ema, ratio,
                checkpoints.run_id(run_dir), sha256,
                {"tensorflow": tf.__version__, "keras": keras.__version__})
    return network, card


def open_discriminator(run_dir: str, step: int = -1, note: Callable[[str], None] = lambda _: None
                       ) -> tuple[discriminator.Discriminator, int]:
    """The discriminator of a run as its checkpoint has it, and the step.

    Raises:
      config.UserError: as `open_model`.
    """
    _prepare()
    network = discriminator.Discriminator(_read_model_config(run_dir),
                                          distribution.optimizations())
    network.build()
    saved = checkpoints.Checkpoints(run_dir, {v.path: v.value for v in network.weights})
    return network, _restore(saved, step, note)


def _prepare() -> None:
    process.keep_freed_memory()
    # A seed is one picture: no TensorFloat-32, which only some devices have.
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _read_model_config(run_dir: str) -> config_lib.ModelConfig:
    config = checkpoints.read_config(run_dir, "model", config_lib.ModelConfig)
    if config is None:
        raise config_lib.UserError(f"{run_dir}: no run there (config.json is missing)")
    return config


def _restore(saved: checkpoints.Checkpoints, step: int, note) -> int:
    found = saved.restore(step, complete=False, note=note, flag="step")
    if found is None:
        raise config_lib.UserError(
            f"{saved.run_dir}: holds no checkpoint yet; the run writes one when it starts")
    return found


def _open_exported(path: str, step: int, use_ema: bool, batch_size: int) -> Trained:
    _prepare()
    file = _keras_file(path)
    try:
        with zipfile.ZipFile(file) as archive:
            card = card_from_json(archive.read(CARD_FILE).decode())
        network = keras.saving.load_model(file, compile=False)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, EOFError,
            config_lib.UserError) as error:
        raise config_lib.UserError(
            f"--run={path}: expected a model that export wrote ({files.first_line(error)}); export "
            "it again") from error
    if step not in (-1, card.step):
        raise config_lib.UserError(f"--step={step}: {path} holds step {card.step} only")
    if use_ema and not card.use_ema:
        raise config_lib.UserError(f"--use_ema: {path} was exported without --use_ema")
    return Trained(network, card, path, batch_size)


def write_keras(trained: Trained, path: str) -> None:
    """Writes a generator as a `.keras` file with its card inside. Raises what the disk raises."""
    trained.network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_FILE, trained.card.to_json())

