"""Where each record begins: lets a pipeline start anywhere in a file of records."""

import dataclasses
import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import files as runtime_files

DAMAGED = "the file is damaged or truncated there; make it again"
_HEADER, _FOOTER = 12, 4  # length (uint64) and its CRC; CRC of the payload
_THREADS = 16
# Records that are read from a block before the next one's turn.
TURN = 16


@dataclasses.dataclass(frozen=True)
class Index:
    """The records of some files, the files one after the other.

    Attributes:
      files: their names.
      sizes: int64 [files], bytes of each file.
      counts: int64 [files], records of each file.
      offsets: int64 [records], where a record begins in its file, bytes.
    """

    files: tuple[str, ...]
    sizes: np.ndarray
    counts: np.ndarray
    offsets: np.ndarray

    @property
    def file_of(self) -> np.ndarray:
        """int64 [records], number of the file that holds a record."""
        return np.repeat(np.arange(len(self.files)), self.counts)

    @property
    def number_in_file(self) -> np.ndarray:
        """int64 [records], a record's number in its file, from 0."""
        return np.arange(len(self.offsets)) - np.repeat(self._first, self.counts)

    def blocks(self, size: int) -> "Blocks":
        """All records in blocks of `size` neighbours (a file's last block may be smaller)."""
        starts = np.flatnonzero(self.number_in_file % size == 0)
        counts = np.diff(np.append(starts, len(self.offsets)))
        file = self.file_of[starts]
        last = starts + counts - 1
        ends = np.append(self.offsets[1:], 0)[last]
        is_last_of_file = self.number_in_file[last] == self.counts[file] - 1
        ends = np.where(is_last_of_file, self.sizes[file], ends)
        return Blocks(file, self.offsets[starts], ends - self.offsets[starts], counts)

    def records(self, numbers: np.ndarray) -> "Blocks":
        """Single records, as blocks of one."""
        ones = np.ones(len(numbers), np.int64)
        length = np.full(len(numbers), int(self.sizes.sum() // max(len(self.offsets), 1)))
        return Blocks(self.file_of[numbers], self.offsets[numbers], length, ones)

    @property
    def _first(self) -> np.ndarray:
        return np.cumsum(self.counts) - self.counts


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Neighbouring records: number of their file, offset and length in bytes, and their count.

    All int64 [blocks]. The length is what to read at once, not a promise.
    """

    file: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    count: np.ndarray


def fingerprint(index: Index, numbers: np.ndarray) -> str:
    """SHA-256 over the lengths and checksums that the files themselves hold of some records.

    The same images in the same order give the same value, wherever the files lie and whatever
    they are called. On a remote file system, where so many small reads would take hours, it is of
    the files' names, sizes and times, and of the numbers.

    Args:
      index: of all records.
      numbers: int [records], which, ascending.
    Returns:
      "crc32c:..." or "stat:...", with 64 hexadecimal digits.
    """
    if any(runtime_files.is_remote(name) for name in index.files):
        status = [
            (os.path.basename(name), found.length, found.mtime_nsec)
            for name, found in ((name, tf.io.gfile.stat(name)) for name in index.files)
        ]
        content = repr(status).encode() + np.asarray(numbers, np.int64).tobytes()
        return f"stat:{hashlib.sha256(content).hexdigest()}"
    file_of = index.file_of[numbers]
    places = [
        (name, index.offsets[numbers[file_of == number]]) for number, name in enumerate(index.files)
    ]
    digest = hashlib.sha256()
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(_checksums, places):
            digest.update(found)
    return f"crc32c:{digest.hexdigest()}"


def _checksums(place: tuple[str, np.ndarray]) -> bytes:
    """Length and masked CRC32C of the payload of the records of a file that begin at offsets."""
    name, offsets = place
    found = []
    with open(name, "rb") as file:
        for offset in offsets.tolist():
            header = os.pread(file.fileno(), 8, offset)
            end = offset + _HEADER + struct.unpack("<Q", header)[0]
            found.append(header + os.pread(file.fileno(), _FOOTER, end))
    return b"".join(found)


def build(files: Sequence[str]) -> Index:
    """Looks into the files, hopping from header to header; nothing else is read.

    Raises:
      config.UserError: a file does not end where a record does.
      OSError, tf.errors.OpError: a file cannot be read.
    """
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(scan, files))
    for name, (offsets, size) in zip(files, found):
        check_end(name, offsets, size=size)
    return Index(
        tuple(files),
        np.array([size for _, size in found], np.int64),
        np.array([len(offsets) - 1 for offsets, _ in found], np.int64),
        np.concatenate([offsets[:-1] for offsets, _ in found]),
    )


def check_end(filename: str, offsets: np.ndarray, *, size: int) -> None:
    """Raises config.UserError if a file of `size` bytes does not end where a record does."""
    if offsets[-1] != size:
        number = len(offsets) - 1 - (offsets[-1] > size)
        raise errors.UserError(f"{filename}: record {number} cannot be used: {DAMAGED}")


def scan(filename: str) -> tuple[np.ndarray, int]:
    """int64 [records + 1], where each record begins and the last one ends; size of the file.

    The last entry differs from the size when the file is damaged.
    """
    with tf.io.gfile.GFile(filename, "rb") as remote:
        if runtime_files.is_remote(filename):
            size = tf.io.gfile.stat(filename).length
            return _hop(lambda position: _seek_and_read(remote, position), size), size
    descriptor = os.open(filename, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        return _hop(lambda position: os.pread(descriptor, 8, position), size), size
    finally:
        os.close(descriptor)


def _seek_and_read(file, position: int) -> bytes:
    file.seek(position)
    return file.read(8)


def _hop(read: Callable[[int], bytes], size: int) -> np.ndarray:
    offsets, position = [0], 0
    while position + _HEADER <= size:
        (length,) = struct.unpack("<Q", read(position))
        position += _HEADER + length + _FOOTER
        if position > 2**62:  # A damaged length; it need not fit into an int64.
            position = 2**62
        offsets.append(position)
    return np.array(offsets, np.int64)


def read(
    filenames: tf.Tensor,
    offsets: tf.Tensor,
    *,
    lengths: tf.Tensor,
    counts: tf.Tensor,
    parallelism: int = 1,
) -> tf.data.Dataset:
    """The serialised records of blocks, their checksums verified.

    Args:
      filenames: string [blocks].
      offsets, lengths, counts: int64 [blocks], as in `Blocks`.
      parallelism: blocks read at the same time; the order does not depend on it as long as one
        turn of a block gives all its records (counts up to `TURN`).
    """
    blocks = tf.data.Dataset.from_tensor_slices((filenames, offsets, lengths, counts))
    return blocks.interleave(
        _read_block,
        cycle_length=parallelism,
        block_length=TURN,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _read_block(filename, offset, length, count) -> tf.data.Dataset:
    # The public TFRecordDataset does not pass byte offsets on to its op.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[filename], compression_type="", buffer_size=length, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(count)
