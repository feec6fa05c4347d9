"""A trained generator for programs that know nothing of this project."""

import os
import shutil
import statistics
import sys
import time
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import config as config_lib
from sagan_tf import files, folding, generator, noise, trained

# What was written gives images that differ by at most this from the checkpoint's, in [-1, 1].
TOLERANCE = 1e-5
_CHECKED_IMAGES = 4
_TIMED_IMAGES = 10


def export(config: config_lib.ExportConfig, stream: Optional[TextIO] = None) -> str:
    """Writes a generator as a SavedModel directory, with a `.keras` file and `model.json` in it.

    The SavedModel (which needs TensorFlow alone) has the signatures

    | name | inputs | results |
    |---|---|---|
    | `serving_default` | z [n, z_dim], labels [n] | images uint8 [n, size, size, 3] |
    | `from_seeds` | seeds int64 [n], labels [n], -1: the one that the seed draws | images, labels |
    | `floats` | z, labels | images float32 in [-1, 1] |
    | `attention` | z, labels | images uint8, attention [n, side^2, side^2 / 4] |
    | `card` | | json: `trained.Card`; class_names, class_titles [classes] |

    The `.keras` file is made of Keras's own layers, (z, labels) to floats in [-1, 1], and has the
    card inside. Both are read back, and compared with the checkpoint.

    Returns:
      The directory.
    Raises:
      config.UserError: no such checkpoint, or the output is in the way or cannot be written.
    """
    stream = stream or sys.stdout

    def say(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    out = config.out.rstrip("/")
    unfinished = f"{out}.unfinished"
    with files.writing(f"--out={out}"):
        _require_free(out)
        shutil.rmtree(unfinished, ignore_errors=True)
        os.makedirs(unfinished)
    try:
        run_dir = trained.find_run(config.run)
        original, card = trained.open_generator(run_dir, config.step, config.use_ema, say)
        network = trained.Trained(folding.fold(original), card, run_dir)
        with files.writing(f"--out={out}"):
            _write(network, unfinished)
            difference, seconds = _try_out(network, original, unfinished)
            if os.path.isdir(out):
                os.rmdir(out)
            os.rename(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    say(f"step {network.step} of {network.source}: {out}, {_megabytes(out):.1f} MB, of which "
        f"{trained.KERAS_FILE} {_megabytes(os.path.join(out, trained.KERAS_FILE)):.1f} MB")
    say(f"read back, images differ by at most {difference:.1e} from the checkpoint's; one image "
        f"takes {1000 * seconds:.1f} ms on this {device}")
    return out


def _require_free(out: str) -> None:
    if os.path.exists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise config_lib.UserError(f"--out={out}: expected a new or empty directory")


def _write(network: trained.Trained, directory: str) -> None:
    module = _Module(network)
    signatures = {name: getattr(module, name) for name in module.names}
    tf.saved_model.save(module, directory, signatures)
    trained.write_keras(network, os.path.join(directory, trained.KERAS_FILE))
    files.write_whole(os.path.join(directory, trained.CARD_FILE), network.card.to_json())


class _Module(tf.Module):
    """The signatures; `names` are those that this model has."""

    def __init__(self, network: trained.Trained):
        super().__init__()
        config, card = network.model_config, network.card
        attends = card.sigma_ratio is not None
        self._network = folding.with_attention(network.network) if attends else network.network
        z = tf.TensorSpec([None, config.z_dim], tf.float32, name="z")
        labels = tf.TensorSpec([None], tf.int32, name="labels")
        seeds = tf.TensorSpec([None], tf.int64, name="seeds")

        def signature(function, *specs):
            return tf.function(function, specs, autograph=False)

        # Traced once, for all signatures.
        everything = signature(lambda z, labels: tf.nest.flatten(
            self._network([z, labels], training=False)), z, labels)

        def from_seeds(seeds, labels):
            z, drawn = noise.draw_seeds(seeds, config.z_dim, config.number_classes)
            labels = tf.where(labels < 0, drawn, labels)
            return {"images": _pixels(everything(z, labels)[0]), "labels": labels}

        def attention(z, labels):
            images, found = everything(z, labels)
            return {"images": _pixels(images), "attention": found}

        self.serving_default = signature(
            lambda z, labels: {"images": _pixels(everything(z, labels)[0])}, z, labels)
        self.floats = signature(lambda z, labels: {"images": everything(z, labels)[0]}, z, labels)
        self.from_seeds = signature(from_seeds, seeds, labels)
        self.card = signature(lambda: {
            "json": tf.constant(card.to_json()),
            "class_names": tf.constant(card.classes.names),
            "class_titles": tf.constant(card.classes.titles)})
        self.names = ["serving_default", "floats", "from_seeds", "card"]
        if attends:
            self.attention = signature(attention, z, labels)
            self.names.append("attention")


def _pixels(images: tf.Tensor) -> tf.Tensor:
    """As `images.to_uint8`, to the last bit."""
    values = tf.round((tf.cast(images, tf.float64) + 1.0) * 127.5)
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _try_out(network: trained.Trained, original: generator.Generator,
             directory: str) -> tuple[float, float]:
    """Reads back what was written.

    Returns:
      The largest difference from the images of the generator itself, and seconds for one image.
    Raises:
      OSError: the difference is too large.
    """
    z, labels = network.draw(range(_CHECKED_IMAGES))
    expected = original(z, labels, training=False, update_sn=False).numpy()
    signatures = tf.saved_model.load(directory).signatures
    z, labels = tf.constant(z), tf.constant(labels)
    found = [signatures["floats"](z=z, labels=labels)["images"].numpy(),
             keras.saving.load_model(os.path.join(directory, trained.KERAS_FILE), compile=False)(
                 [z, labels], training=False).numpy()]
    difference = max(float(np.abs(images - expected).max()) for images in found)
    if not difference <= TOLERANCE:
        raise OSError(f"what was written gives images that differ by {difference:.1e} from the "
                      "checkpoint's")

    def seconds() -> float:
        began = time.perf_counter()
        signatures["serving_default"](z=z[:1], labels=labels[:1])["images"].numpy()
        return time.perf_counter() - began

    seconds()  # It warms up.
    return difference, statistics.median(seconds() for _ in range(_TIMED_IMAGES))


def _megabytes(path: str) -> float:
    paths = [path] if os.path.isfile(path) else [
        os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sum(map(os.path.getsize, paths)) / 1e6
