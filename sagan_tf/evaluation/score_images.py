"""Scores of a set of images from any generator."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Optional, TextIO

from sagan_tf import errors
from sagan_tf.config import ScoreImagesConfig
from sagan_tf.data import dataset, order, records
from sagan_tf.evaluation import comparison, evaluate, protocol, scores, tables
from sagan_tf.images import sets
from sagan_tf.runtime import distribution, files


def score_images(config: ScoreImagesConfig, stream: Optional[TextIO] = None) -> list[scores.Scores]:
    """Scores images that are there already, by the same arithmetic; prints and records them.

    Returns:
      The scores of the images, and of the real ones.
    Raises:
      config.UserError: images, real images or classifier are missing or unfit.
    """
    stream = stream or sys.stdout
    if config.out:
        with files.writing(f"--out={config.out}"), open(config.out, "a", encoding="utf-8"):
            pass
    found = sets.open_images(config.images)
    count = config.eval_sample_size or found.count
    if found.count < count:
        raise errors.UserError(
            f"--eval_sample_size={count}: {config.images} holds "
            f"{found.count} images; give at most that many"
        )
    if count < 2 * config.is_splits:
        raise errors.UserError(
            f"--images={config.images}: holds {count} images; expected at "
            f"least {2 * config.is_splits} for --is_splits="
            f"{config.is_splits}"
        )
    said = {} if config.real_stats else dataset.settings(config.real_dir)
    strategy = distribution.make_evaluation_strategy(config)
    side = comparison.Comparison(
        config,
        config.image_size or said.get("image_size") or found.size[0],
        number_classes=config.number_classes or said.get("number_classes") or 1000,
        strategy=strategy,
        generated=count,
        say=lambda text: evaluate.say(stream, text),
        show=lambda *done: evaluate.show(stream, *done),
    )
    extractor = side.extractor

    chosen = order.choose(found.count, count, config.seed)

    def batches() -> Iterator[tuple[Any, int]]:
        for batch in found.batches(extractor.global_batch, chosen):
            (images,) = extractor.share_out(records.to_float(batch).numpy())
            yield images, len(batch)

    name = os.path.basename(config.images.rstrip("/"))
    labels = None if found.labels is None else found.labels[chosen]
    generated = extractor.collect(
        name,
        batches(),
        total=count,
        splits=config.splits_of(count),
        seed=config.seed,
        labels=labels,
    )
    real = scores.of_real(side.real)
    columns = [
        scores.compute(
            name, generated, real=side.real, config=config, stopwatch=extractor.stopwatch
        ),
        *([real] if real else []),
    ]
    record = protocol.protocol(
        config,
        side.real,
        classifier=side.classifier,
        count=count,
        images=f"{config.images}, uint8 of {found.size[0]} x {found.size[1]} px",
    )
    row = {
        **columns[0].scalars(),
        **comparison.new_row(columns, record, stopwatch=extractor.stopwatch),
    }
    evaluate.say(stream, tables.table(columns))
    evaluate.say(stream, row["citation"])
    evaluate.say(stream, comparison.cost_line(row))
    if config.out:
        with files.writing(f"--out={config.out}"), open(config.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return columns
