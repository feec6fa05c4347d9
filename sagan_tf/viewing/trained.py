"""A trained generator, from a run's checkpoint or an exported model."""

import functools
import zipfile
from collections.abc import Callable, Sequence
from typing import Optional

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import config
from sagan_tf.data import class_names
from sagan_tf.gan import discriminator, generator, noise, non_local
from sagan_tf.runs import directory, exported, restore
from sagan_tf.runs.card import CARD_FILE, Card
from sagan_tf.runtime import distribution, memory
from sagan_tf.viewing import folding
from sagan_tf.viewing.gathered import Gathered, gather

# As `runs.exported` has them.
KERAS_FILE = exported.KERAS_FILE
is_exported = exported.is_exported
_BATCH = 100  # images at a time
_AS_TRAINED = config.Sampling()


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """float in [-1, 1] to uint8 on the device, to the last bit as `images.pixels.to_uint8`.

    Values outside are clipped.
    """
    values = tf.round((tf.cast(images, tf.float64) + 1.0) * 127.5)
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


class Trained:
    """A generator ready to make images.

    Args:
      network: a model as `folding.fold` returns it.
      card: what is known of the model.
      source: the run or file that the model came from, for captions.
      batch_size: images at a time; 0: what suits the device.

    Attributes:
      network, card, source, batch_size: as given.
    """

    def __init__(self, network: keras.Model, card: Card, *, source: str, batch_size: int = 0):
        self.network = network
        self.card = card
        self.source = source
        self.batch_size = batch_size or distribution.fitting_batch(_BATCH)

        # Compile; each is traced when it is first called. TensorFlow warns of the fifth trace of a
        # piece of code; each partial is counted by itself.
        self._generate, self._generate_pixels = (
            tf.function(functools.partial(of, network), autograph=False, reduce_retracing=True)
            for of in (_images, _pixels)
        )

    @property
    def classes(self) -> class_names.Classes:
        """The names of the classes; `classes.find("goldfish")` gives labels."""
        return self.card.classes

    def draw(
        self, seeds: Sequence[int], truncation: Optional[float] = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """z float32 [n, z_dim] and labels int32 [n] of seeds (`noise.draw_seeds`), on the device.

        Args:
          seeds: numbers from 0 on.
          truncation: z stays between this and its negative; 0: anywhere; None: as `card.sampling`
            says, which goes with the model's statistics.
        """
        model_config = self.card.model_config
        limit = self.card.sampling.limit if truncation is None else truncation or np.inf
        return noise.draw_seeds(
            tf.constant(seeds, tf.int64),
            model_config.z_dim,
            number_classes=model_config.number_classes,
            limit=float(limit),
        )

    def generate(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Images, float32 [n, size, size, 3] in [-1, 1], with the statistics of `card.sampling`.

        Args:
          z: float32 [n, z_dim], an array or a tensor.
          labels: int [n], an array or a tensor.
        """
        return self._in_batches(self._generate, z, labels)

    def generate_pixels(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The same images as pixels, uint8 [n, size, size, 3]; arguments as of `generate`."""
        return self._in_batches(self._generate_pixels, z, labels)

    def _in_batches(self, generate: Callable, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The images that a function makes, `batch_size` at a time."""
        z = tf.constant(z, tf.float32)
        labels = tf.constant(labels, tf.int32)
        images = []
        for start in range(0, len(z), self.batch_size):
            end = start + self.batch_size
            images.append(generate(z[start:end], labels[start:end]).numpy())
        return np.concatenate(images)

    def attention(
        self, z: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, Optional[np.ndarray], Optional[float]]:
        """A few images, as of `generate_pixels`, and the generator's attention over them.

        Returns:
          uint8 pixels; float32 [n, side^2, side^2 / 4]; and how strongly attention acts on these
          images, `non_local.share_of`. The last two are None without an attention block.
        """
        if not self.card.model_config.has_attention("generator"):
            return self.generate_pixels(z, labels), None, None
        images, attention, added, features = folding.with_share(self.network)(
            [tf.constant(z, tf.float32), tf.constant(labels, tf.int32)], training=False
        )
        share = float(non_local.share_of(added, features).numpy())
        return to_uint8(images).numpy(), attention.numpy(), share

    def caption(self, label: int, seed: int, *, two_lines: bool = False) -> str:
        """What an image is of, class and seed, in one line or in two."""
        name = self.card.classes.text(label)
        return f"{name}\nseed {seed}" if two_lines else f"seed {seed}, {name}"

    def between_classes(self, first: int, second: int, *, frames: int) -> "Trained":
        """The same generator with `frames` classes, which go evenly from one class to another."""
        shares = np.zeros((frames, self.card.model_config.number_classes))
        share_of_second = np.linspace(0, 1, frames)
        shares[:, first] += 1 - share_of_second
        shares[:, second] += share_of_second
        mixed = folding.with_mixed_classes(self.network, shares)
        return Trained(mixed, self.card, source=self.source, batch_size=self.batch_size)


def _images(network: keras.Model, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Images, [batch, h, w, 3] in [-1, 1]."""
    return network([z, labels], training=False)


def _pixels(network: keras.Model, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Images, uint8 [batch, h, w, 3]."""
    return to_uint8(_images(network, z, labels))


def open_model(
    path: str,
    step: int = -1,
    *,
    use_ema: bool = False,
    sampling: config.Sampling = _AS_TRAINED,
    note: Callable[[str], None] = lambda _: None,
    batch_size: int = 0,
    gathered: Optional[Gathered] = None,
) -> Trained:
    """The generator of a run or of an exported model.

    A run's generator keeps the vector u of spectral normalisation that its checkpoint holds.
    Standing statistics are gathered in memory; the run does not change.

    Args:
      path: a run, as of `directory.find_run`, or what `export.export` wrote.
      step: step of the checkpoint; -1: the newest that can be read.
      use_ema: whether to take the moving average.
      sampling: truncation of z, and standing statistics. An exported model has what it was
        exported with.
      note: told of checkpoints that were skipped, and of what does not fit together.
      batch_size: images at a time; 0: what suits the device.
      gathered: statistics of this run that were gathered before; new ones are added.
    Raises:
      errors.UserError: neither is there, or it is not what is asked for.
    """
    if is_exported(path):
        return _open_exported(
            path, step, use_ema=use_ema, sampling=sampling, note=note, batch_size=batch_size
        )
    run_dir = directory.find_run(path)
    network, card = open_generator(
        run_dir, step, use_ema=use_ema, sampling=sampling, note=note, gathered=gathered
    )
    return Trained(folding.fold(network), card, source=run_dir, batch_size=batch_size)


def open_generator(
    run_dir: str,
    step: int = -1,
    *,
    use_ema: bool = False,
    sampling: config.Sampling = _AS_TRAINED,
    note: Callable[[str], None] = lambda _: None,
    gathered: Optional[Gathered] = None,
) -> tuple[generator.Generator, Card]:
    """The generator of a run as its checkpoint has it, and what is known of it.

    Standing statistics, if they are asked for, are in the place of the checkpoint's statistics;
    `gathered` as of `open_model`.

    Raises:
      errors.UserError: as `open_model`.
    """
    _prepare_device()
    restored = restore.open_generator(run_dir, step, use_ema=use_ema, note=note)
    network = restored.network

    # Say where weights or statistics may be others than wanted, and where classes mean nothing.
    last = restore.unused_average(run_dir, use_ema=use_ema)
    lag = restore.lag_of_statistics(sampling, use_ema=use_ema)
    for line in filter(None, (last, lag, network.config.note_on_classes)):
        note(line)

    # Gather the statistics.
    sampling = restore.sampling_of_run(sampling, run_dir)
    if sampling.batches and gathered is None:
        gather(network, sampling)
    elif sampling.batches:
        gathered.put(network, sampling, key=(restored.sha256, use_ema, sampling))

    # Write the card.
    block = network.inserted
    card = Card(
        model_config=network.config,
        classes=class_names.read(run_dir, network.config.number_classes),
        step=restored.step,
        use_ema=use_ema,
        sigma_ratio=None if block is None else float(block.sigma_ratio.numpy()),
        run=directory.run_id(run_dir),
        checkpoint_sha256=restored.sha256,
        made_with={"tensorflow": tf.__version__, "keras": keras.__version__},
        sampling=sampling,
    )
    return network, card


def open_discriminator(
    run_dir: str, step: int = -1, *, note: Callable[[str], None] = lambda _: None
) -> tuple[discriminator.Discriminator, int]:
    """The discriminator of a run as its checkpoint has it, and the step.

    Raises:
      errors.UserError: as `open_model`.
    """
    _prepare_device()
    restored = restore.open_discriminator(run_dir, step, note=note)
    return restored.network, restored.step


def _prepare_device() -> None:
    memory.keep_freed_memory()
    # A seed is one picture: no TensorFloat-32, which only some devices have.
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _open_exported(
    path: str,
    step: int,
    *,
    use_ema: bool,
    sampling: config.Sampling,
    note: Callable[[str], None],
    batch_size: int,
) -> Trained:
    _prepare_device()

    # Refuse what the model does not hold.
    card = exported.fitting(
        exported.read_card(path), step, use_ema=use_ema, sampling=sampling, path=path, note=note
    )
    return Trained(exported.load(path), card, source=path, batch_size=batch_size)


def write_keras(network: Trained, path: str) -> None:
    """Writes a generator as a `.keras` file with its card inside. Raises what the disk raises."""
    network.network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_FILE, network.card.to_json())
