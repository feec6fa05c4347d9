"""A trained generator for programs that know nothing of this project."""

import functools
import os
import statistics
import time
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ExportConfig
from sagan_tf.gan import generator, noise
from sagan_tf.runs import directory as runs_directory
from sagan_tf.runtime import files
from sagan_tf.viewing import card as viewing_card
from sagan_tf.viewing import folding, trained

# What is read back gives images that differ by at most this from what was written, in [-1, 1].
TOLERANCE = 1e-5
# The folded generator sums in another order than the one that was trained: 1e-6 as a rule, 1e-5
# where statistics are extreme. Beyond this it is no rounding.
_FOLDING_TOLERANCE = 1e-3
_CHECKED_IMAGES = 4
_TIMED_IMAGES = 10


def export(config: ExportConfig, stream: Optional[TextIO] = None) -> str:
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
    say = functools.partial(print, file=stream, flush=True)
    out = config.out.rstrip("/")
    if trained.is_exported(config.run):
        raise errors.UserError(f"--run={config.run}: it is an exported model; expected a run")
    run_dir = runs_directory.find_run(config.run)
    with files.writing(f"--out={out}"):
        _require_free(out)
        os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    original, card = trained.open_generator(run_dir, config.step, use_ema=config.use_ema, note=say)
    network = trained.Trained(folding.fold(original), card, source=run_dir)
    folding_difference = _check_folding(network, original)
    with files.writing(f"--out={out}"), files.replaced(out) as directory:
        os.mkdir(directory)
        _write(network, directory)
        difference, seconds = _try_out(network, directory)
    difference = max(difference, folding_difference)
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    say(
        f"step {network.step} of {network.source}: {out}, {_megabytes(out):.1f} MB, of which "
        f"{trained.KERAS_FILE} {_megabytes(os.path.join(out, trained.KERAS_FILE)):.1f} MB"
    )
    say(
        f"read back, images differ by at most {difference:.1e} from the checkpoint's"
        + (" (the order of float32 sums)" if difference > TOLERANCE else "")
        + f"; one image takes {1000 * seconds:.1f} ms on this {device}"
    )
    return out


def _require_free(out: str) -> None:
    if os.path.exists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise errors.UserError(f"--out={out}: expected a new or empty directory")


def _write(network: trained.Trained, directory: str) -> None:
    module = _Module(network)
    signatures = {name: getattr(module, name) for name in module.names}
    tf.saved_model.save(module, directory, signatures)
    trained.write_keras(network, os.path.join(directory, trained.KERAS_FILE))
    files.write_whole(os.path.join(directory, viewing_card.CARD_FILE), network.card.to_json())


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

        def checked(z, labels):
            with tf.control_dependencies(
                [
                    tf.debugging.assert_equal(
                        tf.shape(z)[0], tf.shape(labels)[0], "expected a label for each z"
                    ),
                    tf.debugging.assert_non_negative(labels, "expected labels from 0 on"),
                    tf.debugging.assert_less(
                        labels, config.number_classes, "expected labels below the number of classes"
                    ),
                ]
            ):
                return tf.nest.flatten(self._network([z, tf.identity(labels)], training=False))

        # Traced once, for all signatures.
        everything = signature(checked, z, labels)

        def from_seeds(seeds, labels):
            z, drawn = noise.draw_seeds(seeds, config.z_dim, number_classes=config.number_classes)
            with tf.control_dependencies(
                [
                    tf.debugging.assert_equal(
                        tf.shape(seeds), tf.shape(labels), "expected a label for each seed"
                    )
                ]
            ):
                labels = tf.where(tf.equal(labels, -1), drawn, labels)
            return {"images": _pixels(everything(z, labels)[0]), "labels": labels}

        def attention(z, labels):
            images, found = everything(z, labels)
            return {"images": _pixels(images), "attention": found}

        self.serving_default = signature(
            lambda z, labels: {"images": _pixels(everything(z, labels)[0])}, z, labels
        )
        self.floats = signature(lambda z, labels: {"images": everything(z, labels)[0]}, z, labels)
        self.from_seeds = signature(from_seeds, seeds, labels)
        self.card = signature(
            lambda: {
                "json": tf.constant(card.to_json()),
                "class_names": tf.constant(card.classes.names),
                "class_titles": tf.constant(card.classes.titles),
            }
        )
        self.names = ["serving_default", "floats", "from_seeds", "card"]
        if attends:
            self.attention = signature(attention, z, labels)
            self.names.append("attention")


def _pixels(images: tf.Tensor) -> tf.Tensor:
    """As `images.to_uint8`, to the last bit."""
    values = tf.round((tf.cast(images, tf.float64) + 1.0) * 127.5)
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _check_folding(network: trained.Trained, original: generator.Generator) -> float:
    """The largest difference between images of the folded generator and of the original.

    Raises:
      config.UserError: it is too large.
    """
    z, labels = network.draw(range(_CHECKED_IMAGES))
    expected = original(z, labels, training=False, update_sn=False).numpy()
    difference = float(np.abs(network.generate(z, labels) - expected).max())
    if not difference <= _FOLDING_TOLERANCE:
        raise errors.UserError(
            f"{network.source}: with sigma and the statistics folded into its weights the "
            f"generator makes images that differ by {difference:.1e}; expected rounding, at most "
            f"{_FOLDING_TOLERANCE}. Its statistics may be degenerate: look at samples of this step"
        )
    return difference


def _try_out(network: trained.Trained, directory: str) -> tuple[float, float]:
    """Reads back what was written.

    Returns:
      The largest difference from the images of `network`, and seconds for one image.
    Raises:
      OSError: the difference is too large.
    """
    z, labels = network.draw(range(_CHECKED_IMAGES))
    expected = network.generate(z, labels)
    signatures = tf.saved_model.load(directory).signatures
    z, labels = tf.constant(z), tf.constant(labels)
    found = [
        signatures["floats"](z=z, labels=labels)["images"].numpy(),
        keras.saving.load_model(os.path.join(directory, trained.KERAS_FILE), compile=False)(
            [z, labels], training=False
        ).numpy(),
    ]
    difference = max(float(np.abs(images - expected).max()) for images in found)
    if not difference <= TOLERANCE:
        raise OSError(f"what was read back makes images that differ by {difference:.1e}")

    def seconds() -> float:
        began = time.perf_counter()
        signatures["serving_default"](z=z[:1], labels=labels[:1])["images"].numpy()
        return time.perf_counter() - began

    seconds()  # It warms up.
    return difference, statistics.median(seconds() for _ in range(_TIMED_IMAGES))


def _megabytes(path: str) -> float:
    paths = (
        [path]
        if os.path.isfile(path)
        else [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    )
    return sum(map(os.path.getsize, paths)) / 1e6
