"""Description of a run that `--dry_run` prints: settings, networks, devices and data."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from sagan_tf import model, plurals
from sagan_tf.config import DataConfig
from sagan_tf.data import dataset
from sagan_tf.data.records import Records
from sagan_tf.runtime import distribution
from sagan_tf.training import events


def describe(gan: model.SAGAN, records: Records, *, data_config: DataConfig) -> str:
    """A line for each fact.

    Args:
      gan: its settings, sizes and devices are described.
      records: the data that it would train on.
      data_config: how they would be read.

    Raises:
      errors.UserError: a file of the data is not made of records.
    """
    config = gan.train_config
    lines = []

    # The settings.
    for section in (gan.model_config, data_config, config):
        lines += _lines(vars(section))
    lines.append(f"optimizations in force: {events.optimizations_in_force(gan)}")
    by_processor = events.chosen_by_processor(gan)
    if by_processor:
        lines.append(f"{events.BY_PROCESSOR}: {by_processor}")
    lines.append(f"run directory: {config.run_dir}")

    # The networks.
    generator_weights = _count_weights(gan.generator)
    discriminator_weights = _count_weights(gan.discriminator)
    lines.append(f"generator parameters: {generator_weights:,}")
    lines.append(f"discriminator parameters: {discriminator_weights:,}")

    # The devices and the data.
    lines.append(devices(gan))
    lines += _lines(dataset.describe(records), prefix="data ")
    if data_config.balance_classes:
        lines.append(f"data records of a balanced epoch: {len(dataset.balanced(records))}")
    return "\n".join(lines)


def devices(gan: model.SAGAN) -> str:
    """The line about what the training runs on."""
    # Name the devices.
    count = gan.strategy.num_replicas_in_sync
    names = ", ".join(gan.strategy.extended.worker_devices)

    # Say what each of them does.
    towers = distribution.towers_per_replica(gan.train_config, gan.strategy)
    named = plurals.counted(towers, "tower")
    share = f"{named} of {plurals.counted(gan.train_config.batch_size, 'image')} on each"
    return f"devices: {count} ({names}), {share}"


def _lines(facts: Mapping[str, Any], prefix: str = "") -> list[str]:
    return [f"{prefix}{name}: {value}" for name, value in facts.items()]


def _count_weights(network: keras.Model) -> int:
    sizes = [int(np.prod(v.shape)) for v in network.trainable_variables]
    return sum(sizes)
