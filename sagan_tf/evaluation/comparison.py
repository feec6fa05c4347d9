"""The real side of a comparison, and the row that a comparison writes."""

import time
from typing import Any

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ScoringConfig
from sagan_tf.data import dataset
from sagan_tf.data import records as data_records
from sagan_tf.evaluation import features, inception, real_statistics, tables
from sagan_tf.evaluation import scores as evaluation_scores
from sagan_tf.runtime import distribution, memory


class Comparison:
    """What the generated images are compared with: a classifier, real images, what they give.

    Attributes:
      classifier, extractor, real: each once.
      class_names: of the data, where it says them.
    """

    def __init__(
        self,
        config: ScoringConfig,
        image_size: int,
        *,
        number_classes: int,
        strategy: tf.distribute.Strategy,
        generated: int,
        say,
        show,
    ):
        records, count, self.class_names = None, 0, None
        if not config.real_stats:
            records = _open_real(config, image_size, number_classes)
            count = _real_count(config, records, generated)
            _check_neighbours(config, generated, count)
            self.class_names = records.info and (
                records.info.class_titles or records.info.class_names
            )
        with strategy.scope():
            self.classifier = inception.load(
                config.inception, config.inception_sha256, resize=config.resize
            )
        batch_size = distribution.fitting_batch(config.dcgan_generator_batch_size)
        self.extractor = features.Extractor(
            self.classifier, strategy, batch_size=batch_size, note=show
        )
        self.real = real_statistics.obtain(
            config, records, count=count, extractor=self.extractor, note=say
        )


def _open_real(config: ScoringConfig, image_size: int, number_classes: int) -> data_records.Records:
    try:
        return dataset.open_records(config.real_dir, image_size, number_classes=number_classes)
    except errors.UserError as error:
        if config.real_split == "train":
            raise
        raise errors.UserError(str(error).replace("--data_dir=", "--validation_dir=")) from error


def _check_neighbours(config: ScoringConfig, generated: int, real: int) -> None:
    """Raises config.UserError where there are no k nearest neighbours."""
    images = min(config.manifold_images, generated, real)
    for name in ("precision_k", "density_k"):
        if getattr(config, name) >= images:
            raise errors.UserError(
                f"--{name}={getattr(config, name)}: expected fewer neighbours than the {images} "
                "images of a side (--manifold_images, --eval_sample_size, --real_sample_size)"
            )


def _real_count(config: ScoringConfig, records: data_records.Records, generated: int) -> int:
    available = len(records.index.offsets)
    flag, count = "eval_sample_size", generated
    if config.real_sample_size >= 0:
        flag, count = "real_sample_size", config.real_sample_size or available
    if available < count:
        raise errors.UserError(
            f"--{flag}={count}: {config.real_dir} holds {available} images; give at most that "
            "many, or --real_sample_size"
        )
    return count


def new_row(
    columns: list[evaluation_scores.Scores],
    record: dict[str, Any],
    *,
    stopwatch: features.Stopwatch,
) -> dict[str, Any]:
    """What goes beside the scores into the record."""
    return {
        "protocol": record,
        "citation": tables.citation(columns[0], record),
        "images": columns[0].images,
        "intra": columns[0].intra_counts
        and {
            "classes": len(columns[0].intra_fids),
            "images_real": columns[0].intra_counts[:2],
            "images_generated": columns[0].intra_counts[2:],
        },
        "comparison": {scores.name: scores.scalars() for scores in columns[1:]},
        "seconds_per_1000_images": stopwatch.seconds_per_1000(),
        "peak_memory_mb": memory.memory_mb(peak=True),
        "time": time.time(),
    }


def cost_line(row: dict[str, Any]) -> str:
    parts = ", ".join(
        f"{part} {seconds:.2f}" for part, seconds in row["seconds_per_1000_images"].items()
    )
    return f"seconds per 1,000 images: {parts}; peak memory {row['peak_memory_mb']:.0f} MB"
