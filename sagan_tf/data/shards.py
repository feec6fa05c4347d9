"""Shards of a preparation: written whole, and their facts on disk."""

import contextlib
import dataclasses
import json
import os
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf.data import dataset_info, preprocessing, record_index, records
from sagan_tf.runtime import files


@dataclasses.dataclass(frozen=True)
class ShardFacts:
    """What is known of a finished shard.

    Attributes:
      shard: its entry in `dataset.json`.
      offsets: where each record begins, bytes.
      labels: of each record.
      damaged: (name, reason) of the pictures that could not be used.
    """

    shard: dataset_info.Shard
    offsets: list[int]
    labels: list[int]
    damaged: list[tuple[str, str]]


def _facts_path(work: str, number: int) -> str:
    return os.path.join(work, f"shard-{number:05}.json")


def write_facts(work: str, number: int, *, facts: ShardFacts) -> None:
    """Writes the facts of a shard to the working directory."""
    write_json(_facts_path(work, number), dataclasses.asdict(facts))


def read_facts(out: str, work: str, *, number: int, name: str) -> Optional[ShardFacts]:
    """The facts of a shard that is finished, or None.

    Args:
      out: the output directory.
      work: the working directory.
      number: of the shard.
      name: of its file.
    """
    # Look whether the shard and its facts are there.
    content = read_json(_facts_path(work, number))
    path = os.path.join(out, name)
    if content is None or not os.path.exists(path):
        return None

    # Compare them.
    facts = ShardFacts(
        shard=dataset_info.shard_from_json(content["shard"]),
        offsets=content["offsets"],
        labels=content["labels"],
        damaged=[tuple(entry) for entry in content["damaged"]],
    )
    return facts if os.path.getsize(path) == facts.shard.bytes else None


def shard_name(number: int, settings: dict[str, Any]) -> str:
    """File name of a shard of a preparation with these settings."""
    split = settings.get("split", dataset_info.TRAINING)
    return f"{split}-{number:05}-of-{settings['shards']:05}{records.SUFFIX}"


def read_json(path: str) -> Any:
    """The content of a JSON file; None where it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def write_json(path: str, content: Any) -> None:
    """Writes a JSON file; it is on the disk, whole or not at all, when this returns."""
    with files.replaced(path) as written, open(written, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


class ShardWriter:
    """Writes one shard to the working directory and gives it its name when it is whole.

    Args:
      work: the working directory.
      number: of the shard.
      settings: of the preparation.
    """

    def __init__(self, work: str, number: int, *, settings: dict[str, Any]):
        self._work = work
        self._number = number
        self._encoding = settings["encoding"]
        self._name = shard_name(number, settings)
        self._path = os.path.join(work, self._name + ".partial")
        self._labels: list[int] = []
        # Sums over R, G, B, and over their squares: Python's integers never overflow.
        self._sums = np.zeros([2, 3], object)
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

    def add(
        self, picture: preprocessing.LabelledPicture, prepared: preprocessing.PreparedImage
    ) -> None:
        """Writes a record, or notes why there is none."""
        if prepared.data is None:
            self.damaged.append((picture.key, prepared.reason))
            return
        record = records.serialize(prepared.data, picture.label, encoding=self._encoding)
        self._writer.write(record)
        self._labels.append(picture.label)
        self._sums += np.array([prepared.sum, prepared.sum_of_squares], object)

    def publish(self, out: str) -> ShardFacts:
        """Puts facts and shard on the disk, in this order, and returns the facts."""
        # Finish the file.
        files.sync(self._path)
        offsets, size = record_index.scan(self._path)

        # Write what is known of it.
        shard = dataset_info.Shard(
            file=self._name,
            records=len(self._labels),
            bytes=size,
            sha256=files.sha256(self._path),
            sum=tuple(self._sums[0].tolist()),
            sum_of_squares=tuple(self._sums[1].tolist()),
        )
        facts = ShardFacts(shard, offsets[:-1].tolist(), self._labels, self.damaged)
        write_facts(self._work, self._number, facts=facts)

        # Give it its name.
        os.replace(self._path, os.path.join(out, self._name))
        return facts
