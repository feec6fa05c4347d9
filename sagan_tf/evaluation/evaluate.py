"""Evaluation of a run or an exported model: from its directory and real images to scores."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import Any, Optional, TextIO

import numpy as np

from sagan_tf.config import EvalConfig, ModelConfig, Sampling
from sagan_tf.evaluation import (
    comparison,
    console,
    features,
    generators,
    metrics,
    protocol,
    rows,
    scores,
    sources,
    tables,
)
from sagan_tf.images import grids, sets
from sagan_tf.runs import checkpoints, metric_writer, tensorboard_layout
from sagan_tf.runtime import files


def evaluate(
    config: EvalConfig, stream: Optional[TextIO] = None, *, may_shrink: bool = False
) -> list[scores.Scores]:
    """Scores a checkpoint by the config's protocol and writes what it finds.

    By default that is the reference's: `eval_sample_size` images with moving statistics and uniform
    random labels against as many training images; floats, not rounded, resized with TensorFlow 1's
    bilinear; IS over all in one split. SN's u is settled once and then frozen, so that scores do
    not depend on batch size or order.

    Args:
      config: what to score, and how.
      stream: where to print; standard output by default.
      may_shrink: as for `open_evaluation`.
    Returns:
      Those of the checkpoint, of the real images, of one half of these against the other where
      there are enough, and of the untrained generator if asked for.
    Raises:
      errors.UserError: no run, no checkpoint, no such classifier, too few or unusable images.

    Source: reference `eval_imagenet.py:81-244`; paper, section 4.
    """
    step = config.checkpoint_step
    return open_evaluation(config, stream, step=step, may_shrink=may_shrink).score()


def open_evaluation(
    config: EvalConfig,
    stream: Optional[TextIO] = None,
    *,
    step: Optional[int] = None,
    may_shrink: bool = False,
) -> "Evaluation":
    """A generator, real images and a classifier, ready to score any checkpoint of a run.

    Everything that may be missing is looked for before anything is generated.

    Args:
      config: what to score, and how.
      stream: where to print; standard output by default.
      step: of a checkpoint that is loaded before the real images are read (-1: the newest that can
        be read); None: none is, and `Evaluation.load` has to be called before `score`.
      may_shrink: whether fewer images are generated where there are fewer real ones.
    Raises:
      errors.UserError: as `evaluate`.
    """
    output = console.Console(stream)
    stopwatch = features.Stopwatch()

    # Open the generator's settings and the real images.
    network = generators.find(config, note=output.say)
    config = network.config
    model_config = network.model_config
    real = comparison.open_real(
        config, model_config.image_size, number_classes=model_config.number_classes
    )
    if may_shrink:
        config = comparison.fitting(config, real, console=output)

    # Open the generator.
    devices = comparison.make_devices(config)
    generated = sources.GeneratedImages(
        config, network, devices=devices, stopwatch=stopwatch, console=output
    )
    if not config.watch:
        network.require_weights()
    if step is not None:
        generated.load(step)

    # Load the classifier, and see what it makes of the real images.
    against = comparison.prepare(
        config,
        real,
        generated=config.eval_sample_size,
        devices=devices,
        stopwatch=stopwatch,
        console=output,
    )
    if against.real.features is not None:
        generated.real_labels = against.real.features.labels
    return Evaluation(
        config=config,
        generated=generated,
        against=against,
        writer=_open_writer(network),
        console=output,
    )


def _open_writer(network: generators.AnyGenerator) -> metric_writer.MetricWriter:
    """Where scores are written, with TensorBoard's charts for them."""
    writer = metric_writer.MetricWriter(network.eval_dir, sys.maxsize, copy_dir=network.copy_dir)
    writer.write_layout(tensorboard_layout.of_scores())
    copy_earlier_scores(writer, network.run)
    return writer


def copy_earlier_scores(writer: metric_writer.MetricWriter, run: Optional[str]) -> None:
    """Shows TensorBoard on a run's directory the scores that were written before there was a copy.

    Args:
      writer: of the evaluation's directory, whose rows stay as they are.
      run: the run's own name.
    """
    # Take the rows of this run.
    if not writer.copy_is_new:
        return
    own, _ = protocol.own_scores(metric_writer.read_rows(writer.directory), run)

    # Copy their scores under the tags that they have in the evaluation's directory.
    for row in own:
        suffix = Sampling(**row["protocol"].get("sampling", {})).suffix
        numbers = rows.labelled(rows.read_scores(row).values())
        tagged = {f"{rows.TAG}{label}{suffix}": value for label, value in numbers.items()}
        writer.copy_scalars(row["step"], tagged)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores checkpoints of a run and writes what it finds.

    Attributes:
      config: what to score, and how.
      generated: the images of the generator.
      against: the real images and the classifier.
      writer: of rows and pictures.
      console: where to print.
    """

    config: EvalConfig
    generated: sources.GeneratedImages
    against: comparison.Comparison
    writer: metric_writer.MetricWriter
    console: console.Console

    @property
    def model_config(self) -> ModelConfig:
        """The settings of the generator."""
        return self.generated.model_config

    @property
    def saved(self) -> checkpoints.Checkpoints:
        """The run's checkpoints."""
        return self.generated.network.restored.checkpoints

    def load(self, step: int = -1) -> int:
        """As `sources.GeneratedImages.load`."""
        return self.generated.load(step)

    def score(self) -> list[scores.Scores]:
        """Scores the checkpoint that was loaded and writes what it finds."""
        # Score the checkpoint, beside the real images.
        config = self.config
        step = self.generated.network.step
        self.console.say(
            f"scoring step {step} of {config.run_dir} on {config.eval_sample_size} images"
        )
        columns = [self._score(config.save_samples), *self.against.real_scores()]
        grid = grids.grid_of(self.generated.grid())

        # Score the generator as it was before any training.
        if config.compare_untrained:
            self.generated.reset()
            columns.append(self._score())

        self._write(step, columns, grid)
        return columns

    def protocol(self) -> dict[str, Any]:
        """What decides the scores, for the record."""
        return self.against.protocol(self.config.eval_sample_size, **self.generated.describe())

    def _score(self, save_to: str = "") -> scores.Scores:
        """The scores of the generator as it is."""
        with self._saved(save_to) as source:
            found = self.against.score(source, intra=not self.config.intra_images)
        return self._with_class_images(found) if self.config.intra_images else found

    @contextlib.contextmanager
    def _saved(self, path: str) -> Iterator[features.Source]:
        """The generated images, which are written to a file as they come if `path` names one."""
        if not path:
            yield self.generated
            return
        count = self.config.eval_sample_size
        with sets.Writer(path, count, size=self.model_config.image_size) as writer:
            yield sources.SavedOnTheWay(self.generated, writer, devices=self.generated.devices)
        self.console.say(f"images written to {path}")

    def _with_class_images(self, found: scores.Scores) -> scores.Scores:
        """The same scores with those of `intra_images` images generated for each class."""
        # Take the classes that have a covariance.
        real = self.against.real.features
        classes, counts = np.unique(real.labels, return_counts=True)
        classes = classes[counts >= 2].tolist()

        # Generate and compare the images of each class.
        fids = {}
        with self.console.progress("classes", len(classes), unit=" classes") as progress:
            for label in classes:
                pool = self._pool_of_class(label)
                fids[label] = metrics.frechet_distance_of_few(real.pool[real.labels == label], pool)
                progress.update()

        generated_labels = np.repeat(np.array(classes), self.config.intra_images)
        return scores.with_intra(
            found, fids, real_labels=real.labels, generated_labels=generated_labels
        )

    def _pool_of_class(self, label: int) -> np.ndarray:
        """Features of `intra_images` images of a class, float32 [images, features]."""
        batches = self.generated.batches_of_class(label, self.config.intra_images)
        extractor = self.against.extractor
        parts = [
            extractor.pool(images, count, work=self.generated.work) for images, _, count in batches
        ]
        return np.concatenate(parts)

    def _write(self, step: int, columns: list[scores.Scores], grid: np.ndarray) -> None:
        """TensorBoard, a row of `metrics.jsonl`, a grid, a table of classes; prints the scores."""
        # Write the pictures and the table of classes.
        network = self.generated.network
        part = network.sampling.suffix
        path = self.writer.write_image(
            step,
            f"eval_vis/generated_images_grid{part}",
            image=grid,
            filename=f"samples-{step:08}{part}.png",
        )
        if columns[0].intra_fids:
            folder = self.writer.directory
            with files.writing(folder):
                files.write_whole(
                    os.path.join(folder, f"intra_fid-{step:08}{part}.csv"),
                    tables.intra_table(columns[0], self.against.class_names),
                )

        # Write the row.
        record = {**self.protocol(), **network.record()}
        row = comparison.new_row(columns, record, stopwatch=self.against.stopwatch)
        row["run"] = network.run
        numbers = rows.labelled(columns[0].each())
        tagged = {rows.TAG + label: value for label, value in numbers.items()}
        self.writer.write_scalars(step, tagged, tag_suffix=part, **row)

        # Print the scores.
        comparison.say_scores(self.console, columns, row=row)
        self.console.say(f"samples: {path}")
        self.against.stopwatch.reset()
