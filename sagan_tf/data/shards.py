"""Shards of a preparation: written whole, resumed, and their facts on disk."""

import contextlib
import dataclasses
import json
import os
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf.data import dataset_info, preprocessing, record_index, records, sources
from sagan_tf.runtime import files


@dataclasses.dataclass(frozen=True)
class ShardFacts:
    """What is known of a finished shard.

    Attributes:
      shard: its entry in `dataset.json`.
      offsets, labels: of each record.
      damaged: (name, reason) of the pictures that could not be used.
    """

    shard: dataset_info.Shard
    offsets: list[int]
    labels: list[int]
    damaged: list[tuple[str, str]]


def _facts_path(work: str, number: int) -> str:
    return os.path.join(work, f"shard-{number:05}.json")


def write_facts(work: str, number: int, *, facts: ShardFacts) -> None:
    write_json(_facts_path(work, number), dataclasses.asdict(facts))


def read_facts(out: str, work: str, *, number: int, count: int) -> Optional[ShardFacts]:
    """The facts of a shard that is finished, or None."""
    content = read_json(_facts_path(work, number))
    path = os.path.join(out, shard_name(number, count))
    if content is None or not os.path.exists(path):
        return None
    facts = ShardFacts(
        dataset_info.shard_from_json(content["shard"]),
        content["offsets"],
        content["labels"],
        [tuple(entry) for entry in content["damaged"]],
    )
    return facts if os.path.getsize(path) == facts.shard.bytes else None


def shard_name(number: int, count: int) -> str:
    """File name of a shard."""
    return f"train-{number:05}-of-{count:05}{records.SUFFIX}"


def read_json(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def write_json(path: str, content: Any) -> None:
    """On the disk, whole or not at all, when this returns."""
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


class ShardWriter:
    """Writes one shard to the working directory and gives it its name when it is whole."""

    def __init__(self, work: str, settings: dict[str, Any], *, number: int):
        self._work, self._settings, self._number = work, settings, number
        self._name = shard_name(number, settings["shards"])
        self._path = os.path.join(work, self._name + ".partial")
        self._labels: list[int] = []
        self._sums = np.zeros([2, 3], object)  # Python's integers: they never overflow.
        self.damaged: list[tuple[str, str]] = []

    def __enter__(self) -> "ShardWriter":
        self._writer = tf.io.TFRecordWriter(self._path)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._writer.close()
            return
        # Another error is on its way; what is here is of no use to anybody.
        with contextlib.suppress(tf.errors.OpError, OSError):
            self._writer.close()
        with contextlib.suppress(OSError):
            os.remove(self._path)

    def add(self, item: sources.Item, picture: preprocessing.Picture) -> None:
        """Writes a record, or notes why there is none."""
        if picture.data is None:
            self.damaged.append((item.key, picture.reason))
            return
        self._writer.write(
            records.serialize(picture.data, item.label, encoding=self._settings["encoding"])
        )
        self._labels.append(item.label)
        self._sums += np.array([picture.sum, picture.sum_of_squares], object)

    def publish(self, out: str) -> ShardFacts:
        """Puts facts and shard on the disk, in this order, and returns the facts."""
        with open(self._path, "rb+") as file:
            os.fsync(file.fileno())
        offsets, size = record_index.scan(self._path)
        shard = dataset_info.Shard(
            self._name,
            len(self._labels),
            size,
            files.sha256(self._path),
            *(tuple(row) for row in self._sums.tolist()),
        )
        facts = ShardFacts(shard, offsets[:-1].tolist(), self._labels, self.damaged)
        write_facts(self._work, self._number, facts=facts)
        os.replace(self._path, os.path.join(out, self._name))
        return facts
