"""Devices of an evaluation: batches are shared out to them, and results are collected."""

from typing import Any

import numpy as np
import tensorflow as tf


class Devices:
    """All devices of a strategy, which take batches of one size.

    Whatever the number of images, every call of a device has `batch_size` of them (the last ones
    are filled up), so that everything is compiled once.

    Args:
      strategy: its devices.
      batch_size: images that a device takes at a time.

    Attributes:
      strategy: as given.
      global_batch: images of all devices at a time.
    """

    def __init__(self, strategy: tf.distribute.Strategy, batch_size: int):
        self.strategy = strategy
        self.global_batch = batch_size * strategy.num_replicas_in_sync
        self._batch_size = batch_size

    def share_out(self, *arrays: np.ndarray) -> tuple[Any, ...]:
        """Arrays of the same length, up to `global_batch`, each as one part for every device."""
        filled = (np.resize(array, [self.global_batch, *array.shape[1:]]) for array in arrays)
        return tuple(map(self._distribute, filled))

    def _distribute(self, array: np.ndarray) -> Any:
        def part_of_device(context):
            start = context.replica_id_in_sync_group * self._batch_size
            return tf.constant(array[start : start + self._batch_size])

        return self.strategy.experimental_distribute_values_from_function(part_of_device)

    def on_host(self, values: Any, count: int) -> np.ndarray:
        """The first `count` images, or rows, of what all devices hold."""
        parts = [value.numpy() for value in self.strategy.experimental_local_results(values)]
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return joined[:count]
