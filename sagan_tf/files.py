"""Writing to a run directory: whole or not at all, and one clear line when it cannot be done."""

import contextlib
import hashlib
from collections.abc import Iterator

import tensorflow as tf

from sagan_tf import config as config_lib

# What TensorFlow and the operating system raise when a directory cannot be written.
_WRITE_ERRORS = (OSError, tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError,
                 tf.errors.UnknownError, tf.errors.FailedPreconditionError,
                 tf.errors.NotFoundError, tf.errors.InternalError, tf.errors.DataLossError,
                 tf.errors.UnavailableError, tf.errors.UnimplementedError)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(getattr(error, "message", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def writing(directory: str) -> Iterator[None]:
    """Turns an error of writing below `directory` into a `config.UserError` of one line."""
    try:
        yield
    except _WRITE_ERRORS as error:
        raise config_lib.UserError(
            f"{directory}: cannot be written to ({first_line(error)}); free space, or choose "
            "another --checkpoint_dir. Checkpoints written before stay as they are") from error


def write_whole(path: str, text: str) -> None:
    """Writes a text file so that a reader, or a kill, never sees half of it."""
    with tf.io.gfile.GFile(path + ".tmp", "w") as file:
        file.write(text)
    tf.io.gfile.rename(path + ".tmp", path, overwrite=True)


def sha256(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
