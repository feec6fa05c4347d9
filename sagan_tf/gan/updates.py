"""State changes of layers: what a forward pass would store, and how it is stored."""

from collections.abc import Sequence
from typing import NamedTuple, Optional, Union

import keras
import tensorflow as tf


class State(NamedTuple):
    """A variable that a forward pass moves: variable <- decay * variable + (1 - decay) * value.

    A decay of 0 replaces it.
    """

    variable: keras.Variable
    decay: float = 0.0


class Update(NamedTuple):
    """A change to make: variable <- decay * variable + (1 - decay) * value."""

    variable: tf.Variable
    value: tf.Tensor
    decay: Union[float, tf.Tensor] = 0.0


def scalar(value, dtype: tf.DType, name: str) -> tf.Variable:
    """A variable of a step's state that is the same on all replicas."""
    return tf.Variable(
        value,
        dtype=dtype,
        trainable=False,
        name=name,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


class Collection:
    """New values of layers' state, kept for the caller of a forward pass instead of stored.

    A training step stores them itself, after one reduction over all replicas. A step that runs
    its towers one after the other must not store before the last one has begun.
    """

    def __init__(self):
        self._values: dict[str, tf.Tensor] = {}

    def add(self, state: State, value: tf.Tensor) -> None:
        """Keeps the new value of a layer's state."""
        self._values[state.variable.path] = value

    def values(self, states: Sequence[State]) -> list[tf.Tensor]:
        """The new values of these states, in their order.

        Raises:
          KeyError: the forward pass has not moved one of them.
        """
        return [self._values[state.variable.path] for state in states]


def store_or_collect(state: State, value: tf.Tensor, *, collection: Optional[Collection]) -> None:
    """Stores a layer's new value at once, or adds it to the collection if there is one."""
    if collection is None:
        store(state.variable, value, state.decay)
    else:
        collection.add(state, value)


def store(variable, value: tf.Tensor, decay: Union[float, tf.Tensor] = 0.0) -> None:
    """variable <- decay * variable + (1 - decay) * value."""
    if not isinstance(decay, float) or decay:
        value = tf.convert_to_tensor(variable) * decay + value * (1 - decay)
    variable.assign(value)


def store_all(updates: Sequence[Update]) -> None:
    """Stores values that are the same on all replicas, on every device."""
    on_every_device(
        [(update.variable, store, (update.value, update.decay)) for update in updates],
    )


def on_every_device(changes: Sequence[tuple]) -> None:
    """Changes variables by what is the same on all replicas, without a reduction.

    Args:
      changes: (variable, function of (this device's copy of it, *arguments), arguments) of each.
    """

    def change(strategy, arguments):
        for (variable, function, _), given in zip(changes, arguments):
            strategy.extended.update(variable, function, args=given, group=False)

    arguments = [given for *_, given in changes]
    tf.distribute.get_replica_context().merge_call(change, args=(arguments,))
