"""Files of a run: written whole or not at all, locked, mapped into memory, read safely.

An error of writing becomes one clear line.
"""

import contextlib
import errno
import hashlib
import json
import mmap
import os
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Optional

import filelock
import numpy as np
import psutil
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import memory

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
# What NumPy and zipfile raise for a file that is not whole, or is no .npz.
NPZ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tf.errors.OpError,
)
_ZIP = b"PK"  # The first bytes of an .npz.
# What the operating system says where a file system has no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
# The boot time that psutil subtracts has whole seconds, and may be rounded the other way next time.
_SAME_START_SECONDS = 1.5


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(getattr(error, "message", None) or error).splitlines()
    if lines and lines[0].startswith("Graph execution error"):  # The cause comes last.
        lines = [line for line in lines if line and not line.startswith((" ", "\t"))][-1:]
    return lines[0] if lines else type(error).__name__


def open_npz(file: BinaryIO) -> np.lib.npyio.NpzFile:
    """The archive in a file that is open for reading. Raises one of `NPZ_ERRORS`.

    NumPy takes what is no archive for a pickle, and its error advises to allow that.
    """
    if file.read(len(_ZIP)) != _ZIP:
        raise ValueError("it is not an .npz file")
    file.seek(0)
    return np.load(file)


@contextlib.contextmanager
def writing(directory: str) -> Iterator[None]:
    """Turns an error of writing below `directory` into a `errors.UserError` of one line.

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


def require_writable(path: str) -> None:
    """Finds out whether a file can be written, before its content is computed.

    Makes the folders that it lies in. A file of this name stays as it is.

    Raises:
      OSError: it cannot be written, or there is a directory of this name.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "there is a directory of this name")
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        pass


def require_writable_output(flag: str, path: str) -> None:
    """Finds out whether the output that a flag names can be written, as `require_writable`.

    Raises:
      errors.UserError: it cannot; the message begins with "--flag=path".
    """
    with writing(f"--{flag}={path}"):
        require_writable(path)


@contextlib.contextmanager
def replaced(path: str) -> Iterator[str]:
    """A name for a new file or directory, which takes the place of `path` if the body succeeds.

    It has the ending of `path`. If the body fails, what was written is removed. A reader, or a
    kill, never sees half of it. An empty directory of the name `path` is replaced too.

    Raises:
      OSError: the folder cannot be written, or `path` is a directory with content.
    """
    # Other file systems, as gs://, show a file only when it is closed.
    if is_remote(path):
        yield path + ".tmp"
        tf.io.gfile.rename(path + ".tmp", path, overwrite=True)
        return

    # Write in a folder of its own beside the final place, on the same disk.
    folder, name = os.path.split(os.path.realpath(path))
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as own:
        written = os.path.join(own, name)
        yield written

        # Give it its name.
        if os.path.isdir(path):
            os.rmdir(os.path.realpath(path))  # It must be empty.
        os.replace(written, os.path.join(folder, name))


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file whole or not at all. Raises OSError or tf.errors.OpError."""
    with replaced(path) as written, tf.io.gfile.GFile(written, "wb") as file:
        file.write(content)


def write_whole(path: str, text: str) -> None:
    """Writes a text file, in UTF-8, whole or not at all. Raises as `write_bytes`."""
    write_bytes(path, text.encode())


def write_output(flag: str, path: str, *, content: bytes) -> None:
    """Writes the output that a flag names, as `write_bytes`.

    Raises:
      errors.UserError: it cannot be written; the message begins with "--flag=path".
    """
    with writing(f"--{flag}={path}"):
        write_bytes(path, content)


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
    """Holds a lock on a file, which is made if needed; the lock of a dead process is free.

    The file names its holder (`lock_holder`). Remote files (gs://), and files of network file
    systems without locks, are not locked.

    Args:
      path: of the file.
      refusal: what to say if another process holds the lock; without it, wait for the lock.
    Raises:
      errors.UserError: another process holds it; the message is `refusal`.
    """
    if is_remote(path):
        yield
        return

    # Take the lock.
    lock = filelock.FileLock(path, timeout=0 if refusal else -1, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise errors.UserError(refusal) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise

    # Hold it. The lock counts, not the name: a full disk has no room for the name.
    if lock.is_locked:
        with contextlib.suppress(OSError):
            _write_holder(path)
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
            lock.release()


def lock_holder(path: str) -> Optional[psutil.Process]:
    """The process of this machine that holds a lock of `locked`; None if there is none.

    Reads the file and takes no lock, so that it is never in the way of a process that wants one.
    A process of an older release, which does not write its name, is not found.
    """
    try:
        holder = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        process = psutil.Process(holder["pid"])
        apart = abs(memory.start_after_boot(process) - holder["started"])
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    same = apart < _SAME_START_SECONDS  # Else the number has gone to another process.
    return process if alive and same else None


def _write_holder(path: str) -> None:
    process = psutil.Process()
    holder = {"pid": process.pid, "started": memory.start_after_boot(process)}
    pathlib.Path(path).write_text(json.dumps(holder) + "\n", encoding="utf-8")


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
    """Takes the pages of a mapped file out of this process's memory; they stay in the file.

    Until then, all that was read or written of a large map counts as the process's memory. Does
    nothing for other arrays.
    """
    # The map is the last in the chain of what an array looks into.
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap):
        array.madvise(mmap.MADV_DONTNEED)


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
