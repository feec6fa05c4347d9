"""Export of a trained generator for programs that do not have this project."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ExportConfig, Sampling
from sagan_tf.gan import generator, noise
from sagan_tf.runs import beginnings, directory
from sagan_tf.runs.card import CARD_FILE
from sagan_tf.runtime import files
from sagan_tf.viewing import card_facts, folding, model_card, onnx_file, trained, words

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
    | `card` | | json: `card.Card`; class_names, class_titles [classes] |

    A generator without attention does not have the signature `attention`.

    The `.keras` file is made of Keras's own layers, (z, labels) to floats in [-1, 1], and has the
    card inside. Both are read back, and compared with the checkpoint. `README.md` is a model card
    (`model_card`); a hub takes the directory as it is. With `onnx` there is `generator.onnx` too,
    with `for_training` `training.npz` (`runs.beginnings`).

    Returns:
      The directory.
    Raises:
      errors.UserError: no such checkpoint, or the output is in the way or cannot be written.
    """
    say = words.printer(stream)

    # Find the run, and out whether the output can be written.
    out = config.out.rstrip("/")
    if config.onnx:
        onnx_file.require_packages()
    if trained.is_exported(config.run):
        raise errors.UserError(f"--run={config.run}: it is an exported model; expected a run")
    run_dir = directory.find_run(config.run)
    with files.writing(f"--out={out}"):
        require_free(out)
        os.makedirs(os.path.dirname(out) or ".", exist_ok=True)

    # Load the generator and fold it.
    original, card = trained.open_generator(
        run_dir, config.step, use_ema=config.use_ema, sampling=config.sampling, note=say
    )
    network = trained.Trained(folding.fold(original), card, source=run_dir)
    folding_difference = check_folding(network, original)

    # Write the model, and say what has been written.
    facts = card_facts.of_run(config, run_dir, card=card, say=say)
    beginning = beginnings.of_run(run_dir, card.step) if config.for_training else None
    difference, seconds = write(network, out, facts, onnx=config.onnx, beginning=beginning)
    difference = max(difference, folding_difference)
    _report(network, out, difference=difference, seconds=seconds, say=say)
    return out


def write(
    network: trained.Trained,
    out: str,
    facts: card_facts.Facts,
    *,
    onnx: bool = False,
    beginning: Optional[beginnings.Beginning] = None,
) -> tuple[float, float]:
    """Writes a model, and reads it back before it takes its name.

    Args:
      network: the model.
      out: a new or empty directory.
      facts: for the model card.
      onnx: whether to write an ONNX file too.
      beginning: what to write for other runs to begin with.
    Returns:
      As `check_export`.
    Raises:
      errors.UserError: the directory cannot be written.
    """
    with files.writing(f"--out={out}"), files.replaced(out) as written:
        os.mkdir(written)
        _write(network, written)
        if onnx:
            onnx_file.write(network, written)
        if beginning:
            beginnings.write(beginning, written)
        model_card.write(network, written, facts)
        return check_export(network, written)


def _report(
    network: trained.Trained,
    out: str,
    *,
    difference: float,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Says how large the model is, what z it is for, how near the checkpoint, and how quick."""
    # Say the sizes.
    total = _megabytes(out)
    keras_file = _megabytes(os.path.join(out, trained.KERAS_FILE))
    say(
        f"step {network.card.step} of {network.source}: {out}, {total:.1f} MB, of which "
        f"{trained.KERAS_FILE} {keras_file:.1f} MB"
    )
    sampling = network.card.sampling
    if sampling != Sampling():
        say(sampling.words)

    # Say the difference and the time.
    reason = " (the order of float32 sums)" if difference > TOLERANCE else ""
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    say(
        f"read back, images differ by at most {difference:.1e} from the checkpoint's{reason}"
        f"; one image takes {1000 * seconds:.1f} ms on this {device}"
    )


def require_free(out: str) -> None:
    """Raises errors.UserError unless a directory is new or empty."""
    if os.path.exists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise errors.UserError(f"--out={out}: expected a new or empty directory")


def _write(network: trained.Trained, out: str) -> None:
    """Writes the SavedModel, the .keras file and the card into a directory."""
    module = _Module(network)
    tf.saved_model.save(module, out, module.signatures())
    trained.write_keras(network, os.path.join(out, trained.KERAS_FILE))
    files.write_whole(os.path.join(out, CARD_FILE), network.card.to_json())


class _Module(tf.Module):
    """The functions of the SavedModel: each a signature, under its own name."""

    def __init__(self, network: trained.Trained):
        super().__init__()
        self._card = network.card
        self._attends = network.card.model_config.has_attention("generator")
        self._network = network.network
        if self._attends:
            self._network = folding.with_attention(network.network)

        # Compile; the network is traced once, for all signatures.
        z = tf.TensorSpec([None, network.card.model_config.z_dim], tf.float32, name="z")
        labels = tf.TensorSpec([None], tf.int32, name="labels")
        seeds = tf.TensorSpec([None], tf.int64, name="seeds")
        self._run = _compiled(self._run_network, z, labels)
        self.serving_default = _compiled(self._make_pixels, z, labels)
        self.floats = _compiled(self._make_floats, z, labels)
        self.from_seeds = _compiled(self._make_from_seeds, seeds, labels)
        self.card = _compiled(self._make_card)
        if self._attends:
            self.attention = _compiled(self._make_attention, z, labels)

    def signatures(self) -> dict[str, Callable]:
        """Name -> function."""
        names = ["serving_default", "floats", "from_seeds", "card"]
        if self._attends:
            names.append("attention")
        return {name: getattr(self, name) for name in names}

    def _run_network(self, z, labels):
        """[images], or [images, attention]; labels that are not of a class are an error."""
        # Check the labels.
        number_classes = self._card.model_config.number_classes
        checks = [
            tf.debugging.assert_equal(
                tf.shape(z)[0], tf.shape(labels)[0], "expected a label for each z"
            ),
            tf.debugging.assert_non_negative(labels, "expected labels from 0 on"),
            tf.debugging.assert_less(
                labels, number_classes, "expected labels below the number of classes"
            ),
        ]

        # Run the network after the checks.
        with tf.control_dependencies(checks):
            return tf.nest.flatten(self._network([z, tf.identity(labels)], training=False))

    def _make_pixels(self, z, labels):
        return {"images": trained.to_uint8(self._run(z, labels)[0])}

    def _make_floats(self, z, labels):
        return {"images": self._run(z, labels)[0]}

    def _make_from_seeds(self, seeds, labels):
        # Draw z, and the labels that are not given.
        config = self._card.model_config
        z, drawn = noise.draw_seeds(
            seeds,
            config.z_dim,
            number_classes=config.number_classes,
            limit=self._card.sampling.limit,
        )
        check = tf.debugging.assert_equal(
            tf.shape(seeds), tf.shape(labels), "expected a label for each seed"
        )
        with tf.control_dependencies([check]):
            labels = tf.where(tf.equal(labels, -1), drawn, labels)

        # Make the images.
        images = self._run(z, labels)[0]
        return {"images": trained.to_uint8(images), "labels": labels}

    def _make_attention(self, z, labels):
        images, attention = self._run(z, labels)
        return {"images": trained.to_uint8(images), "attention": attention}

    def _make_card(self):
        return {
            "json": tf.constant(self._card.to_json()),
            "class_names": tf.constant(self._card.classes.names),
            "class_titles": tf.constant(self._card.classes.titles),
        }


def _compiled(function: Callable, *specs: tf.TensorSpec) -> Callable:
    return tf.function(function, specs, autograph=False)


def check_folding(network: trained.Trained, original: generator.Generator) -> float:
    """The largest difference between images of the folded generator and of the original.

    Raises:
      errors.UserError: the difference is too large.
    """
    # Compare the images of a few seeds.
    z, labels = network.draw(range(_CHECKED_IMAGES))
    expected = original(z, labels, training=False, update_sn=False).numpy()
    found = network.generate(z, labels)
    difference = _largest_difference(found, expected)

    # Refuse a model that makes other images, or NaN.
    if not difference <= _FOLDING_TOLERANCE:
        raise errors.UserError(
            f"{network.source}: the images of the generator with folded weights differ by "
            f"{difference:.1e} from its own; expected rounding, at most {_FOLDING_TOLERANCE}. Its "
            "statistics may be degenerate: look at samples of this step"
        )
    return difference


def check_export(network: trained.Trained, out: str) -> tuple[float, float]:
    """Reads an exported model back.

    Args:
      network: the generator that was exported.
      out: the directory that was written.
    Returns:
      The largest difference from the images of `network`, and seconds for one image.
    Raises:
      OSError: the difference is too large.
    """
    # Make images with all of them.
    z, labels = network.draw(range(_CHECKED_IMAGES))
    expected = network.generate(z, labels)
    signatures = tf.saved_model.load(out).signatures
    of_saved_model = signatures["floats"](z=z, labels=labels)["images"].numpy()
    keras_file = os.path.join(out, trained.KERAS_FILE)
    keras_model = keras.saving.load_model(keras_file, compile=False)
    of_keras_model = keras_model([z, labels], training=False).numpy()
    hub_model = keras.saving.load_model(out, compile=False)
    of_hub_model = hub_model([z, labels], training=False).numpy()

    # Refuse a model that makes other images, or NaN.
    difference = max(
        _largest_difference(of_saved_model, expected),
        _largest_difference(of_keras_model, expected),
        _largest_difference(of_hub_model, expected),
    )
    if not difference <= TOLERANCE:
        raise OSError(f"what was read back makes images that differ by {difference:.1e}")
    return difference, _seconds_of_one_image(
        signatures["serving_default"], z[:1], labels=labels[:1]
    )


def _largest_difference(images: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(images - expected).max())


def _seconds_of_one_image(signature: Callable, z: tf.Tensor, *, labels: tf.Tensor) -> float:
    """The median time of a call."""
    times = []
    for _ in range(1 + _TIMED_IMAGES):
        began = time.perf_counter()
        signature(z=z, labels=labels)["images"].numpy()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])  # The first call warms up.


def _megabytes(path: str) -> float:
    """Size of a file, or of all files below a directory."""
    if os.path.isfile(path):
        return os.path.getsize(path) / 1e6
    size = 0
    for folder, _, names in os.walk(path):
        size += sum(os.path.getsize(os.path.join(folder, name)) for name in names)
    return size / 1e6
