"""Index of record files: where each record begins, so that a pipeline starts anywhere."""

import dataclasses
import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime.files import is_remote

DAMAGED = "the file is damaged or truncated there; make it again"
_HEADER = 12  # Bytes: length of the payload (uint64) and its checksum.
_FOOTER = 4  # Bytes: checksum of the payload.
_FARTHEST = 2**62  # Beyond the end of any file.
_THREADS = 16
# Records that are read from a block before the next block follows.
BLOCK_LENGTH = 16


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

    def blocks(self, size: int) -> "RecordRanges":
        """All records in blocks of `size` neighbours (a file's last block may be smaller)."""
        # Find where each block begins, and how many records it has.
        starts = np.flatnonzero(self.number_in_file % size == 0)
        counts = np.diff(np.append(starts, len(self.offsets)))
        file = self.file_of[starts]

        # Find where it ends: at the next record, or at the end of the file.
        last = starts + counts - 1
        ends = np.append(self.offsets[1:], 0)[last]
        is_last_of_file = self.number_in_file[last] == self.counts[file] - 1
        ends = np.where(is_last_of_file, self.sizes[file], ends)

        offsets = self.offsets[starts]
        return RecordRanges(file, offsets, ends - offsets, counts)

    def records(self, numbers: np.ndarray) -> "RecordRanges":
        """Single records, as ranges of one; of their lengths only the mean is known."""
        mean_length = int(self.sizes.sum() // max(len(self.offsets), 1))
        lengths = np.full(len(numbers), mean_length)
        ones = np.ones(len(numbers), np.int64)
        return RecordRanges(self.file_of[numbers], self.offsets[numbers], lengths, ones)

    @property
    def _first(self) -> np.ndarray:
        return np.cumsum(self.counts) - self.counts


@dataclasses.dataclass(frozen=True)
class RecordRanges:
    """Ranges of neighbouring records: number of the file, offset, length in bytes, and count.

    All int64 [ranges]. The length is what to read at once, not a promise.
    """

    file: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    count: np.ndarray


def fingerprint(index: Index, numbers: np.ndarray) -> str:
    """SHA-256 over the lengths and checksums that the files themselves hold of some records.

    The same images in the same order give the same value, wherever the files lie and whatever
    they are called. On a remote file system so many small reads would take hours. There it is of
    the files' names, sizes and times, and of the numbers.

    Args:
      index: of all records.
      numbers: int [records], which, ascending.
    Returns:
      "crc32c:..." or "stat:...", with 64 hexadecimal digits.
    """
    # Remote files: their names, sizes and times.
    if any(is_remote(name) for name in index.files):
        status = []
        for name in index.files:
            found = tf.io.gfile.stat(name)
            status.append((os.path.basename(name), found.length, found.mtime_nsec))
        content = repr(status).encode() + np.asarray(numbers, np.int64).tobytes()
        return f"stat:{hashlib.sha256(content).hexdigest()}"

    # Local files: what they hold of each record.
    file_of = index.file_of[numbers]
    offsets = [index.offsets[numbers[file_of == number]] for number in range(len(index.files))]
    digest = hashlib.sha256()
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        for checksums in pool.map(_checksums, index.files, offsets):
            digest.update(checksums)
    return f"crc32c:{digest.hexdigest()}"


def _checksums(filename: str, offsets: np.ndarray) -> bytes:
    """Length and masked CRC32C of the payload of the records of a file that begin at offsets."""
    found = []
    with open(filename, "rb") as file:
        for offset in offsets.tolist():
            length = os.pread(file.fileno(), 8, offset)
            end = offset + _HEADER + struct.unpack("<Q", length)[0]
            checksum = os.pread(file.fileno(), _FOOTER, end)
            found.append(length + checksum)
    return b"".join(found)


def build(files: Sequence[str]) -> Index:
    """Looks into the files, hopping from header to header; nothing else is read.

    Raises:
      errors.UserError: a file does not end where a record does.
      OSError, tf.errors.OpError: a file cannot be read.
    """
    # Scan the files.
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(scan, files))
    for name, (offsets, size) in zip(files, found):
        check_end(name, offsets, size=size)

    # Put them together; the last offset of each is its end.
    sizes = np.array([size for _, size in found], np.int64)
    counts = np.array([len(offsets) - 1 for offsets, _ in found], np.int64)
    offsets = np.concatenate([offsets[:-1] for offsets, _ in found])
    return Index(tuple(files), sizes, counts, offsets)


def check_end(filename: str, offsets: np.ndarray, *, size: int) -> None:
    """Raises errors.UserError if a file of `size` bytes does not end where a record does."""
    if offsets[-1] != size:
        number = len(offsets) - 1 - (offsets[-1] > size)
        raise errors.UserError(f"{filename}: record {number} cannot be used: {DAMAGED}")


def scan(filename: str) -> tuple[np.ndarray, int]:
    """int64 [records + 1], where each record begins and the last one ends; size of the file.

    The last entry differs from the size when the file is damaged.
    """
    # Raises TensorFlow's errors for what cannot be opened; reads a remote file.
    with tf.io.gfile.GFile(filename, "rb") as remote:
        if is_remote(filename):
            size = tf.io.gfile.stat(filename).length
            return _hop(lambda position: _seek_and_read(remote, position), size), size

    # Reads a local file, without TensorFlow's buffer.
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
    """Goes from header to header: where each record begins, and where the last one ends.

    Args:
      read: gives the 8 bytes at a position.
      size: bytes of the file.
    """
    offsets = [0]
    position = 0
    while position + _HEADER <= size:
        (length,) = struct.unpack("<Q", read(position))
        position += _HEADER + length + _FOOTER
        # A damaged length need not fit into an int64.
        position = min(position, _FARTHEST)
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
      offsets, lengths, counts: int64 [blocks], as in `RecordRanges`.
      parallelism: blocks read at the same time. The order does not depend on it as long as `counts`
        are up to `BLOCK_LENGTH`.
    """
    blocks = tf.data.Dataset.from_tensor_slices((filenames, offsets, lengths, counts))
    return blocks.interleave(
        _read_block,
        cycle_length=parallelism,
        block_length=BLOCK_LENGTH,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


# There is no Python's control flow on tensors in it: AutoGraph need not read its source.
@tf.autograph.experimental.do_not_convert
def _read_block(filename, offset, length, count) -> tf.data.Dataset:
    # The public TFRecordDataset does not pass byte offsets on to its op.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[filename], compression_type="", buffer_size=length, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(count)
