"""The evaluation: from a run directory, or a set of images, and real images to scores."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import EvalConfig, ModelConfig
from sagan_tf.evaluation import comparison, metrics, protocol, tables
from sagan_tf.evaluation import scores as evaluation_scores
from sagan_tf.gan import generator, noise, ops
from sagan_tf.images import grids, sets
from sagan_tf.images import pixels as images_pixels
from sagan_tf.runs import directory, metric_writer, restore
from sagan_tf.runtime import distribution, files

_QUANTIZE = {"round": tf.round, "truncate": tf.floor}
# What the names of scores in a row of `metrics.jsonl` begin with.
_TAG = "eval/"


def evaluate(config: EvalConfig, stream: Optional[TextIO] = None) -> list[evaluation_scores.Scores]:
    """Scores a checkpoint by the config's protocol and writes what it finds.

    By default that is the reference's: `eval_sample_size` images with moving statistics and uniform
    random labels against as many training images; floats, not rounded, resized with TensorFlow 1's
    bilinear; IS over all in one split. SN's u is settled once and then frozen, so that scores do
    not depend on batch size or order.

    Returns:
      Those of the checkpoint, of the real images, and of the untrained generator if asked for.
    Raises:
      config.UserError: no run, no checkpoint, no such classifier, too few or unusable images.

    Source: reference `eval_imagenet.py:81-244`; paper, section 4.
    """
    return Evaluation(config, stream).score()


class Evaluation:
    """A run, real images and a classifier, ready to score any checkpoint of the run.

    Everything that may be missing is looked for before anything is generated. Without
    `config.watch` and `config.all` the checkpoint is loaded.

    Args:
      config: what to score, and how.
      stream: where to print; standard output by default.
    Raises:
      config.UserError: as `evaluate`.
    """

    def __init__(self, config: EvalConfig, stream: Optional[TextIO] = None):
        self.config = config
        self._stream = stream or sys.stdout
        self.model_config = read_model_config(config)
        self.strategy = distribution.make_evaluation_strategy(config)
        keras.utils.set_random_seed(config.seed)
        with self.strategy.scope():
            self._generator = generator.Generator(
                self.model_config, config.batch_size, optimizations=distribution.optimizations()
            )
            self._generator.build()
        self._untrained = self._generator.get_weights() if config.compare_untrained else None
        self.restored = restore.RestoredNetwork(
            config.run_dir,
            self._generator,
            use_ema=config.use_ema,
            flag="checkpoint_step",
            note=self.say,
        )
        self.saved = self.restored.checkpoints
        if not self.saved.steps and not config.watch:
            raise errors.UserError(
                f"{config.run_dir}: holds no checkpoint to score; train first, or name the run "
                "with --checkpoint_dir and --batch_size"
            )
        if not (config.watch or config.all):
            self.load(config.checkpoint_step)
        self._side = comparison.Comparison(
            config,
            self.model_config.image_size,
            number_classes=self.model_config.number_classes,
            strategy=self.strategy,
            generated=config.eval_sample_size,
            say=self.say,
            show=self._show,
        )
        self.real = self._side.real
        self.writer = metric_writer.MetricWriter(config.eval_dir, sys.maxsize)
        self._generate = tf.function(self._generate_on_devices, autograph=False)

    def say(self, text: str) -> None:
        """Prints a line."""
        say(self._stream, text)

    def _show(self, name: str, done: int, total: int) -> None:
        show(self._stream, name, done, total)

    def load(self, step: int = -1) -> int:
        """Sets the generator's weights to those of a step (-1: the newest that can be read).

        Returns:
          The step.
        Raises:
          checkpoints.Unreadable: there is no such checkpoint, or it cannot be read.
          config.UserError: it is of another model, or has no moving average.
        """
        with self.strategy.scope():
            return self.restored.load(step)

    def score(self) -> list[evaluation_scores.Scores]:
        """Scores the checkpoint that was loaded and writes what it finds."""
        config, step = self.config, self.restored.step
        self.say(f"scoring step {step} of {config.run_dir} on {config.eval_sample_size} images")
        columns = [self._score(f"step {step}", config.save_samples)]
        real = evaluation_scores.of_real(self.real)
        columns += [real] if real else []
        grid = self._grid()
        if self._untrained is not None:
            self._generator.set_weights(self._untrained)
            columns.append(self._score("untrained"))
        self._write(step, columns, grid)
        return columns

    def protocol(self) -> dict[str, Any]:
        """What decides the scores, for the record."""
        labels = {"uniform": "uniform random labels", "balanced": "balanced labels"}
        config = self.config
        return protocol.protocol(
            config,
            self.real,
            classifier=self._side.classifier,
            count=config.eval_sample_size,
            batch_norm="moving statistics",
            ema=config.use_ema,
            images=", ".join(
                [
                    labels[config.label_sampling],
                    "moving statistics",
                    "EMA" if config.use_ema else "no EMA",
                    "not quantized"
                    if config.quantization == "none"
                    else f"uint8 by {config.quantization}",
                ]
            ),
        )

    def _score(self, name: str, save_to: str = "") -> evaluation_scores.Scores:
        config, extractor = self.config, self._side.extractor
        with self.strategy.scope():
            ops.settle_spectral_norms(self._generator)
        count, classes = config.eval_sample_size, self.model_config.number_classes
        z, labels = noise.draw_samples(
            config.seed,
            noise.EVALUATION,
            count=count,
            z_dim=self.model_config.z_dim,
            number_classes=classes,
        )
        z, labels = z.numpy(), labels.numpy()
        if config.label_sampling == "balanced":
            labels = np.arange(count, dtype=np.int32) % classes
        with self._sample_writer(save_to) as writer:
            found = extractor.collect(
                name,
                self._images(z, labels, writer),
                total=count,
                splits=config.splits_of(count),
                seed=config.seed,
                labels=labels,
            )
        scores = evaluation_scores.compute(
            name,
            found,
            real=self.real,
            config=config,
            stopwatch=extractor.stopwatch,
            intra=not config.intra_images,
        )
        if config.intra_images:
            scores = self._with_intra(scores)
        return scores

    def _images(
        self, z: np.ndarray, labels: np.ndarray, writer: Optional[sets.Writer] = None
    ) -> Iterator[tuple[Any, int]]:
        """Generated images, as they lie on the devices, and how many of them count."""
        extractor = self._side.extractor
        for start in range(0, len(z), extractor.global_batch):
            end = min(start + extractor.global_batch, len(z))
            with extractor.stopwatch.measuring("generate", end - start):
                images = self._generate(*extractor.share_out(z[start:end], labels[start:end]))
                # The host waits here, so that each part's time is its own.
                tf.nest.map_structure(
                    lambda one: one[0, 0, 0, 0].numpy(),
                    self.strategy.experimental_local_results(images),
                )
            if writer is not None:
                writer.add(
                    images_pixels.to_uint8(extractor.on_host(images, end - start)),
                    labels[start:end],
                )
            yield images, end - start

    def _generate_on_devices(self, z, labels):
        def generate(z, labels):
            images = self._generator(z, labels, training=False, update_sn=False)
            if self.config.quantization == "none":
                return images
            pixels = _QUANTIZE[self.config.quantization]((images + 1.0) * 127.5)
            return tf.clip_by_value(pixels, 0.0, 255.0) * (2.0 / 255) - 1.0

        return self.strategy.run(generate, args=(z, labels))

    def _with_intra(self, scores: evaluation_scores.Scores) -> evaluation_scores.Scores:
        """The same scores with those of `intra_images` images generated for each class."""
        real, count = self.real.features, self.config.intra_images
        classes, counts = np.unique(real.labels, return_counts=True)
        found = {}
        for number, label in enumerate(classes[counts >= 2].tolist()):
            z, _ = noise.draw_samples(
                self.config.seed + label + 1,
                noise.EVALUATION,
                count=count,
                z_dim=self.model_config.z_dim,
                number_classes=self.model_config.number_classes,
            )
            labels = np.full(count, label, np.int32)
            pool = np.concatenate(
                [
                    self._side.extractor.pool(images, n)
                    for images, n in self._images(z.numpy(), labels)
                ]
            )
            found[label] = metrics.frechet_distance_of_few(
                metrics.take(real.pool, real.labels == label), pool
            )
            self._show("classes", number + 1, len(classes))
        return evaluation_scores.with_intra(
            scores,
            found,
            real_labels=real.labels,
            generated_labels=np.repeat(np.array(list(found)), count),
        )

    def _grid(self) -> np.ndarray:
        """A grid of fixed z, one class a row, uint8."""
        rows = min(10, self.model_config.number_classes)
        z, labels = noise.draw_grid(
            self.config.seed,
            rows,
            columns=10,
            z_dim=self.model_config.z_dim,
            number_classes=self.model_config.number_classes,
        )
        images = [
            self._side.extractor.on_host(images, count)
            for images, count in self._images(z.numpy(), labels)
        ]
        images = np.concatenate(images)
        return grids.grid_of(images.reshape(rows, 10, *images.shape[1:]))

    @contextlib.contextmanager
    def _sample_writer(self, path: str) -> Iterator[Optional[sets.Writer]]:
        if not path:
            yield None
            return
        with sets.Writer(
            path, self.config.eval_sample_size, size=self.model_config.image_size
        ) as writer:
            yield writer
        self.say(f"images written to {path}")

    def _write(self, step: int, columns: list[evaluation_scores.Scores], grid: np.ndarray) -> None:
        """TensorBoard, a row of `metrics.jsonl`, a grid, a table of classes; prints the scores."""
        path = self.writer.write_image(
            step, "eval_vis/generated_images_grid", image=grid, filename=f"samples-{step:08}.png"
        )
        record = {
            **self.protocol(),
            "checkpoint_step": step,
            "checkpoint_sha256": self.restored.sha256,
        }
        if columns[0].intra_fids:
            with files.writing(self.config.eval_dir):
                files.write_whole(
                    os.path.join(self.config.eval_dir, f"intra_fid-{step:08}.csv"),
                    tables.intra_table(columns[0], self._side.class_names),
                )
        row = comparison.new_row(columns, record, stopwatch=self._side.extractor.stopwatch)
        row["run"] = directory.run_id(self.config.run_dir)
        self.writer.write_scalars(
            step, {_TAG + name: value for name, value in columns[0].scalars().items()}, **row
        )
        self.say(tables.table(columns))
        self.say(row["citation"])
        self.say(comparison.cost_line(row))
        self.say(f"samples: {path}")
        self._side.extractor.stopwatch.reset()


def read_model_config(config: EvalConfig) -> ModelConfig:
    """The run's networks.

    Raises:
      config.UserError: there is no run, or a flag contradicts it.
    """
    stored = restore.read_model_config(
        config.run_dir, hint="; name the run with --checkpoint_dir and --batch_size"
    )
    for flag, field in (
        ("generator_type", "generator_type"),
        ("z_dim", "z_dim"),
        ("gf_dim", "gf_dim"),
        ("num_classes", "number_classes"),
    ):
        asked, there = getattr(config, flag), getattr(stored, field)
        if asked is not None and asked != there:
            raise errors.UserError(
                f"--{flag}={asked}: the run in {config.run_dir} was trained with {there}"
            )
    return stored


def show(stream: TextIO, name: str, done: int, total: int) -> None:
    if stream.isatty():
        stream.write(f"\r\x1b[K{name}: {done}/{total}" + "\n" * (done == total))
        stream.flush()


def say(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
