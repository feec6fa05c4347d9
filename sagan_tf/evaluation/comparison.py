"""Comparison of generated with real images: prepares both sides, scores, and writes the row."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Optional

from sagan_tf import errors
from sagan_tf.config import ScoringConfig
from sagan_tf.data import dataset, records
from sagan_tf.evaluation import (
    features,
    inception,
    protocol,
    real_images,
    real_statistics,
    rows,
    scores,
    tables,
)
from sagan_tf.evaluation.console import Console
from sagan_tf.evaluation.devices import Devices
from sagan_tf.runtime import distribution, memory


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What every set of images is compared with, and by what.

    Attributes:
      config: numbers of neighbours, sizes, seed.
      extractor: the classifier on all devices.
      real: statistics of the real images.
      class_names: of the real images; None where their data does not say them.
      stopwatch: has the time of each part.
    """

    config: ScoringConfig
    extractor: features.Extractor
    real: real_statistics.RealStats
    class_names: Optional[Sequence[str]]
    stopwatch: features.Stopwatch

    def score(self, source: features.Source, *, intra: bool = True) -> scores.Scores:
        """Every score of a set of images.

        Args:
          source: the images.
          intra: whether to give each class's FID too.
        Raises:
          errors.UnusableCheckpoint: what the classifier gives is not finite.
        """
        found = self.extractor.collect(
            source, splits=self.config.splits_of(source.count), seed=self.config.seed
        )
        return scores.compute(
            source.name,
            found,
            real=self.real,
            config=self.config,
            stopwatch=self.stopwatch,
            intra=intra,
        )

    def real_scores(self) -> list[scores.Scores]:
        """The real images' own scores, if their features are known."""
        found = scores.of_real(self.real)
        return [] if found is None else [found]

    def protocol(self, count: int, **images: Any) -> dict[str, Any]:
        """What decides the scores of `count` images, of which `images` says what they are."""
        return protocol.protocol(
            self.config, self.real, classifier=self.extractor.classifier, count=count, **images
        )


def make_devices(config: ScoringConfig) -> Devices:
    """The devices that the flags ask for.

    Raises:
      errors.UserError: they are not there.
    """
    strategy = distribution.make_evaluation_strategy(config)
    return Devices(strategy, distribution.fitting_batch(config.dcgan_generator_batch_size))


def prepare(
    config: ScoringConfig,
    image_size: int,
    *,
    number_classes: int,
    generated: int,
    devices: Devices,
    stopwatch: features.Stopwatch,
    console: Console,
    directory: Optional[dataset.Directory] = None,
) -> Comparison:
    """Finds the real images and the classifier, and what the classifier makes of the images.

    Args:
      config: what to compare with, and how.
      image_size: side of the real images in pixels.
      number_classes: of the real images.
      generated: number of images that will be compared with them.
      devices: where the classifier runs.
      stopwatch: takes the time of each part.
      console: told where the statistics come from.
      directory: of the real images, where it is open already.
    Raises:
      errors.UserError: real images or classifier are missing or unfit, or there are too few images.
    """
    # Look for the real images.
    found = None
    count = 0
    if not config.real_stats:
        found = _open_real(config, directory, image_size=image_size, number_classes=number_classes)
        count = _real_count(config, found, generated)
        _check_neighbours(config, generated, count)

    # Load the classifier.
    with devices.strategy.scope():
        classifier = inception.load(config.inception, config.inception_sha256, resize=config.resize)
    extractor = features.Extractor(classifier, devices, stopwatch=stopwatch, console=console)

    # Make statistics of the real images, or take those of an earlier time.
    real = real_images.obtain(
        config,
        found,
        count=count,
        extractor=extractor,
        devices=devices,
        stopwatch=stopwatch,
        note=console.say,
    )
    return Comparison(
        config=config,
        extractor=extractor,
        real=real,
        class_names=_class_names(found),
        stopwatch=stopwatch,
    )


def _open_real(
    config: ScoringConfig,
    directory: Optional[dataset.Directory],
    *,
    image_size: int,
    number_classes: int,
) -> records.Records:
    try:
        if directory is None:
            directory = dataset.open_directory(config.real_dir)
        return directory.records(image_size, number_classes=number_classes)
    except errors.UserError as error:
        if config.real_split == "train":
            raise
        raise errors.UserError(str(error).replace("--data_dir=", "--validation_dir=")) from error


def _class_names(found: Optional[records.Records]) -> Optional[Sequence[str]]:
    """Names of the classes of real images, if their data says them."""
    if found is None or found.info is None:
        return None
    return found.info.class_titles or found.info.class_names


def _check_neighbours(config: ScoringConfig, generated: int, real: int) -> None:
    """Raises errors.UserError where there are no k nearest neighbours."""
    images = min(config.manifold_images, generated, real)
    for name in ("precision_k", "density_k"):
        if getattr(config, name) >= images:
            raise errors.UserError(
                f"--{name}={getattr(config, name)}: expected fewer neighbours than the {images} "
                "images of a side (--manifold_images, --eval_sample_size, --real_sample_size)"
            )


def _real_count(config: ScoringConfig, found: records.Records, generated: int) -> int:
    """Number of real images to compare with."""
    # Find how many are wanted, and which flag says so.
    available = len(found.index.offsets)
    flag = "eval_sample_size"
    count = generated
    if config.real_sample_size >= 0:
        flag = "real_sample_size"
        count = config.real_sample_size or available

    # Refuse more than there are.
    if available < count:
        raise errors.UserError(
            f"--{flag}={count}: {config.real_dir} holds {available} images; give at most that "
            "many, or --real_sample_size"
        )
    return count


def new_row(
    columns: Sequence[scores.Scores],
    record: dict[str, Any],
    *,
    stopwatch: features.Stopwatch,
) -> dict[str, Any]:
    """A row of a record, without its flat keys.

    Args:
      columns: the scores that the row is of, then those to compare them with.
      record: their protocol.
      stopwatch: has the time of each part.
    """
    # Write down the scores, and those to compare them with.
    first, *others = columns
    own = rows.to_row(first.each())
    compared = {other.name: rows.labelled(other.each()) for other in others}

    # Add what they depend on, and what they cost.
    return {
        "version": rows.VERSION,
        "scores": own,
        "protocol": record,
        "citation": tables.citation(first, record),
        "images": first.images,
        "intra": _intra_of(first),
        "comparison": compared,
        "seconds_per_1000_images": stopwatch.seconds_per_1000(),
        "peak_memory_mb": memory.memory_mb(peak=True),
        "time": time.time(),
    }


def _intra_of(found: scores.Scores) -> Optional[dict[str, Any]]:
    """Of what intra-FID was made: classes, least and most images of a class; None without it."""
    if not found.intra_counts:
        return None
    return {
        "classes": len(found.intra_fids),
        "images_real": found.intra_counts[:2],
        "images_generated": found.intra_counts[2:],
    }


def say_scores(console: Console, columns: Sequence[scores.Scores], *, row: dict[str, Any]) -> None:
    """Prints the table of scores, the citation, and what they cost."""
    console.say(tables.table(columns))
    console.say(row["citation"])
    costs = row["seconds_per_1000_images"].items()
    parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in costs)
    console.say(f"seconds per 1,000 images: {parts}; peak memory {row['peak_memory_mb']:.0f} MB")
