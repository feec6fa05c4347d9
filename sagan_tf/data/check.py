"""Reads every record of a directory and says what is wrong, record by record."""

import collections
import contextlib
import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable
from typing import Optional, TextIO

import numpy as np
import tensorflow as tf
import tqdm
from google.protobuf import message

from sagan_tf import errors
from sagan_tf.config import CheckConfig
from sagan_tf.data import dataset, dataset_info, record_index, tfds_directory
from sagan_tf.data import faults as data_faults
from sagan_tf.data import records as data_records
from sagan_tf.images import grids, pixels
from sagan_tf.runtime import files as runtime_files

_BATCH = 64
_ANY = 2**31 - 1  # As many classes as a label can tell apart.
_TRIED = 64  # Records of a file that are tried for the size of the images.
_LISTED = 100  # Empty classes that are named one by one.
_TOLERABLE = ("duplicate", "constant image")  # Kinds of which some may be allowed.
_GRID_COLUMNS = 10
_GRID_CLASSES = 40


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something wrong.

    Attributes:
      kind: a few words, the same for all faults of the kind.
      where: file and record index, or what else it concerns.
      what: what is wrong there.
    """

    kind: str
    where: str
    what: str


@dataclasses.dataclass
class Findings:
    """What was found in a directory.

    Attributes:
      faults: all of them.
      counts: records of each label.
      grid, first: label -> its first image, uint8 [size, size, 3], and where that is.
      seen: hash of an image's pixels -> where it was first.
      bytes: of all files.
    """

    faults: list[Fault] = dataclasses.field(default_factory=list)
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    grid: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    first: dict[int, str] = dataclasses.field(default_factory=dict)
    seen: dict[bytes, str] = dataclasses.field(default_factory=dict)
    bytes: int = 0

    def add(self, kind: str, where: str, what: str) -> None:
        """Notes a fault."""
        self.faults.append(Fault(kind, where, what))

    def look_at(self, where: str, image: np.ndarray, *, label: int) -> None:
        """Notes a readable record: its class, and whether it is constant or was there before."""
        self.counts[label] += 1
        if label not in self.grid:
            self.grid[label], self.first[label] = image.copy(), where  # Not its batch.
        if (image == image[0, 0]).all():
            self.add("constant image", where, f"every pixel is {tuple(image[0, 0].tolist())}")
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        before = self.seen.setdefault(digest, where)
        if before is not where:
            self.add("duplicate", where, f"the same pixels as {before}")


def check(config: CheckConfig, stream: Optional[TextIO] = None) -> list[Fault]:
    """Reads every record of `config.data_dir`, prints a summary and writes a grid.

    Checksums, decodability, size, label range, counts against `dataset.json`, files against it,
    empty classes, duplicates by hash of their pixels, constant images.

    Returns:
      The faults that are not allowed; none: the data is sound.
    Raises:
      config.UserError: there are no records to check.
    """
    stream = stream or sys.stdout
    info, names = _open(config.data_dir)
    size, classes = _expected(config, info, names)
    files = tuple(os.path.join(config.data_dir, name) for name in names)
    records = data_records.Records(files, size, classes, info)
    parse = tf.function(records.parse, input_signature=[tf.TensorSpec([], tf.string)])
    findings = Findings()
    sizes = [_size(name) for name in files]
    with tqdm.tqdm(
        total=sum(sizes), unit="B", unit_scale=True, mininterval=0.5 if sys.stderr.isatty() else 30
    ) as bar:
        for filename, length in zip(files, sizes):
            _check_file(filename, records, parse, findings)
            bar.update(length)
    findings.bytes = sum(sizes)
    if not findings.counts and not findings.faults:
        raise errors.UserError(
            f"--data_dir={config.data_dir}: its {len(files)} *{data_records.SUFFIX} hold no records"
        )
    if classes == _ANY:
        classes = max(findings.counts, default=0) + 1
    _check_counts(config.data_dir, findings, info, classes)
    grid = _write_grid(config, findings, info)
    print(_report(config, findings, info, len(files), size, classes, grid), file=stream)
    return _intolerable(config, findings)


def _size(filename: str) -> int:
    """Bytes of a file; 0 where it cannot be read, which its check will say."""
    try:
        return tf.io.gfile.stat(filename).length
    except tf.errors.OpError:
        return 0


def _open(data_dir: str) -> tuple[Optional[dataset_info.DatasetInfo], list[str]]:
    if not tf.io.gfile.isdir(data_dir):
        raise errors.UserError(
            f"--data_dir={data_dir}: no such directory; expected one that "
            f"holds *{data_records.SUFFIX}"
        )
    info, names = dataset_info.read(data_dir), data_records.list_files(data_dir)
    dataset.refuse_unfinished(data_dir, info)
    if not names:
        raise errors.UserError(f"--data_dir={data_dir}: it holds no *{data_records.SUFFIX}")
    return info, names


def expected(data_dir: str) -> tuple[int, int]:
    """Image size and number of classes of a directory: what it says, or its first record has.

    Raises:
      config.UserError: it holds no records.
    """
    if tfds_directory.is_one(data_dir):
        return 128, tfds_directory.open_directory(data_dir).number_classes
    return _expected(CheckConfig(data_dir=data_dir), *_open(data_dir))


def _expected(
    config: CheckConfig, info: Optional[dataset_info.DatasetInfo], names: list[str]
) -> tuple[int, int]:
    """Image size and number of classes: flag, `dataset.json`, or the first record and any."""
    if info is not None:
        size, classes = (
            config.image_size or info.image_size,
            (config.number_classes or info.number_classes),
        )
        dataset_info.check(config.data_dir, info, image_size=size, number_classes=classes)
        return size, classes
    size = config.image_size or _first_size([os.path.join(config.data_dir, name) for name in names])
    return size, config.number_classes or _ANY


def _first_size(files: list[str]) -> int:
    """Side of the image in the first readable record; 128, the reference's, when none is found."""
    for filename in files:
        try:
            offsets, _ = record_index.scan(filename)
        except data_faults.READ_ERRORS:
            continue
        for offset in offsets[:-1][:_TRIED]:
            with contextlib.suppress(*data_faults.READ_ERRORS, message.DecodeError, IndexError):
                return _side(_read_one(filename, int(offset)).numpy())
    return 128


def _side(serialized: bytes) -> int:
    features = tf.train.Example.FromString(serialized).features.feature
    raw = b"".join(features["image_raw"].bytes_list.value[:1])
    if raw:
        return round((len(raw) / 3) ** 0.5)
    encoded = features["image"].bytes_list.value[0]
    return int(tf.io.decode_image(encoded, 3, expand_animations=False).shape[0])


@tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)])
def _read_one(filename: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The record that begins there; raises one of `dataset.READ_ERRORS` where there is none."""
    return record_index.read(
        [filename],
        [offset],
        lengths=tf.constant([1 << 16], tf.int64),
        counts=tf.constant([1], tf.int64),
    ).get_single_element()


def _check_file(
    filename: str, records: data_records.Records, parse: Callable, findings: Findings
) -> None:
    """Looks at every record of a file; `parse` is `records.parse`, traced once for all files."""
    try:
        offsets, size = record_index.scan(filename)
    except data_faults.READ_ERRORS as error:
        findings.add("unreadable file", filename, runtime_files.first_line(error))
        return
    whole = len(offsets) - 1 - (offsets[-1] > size)
    first, span = 0, _BATCH
    while (first := _check_run(filename, records, offsets, first, whole, findings)) < whole:
        # Somewhere in the batch that begins here is a fault: one by one for a while, and longer
        # each time, because where faults are many, beginning again costs more.
        last = min(first + span, whole)
        for number in range(first, last):
            _check_record(filename, parse, int(offsets[number]), number, findings)
        first, span = last, 2 * span
    if offsets[-1] != size:
        findings.add("damaged file", _where(filename, whole), record_index.DAMAGED)


def _check_run(
    filename: str,
    records: data_records.Records,
    offsets: np.ndarray,
    first: int,
    whole: int,
    findings: Findings,
) -> int:
    """Reads records from `first` on, up to a faulty batch; returns the first it did not read."""
    if first == whole:
        return whole
    span = record_index.read(
        [filename],
        offsets[first : first + 1],
        lengths=np.array([1 << 20]),
        counts=np.array([whole - first]),
    )
    with contextlib.suppress(*data_faults.READ_ERRORS):
        for images, labels in records.batches(span, _BATCH).prefetch(2).as_numpy_iterator():
            for image, label in zip(images, labels):
                findings.look_at(_where(filename, first), image, label=int(label))
                first += 1
    return first


def _check_record(
    filename: str, parse: Callable, offset: int, number: int, findings: Findings
) -> None:
    where = _where(filename, number)
    try:
        serialized = _read_one(filename, offset)
    except data_faults.READ_ERRORS:
        findings.add("damaged record", where, record_index.DAMAGED)
        return
    try:
        image, label = parse(serialized)
    except data_faults.READ_ERRORS as error:
        findings.add("unfit record", where, data_faults.reason(error))
        return
    findings.look_at(where, image.numpy(), label=int(label))


def _where(filename: str, number: int) -> str:
    return f"{filename}: record {number}"


def _check_counts(
    data_dir: str, findings: Findings, info: Optional[dataset_info.DatasetInfo], classes: int
) -> None:
    """Counts of each class, and the shards, against `dataset.json`."""
    _check_empty(data_dir, findings, info, classes)
    if info is None:
        return
    for label, expected_count in enumerate(info.class_counts):
        if findings.counts[label] != expected_count:
            findings.add(
                "wrong count",
                f"{data_dir}: class {label} ({info.label_text(label)})",
                f"{findings.counts[label]} readable records and "
                f"{dataset_info.FILENAME} says {expected_count}",
            )
    faults = dict(data_records.shard_faults(data_dir, info))
    if not faults and not {fault.kind for fault in findings.faults} - set(_TOLERABLE):
        # All looks well: are these the very files, then?
        faults = {
            path: f"its SHA-256 is not the one in {dataset_info.FILENAME}"
            for shard in info.shards
            if runtime_files.sha256(path := os.path.join(data_dir, shard.file)) != shard.sha256
        }
    for where, what in faults.items():
        findings.add("wrong file", where, what)


def _check_empty(
    data_dir: str, findings: Findings, info: Optional[dataset_info.DatasetInfo], classes: int
) -> None:
    empty = [label for label in range(classes) if not findings.counts[label]]
    if len(empty) > _LISTED and findings.counts:
        highest = max(findings.counts)
        findings.add(
            "empty class",
            data_dir,
            (
                f"{len(empty)} of {classes} classes hold no readable record, the first is "
                f"{empty[0]}; the highest label, {highest}, is that of {findings.first[highest]}"
            ),
        )
        return
    for label in empty:
        name = f"class {label}" + (f" ({info.label_text(label)})" if info else "")
        findings.add("empty class", f"{data_dir}: {name}", "no readable record")


def _write_grid(
    config: CheckConfig, findings: Findings, info: Optional[dataset_info.DatasetInfo]
) -> Optional[str]:
    """A grid of one image of each of some classes with their names; returns its path."""
    labels = sorted(findings.grid)
    if not labels:
        return None
    step = max(len(labels) / _GRID_CLASSES, 1)
    labels = [labels[int(i * step)] for i in range(int(len(labels) / step))]
    captions = [info.label_text(label) if info else f"class {label}" for label in labels]
    picture = grids.labelled_grid(
        [findings.grid[label] for label in labels], captions, columns=_GRID_COLUMNS
    )
    try:
        with tf.io.gfile.GFile(config.grid, "wb") as file:
            file.write(pixels.encode_png(picture))
    except (OSError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"--grid={config.grid}: cannot be written ({runtime_files.first_line(error)})"
        ) from error
    return config.grid


def _intolerable(config: CheckConfig, findings: Findings) -> list[Fault]:
    """The faults, less as many duplicates and constant images as are allowed."""
    kinds = collections.Counter(fault.kind for fault in findings.faults)
    limits = dict(zip(_TOLERABLE, (config.max_duplicates, config.max_constant)))
    allowed = {kind for kind, limit in limits.items() if kinds[kind] <= limit}
    return [fault for fault in findings.faults if fault.kind not in allowed]


def _report(
    config: CheckConfig,
    findings: Findings,
    info: Optional[dataset_info.DatasetInfo],
    file_count: int,
    size: int,
    classes: int,
    grid: Optional[str],
) -> str:
    counts = [findings.counts[label] for label in range(classes)]
    lines = [f"{fault.where}: {fault.kind}: {fault.what}" for fault in findings.faults]
    lines += [
        f"{sum(counts)} readable records in {file_count} files, "
        f"{findings.bytes / 1e6:.1f} MB, {size} x {size} pixels, {classes} classes",
        f"records of a class: {min(counts)} to {max(counts)}, median {np.median(counts):g}",
        f"{dataset_info.FILENAME}: " + (f"fingerprint {info.fingerprint}" if info else "none"),
    ]
    if grid:
        lines.append(f"one image a class: {grid}")
    kinds = collections.Counter(fault.kind for fault in findings.faults)
    said = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    if not kinds:
        lines.append("sound")
    else:
        lines.append(("FAULTY: " if _intolerable(config, findings) else "sound, allowing ") + said)
    return "\n".join(lines)
