"""Scores of a set of images from any generator."""

import json
from typing import Optional, TextIO

from sagan_tf.config import ScoreImagesConfig
from sagan_tf.data import dataset
from sagan_tf.evaluation import comparison, console, features, image_sets, rows, scores
from sagan_tf.runtime import files


def score_images(config: ScoreImagesConfig, stream: Optional[TextIO] = None) -> list[scores.Scores]:
    """Scores images that are there already, by the same arithmetic; prints and records them.

    Args:
      config: which images, and how they are scored.
      stream: where to print; standard output by default.
    Returns:
      The scores of the images, of the real ones, and of one half of these against the other where
      there are enough.
    Raises:
      errors.UserError: images, real images or classifier are missing or unfit.
    """
    output = console.Console(stream)
    stopwatch = features.Stopwatch()

    # Look for everything before anything takes long.
    if config.out:
        _append(config.out, "")
    devices = comparison.make_devices(config)
    directory = None if config.real_stats else dataset.open_directory(config.real_dir)
    images = image_sets.open_set(config, directory, devices=devices)
    if images.note:
        output.say(images.note)
    stored = directory.settings if directory else {}
    real = comparison.open_real(
        config,
        config.image_size or stored.get("image_size") or images.image_size,
        number_classes=config.number_classes or stored.get("number_classes") or 1000,
        directory=directory,
    )
    against = comparison.prepare(
        config,
        real,
        generated=images.count,
        devices=devices,
        stopwatch=stopwatch,
        console=output,
    )

    # Score the images.
    columns = [against.score(images), *against.real_scores()]

    # Print and record the scores.
    record = against.protocol(images.count, **images.describe())
    row = comparison.new_row(columns, record, stopwatch=stopwatch)
    comparison.say_scores(output, columns, row=row)
    if config.out:
        flat = rows.labelled(columns[0].each())
        _append(config.out, json.dumps({**flat, **row}) + "\n")
    return columns


def _append(path: str, text: str) -> None:
    """Adds text to the file of `--out`, which is made if needed."""
    with files.writing(f"--out={path}"), open(path, "a", encoding="utf-8") as file:
        file.write(text)
