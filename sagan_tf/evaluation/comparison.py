"""Comparison of generated with real images: prepares both sides, scores, and writes the row."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any, Optional

from sagan_tf import errors, plurals
from sagan_tf.config import EvalConfig, ScoringConfig
from sagan_tf.data import dataset, records
from sagan_tf.evaluation import (
    features,
    held_out,
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
      console: shows how far the work is.
    """

    config: ScoringConfig
    extractor: features.Extractor
    real: real_statistics.RealStats
    class_names: Optional[Sequence[str]]
    stopwatch: features.Stopwatch
    console: Console

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
            console=self.console,
            intra=intra,
        )

    def real_scores(self) -> list[scores.Scores]:
        """The real images' own scores, and those of one half against the other, where known."""
        found = (scores.of_real(self.real), self._held_out)
        return [one for one in found if one is not None]

    @functools.cached_property
    def _held_out(self) -> Optional[scores.Scores]:
        return held_out.score(self.real, self.config, console=self.console)

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
    found: Optional[records.Records],
    *,
    generated: int,
    devices: Devices,
    stopwatch: features.Stopwatch,
    console: Console,
) -> Comparison:
    """Loads the classifier, and takes or makes what it makes of the real images.

    Args:
      config: what to compare with, and how.
      found: the real images, as `open_real` gives them.
      generated: number of images that will be compared with them.
      devices: where the classifier runs.
      stopwatch: takes the time of each part.
      console: told where the statistics come from.
    Raises:
      errors.UserError: the classifier is missing or unfit, or there are too few images.
    """
    # Count the real images.
    count = 0
    if found is not None:
        count = _real_count(config, found, generated)
        _check_neighbours(config, generated, count)

    # Load the classifier.
    with devices.strategy.scope():
        classifier = inception.load(config.inception, config.inception_sha256, resize=config.resize)
    if classifier.note:
        console.say(f"classifier {classifier.note}")
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
        console=console,
    )


def open_real(
    config: ScoringConfig,
    image_size: int,
    *,
    number_classes: int,
    directory: Optional[dataset.Directory] = None,
) -> Optional[records.Records]:
    """The real images; None where `--real_stats` takes their place.

    Args:
      config: which ones.
      image_size: their side in pixels.
      number_classes: of their labels.
      directory: of theirs, where it is open already.
    Raises:
      errors.UserError: they are missing or unfit.
    """
    if config.real_stats:
        return None
    try:
        if directory is None:
            directory = dataset.open_directory(config.real_dir)
        return directory.records(image_size, number_classes=number_classes)
    except errors.UserError as error:
        if config.real_split == "train":
            raise
        raise errors.UserError(str(error).replace("--data_dir=", "--validation_dir=")) from error


def fitting(
    config: EvalConfig, found: Optional[records.Records], *, console: Console
) -> EvalConfig:
    """The settings with as many generated images as there are real ones, where these are fewer.

    Real images in a number of their own, or in a file of statistics, do not change the settings.

    Args:
      config: what to compare, and how.
      found: the real images, as `open_real` gives them.
      console: told when fewer are generated.
    """
    if found is None or config.real_sample_size != -1:
        return config
    available = len(found.index.offsets)
    if available >= config.eval_sample_size:
        return config

    # Say it, because the numbers do not compare with those of more images.
    console.say(
        f"{config.real_dir} holds {available:,} images: as many are generated, and not "
        f"{config.eval_sample_size:,} (--eval_sample_size)"
    )
    return dataclasses.replace(config, eval_sample_size=available)


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
            f"--{flag}={count}: {config.real_dir} holds {plurals.counted(available, 'image')}; "
            "give at most that many, or --real_sample_size=0 to compare with all of them"
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
    """Prints the table of scores, the citation, how the protocol differs, and what they cost."""
    # Print the scores, and what they depend on.
    console.say(tables.table(columns))
    console.say(row["citation"])
    record = row["protocol"]
    for difference in record.get("differs", ()):
        console.say(f"protocol {record['name']}: {difference}")

    # Print what they cost.
    costs = row["seconds_per_1000_images"].items()
    parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in costs)
    console.say(f"seconds per 1,000 images: {parts}; peak memory {row['peak_memory_mb']:.0f} MB")
