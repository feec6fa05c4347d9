"""The description of a directory of records: `dataset.json`, and the index beside it."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.data import class_names
from sagan_tf.runtime import files

FILENAME = "dataset.json"
INDEX_FILENAME = "index.npz"
# A preparation that has not ended keeps its notes here.
WORK_DIRECTORY = ".prepare"
# The splits of a preparation with --validation: the second has a folder of its own name.
TRAINING = "train"
VALIDATION = "validation"
VERSION = 1
# What to do where data have another side or number of classes than a flag, a run or a model.
FOR_OTHERS = (
    "leave the flag out to train on this data; a run or model goes with the data it was made for"
)
_INDEX = ("fingerprint", "counts", "offsets", "labels")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One record file: its name, number of records, bytes, SHA-256, and sums over its pixels.

    `sum` and `sum_of_squares` are exact integers over all pixel values (0..255), R, G, B.
    """

    file: str
    records: int
    bytes: int
    sha256: str
    sum: tuple[int, int, int]
    sum_of_squares: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """The content of `dataset.json`.

    Attributes:
      source: what the records were made from.
      source_kind: "folders", "tar", "tfds" or the like.
      image_size: side of the images, pixels.
      encoding: "raw", "png" or "jpeg"; `quality` is JPEG's, else None.
      resize: "legacy", "clean", or words.
      class_names: one for each label, in order.
      class_titles: names that people read ("tench, Tinca tinca"); None where they are unknown.
      class_counts: records of each class.
      channel_mean, channel_deviation: R, G, B, of pixel values 0..255 before encoding.
      fingerprint: SHA-256 of the shards' SHA-256 digests, in order: the same data, the same value.
      shards: the record files, in order of their names.
      settings: all that decides the bytes of the records, by flag name.
      damaged: (number of the shard, name, reason) of each source picture that could not be used.
    """

    source: str
    source_kind: str
    image_size: int
    encoding: str
    quality: Optional[int]
    resize: str
    class_names: tuple[str, ...]
    class_titles: Optional[tuple[str, ...]]
    class_counts: tuple[int, ...]
    channel_mean: tuple[float, float, float]
    channel_deviation: tuple[float, float, float]
    fingerprint: str
    shards: tuple[Shard, ...]
    settings: dict[str, Any]
    damaged: tuple[tuple[int, str, str], ...] = ()
    made_with: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def number_classes(self) -> int:
        """Number of classes, also those without a record."""
        return len(self.class_names)

    @property
    def records(self) -> int:
        """Number of records."""
        return sum(shard.records for shard in self.shards)

    @property
    def split(self) -> str:
        """`TRAINING` or `VALIDATION`."""
        return self.settings.get("split", TRAINING)

    @property
    def classes(self) -> class_names.Classes:
        """Names and titles of the classes."""
        titles = self.class_titles or ("",) * self.number_classes
        return class_names.Classes(self.class_names, titles)


def moments(shards: Sequence[Shard], image_size: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the pixel values 0..255 of all records, R, G, B."""
    count = max(sum(shard.records for shard in shards) * image_size**2, 1)
    means = []
    deviations = []
    for channel in range(3):
        # Python's integers: exact, so that nothing depends on the order of the sums.
        total = sum(shard.sum[channel] for shard in shards)
        squares = sum(shard.sum_of_squares[channel] for shard in shards)
        variance = (count * squares - total**2) / count**2
        means.append(total / count)
        deviations.append(max(variance, 0.0) ** 0.5)
    return means, deviations


def write(directory: str, info: DatasetInfo) -> None:
    """Writes `dataset.json`, whole or not at all. Raises what the file system raises."""
    # The two sums are for readers other than `read`.
    content = {
        "version": VERSION,
        "records": info.records,
        "number_classes": info.number_classes,
        **dataclasses.asdict(info),
    }
    files.write_whole(os.path.join(directory, FILENAME), json.dumps(content, indent=1) + "\n")


def read(directory: str) -> Optional[DatasetInfo]:
    """The directory's `dataset.json`, or None where there is none.

    Raises:
      errors.UserError: the file is damaged or of a later version.
    """
    path = os.path.join(directory, FILENAME)
    if not tf.io.gfile.exists(path):
        return None

    # Read it, and refuse a file that does not say what it should.
    try:
        with tf.io.gfile.GFile(path) as file:
            content = json.loads(file.read())
        return _from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"{path}: expected what prepare_data writes ({files.first_line(error)}); make the "
            "records again, or move this file away to read them without it"
        ) from error


def _from_json(content: dict[str, Any]) -> DatasetInfo:
    # Refuse a later version.
    if content["version"] > VERSION:
        raise ValueError(
            f"version {content['version']}, expected at most {VERSION}; it was "
            "written by a later release"
        )

    # Take the fields that are known.
    names = {field.name for field in dataclasses.fields(DatasetInfo)}
    values = {name: _tuples(value) for name, value in content.items() if name in names}
    values["shards"] = tuple(map(shard_from_json, content["shards"]))
    info = DatasetInfo(**values)

    # Check that they agree with each other.
    for name in ("class_counts", "class_titles"):
        found = getattr(info, name)
        if found is not None and len(found) != info.number_classes:
            raise ValueError(f"{info.number_classes} class_names and {len(found)} {name}")
    if not isinstance(info.settings, dict):
        raise ValueError(f"settings is {info.settings}")
    if info.image_size < 1 or sum(info.class_counts) != info.records:
        raise ValueError(
            f"image_size {info.image_size}, {info.records} records in its shards and "
            f"{sum(info.class_counts)} in its class_counts"
        )
    return info


def shard_from_json(values: dict[str, Any]) -> Shard:
    """A `Shard` from its fields as JSON keeps them."""
    return Shard(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def write_index(
    directory: str, fingerprint: str, *, counts: np.ndarray, offsets: np.ndarray, labels: np.ndarray
) -> None:
    """Writes `index.npz`, whole or not at all. Raises OSError.

    Args:
      directory: of the records.
      fingerprint: of `dataset.json`.
      counts: int64 [shards], records of each shard.
      offsets: int64 [records], where each record begins in its shard, bytes.
      labels: int32 [records].
    """
    with files.replaced(os.path.join(directory, INDEX_FILENAME)) as path:
        np.savez(path, fingerprint=fingerprint, counts=counts, offsets=offsets, labels=labels)


def read_index(directory: str, info: DatasetInfo) -> Optional[dict[str, np.ndarray]]:
    """`index.npz` as name -> array; None where it is missing, damaged or of other data.

    It saves the time of looking into the shards, and holds nothing that they do not.
    """
    path = os.path.join(directory, INDEX_FILENAME)
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as archive:
            index = {name: archive[name] for name in _INDEX}
    except Exception:  # A damaged zip makes zipfile raise of every kind.
        return None
    return index if str(index["fingerprint"]) == info.fingerprint else None


def check(directory: str, info: Optional[DatasetInfo], **given: int) -> None:
    """Raises errors.UserError if what is asked for contradicts `dataset.json`, showing both.

    Args:
      directory: that holds it.
      info: what it says; None where there is none.
      **given: image_size and number_classes, where they are asked for.
    """
    if info is None:
        return
    for name, value in given.items():
        there = getattr(info, name)
        if there != value:
            raise errors.UserError(
                f"--{name}={value}: {os.path.join(directory, FILENAME)} says {there}; " + FOR_OTHERS
            )
