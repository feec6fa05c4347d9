"""State changes of layers: what a forward pass would store, and how it is stored."""

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple, Optional

import tensorflow as tf


def on_every_device(changes: list[tuple]) -> None:
    """Changes variables by what is the same on all replicas: no reduction.

    Args:
      changes: (variable, function of (this device's copy of it, *arguments), arguments) of each.
    """

    def change(strategy, arguments):
        for (variable, function, _), given in zip(changes, arguments):
            strategy.extended.update(variable, function, args=given, group=False)

    arguments = [given for *_, given in changes]
    tf.distribute.get_replica_context().merge_call(change, args=(arguments,))


class Update(NamedTuple):
    """New state of a layer: variable <- decay * variable + (1 - decay) * value."""

    variable: tf.Variable
    value: tf.Tensor
    decay: float


def store(variable, value: tf.Tensor, decay=0.0) -> None:
    """variable <- decay * variable + (1 - decay) * value."""
    if not isinstance(decay, float) or decay:
        value = tf.convert_to_tensor(variable) * decay + value * (1 - decay)
    variable.assign(value)


class _Collected(threading.local):  # MirroredStrategy runs each replica in a thread of its own.
    updates: Optional[list[Update]] = None


_collected = _Collected()


@contextlib.contextmanager
def collected_updates() -> Iterator[list[Update]]:
    """Layers called inside add their updates to the list instead of storing them.

    A training step stores them itself, after one reduction over all replicas; and a step that runs
    towers one after the other must not store before the last one has begun.
    """
    before, _collected.updates = _collected.updates, []
    try:
        yield _collected.updates
    finally:
        _collected.updates = before


def store_or_collect(variable, value: tf.Tensor, *, decay: float = 0.0) -> None:
    if _collected.updates is None:
        store(variable, value, decay=decay)
    else:
        _collected.updates.append(Update(variable.value, value, decay))
