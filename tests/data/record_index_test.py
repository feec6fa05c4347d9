import hashlib
import itertools
import re
import struct

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.data import record_index

DAMAGED = "the file is damaged or truncated there; make it again"
HEADER, FOOTER = 12, 4


def write(path, payloads):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    return str(path)


def payloads_of(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.bytes(length) for length in lengths]


def offsets_of(payloads):
    """Where each record begins, and where the last one ends."""
    return [0, *itertools.accumulate(HEADER + len(payload) + FOOTER for payload in payloads)]


@pytest.fixture(name="contents", scope="module")
def fixture_contents():
    """Payloads of five files: 37 of all lengths, an empty one too; none; 1; 16; none."""
    return [
        payloads_of([5 + 11 * i % 190 for i in range(36)] + [0]),
        [],
        payloads_of([3000], 1),
        payloads_of([20] * 16, 2),
        [],
    ]


@pytest.fixture(name="files", scope="module")
def fixture_files(tmp_path_factory, contents):
    directory = tmp_path_factory.mktemp("files")
    return [write(directory / f"{i}.tfrecords", part) for i, part in enumerate(contents)]


@pytest.fixture(name="index", scope="module")
def fixture_index(files):
    return record_index.build(files)


def read(files, blocks, parallelism=1):
    names = [files[number] for number in blocks.file]
    return list(
        record_index.read(
            names,
            blocks.offset,
            lengths=blocks.length,
            counts=blocks.count,
            parallelism=parallelism,
        ).as_numpy_iterator()
    )


def test_scan_finds_the_beginning_of_each_record_and_the_end(files, contents):
    for name, part in zip(files, contents):
        offsets, size = record_index.scan(name)
        assert offsets.tolist() == offsets_of(part)
        assert size == tf.io.gfile.stat(name).length == offsets_of(part)[-1]


def test_scan_of_a_remote_file_finds_the_same(files, contents):
    for name, part in zip(files, contents):
        offsets, size = record_index.scan("file://" + name)
        assert offsets.tolist() == offsets_of(part)
        assert size == offsets_of(part)[-1]


def test_scan_of_a_missing_file_names_it(tmp_path):
    with pytest.raises((OSError, tf.errors.NotFoundError), match="absent.tfrecords"):
        record_index.scan(str(tmp_path / "absent.tfrecords"))


def test_build_lays_the_files_one_after_the_other(index, files, contents):
    assert index.files == tuple(files)
    assert index.counts.tolist() == [37, 0, 1, 16, 0]
    assert index.sizes.tolist() == [offsets_of(part)[-1] for part in contents]
    assert index.offsets.tolist() == [
        offset for part in contents for offset in offsets_of(part)[:-1]
    ]
    assert index.file_of.tolist() == [0] * 37 + [2] + [3] * 16
    assert index.number_in_file.tolist() == [*range(37), 0, *range(16)]


def test_build_of_empty_files_finds_nothing(files):
    index = record_index.build([files[1], files[4]])
    assert (len(index.offsets), index.counts.tolist()) == (0, [0, 0])
    assert len(index.blocks(16).file) == 0


@pytest.mark.parametrize("size", [1, 5, 16, 37, 1000])
def test_blocks_hold_the_bytes_of_neighbours_of_one_file(index, contents, size):
    expected = []
    for number, part in enumerate(contents):
        offsets = offsets_of(part)
        for first in range(0, len(part), size):
            last = min(first + size, len(part))
            expected.append((number, offsets[first], offsets[last] - offsets[first], last - first))
    blocks = index.blocks(size)
    assert (
        list(
            zip(
                blocks.file.tolist(),
                blocks.offset.tolist(),
                blocks.length.tolist(),
                blocks.count.tolist(),
            )
        )
        == expected
    )


@pytest.mark.parametrize("parallelism", [1, 3, 64])
def test_read_gives_what_tensorflow_reads(index, files, parallelism):
    expected = [
        record for name in files for record in tf.data.TFRecordDataset(name).as_numpy_iterator()
    ]
    assert len(expected) == 54
    assert read(files, index.blocks(record_index.BLOCK_LENGTH), parallelism) == expected


def test_each_block_gives_its_own_records(index, files):
    blocks = index.blocks(5)
    of_file = {
        number: list(tf.data.TFRecordDataset(name).as_numpy_iterator())
        for number, name in enumerate(files)
    }
    firsts = [
        sum(blocks.count[:i][blocks.file[:i] == blocks.file[i]]) for i in range(len(blocks.file))
    ]
    for i in reversed(range(len(blocks.file))):
        one = record_index.RecordRanges(
            *(
                values[i : i + 1]
                for values in (blocks.file, blocks.offset, blocks.length, blocks.count)
            )
        )
        assert read(files, one) == of_file[blocks.file[i]][firsts[i] : firsts[i] + blocks.count[i]]


def test_the_length_of_a_block_is_no_promise(index, files, contents):
    blocks = index.blocks(7)
    for length in (1, 100, 10**6):
        lengths = np.full(len(blocks.file), length)
        wrong = record_index.RecordRanges(blocks.file, blocks.offset, lengths, blocks.count)
        assert read(files, wrong) == [record for part in contents for record in part]


def test_records_are_read_in_any_order(index, files, contents):
    everything = [record for part in contents for record in part]
    numbers = np.array([53, 0, 36, 37, 0, 20])
    assert read(files, index.records(numbers), 3) == [everything[i] for i in numbers]


@pytest.mark.parametrize(
    ("keep", "record"),
    [
        (3 * 56 + 30, 3),  # in the payload of record 3
        (3 * 56 + 7, 3),  # in its header
        (3 * 56 + 12, 3),  # after its header
        (4 * 56 - 1, 3),  # in its last checksum
        (9 * 56 + 55, 9),  # in the last record
        (5, 0),
    ],
)
def test_file_cut_in_a_record_is_named(tmp_path, files, keep, record):
    path = tmp_path / "cut.tfrecords"
    write(path, payloads_of([40] * 10))
    whole = path.read_bytes()
    assert len(whole) == 10 * 56
    path.write_bytes(whole[:keep])
    expected = f"{path}: record {record} cannot be used: {DAMAGED}"
    with pytest.raises(errors.UserError, match=f"^{re.escape(expected)}$"):
        record_index.build([files[0], str(path), files[2]])


def test_file_cut_between_records_is_a_shorter_file(tmp_path):
    path = tmp_path / "cut.tfrecords"
    write(path, payloads_of([40] * 10))
    path.write_bytes(path.read_bytes()[: 6 * 56])
    assert record_index.build([str(path)]).counts.tolist() == [6]


def test_trailing_bytes_are_named_as_the_record_after_the_last(tmp_path):
    path = tmp_path / "trailing.tfrecords"
    write(path, payloads_of([40] * 10))
    path.write_bytes(path.read_bytes() + b"12345")
    expected = f"{path}: record 10 cannot be used: {DAMAGED}"
    with pytest.raises(errors.UserError, match=f"^{re.escape(expected)}$"):
        record_index.build([str(path)])


@pytest.mark.parametrize("length", [41, 1000, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_damaged_length_of_a_header_is_named(tmp_path, length):
    path = tmp_path / "huge.tfrecords"
    write(path, payloads_of([40] * 10))
    content = bytearray(path.read_bytes())
    content[9 * 56 : 9 * 56 + 8] = struct.pack("<Q", length)
    path.write_bytes(content)
    expected = f"{path}: record 9 cannot be used: {DAMAGED}"
    with pytest.raises(errors.UserError, match=f"^{re.escape(expected)}$"):
        record_index.build([str(path)])


@pytest.mark.parametrize("place", [HEADER, HEADER + 39, 9, 52])
def test_flipped_byte_of_a_record_raises_when_it_is_read(tmp_path, place):
    """First and last of the payload, checksum of the header, checksum of the payload."""
    path, payloads = tmp_path / "flipped.tfrecords", payloads_of([40] * 10)
    write(path, payloads)
    content = bytearray(path.read_bytes())
    content[6 * 56 + place] ^= 1
    path.write_bytes(content)
    index = record_index.build([str(path)])
    assert index.counts.tolist() == [10]
    assert read(index.files, index.records(np.array([5, 7, 9]))) == [
        payloads[5],
        payloads[7],
        payloads[9],
    ]
    with pytest.raises(tf.errors.DataLossError):
        read(index.files, index.records(np.array([6])))
    with pytest.raises(tf.errors.DataLossError):
        read(index.files, index.blocks(16))


def test_fingerprint_is_of_the_records_and_not_of_their_files(tmp_path):
    payloads = payloads_of([50, 60, 70, 80])
    whole = record_index.build([write(tmp_path / "whole", payloads)])
    parts = record_index.build(
        [write(tmp_path / "a", payloads[:1]), write(tmp_path / "b", payloads[1:])]
    )
    everything = np.arange(4)
    expected = record_index.fingerprint(whole, everything)
    assert re.fullmatch("crc32c:[0-9a-f]{64}", expected)
    assert record_index.fingerprint(parts, everything) == expected
    assert record_index.fingerprint(whole, everything[1:]) != expected
    payloads[2] = payloads[2][:-1] + bytes([payloads[2][-1] ^ 1])
    changed = record_index.build([write(tmp_path / "whole", payloads)])
    assert record_index.fingerprint(changed, everything) != expected
    assert record_index.fingerprint(changed, np.array([0, 1, 3])) == record_index.fingerprint(
        whole, np.array([0, 1, 3])
    )


def test_fingerprint_is_the_sha256_of_lengths_and_checksums(tmp_path):
    content = b"some bytes"
    path = write(tmp_path / "one", [content])
    framed = (tmp_path / "one").read_bytes()  # length, its CRC, payload, the payload's CRC
    digest = hashlib.sha256(struct.pack("<Q", len(content)) + framed[-4:]).hexdigest()
    assert record_index.fingerprint(record_index.build([path]), np.array([0])) == f"crc32c:{digest}"
