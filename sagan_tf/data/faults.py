"""Faults of record files, found and named while they are read."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Optional

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.data import record_index
from sagan_tf.data.records import EXPECTED, Records, stamps_of

# What TensorFlow raises when a file or record cannot be read or fails a check.
READ_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    OSError,
    UnicodeDecodeError,
)
_BATCH = 64


@contextlib.contextmanager
def reading(records: Records, note: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Turns an error of reading into a `errors.UserError` that names the file and the record.

    Reads the files again to find the first record that fails. If none does, the fault was not in
    the data, and the error comes back as it was.

    Args:
      records: what is being read.
      note: told that the search begins.
    """
    try:
        yield
    except READ_ERRORS as error:
        note("a record cannot be read; searching for it")
        fault = find_fault(records)
        if fault is None:
            raise
        raise errors.UserError(fault) from error


def find_fault(records: Records) -> Optional[str]:
    """The first changed file, or unreadable or unfit record, as a line that names it, or None."""
    return find_change(records) or _find_unfit(records)


def find_change(records: Records, removed: bool = True) -> Optional[str]:
    """The first file that was replaced since it was opened, as a line, or None.

    Args:
      records: as opened.
      removed: whether a file that is gone counts.
    """
    now = stamps_of(records.files)
    for filename, before, after in zip(records.files, records.stamps, now):
        # Name a file that is gone.
        if after is None and removed:
            return (
                f"{filename}: it was there when the run began, and is gone; put it back, and "
                "the same command continues"
            )

        # Name a file that is another one.
        if after not in (None, before):
            return (
                f"{filename}: it has changed since the run began ({before[0]} bytes then, "
                f"{after[0]} now); put back what was there, and the same command continues"
            )
    return None


def _find_unfit(records: Records) -> Optional[str]:
    for filename in records.files:
        try:
            for _ in records.parser.batches(tf.data.TFRecordDataset(filename), _BATCH):
                pass
        except READ_ERRORS:
            return _first_fault(filename, records)
    return None


def _first_fault(filename: str, records: Records) -> Optional[str]:
    index = 0
    try:
        for serialized in tf.data.TFRecordDataset(filename):
            records.parser.parse(serialized)
            index += 1
    except READ_ERRORS as error:
        return f"{filename}: record {index} cannot be used: {reason(error)}"
    return None


def reason(error: Exception) -> str:
    """Why a record could not be used, from the error that said so."""
    if isinstance(error, tf.errors.DataLossError):
        return record_index.DAMAGED

    # Take the words of `records.check`.
    message = str(getattr(error, "message", error))
    own = re.search("<<(.*)>>", message)
    if own:
        return own.group(1)

    # Take TensorFlow's own words, without its remarks on where in its graph that was.
    words = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", message.splitlines()[0])
    return f"{words}; {EXPECTED}"
