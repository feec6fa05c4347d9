"""Standing statistics: batch norm's statistics, gathered anew for the z that will be drawn.

Moving statistics are those of training: of z that are not truncated, and, in a moving average of
the generator, of generators that came before it. Standing statistics are those of this generator
and of these z (Brock et al., 2019, "Large Scale GAN Training", section 3.1 and appendix D).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf.config import Sampling
from sagan_tf.gan import noise
from sagan_tf.gan.generator import Generator
from sagan_tf.gan.updates import Collection


def gather(
    network: Generator, sampling: Sampling, *, after_batch: Callable[[], Any] = lambda: None
) -> None:
    """Replaces a generator's moving statistics by standing statistics; u stays.

    Each batch runs as in training: every batch norm normalises by the batch's own moments. Over
    the batches, a layer's mean is the mean of the batches' means m. Its variance is the mean of
    their variances v and the variance of their means, mean(v) + mean(m^2) - mean(m)^2: that of
    all their images together. (Brock et al. leave out the variance of the means, which is large
    where batches are small.) v is what the layer's moving variance takes.

    On several devices each gathers the same, so that their number does not matter. Call it in the
    scope of the network's strategy.

    Args:
      network: a generator without groups (`group_size` None), or with groups of
        `sampling.batch_size`.
      sampling: truncation, number and size of the batches, seed.
      after_batch: called after each batch.
    """
    states = [state for layer in network.batch_norm_layers() for state in layer.states()]
    strategy = tf.distribute.get_strategy()

    # Compile a pass in training that stores nothing.
    def values_of_batch(number):
        z, labels = noise.draw_batch(
            sampling.seed,
            number,
            batch_size=sampling.batch_size,
            z_dim=network.config.z_dim,
            number_classes=network.config.number_classes,
            limit=sampling.limit,
        )
        collection = Collection()
        network(z, labels, training=True, update_sn=False, collection=collection)
        return collection.values(states)

    run = tf.function(lambda number: strategy.run(values_of_batch, (number,)), autograph=False)

    # Add up the values and their squares, in float64.
    sums = [0.0] * len(states)
    squares = [0.0] * len(states)
    for number in range(sampling.batches):
        values = run(tf.constant(number, tf.int64))
        for i, value in enumerate(values):
            value = strategy.experimental_local_results(value)[0]
            value = value.numpy().astype(np.float64)
            sums[i] = sums[i] + value
            squares[i] = squares[i] + value**2
        after_batch()

    # Store them: a mean and a variance of each layer, one after the other.
    for i in range(0, len(states), 2):
        mean = sums[i] / sampling.batches
        variance = sums[i + 1] / sampling.batches
        spread = squares[i] / sampling.batches - mean**2
        states[i].variable.assign(mean)
        states[i + 1].variable.assign(variance + np.maximum(spread, 0.0))
