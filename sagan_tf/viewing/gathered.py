"""Standing statistics of generators that are opened: gathered once, or kept for other times."""

from collections.abc import Hashable
from typing import Optional

import numpy as np
import tqdm

from sagan_tf import config
from sagan_tf.gan import standing_statistics
from sagan_tf.gan.generator import Generator


def gather(network: Generator, sampling: config.Sampling) -> None:
    """Puts new standing statistics into a generator, which runs for them itself."""
    with _progress(sampling) as progress:
        standing_statistics.gather(network, sampling, after_batch=progress.update)


class Gathered:
    """Standing statistics of the generators of one run, by checkpoint and sampling.

    TensorFlow keeps some megabytes of each generator that has run in training, for as long as the
    process lives. Therefore one generator of its own takes the weights of each that is asked for.

    Attributes:
      known: the statistics in the order of the layers, by the keys that they were asked for with.
    """

    def __init__(self):
        self.known: dict[Hashable, list[np.ndarray]] = {}
        self._network: Optional[Generator] = None
        self._standing: dict[Hashable, standing_statistics.StandingStatistics] = {}

    def put(self, network: Generator, sampling: config.Sampling, *, key: Hashable) -> None:
        """Puts standing statistics into a generator: known ones, or else new ones.

        Args:
          network: the generator; all of one object are built alike.
          sampling: of the statistics.
          key: what they are known by.
        """
        if key not in self.known:
            self.known[key] = self._gathered(network, sampling)
        for variable, value in zip(_statistics(network), self.known[key]):
            variable.assign(value)

    def _gathered(self, network: Generator, sampling: config.Sampling) -> list[np.ndarray]:
        """The statistics of a generator, which itself does not run."""
        # Take its weights.
        if self._network is None:
            self._network = Generator(
                network.config, network.group_size, optimizations=network.optimizations
            )
            self._network.build()
        self._network.set_weights(network.get_weights())

        # One trace serves every truncation.
        kind = (sampling.batches, sampling.batch_size, sampling.seed)
        if kind not in self._standing:
            standing = standing_statistics.StandingStatistics(self._network, sampling)
            self._standing[kind] = standing

        # Gather them.
        with _progress(sampling) as progress:
            self._standing[kind].gather(progress.update, limit=sampling.limit)
        return [variable.numpy() for variable in _statistics(self._network)]


def _progress(sampling: config.Sampling) -> tqdm.tqdm:
    """A bar of the batches, on a terminal only."""
    return tqdm.tqdm(total=sampling.batches, unit="batch", disable=None, leave=False)


def _statistics(network: Generator) -> list:
    """The variables that hold batch norm's statistics, in the order of the layers."""
    return [state.variable for layer in network.batch_norm_layers() for state in layer.states()]
