"""Standing statistics: batch norm's statistics, gathered anew for the z that will be drawn.

Moving statistics are those of training: of z that are not truncated, and, in a moving average of
the generator, of generators that came before it. Standing statistics are those of this generator
and of these z (Brock et al., 2019, "Large Scale GAN Training", section 3.1 and appendix D).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf.config import Sampling
from sagan_tf.gan import noise
from sagan_tf.gan.generator import Generator
from sagan_tf.gan.updates import Collection


class StandingStatistics:
    """Standing statistics of a generator, which may be gathered again when its weights change.

    Each batch runs as in training: every batch norm normalises by the batch's own moments. Over
    the batches, a layer's mean is the mean of the batches' means m. Its variance is the mean of
    their variances v and the variance of their means, mean(v) + mean(m^2) - mean(m)^2: that of
    all their images together. (Brock et al. leave out the variance of the means, which is large
    where batches are small.) v is what the layer's moving variance takes.

    On several devices each gathers the same, so that their number does not matter. Make and use it
    in the scope of the network's strategy.

    Args:
      network: a generator without groups (`group_size` None), or with groups of
        `sampling.batch_size`.
      sampling: truncation, number and size of the batches, seed.
    """

    def __init__(self, network: Generator, sampling: Sampling):
        self._network = network
        self._sampling = sampling
        layers = network.batch_norm_layers()
        self._states = [state for layer in layers for state in layer.states()]

        # Compile a pass in training that stores nothing.
        self._strategy = tf.distribute.get_strategy()
        self._run = tf.function(
            lambda *of_batch: self._strategy.run(self._values_of_batch, of_batch), autograph=False
        )

    def gather(
        self,
        after_batch: Callable[[], Any] = lambda: None,
        *,
        limit: Optional[float] = None,
    ) -> None:
        """Replaces the generator's moving statistics; u stays.

        Args:
          after_batch: called after each batch.
          limit: of z, in the place of `sampling.limit`.
        """
        limit = self._sampling.limit if limit is None else limit
        share = tf.constant(noise.share_within(limit))

        # Add up the values and their squares, in float64.
        sums = [0.0] * len(self._states)
        squares = [0.0] * len(self._states)
        for number in range(self._sampling.batches):
            values = self._run(tf.constant(number, tf.int64), share)
            for i, value in enumerate(values):
                value = self._strategy.experimental_local_results(value)[0]
                value = value.numpy().astype(np.float64)
                sums[i] = sums[i] + value
                squares[i] = squares[i] + value**2
            after_batch()

        # Store them: a mean and a variance of each layer, one after the other.
        count = self._sampling.batches
        for i in range(0, len(self._states), 2):
            mean = sums[i] / count
            variance = sums[i + 1] / count
            spread = squares[i] / count - mean**2
            self._states[i].variable.assign(mean)
            self._states[i + 1].variable.assign(variance + np.maximum(spread, 0.0))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Gathers them; the statistics that were there return at the end of the body."""
        kept = [state.variable.numpy() for state in self._states]
        self.gather()
        try:
            yield
        finally:
            for state, value in zip(self._states, kept):
                state.variable.assign(value)

    def _values_of_batch(self, number: tf.Tensor, share: tf.Tensor) -> list[tf.Tensor]:
        """Mean and variance of each layer in a batch, with z of the middle `share`."""
        # Draw the batch.
        sampling = self._sampling
        z, labels = noise.draw_batch(
            sampling.seed,
            number,
            batch_size=sampling.batch_size,
            z_dim=self._network.config.z_dim,
            number_classes=self._network.config.number_classes,
            share=share,
        )

        # Run it, and take what it would store.
        collection = Collection()
        self._network(z, labels, training=True, update_sn=False, collection=collection)
        return collection.values(self._states)


def gather(
    network: Generator, sampling: Sampling, *, after_batch: Callable[[], Any] = lambda: None
) -> None:
    """Replaces a generator's moving statistics by standing statistics once.

    Args:
      network, sampling: as `StandingStatistics`.
      after_batch: called after each batch.
    """
    StandingStatistics(network, sampling).gather(after_batch)
