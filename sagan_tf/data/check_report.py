"""Findings of a check of records, and the report and the grid that show them."""

import collections
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors, plurals
from sagan_tf.config import CheckConfig
from sagan_tf.data import dataset_info
from sagan_tf.images import grids, pixels
from sagan_tf.runtime import files

# Kinds of faults of which some may be allowed.
DUPLICATE = "duplicate"
CONSTANT = "constant image"
TOLERABLE = (DUPLICATE, CONSTANT)
# What to do about them, and how to allow as many as there are.
_ADVICE = {
    DUPLICATE: "duplicates: remove one picture of each pair and prepare the rest into another "
    "--out, or allow them with --max_duplicates={}",
    CONSTANT: "constant images: remove these pictures and prepare the rest into another --out, or "
    "allow them with --max_constant={}",
}
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
      grid: label -> its first image, uint8 [size, size, 3].
      first: label -> where that is.
      seen: hash of an image's pixels -> where it was first.
      bytes: of all files.
      name_of: where a record is -> the user's file that it was made of; "" where it is unknown.
    """

    faults: list[Fault] = dataclasses.field(default_factory=list)
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    grid: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    first: dict[int, str] = dataclasses.field(default_factory=dict)
    seen: dict[bytes, str] = dataclasses.field(default_factory=dict)
    bytes: int = 0
    name_of: Callable[[str], str] = lambda _: ""

    def add(self, kind: str, where: str, *, what: str) -> None:
        """Notes a fault."""
        self.faults.append(Fault(kind, where, what))

    def look_at(self, where: str, image: np.ndarray, *, label: int) -> None:
        """Notes a readable record: its class, and whether it is constant or was there before.

        Args:
          where: file and record index.
          image: uint8 [size, size, 3].
          label: its class.
        """
        # Count it; keep the first of each class.
        self.counts[label] += 1
        if label not in self.grid:
            self.grid[label] = image.copy()  # Not the batch that it is a part of.
            self.first[label] = where

        # Compare its pixels with each other.
        if (image == image[0, 0]).all():
            color = tuple(image[0, 0].tolist())
            self.add(CONSTANT, where, what=f"every pixel is {color}{self._made_of(where)}")

        # Compare it with the images before.
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        before = self.seen.setdefault(digest, where)
        if before is not where:
            files_of_both = self._made_of(before, where)
            self.add(DUPLICATE, where, what=f"the same pixels as {before}{files_of_both}")

    def _made_of(self, *places: str) -> str:
        """The user's files that records were made of, as an ending of a sentence."""
        names = [self.name_of(where) for where in places]
        return f"; made of {' and '.join(names)}" if all(names) else ""

    def intolerable(self, config: CheckConfig) -> list[Fault]:
        """The faults, less as many duplicates and constant images as are allowed."""
        kinds = self.kinds()
        limits = {DUPLICATE: config.max_duplicates, CONSTANT: config.max_constant}
        allowed = {kind for kind, limit in limits.items() if kinds[kind] <= limit}
        return [fault for fault in self.faults if fault.kind not in allowed]

    def kinds(self) -> collections.Counter:
        """Number of faults of each kind."""
        return collections.Counter(fault.kind for fault in self.faults)


def write_grid(
    path: str, findings: Findings, *, info: Optional[dataset_info.DatasetInfo]
) -> Optional[str]:
    """A grid of one image of each of some classes with their names; returns its path.

    Raises:
      errors.UserError: it cannot be written.
    """
    # Choose the classes, evenly.
    labels = sorted(findings.grid)
    if not labels:
        return None
    step = max(len(labels) / _GRID_CLASSES, 1)
    labels = [labels[int(i * step)] for i in range(int(len(labels) / step))]

    # Draw their images.
    images = [findings.grid[label] for label in labels]
    captions = [info.classes.name(label) if info else f"class {label}" for label in labels]
    picture = grids.labelled_grid(images, captions, columns=_GRID_COLUMNS)

    # Write the picture.
    try:
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(pixels.encode_png(picture))
    except (OSError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"--grid={path}: cannot be written ({files.first_line(error)})"
        ) from error
    return path


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a check says of sound and of faulty data.

    Attributes:
      file_count: record files.
      image_size: side of the images, pixels.
      number_classes: as given, or found.
      fingerprint: of `dataset.json`; None where there is none.
      grid: path of the grid; None where there is none.
    """

    file_count: int
    image_size: int
    number_classes: int
    fingerprint: Optional[str]
    grid: Optional[str]


def report(config: CheckConfig, findings: Findings, *, summary: Summary) -> str:
    """The lines that are printed: faults, summary, verdict."""
    # List the faults.
    lines = [f"{fault.where}: {fault.kind}: {fault.what}" for fault in findings.faults]

    # Sum up.
    counts = [findings.counts[label] for label in range(summary.number_classes)]
    described = f"fingerprint {summary.fingerprint}" if summary.fingerprint else "none"
    lines += [
        f"{plurals.counted(sum(counts), 'readable record')} in "
        f"{plurals.counted(summary.file_count, 'file')}, {findings.bytes / 1e6:.1f} MB, "
        f"{summary.image_size} x {summary.image_size} pixels, "
        f"{plurals.counted(summary.number_classes, 'class', 'classes')}",
        f"records of a class: {min(counts)} to {max(counts)}, median {np.median(counts):g}",
        f"{dataset_info.FILENAME}: {described}",
    ]
    if summary.grid:
        lines.append(f"one image a class: {summary.grid}")

    # Say what to do about duplicates and constant images.
    kinds = findings.kinds()
    faulty = {fault.kind for fault in findings.intolerable(config)}
    lines += [_ADVICE[kind].format(kinds[kind]) for kind in TOLERABLE if kind in faulty]

    # Give the verdict.
    listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    if not kinds:
        lines.append("sound")
    elif findings.intolerable(config):
        lines.append(f"FAULTY: {listed}")
    else:
        lines.append(f"sound, allowing {listed}")
    return "\n".join(lines)
