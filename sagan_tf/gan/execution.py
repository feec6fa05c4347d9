"""Execution of a step's differentiable part: compiled, in parts, on several replicas.

A part is a function of a batch (tensors, images first) to an `Outcome`. It stores nothing, so each
function here takes a part and gives another one that computes the same.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from sagan_tf.gan import updates


class Outcome(NamedTuple):
    """What a part of a step finds.

    Attributes:
      metrics: scalars by name.
      gradients: of the weights that the step trains, in their order.
      values: new values of the states that the step moves, in their order.
    """

    metrics: dict[str, tf.Tensor]
    gradients: list[tf.Tensor]
    values: list[tf.Tensor]


Part = Callable[..., Outcome]


def zero_outcome(
    metrics: Sequence[str], weights: Sequence[keras.Variable], states: Sequence[updates.State]
) -> Outcome:
    """An outcome of zeros."""
    return Outcome(
        metrics={name: tf.zeros([]) for name in metrics},
        gradients=[tf.zeros(weight.shape) for weight in weights],
        values=[tf.zeros(state.variable.shape) for state in states],
    )


def compiled(part: Part, replicas: int) -> Part:
    """The same as one computation of XLA; each of the replicas has its own, traced once."""
    # Make a computation for each replica.
    computations = [tf.function(part, jit_compile=True, autograph=False) for _ in range(replicas)]

    # Run that of the replica that calls.
    def run(*batch: tf.Tensor) -> Outcome:
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        # A TPU traces once for all replicas, which then have no number yet.
        return computations[0 if replica is None else int(replica)](*batch)

    return run


def accumulated(part: Part, count: int, *, zeros: Callable[[], Outcome]) -> Part:
    """Means of what `part` finds for `count` equal pieces of its batch, one after the other.

    Args:
      part: the part.
      count: pieces; 1: the part itself.
      zeros: an outcome of zeros.
    """
    # One piece needs no loop.
    if count == 1:
        return part

    # Add up what the pieces give.
    def run(*batch: tf.Tensor) -> Outcome:
        # Cut the batch up.
        pieces = [tf.reshape(x, [count, x.shape[0] // count, *x.shape[1:]]) for x in batch]

        def add_piece(number, sums):
            outcome = part(*[x[number] for x in pieces])
            return number + 1, tf.nest.map_structure(lambda s, x: s + x / count, sums, outcome)

        # Run the pieces one after the other.
        _, means = tf.while_loop(
            lambda number, _: number < count,
            add_piece,
            (0, zeros()),
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return means

    return run


def mean_over_replicas(outcome: Outcome) -> Outcome:
    """Gradients and values as means over the replicas; metrics stay those of this replica.

    Every replica holds the same number of images, so the mean over replicas is the gradient of the
    whole batch's mean. One reduction for all, so that TensorFlow can pack it.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return outcome
    gradients, values = context.all_reduce(
        tf.distribute.ReduceOp.MEAN, (outcome.gradients, outcome.values)
    )
    return Outcome(outcome.metrics, gradients, values)


def mean_of_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of a replica's value over the replicas."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def on_replicas(
    strategy: tf.distribute.Strategy, step: Callable[..., dict[str, tf.Tensor]], *batch: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Runs a step where its caller is: inside `strategy.run`, or outside with the whole batch.

    Args:
      strategy: the one that the step's variables were made with.
      step: function of a replica's share of the batch to scalars by name.
      batch: tensors, images first; outside they are split evenly, in order.
    Returns:
      The scalars; outside, their means over the replicas.
    Raises:
      ValueError: the batch cannot be split evenly.
    """
    # Inside `strategy.run`, or with TensorFlow's default strategy, this is a replica already.
    context = tf.distribute.get_replica_context()
    if context and context.strategy is strategy:
        return step(*batch)

    # Split the batch.
    replicas = strategy.num_replicas_in_sync
    images = batch[0].shape[0]
    if images is not None and images % replicas:
        raise ValueError(f"a batch of {images} images cannot be split over {replicas} replicas")
    shares = [_distributed(strategy, tf.split(value, replicas)) for value in batch]

    # Run, and take the means.
    results = strategy.run(step, args=shares)
    return {
        name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
        for name, value in results.items()
    }


def _distributed(strategy: tf.distribute.Strategy, shares: Sequence[tf.Tensor]):
    """The share of each replica, as `strategy.run` takes them."""
    return strategy.experimental_distribute_values_from_function(
        lambda context: shares[context.replica_id_in_sync_group]
    )
