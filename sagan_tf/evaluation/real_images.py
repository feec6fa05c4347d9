"""The real images of an evaluation, and their statistics: cached, from a file, or computed."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf.config import ScoringConfig
from sagan_tf.data import dataset, faults, record_index, records
from sagan_tf.evaluation import (
    devices,
    features,
    inception,
    metrics,
    real_statistics,
    statistics_cache,
)

_VERSION = 1


class RealImages:
    """Images of records that a seed chooses.

    Args:
      found: the records.
      count: how many images.
      seed: chooses them.
      devices: that will classify them.
      stopwatch: takes the time of reading.

    Attributes:
      name, count, work: as `features.Source`.
    """

    name = "real images"
    work = "classify"

    def __init__(
        self,
        found: records.Records,
        count: int,
        *,
        seed: int,
        devices: devices.Devices,
        stopwatch: features.Stopwatch,
    ):
        self.count = count
        self._records = found
        self._seed = seed
        self._devices = devices
        self._stopwatch = stopwatch

    def batches(self) -> Iterator[features.Batch]:
        """The images in the order of their files."""
        # Open the records.
        global_batch = self._devices.global_batch
        batches = iter(
            dataset.evaluation_batches(
                self._records, self.count, batch_size=global_batch, seed=self._seed
            )
        )

        # Read them a batch at a time.
        for start in range(0, self.count, global_batch):
            count = min(global_batch, self.count - start)
            with self._stopwatch.measuring("read", count):
                pixels, labels = next(batches)
                (images,) = self._devices.share_out(records.to_float(pixels).numpy())
            yield images, labels.numpy(), count


def obtain(
    config: ScoringConfig,
    found: Optional[records.Records],
    *,
    count: int,
    extractor: features.Extractor,
    devices: devices.Devices,
    stopwatch: features.Stopwatch,
    note: Callable[[str], None],
) -> real_statistics.RealStats:
    """The statistics that the config asks for: brought, cached, or computed now and cached.

    Args:
      config: what to compare with.
      found: the real images; None where `--real_stats` takes their place.
      count: how many of them.
      extractor: the classifier.
      devices: that it runs on.
      stopwatch: takes the time of each part.
      note: told where the statistics come from.
    Raises:
      errors.UserError: `--real_stats` is not fit, a record cannot be read, or a file cannot be
        written.
    """
    # Take the statistics from a file, or make them.
    if found is None:
        stats = real_statistics.read(config.real_stats, extractor.classifier)
    else:
        source = RealImages(found, count, seed=config.seed, devices=devices, stopwatch=stopwatch)
        with faults.reading(found):
            key = _key_of(config, found, count, extractor.classifier)
            compute = functools.partial(
                _compute, source, key, extractor=extractor, stopwatch=stopwatch
            )
            stats = _cached(config.stats_dir, key, compute=compute, note=note)
    note(f"real statistics: {stats.source}")

    # Export them.
    if config.export_real_stats:
        real_statistics.write(config.export_real_stats, stats)
        note(f"real statistics written to {config.export_real_stats}")
    return stats


def _key_of(
    config: ScoringConfig,
    found: records.Records,
    count: int,
    classifier: inception.Classifier,
) -> statistics_cache.Key:
    """Everything that the statistics of `count` images depend on."""
    # Name what decides.
    chosen = dataset.evaluation_records(found, count, seed=config.seed)
    facts = {
        "version": _VERSION,
        "images": count,
        "image_size": found.image_size,
        "fingerprint": record_index.fingerprint(found.index, chosen),
        "classifier_sha256": classifier.sha256,
        "classifier_input_size": classifier.input_size,
        "resize": classifier.resize,
        "dtype": "float32",
        "is_splits": config.splits_of(count),
        "tensorflow": tf.__version__,
    }

    # Make a name of it.
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return statistics_cache.Key(facts, digest[:16], {**facts, "split": config.real_split})


def _cached(
    stats_dir: str,
    key: statistics_cache.Key,
    *,
    compute: Callable[..., real_statistics.RealStats],
    note: Callable[[str], None],
) -> real_statistics.RealStats:
    """The statistics of a key from the cache in `stats_dir`, or computed and put there."""
    if not stats_dir:
        return compute()

    # Look into the cache.
    cache = statistics_cache.Cache(stats_dir, key)
    cache.remove_leftovers()
    found = cache.read(note)
    if found is not None:
        return found

    # Compute them into the cache.
    try:
        cache.begin()
        return cache.write(compute(out=cache.new_features))
    except BaseException:
        cache.clear()
        raise


def _compute(
    source: RealImages,
    key: statistics_cache.Key,
    *,
    extractor: features.Extractor,
    stopwatch: features.Stopwatch,
    out: Optional[Callable[[tuple[int, int]], np.ndarray]] = None,
) -> real_statistics.RealStats:
    """The statistics of the source's images."""
    # One seed for all: the seed chooses the images, and the same ones have the same statistics.
    found = extractor.collect(source, splits=key.facts["is_splits"], seed=0, out=out)
    with stopwatch.measuring("statistics", 0):
        moments = metrics.moments(found.pool)
    return real_statistics.RealStats(moments, key.about, found, "computed")
