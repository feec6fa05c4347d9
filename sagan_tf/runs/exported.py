"""Exported models: where their files are, what they say of themselves, and their networks."""

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.runs import exported_sampling
from sagan_tf.runs.card import CARD_FILE, Card, card_from_json
from sagan_tf.runtime import files

KERAS_FILE = "generator.keras"
_ENDING = ".keras"

# What reading a file raises that is not an exported model.
_READ_ERRORS = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    zipfile.BadZipFile,
    EOFError,
    errors.UserError,
)


def is_exported(path: str) -> bool:
    """Whether a path is what `viewing.export.export` wrote, or the `.keras` file in it."""
    return tf.io.gfile.exists(keras_file(path))


def keras_file(path: str) -> str:
    """The `.keras` file of an exported model, given as its directory or as that file."""
    return path if path.endswith(_ENDING) else os.path.join(path, KERAS_FILE)


def eval_directory(path: str) -> str:
    """Where an exported model's scores go: `eval` beside its `.keras` file.

    A file of another name than export gives has a directory of its own in there.
    """
    folder, name = os.path.split(keras_file(path))
    own = "" if name == KERAS_FILE else name.removesuffix(_ENDING)
    return os.path.join(folder, "eval", own).rstrip("/")


def read_card(path: str) -> Card:
    """What an exported model says of itself.

    Raises:
      errors.UserError: it is no such model.
    """
    with _reading(path), zipfile.ZipFile(keras_file(path)) as archive:
        return card_from_json(archive.read(CARD_FILE).decode())


def load(path: str) -> keras.Model:
    """The network of an exported model, as `viewing.folding.fold` returns it.

    Raises:
      errors.UserError: it is no such model.
    """
    with _reading(path):
        return keras.saving.load_model(keras_file(path), compile=False)


def fitting(
    card: Card,
    step: int,
    *,
    use_ema: bool,
    sampling: config.Sampling,
    path: str,
    note: Callable[[str], None],
    flag: str = "step",
) -> Card:
    """The card of an exported model as flags ask for it.

    Args:
      card: of the model.
      step: that is asked for; -1: any.
      use_ema: whether the moving average is asked for.
      sampling: that is asked for, as of `exported_sampling.fitting`.
      path: of the model.
      note: told where truncation and statistics do not fit together, and where classes mean
        nothing.
      flag: that names the step, for errors.
    Raises:
      errors.UserError: the model does not have what is asked for.
    """
    if step not in (-1, card.step):
        raise errors.UserError(f"--{flag}={step}: {path} holds only step {card.step}")
    if use_ema and not card.use_ema:
        raise errors.UserError(f"--use_ema: {path} was exported without --use_ema")
    if card.model_config.note_on_classes:
        note(card.model_config.note_on_classes)
    return exported_sampling.fitting(card, sampling, path=path, note=note)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns what reading another file raises into one line."""
    try:
        yield
    except _READ_ERRORS as error:
        raise errors.UserError(
            f"--run={path}: expected a model that export wrote ({files.first_line(error)}); export "
            "it again"
        ) from error
