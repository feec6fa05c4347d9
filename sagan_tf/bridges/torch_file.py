"""PyTorch's `.pth` files, read and written without PyTorch; nothing in a file is executed.

| part | zip format (PyTorch 1.6 and later) | old format |
|---|---|---|
| object | `<name>/data.pkl` | the fourth pickle; magic number, protocol and system come before it |
| storages | `<name>/data/<key>` | a pickle of keys; for each key a count (int64) and numbers |
| byte order | `<name>/byteorder`, or little | little |

Source: PyTorch's `torch/serialization.py` (`_save`, `_legacy_save`, `_legacy_load`).
"""

import io
import os
import struct
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import pickle_machine, pickle_writer, torch_objects
from sagan_tf.runtime import files

_MAGIC = 0x1950A86A20F9469CFC6C
_ZIP_START = b"PK\x03\x04"
# Where a tar file has its mark, in a form that all of its writers share.
_TAR_MARK = (257, b"ustar")
# The pickle holds names, shapes and settings, but no numbers: a large network has 1 MiB.
_MOST_PICKLE_BYTES = 1 << 24
# What a damaged file makes the decoders raise.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
# The folder inside of a file that is written here, and what PyTorch's version 3 has beside numbers.
_FOLDER = "archive"
_VERSION = b"3\n"
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def read(path: str) -> object:
    """The object that `torch.save` wrote, with an array in the place of every tensor.

    Tensors and parameters become arrays of their type; bfloat16 becomes float32. Tensors that
    share a storage share memory. An OrderedDict becomes a dictionary, and an object of an unknown
    class a `pickle_machine.Record`.

    Args:
      path: of a local file, in PyTorch's zip format or the one before.

    Raises:
      errors.UserError: there is no such file, it is damaged, or its pickle calls what tensors do
        not need. The message is one line that begins with the path.
    """
    # Open.
    if not os.path.isfile(path):
        what = "is no file" if os.path.exists(path) else "there is no such file"
        raise errors.UserError(f"{path}: {what}; name a .pth file of PyTorch")

    # Read. All that is wrong is the file's.
    try:
        with open(path, "rb") as file:
            return _read(file)
    except errors.UserError as error:
        raise errors.UserError(f"{path}: {error}") from error
    except OSError as error:
        raise errors.UserError(f"{path}: cannot be read ({error.strerror})") from error
    except _DAMAGE as error:
        reason = pickle_machine.shown(files.first_line(error))
        raise errors.UserError(
            f"{path}: damaged, or not a PyTorch file ({reason}); fetch it again"
        ) from error


def _read(file: BinaryIO) -> object:
    """Finds the format by the file's first bytes."""
    # Zip.
    start = file.read(1024)
    if start.startswith(_ZIP_START):
        if not zipfile.is_zipfile(file):
            raise errors.UserError("is cut off: a zip file without its end; fetch it again")
        return _read_zip(file)

    # Neither of the two.
    if not start:
        raise errors.UserError("is empty; fetch it again")
    mark, text = _TAR_MARK
    if start[mark:].startswith(text):
        raise errors.UserError(
            "is a tar file, as PyTorch before 0.1.10 wrote; load and save it with a newer PyTorch"
        )
    file.seek(0)
    return _read_old(file)


def _read_zip(file: BinaryIO) -> object:
    with zipfile.ZipFile(file) as archive:
        # Find the pickle.
        size = os.fstat(file.fileno()).st_size
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise errors.UserError("is a zip file, but not one of PyTorch; name a .pth file")
        folder = pickles[0].removesuffix("data.pkl")
        if folder + "constants.pkl" in names:
            raise errors.UserError("is a TorchScript program; save its state dict with torch.save")
        entries = {entry.filename: entry for entry in _checked(archive.infolist(), size)}
        if entries[pickles[0]].file_size > _MOST_PICKLE_BYTES:
            raise errors.UserError("its pickle has over 16 MiB; save the state dict alone")

        # Find the byte order.
        order = folder + "byteorder"
        big_endian = order in entries and archive.read(order) == b"big"

        # Each storage is read where the pickle first refers to it.
        def fill(key: str, storage: torch_objects.Storage) -> None:
            name = f"{folder}data/{key}"
            if name not in entries or entries[name].file_size != storage.byte_count():
                raise errors.UserError(
                    f"storage {pickle_machine.shown(key)} is missing or has another size "
                    "than its pickle says; fetch it again"
                )
            storage.fill(archive.read(name), big_endian=big_endian)

        # Read.
        storages = torch_objects.Storages(size, on_new=fill)
        return _load(io.BytesIO(archive.read(pickles[0])), storages)


def _checked(entries: list[zipfile.ZipInfo], size: int) -> list[zipfile.ZipInfo]:
    """The entries of a zip file, none of which becomes larger when it is read."""
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise errors.UserError(
                "is a compressed or encrypted zip file, but PyTorch writes plain ones; unpack it"
            )
    total = sum(max(entry.file_size, entry.compress_size) for entry in entries)
    if total > size:
        raise errors.UserError(
            f"its entries are said to have {total:,} bytes, but the file has {size:,}; "
            "fetch it again"
        )
    return entries


def _read_old(file: BinaryIO) -> object:
    # Which format is it? `torch.save` wrote the magic number; another pickle has another object.
    size = os.fstat(file.fileno()).st_size
    storages = torch_objects.Storages(size)
    if _next(file, storages) != _MAGIC:
        raise errors.UserError("is a pickle, but not one of torch.save; name a .pth file")
    protocol = _next(file, storages)
    if protocol != 1001:
        raise errors.UserError("has an unknown version; load and save it with a newer PyTorch")
    _next(file, storages)  # the sizes of C's types

    # The object, whose storages hold zeros until they are read.
    read_object = _next(file, storages)
    keys = _next(file, storages)
    if sorted(map(_text, keys)) != sorted(storages.table):
        raise ValueError("its list of storages is not that of its tensors")

    # The numbers.
    for key in keys:
        storage = storages.table[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != len(storage.numbers):
            raise errors.UserError(
                f"storage {pickle_machine.shown(key)} has {count:,} numbers, but its pickle says "
                f"{len(storage.numbers):,}; fetch it again"
            )
        storage.fill(file.read(storage.byte_count()))
    return read_object


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError("the key of a storage is no text")
    return key


def _next(file: BinaryIO, storages: torch_objects.Storages) -> object:
    """The object of the pickle where a file stands; the file stands behind it afterwards."""
    start = file.tell()
    stream = io.BytesIO(file.read(_MOST_PICKLE_BYTES))
    read_object = _load(stream, storages)
    file.seek(start + stream.tell())
    return read_object


def _load(stream: io.BytesIO, storages: torch_objects.Storages) -> object:
    return pickle_machine.load(stream, calls=storages.calls(), persistent=storages.find)


def write(path: str, state: dict) -> None:
    """Writes a file that `torch.load(path, weights_only=True)` reads, whole or not at all.

    The same state gives the same bytes.

    Args:
      path: of a local file; its folder exists.
      state: name -> array, which PyTorch reads as a tensor of the same type. There may also be
        text, numbers, None, and dictionaries, lists and tuples of all these.

    Raises:
      errors.UserError: something in `state` is none of these, or has a type of numbers that
        PyTorch does not have. The message names it.
      OSError: the file cannot be written.
    """
    # All faults of the state come before the file.
    content, arrays = pickle_writer.pickled(state)

    # Write.
    with files.replaced(path) as written, zipfile.ZipFile(written, "w") as archive:
        for name, data in _parts(content, arrays):
            archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}", _NO_DATE), data)


def _parts(content: bytes, arrays: list[np.ndarray]) -> Iterable[tuple[str, bytes]]:
    """Name and bytes of each entry of the zip file, in PyTorch's order."""
    yield "data.pkl", content
    yield "byteorder", b"little"
    for key, array in enumerate(arrays):
        yield f"data/{key}", array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    yield "version", _VERSION
