"""Writing to a run directory: whole or not at all, and one clear line when it cannot be done."""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from sagan_tf import errors

# What TensorFlow and the operating system raise when a directory cannot be written.
_WRITE_ERRORS = (
    OSError,
    tf.errors.ResourceExhaustedError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
    tf.errors.FailedPreconditionError,
    tf.errors.NotFoundError,
    tf.errors.InternalError,
    tf.errors.DataLossError,
    tf.errors.UnavailableError,
    tf.errors.UnimplementedError,
    tf.errors.AlreadyExistsError,
)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(getattr(error, "message", None) or error).splitlines()
    if lines and lines[0].startswith("Graph execution error"):  # What it is comes last.
        lines = [line for line in lines if line and not line.startswith((" ", "\t"))][-1:]
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def writing(directory: str) -> Iterator[None]:
    """Turns an error of writing below `directory` into a `config.UserError` of one line.

    Args:
      directory: a run's, or "--flag=value" of another output.
    """
    try:
        yield
    except _WRITE_ERRORS as error:
        kept = "directory. Checkpoints written before stay as they are"
        raise errors.UserError(
            f"{directory}: cannot be written to ({first_line(error)}); free space, or choose "
            f"another {'place' if directory.startswith('--') else kept}"
        ) from error


def write_whole(path: str, text: str) -> None:
    """Writes a text file so that a reader, or a kill, never sees half of it."""
    with tf.io.gfile.GFile(path + ".tmp", "w") as file:
        file.write(text)
    tf.io.gfile.rename(path + ".tmp", path, overwrite=True)


def require_writable(path: str) -> None:
    """Finds out whether a file can be written, before what is to be in it is made.

    Folders that it lies in are made; it stays as it is.

    Raises:
      OSError: it cannot, or there is a directory of this name.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "there is a directory of this name")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path) or "."):
        pass


@contextlib.contextmanager
def replaced(path: str) -> Iterator[str]:
    """A name for a file or directory, which becomes `path` at the end if all went well.

    Otherwise it goes. It has the ending of `path` and lies beside it. An empty directory of the
    name `path` makes way. Raises OSError.
    """
    folder, name = os.path.split(os.path.realpath(path))
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as own:
        written = os.path.join(own, name)
        yield written
        if os.path.isdir(path):
            os.rmdir(os.path.realpath(path))  # It must be empty.
        os.replace(written, os.path.join(folder, name))


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file whole or not at all. Raises OSError."""
    with replaced(path) as written, open(written, "wb") as file:
        file.write(content)


def read_lines(path: str) -> list[str]:
    """The lines of a text file; what is no text in it becomes question marks."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read().decode("utf-8", "replace").splitlines()


def append_line(path: str, line: str) -> None:
    """Adds a line to a text file; one before it that was cut off does not swallow it."""
    text = ("" if _ends_whole(path) else "\n") + line + "\n"
    with tf.io.gfile.GFile(path, "a") as file:
        file.write(text)


def _ends_whole(path: str) -> bool:
    """Whether the last line of a text file has its end; also where there is none."""
    if not tf.io.gfile.exists(path):
        return True
    length = tf.io.gfile.stat(path).length
    with tf.io.gfile.GFile(path, "rb") as file:
        file.seek(max(length - 1, 0))
        return file.read(1) in (b"", b"\n")


def sha256(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@contextlib.contextmanager
def locked(path: str, refusal: str = "") -> Iterator[None]:
    """Holds a lock on a file, which is made if needed; the system lets go of a dead holder's.

    Without a `refusal` it waits for its turn.

    What cannot be locked (gs://, some network file systems) is not.

    Raises:
      config.UserError: somebody else holds it; the message is `refusal`.
    """
    if is_remote(path):
        yield
        return
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError as error:
            raise errors.UserError(refusal) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield


def new_array(path: str, shape: tuple[int, ...]) -> np.memmap:
    """A float32 array in a new .npy file, mapped into memory.

    Raises:
      OSError: there is no space for it. (Found later it would be a SIGBUS.)
    """
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
    return array


def forget(array: np.ndarray) -> None:
    """Takes a mapped file's pages out of this process; they stay in the file.

    What was read or written of a large map counts as the process's memory until then. Does nothing
    for other arrays.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def sync(*paths: str) -> None:
    """Returns when files and directories have reached the disk; does nothing for remote ones."""
    for path in paths:
        if not is_remote(path):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def is_remote(path: str) -> bool:
    """Whether a path belongs to another file system than the machine's, as gs:// does."""
    return "://" in path
