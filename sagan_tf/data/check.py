"""Check of a directory of records: reads every record and says what is wrong, record by record."""

import contextlib
import dataclasses
import os
import sys
from typing import Optional, TextIO

import numpy as np
import tensorflow as tf
import tqdm
from google.protobuf import message

from sagan_tf import errors
from sagan_tf.config import CheckConfig
from sagan_tf.data import (
    check_report,
    dataset,
    dataset_info,
    faults,
    originals,
    record_index,
    records,
    tfds_directory,
)
from sagan_tf.data.check_report import Fault, Findings
from sagan_tf.runtime.files import first_line, sha256

_BATCH = 64
_ANY = 2**31 - 1  # As many classes as a label can tell apart.
_TRIED = 64  # Records of a file that are tried for the size of the images.
_REFERENCE_SIZE = 128  # Where nothing says the size of the images.
_LISTED = 100  # Empty classes that are named one by one.


def check(config: CheckConfig, stream: Optional[TextIO] = None) -> list[Fault]:
    """Reads every record of `config.data_dir`, prints a summary and writes a grid.

    Where the directory has a validation split, this is checked too, and pictures that are in both
    splits are duplicates. The grid is that of the training split.

    Checksums, decodability, size, label range, counts against `dataset.json`, files against it,
    empty classes, duplicates by hash of their pixels, constant images.

    Returns:
      The faults that are not allowed; none: the data is sound.
    Raises:
      errors.UserError: there are no records to check.
    """
    # Check the training split, or what else is there.
    findings = _check_directory(config, Findings(), stream)
    intolerable = findings.intolerable(config)

    # Check the validation split.
    validation = os.path.join(config.data_dir, dataset_info.VALIDATION)
    if dataset_info.read(validation) is not None:
        other = dataclasses.replace(config, data_dir=validation, grid="")
        intolerable += _check_directory(other, findings, stream).intolerable(other)
    return intolerable


def _check_directory(config: CheckConfig, before: Findings, stream: Optional[TextIO]) -> Findings:
    """What is found in one directory.

    Args:
      config: which directory, and what is allowed.
      before: what was found in the other split.
      stream: where to print.
    """
    # Open the directory.
    info, names = _open(config.data_dir)
    size, classes = _expected(config, info, names)
    files = [os.path.join(config.data_dir, name) for name in names]
    parser = records.RecordParser(size, classes)

    # Read every record.
    findings = Findings(seen=before.seen)
    if info is not None:
        found = originals.Originals(config.data_dir, info)
        findings.name_of = lambda place: found.name_of(place) or before.name_of(place)
    _check_files(files, parser, findings)
    if not findings.counts and not findings.faults:
        raise errors.UserError(
            f"--data_dir={config.data_dir}: its {len(files)} *{records.SUFFIX} hold no records"
        )

    # Look at the whole.
    if classes == _ANY:
        classes = max(findings.counts, default=0) + 1
    _check_empty(config.data_dir, findings, info, classes)
    if info is not None:
        _check_counts(config.data_dir, findings, info)
        _check_shards(config.data_dir, findings, info)

    # Report.
    summary = check_report.Summary(
        file_count=len(files),
        image_size=size,
        number_classes=classes,
        fingerprint=info.fingerprint if info is not None else None,
        grid=check_report.write_grid(config.grid, findings, info=info) if config.grid else None,
    )
    print(check_report.report(config, findings, summary=summary), file=stream or sys.stdout)
    return findings


def _open(data_dir: str) -> tuple[Optional[dataset_info.DatasetInfo], list[str]]:
    """`dataset.json`, if there is one, and names of the record files."""
    if not tf.io.gfile.isdir(data_dir):
        raise errors.UserError(
            f"--data_dir={data_dir}: no such directory; expected one that holds *{records.SUFFIX}"
        )

    # Look for what a preparation or a converter leaves.
    info = dataset_info.read(data_dir)
    names = records.list_files(data_dir)
    dataset.refuse_unfinished(data_dir, info)
    if not names:
        raise errors.UserError(f"--data_dir={data_dir}: it holds no *{records.SUFFIX}")
    return info, names


def expected(data_dir: str) -> tuple[int, int]:
    """Image size and number of classes of a directory: what it says, or its first record has.

    Raises:
      errors.UserError: it holds no records.
    """
    if tfds_directory.is_one(data_dir):
        return _REFERENCE_SIZE, tfds_directory.open_directory(data_dir).number_classes
    return _expected(CheckConfig(data_dir=data_dir), *_open(data_dir))


def _expected(
    config: CheckConfig, info: Optional[dataset_info.DatasetInfo], names: list[str]
) -> tuple[int, int]:
    """Image size and number of classes: flag, `dataset.json`, or the first record and any."""
    if info is not None:
        size = config.image_size or info.image_size
        classes = config.number_classes or info.number_classes
        dataset_info.check(config.data_dir, info, image_size=size, number_classes=classes)
        return size, classes
    files = [os.path.join(config.data_dir, name) for name in names]
    return config.image_size or _first_size(files), config.number_classes or _ANY


def _first_size(files: list[str]) -> int:
    """Side of the image in the first readable record; the reference's when none is found."""
    for filename in files:
        # Find the records.
        try:
            offsets, _ = record_index.scan(filename)
        except faults.READ_ERRORS:
            continue

        # Try one after the other.
        for offset in offsets[:-1][:_TRIED]:
            with contextlib.suppress(*faults.READ_ERRORS, message.DecodeError, IndexError):
                return _side(_read_one(filename, int(offset)).numpy())
    return _REFERENCE_SIZE


def _side(serialized: bytes) -> int:
    """Side of a record's image, pixels."""
    features = tf.train.Example.FromString(serialized).features.feature
    raw = b"".join(features["image_raw"].bytes_list.value[:1])
    if raw:
        return round((len(raw) / 3) ** 0.5)
    encoded = features["image"].bytes_list.value[0]
    return int(tf.io.decode_image(encoded, 3, expand_animations=False).shape[0])


@tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)])
def _read_one(filename: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The record that begins there; raises one of `faults.READ_ERRORS` where there is none."""
    return record_index.read(
        [filename],
        [offset],
        lengths=tf.constant([1 << 16], tf.int64),
        counts=tf.constant([1], tf.int64),
    ).get_single_element()


def _check_files(files: list[str], parser: records.RecordParser, findings: Findings) -> None:
    """Looks at every record of all files, with a bar in a terminal."""
    sizes = [_size(filename) for filename in files]
    findings.bytes = sum(sizes)
    checker = _FileChecker(parser, findings)
    with tqdm.tqdm(
        total=findings.bytes, unit="B", unit_scale=True, mininterval=0.5, disable=None
    ) as bar:
        for filename, size in zip(files, sizes):
            checker.check(filename)
            bar.update(size)


def _size(filename: str) -> int:
    """Bytes of a file; 0 where it cannot be read, which its check will say."""
    try:
        return tf.io.gfile.stat(filename).length
    except tf.errors.OpError:
        return 0


class _FileChecker:
    """Looks at every record of a file: in batches, and one by one near a fault.

    Args:
      parser: of the records.
      findings: what is found goes there.
    """

    def __init__(self, parser: records.RecordParser, findings: Findings):
        self._findings = findings
        # Traced once for all files, which may be a thousand.
        one = tf.TensorSpec([], tf.string)
        many = tf.TensorSpec([None], tf.string)
        self._parse = tf.function(parser.parse, input_signature=[one])
        self._parse_batch = tf.function(parser.parse_batch, input_signature=[many])

    def check(self, filename: str) -> None:
        """Looks at one file."""
        # Find its records.
        try:
            offsets, size = record_index.scan(filename)
        except faults.READ_ERRORS as error:
            self._findings.add("unreadable file", filename, what=first_line(error))
            return
        count = len(offsets) - 1 - (offsets[-1] > size)

        # Read them. Where a batch holds a fault: one by one for a while, and longer each time,
        # because where faults are many, beginning again costs more.
        span = _BATCH
        first = self._check_batches(filename, offsets, 0, count)
        while first < count:
            last = min(first + span, count)
            for number in range(first, last):
                self._check_record(filename, int(offsets[number]), number)
            span *= 2
            first = self._check_batches(filename, offsets, last, count)

        # Look at its end.
        if offsets[-1] != size:
            self._findings.add("damaged file", _where(filename, count), what=record_index.DAMAGED)

    def _check_batches(self, filename: str, offsets: np.ndarray, first: int, count: int) -> int:
        """Reads records from `first` on, up to a faulty batch; returns the first it did not."""
        if first == count:
            return count

        # Read from there to the end.
        serialized = record_index.read(
            [filename],
            offsets[first : first + 1],
            lengths=np.array([1 << 20]),
            counts=np.array([count - first]),
        )

        # Look at the images, as far as they can be read.
        batches = serialized.batch(_BATCH).map(
            self._parse_batch, num_parallel_calls=tf.data.AUTOTUNE
        )
        with contextlib.suppress(*faults.READ_ERRORS):
            for images, labels in batches.prefetch(2).as_numpy_iterator():
                for image, label in zip(images, labels):
                    self._findings.look_at(_where(filename, first), image, label=int(label))
                    first += 1
        return first

    def _check_record(self, filename: str, offset: int, number: int) -> None:
        where = _where(filename, number)

        # Read it.
        try:
            serialized = _read_one(filename, offset)
        except faults.READ_ERRORS:
            self._findings.add("damaged record", where, what=record_index.DAMAGED)
            return

        # Parse it.
        try:
            image, label = self._parse(serialized)
        except faults.READ_ERRORS as error:
            self._findings.add("unfit record", where, what=faults.reason(error))
            return
        self._findings.look_at(where, image.numpy(), label=int(label))


def _where(filename: str, number: int) -> str:
    return originals.where(filename, number)


def _check_empty(
    data_dir: str, findings: Findings, info: Optional[dataset_info.DatasetInfo], classes: int
) -> None:
    """Names the classes without a record; of very many only the first."""
    # A small validation split need not have every class.
    empty = [label for label in range(classes) if not findings.counts[label]]
    if info is not None and info.split == dataset_info.VALIDATION:
        empty = [label for label in empty if info.class_counts[label]]

    # Sum up very many.
    if len(empty) > _LISTED and findings.counts:
        highest = max(findings.counts)
        findings.add(
            "empty class",
            data_dir,
            what=f"{len(empty)} of {classes} classes hold no readable record, the first is "
            f"{empty[0]}; the highest label, {highest}, is that of {findings.first[highest]}",
        )
        return

    # Name a few.
    for label in empty:
        name = f" ({info.classes.name(label)})" if info else ""
        findings.add("empty class", f"{data_dir}: class {label}{name}", what="no readable record")


def _check_counts(data_dir: str, findings: Findings, info: dataset_info.DatasetInfo) -> None:
    """Compares the counts of each class with `dataset.json`."""
    for label, count in enumerate(info.class_counts):
        if findings.counts[label] != count:
            findings.add(
                "wrong count",
                f"{data_dir}: class {label} ({info.classes.name(label)})",
                what=f"{findings.counts[label]} readable records and "
                f"{dataset_info.FILENAME} says {count}",
            )


def _check_shards(data_dir: str, findings: Findings, info: dataset_info.DatasetInfo) -> None:
    """Compares the files with `dataset.json`."""
    # Compare names and sizes.
    for path, what in records.shard_faults(data_dir, info):
        findings.add("wrong file", path, what=what)

    # Where all looks well: are these the very files, then?
    if set(findings.kinds()) - set(check_report.TOLERABLE):
        return
    for shard in info.shards:
        path = os.path.join(data_dir, shard.file)
        if sha256(path) != shard.sha256:
            what = f"its SHA-256 is not the one in {dataset_info.FILENAME}"
            findings.add("wrong file", path, what=what)
