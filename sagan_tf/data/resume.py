"""The output directory of a preparation: checked, locked, and resumed after a stop."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import PrepareConfig
from sagan_tf.data import dataset_info, records, shards
from sagan_tf.runtime import files

# Settings of which an error shows no values: of a source only a hash is known, and of classes
# there may be a thousand.
_LONG = ("source", "classes")
# What TensorFlow and the operating system raise when a directory cannot be written.
_WRITE_ERRORS = (
    OSError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnknownError,
    tf.errors.FailedPreconditionError,
    tf.errors.DataLossError,
    tf.errors.InternalError,
)


@contextlib.contextmanager
def writing(out: str) -> Iterator[None]:
    """Turns an error of writing into an `errors.UserError` of one line."""
    try:
        yield
    except _WRITE_ERRORS as error:
        words = getattr(error, "message", None) or str(error)
        raise errors.UserError(
            f"--out={out}: cannot be written to ({words.splitlines()[0]}); free space, or "
            "make it writable; the same command then makes what is missing"
        ) from error


@contextlib.contextmanager
def locked(out: str) -> Iterator[str]:
    """Makes the working directory, and keeps others out while it is used.

    Raises:
      errors.UserError: another preparation holds it.
    """
    work = os.path.join(out, dataset_info.WORK_DIRECTORY)
    os.makedirs(work, exist_ok=True)
    refusal = f"--out={out}: another prepare_data is at work there; wait for it"
    with files.locked(os.path.join(work, "lock"), refusal):
        yield work


def refuse_other_data(out: str) -> None:
    """Raises errors.UserError for an output that holds what no preparation made."""
    # Refuse what is no local directory.
    if files.is_remote(out):
        raise errors.UserError(
            f"--out={out}: expected a local directory; copy the records to a bucket afterwards"
        )
    if os.path.exists(out) and not os.path.isdir(out):
        raise errors.UserError(f"--out={out}: it is a file; expected a directory")

    # Take a new one, and a preparation's own.
    begun = os.path.isdir(os.path.join(out, dataset_info.WORK_DIRECTORY))
    if not os.path.isdir(out) or begun or dataset_info.read(out) is not None:
        return

    # Refuse one that holds something else. A README and folders are let be: `data/` of this project
    # has them beside its records.
    for name in sorted(os.listdir(out)):
        harmless = name.startswith((".", "README")) or os.path.isdir(os.path.join(out, name))
        if not harmless:
            raise errors.UserError(
                f"--out={out}: it holds other data ({name}); give an empty directory, or one that "
                "does not exist"
            )


def refuse_out_in_source(config: PrepareConfig) -> None:
    """Raises errors.UserError for an output that lies among the source's class folders."""
    out = os.path.realpath(config.out)
    source = os.path.realpath(config.source)
    if os.path.isdir(source) and os.path.commonpath([out, source]) == source:
        raise errors.UserError(
            f"--out={config.out}: it lies in --source={config.source}, and would be taken for a "
            "class; give a directory elsewhere"
        )


def finished_shards(
    out: str, work: str, *, settings: dict[str, Any]
) -> dict[int, shards.ShardFacts]:
    """Facts of the shards that are there, by number.

    Args:
      out: the output directory.
      work: the working directory, which from here on holds these settings.
      settings: all that decides the bytes of the records.
    Raises:
      errors.UserError: it holds shards of other settings, or other records.
    """
    # Refuse records made with other settings, or made elsewhere.
    shard_names = [shards.shard_name(number, settings) for number in range(settings["shards"])]
    path = os.path.join(work, "settings.json")
    info = dataset_info.read(out)
    before = info.settings if info is not None else shards.read_json(path)
    own = set()
    if isinstance(before, dict):
        _refuse_other_settings(out, before, settings)
        own = set(shard_names)
    for name in records.list_files(out):
        if name not in own:
            raise errors.UserError(
                f"--out={out}: it holds other data ({name}); give an empty directory"
            )

    # Note the settings; of a finished directory, take its facts apart again.
    shards.write_json(path, settings)
    if info is not None:
        _unpack(out, work, info)

    # Find the shards that are whole.
    finished = {}
    for number, name in enumerate(shard_names):
        facts = shards.read_facts(out, work, number=number, name=name)
        if facts is not None:
            finished[number] = facts
    return finished


def _refuse_other_settings(out: str, before: dict[str, Any], settings: dict[str, Any]) -> None:
    for name in {**settings, **before}:
        there = before.get(name, "none")
        here = settings.get(name, "none")
        if there != here:
            if name in _LONG:
                there = f"other {name}"
                here = "these"
            raise errors.UserError(
                f"--out={out}: it holds records made with other settings ({name}: {there} there, "
                f"{here} here); give the same settings, or another --out"
            )


def _unpack(out: str, work: str, info: dataset_info.DatasetInfo) -> None:
    """Makes the facts of each shard again from `dataset.json` and `index.npz`."""
    # Read the index.
    index = dataset_info.read_index(out, info)
    if index is None:
        raise errors.UserError(
            f"{os.path.join(out, dataset_info.INDEX_FILENAME)}: missing or damaged; put it back, "
            "or give another --out"
        )

    # Cut it into shards.
    ends = np.cumsum(index["counts"])
    starts = ends - index["counts"]
    for number, shard in enumerate(info.shards):
        part = slice(starts[number], ends[number])
        facts = shards.ShardFacts(
            shard=shard,
            offsets=index["offsets"][part].tolist(),
            labels=index["labels"][part].tolist(),
            damaged=[(key, why) for where, key, why in info.damaged if where == number],
        )
        shards.write_facts(work, number, facts=facts)
