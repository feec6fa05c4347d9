"""The evaluation: from a run directory, or a set of images, and real images to scores."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import (
    checkpoints,
    dataset,
    distribution,
    features,
    files,
    generator,
    image_files,
    inception,
    metric_writer,
    metrics,
    model,
    noise,
    ops,
    order,
    process,
    real_stats,
)
from sagan_tf import config as config_lib
from sagan_tf import images as images_lib
from sagan_tf import scores as scores_lib

_QUANTIZE = {"round": tf.round, "truncate": tf.floor}
# What the names of scores in a row of `metrics.jsonl` begin with.
_TAG = "eval/"


def evaluate(config: config_lib.EvalConfig,
             stream: Optional[TextIO] = None) -> list[scores_lib.Scores]:
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

    def __init__(self, config: config_lib.EvalConfig, stream: Optional[TextIO] = None):
        self.config = config
        self._stream = stream or sys.stdout
        self.model_config = read_model_config(config)
        self.strategy = distribution.make_evaluation_strategy(config)
        keras.utils.set_random_seed(config.seed)
        with self.strategy.scope():
            self._generator = generator.Generator(
                self.model_config, config.batch_size, distribution.optimizations())
            self._generator.build()
        self._untrained = (self._generator.get_weights() if config.compare_untrained else None)
        prefix = model.AVERAGE if config.use_ema else ""
        self.saved = checkpoints.Checkpoints(
            config.run_dir, {prefix + v.path: v.value for v in self._generator.weights})
        if not self.saved.steps and not config.watch:
            raise config_lib.UserError(
                f"{config.run_dir}: holds no checkpoint to score; train first, or name the run "
                "with --checkpoint_dir and --batch_size")
        if not (config.watch or config.all):
            self.load(config.checkpoint_step)
        self._side = _Side(config, self.model_config.image_size, self.model_config.number_classes,
                           self.strategy, config.eval_sample_size, self.say, self._show)
        self.real = self._side.real
        self.writer = metric_writer.MetricWriter(config.eval_dir, sys.maxsize)
        self._generate = tf.function(self._generate_on_devices, autograph=False)

    def say(self, text: str) -> None:
        """Prints a line."""
        _say(self._stream, text)

    def _show(self, name: str, done: int, total: int) -> None:
        _show(self._stream, name, done, total)

    def load(self, step: int = -1) -> int:
        """Sets the generator's weights to those of a step (-1: the newest that can be read).

        Returns:
          The step.
        Raises:
          checkpoints.Unreadable: there is no such checkpoint, or it cannot be read.
          config.UserError: it is of another model, or has no moving average.
        """
        with self.strategy.scope():
            self._step = self.saved.restore(step, complete=False, note=self.say)
        try:
            self._sha256 = self.saved.sha256(self._step)
        except (OSError, tf.errors.OpError) as error:
            raise checkpoints.Unreadable(
                f"{self.saved.path(self._step)}: it has gone while it was read") from error
        if self.saved.missing:
            raise config_lib.UserError(
                f"--use_ema: {self.saved.path(self._step)} holds no moving average; train with "
                "--ema_decay, or score the generator itself")
        return self._step

    def score(self) -> list[scores_lib.Scores]:
        """Scores the checkpoint that was loaded and writes what it finds."""
        config, step = self.config, self._step
        self.say(f"scoring step {step} of {config.run_dir} on {config.eval_sample_size} images")
        columns = [self._score(f"step {step}", config.save_samples)]
        real = scores_lib.of_real(self.real)
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
        return scores_lib.protocol(
            config, self.real, self._side.classifier, config.eval_sample_size,
            batch_norm="moving statistics", ema=config.use_ema, images=", ".join([
                labels[config.label_sampling], "moving statistics",
                "EMA" if config.use_ema else "no EMA",
                "not quantized" if config.quantization == "none"
                else f"uint8 by {config.quantization}"]))

    def _score(self, name: str, save_to: str = "") -> scores_lib.Scores:
        config, extractor = self.config, self._side.extractor
        with self.strategy.scope():
            ops.settle_spectral_norms(self._generator)
        count, classes = config.eval_sample_size, self.model_config.number_classes
        z, labels = noise.draw_samples(config.seed, noise.EVALUATION, count,
                                       self.model_config.z_dim, classes)
        z, labels = z.numpy(), labels.numpy()
        if config.label_sampling == "balanced":
            labels = np.arange(count, dtype=np.int32) % classes
        with self._sample_writer(save_to) as writer:
            found = extractor.collect(name, self._images(z, labels, writer), count,
                                      config.splits_of(count), config.seed, labels)
        scores = scores_lib.compute(name, found, self.real, config, extractor.stopwatch,
                                    intra=not config.intra_images)
        if config.intra_images:
            scores = self._with_intra(scores)
        return scores

    def _images(self, z: np.ndarray, labels: np.ndarray,
                writer: Optional[image_files.Writer] = None) -> Iterator[tuple[Any, int]]:
        """Generated images, as they lie on the devices, and how many of them count."""
        extractor = self._side.extractor
        for start in range(0, len(z), extractor.global_batch):
            end = min(start + extractor.global_batch, len(z))
            with extractor.stopwatch.measuring("generate", end - start):
                images = self._generate(*extractor.share_out(z[start:end], labels[start:end]))
                # The host waits here, so that each part's time is its own.
                tf.nest.map_structure(lambda one: one[0, 0, 0, 0].numpy(),
                                      self.strategy.experimental_local_results(images))
            if writer is not None:
                writer.add(images_lib.to_uint8(extractor.on_host(images, end - start)),
                           labels[start:end])
            yield images, end - start

    def _generate_on_devices(self, z, labels):
        def generate(z, labels):
            images = self._generator(z, labels, training=False, update_sn=False)
            if self.config.quantization == "none":
                return images
            pixels = _QUANTIZE[self.config.quantization]((images + 1.0) * 127.5)
            return tf.clip_by_value(pixels, 0.0, 255.0) * (2.0 / 255) - 1.0

        return self.strategy.run(generate, args=(z, labels))

    def _with_intra(self, scores: scores_lib.Scores) -> scores_lib.Scores:
        """The same scores with those of `intra_images` images generated for each class."""
        real, count = self.real.features, self.config.intra_images
        classes, counts = np.unique(real.labels, return_counts=True)
        found = {}
        for number, label in enumerate(classes[counts >= 2].tolist()):
            z, _ = noise.draw_samples(self.config.seed + label + 1, noise.EVALUATION, count,
                                      self.model_config.z_dim, self.model_config.number_classes)
            labels = np.full(count, label, np.int32)
            pool = np.concatenate([self._side.extractor.pool(images, n)
                                   for images, n in self._images(z.numpy(), labels)])
            found[label] = metrics.frechet_distance_of_few(
                metrics.take(real.pool, real.labels == label), pool)
            self._show("classes", number + 1, len(classes))
        return scores_lib.with_intra(scores, found, real.labels,
                                     np.repeat(np.array(list(found)), count))

    def _grid(self) -> np.ndarray:
        """A grid of fixed z, one class a row, uint8."""
        rows = min(10, self.model_config.number_classes)
        z, labels = noise.draw_grid(self.config.seed, rows, 10, self.model_config.z_dim,
                                    self.model_config.number_classes)
        images = [self._side.extractor.on_host(images, count)
                  for images, count in self._images(z.numpy(), labels)]
        images = np.concatenate(images)
        return model.grid_of(images.reshape(rows, 10, *images.shape[1:]))

    @contextlib.contextmanager
    def _sample_writer(self, path: str) -> Iterator[Optional[image_files.Writer]]:
        if not path:
            yield None
            return
        with image_files.Writer(
                path, self.config.eval_sample_size, self.model_config.image_size) as writer:
            yield writer
        self.say(f"images written to {path}")

    def _write(self, step: int, columns: list[scores_lib.Scores], grid: np.ndarray) -> None:
        """TensorBoard, a row of `metrics.jsonl`, a grid, a table of classes; prints the scores."""
        path = self.writer.write_image(step, "eval_vis/generated_images_grid", grid,
                                       f"samples-{step:08}.png")
        record = {**self.protocol(), "checkpoint_step": step, "checkpoint_sha256": self._sha256}
        if columns[0].intra_fids:
            with files.writing(self.config.eval_dir):
                files.write_whole(os.path.join(self.config.eval_dir, f"intra_fid-{step:08}.csv"),
                                  scores_lib.intra_table(columns[0], self._side.class_names))
        row = _row(columns, record, self._side.extractor.stopwatch)
        row["run"] = checkpoints.run_id(self.config.run_dir)
        self.writer.write_scalars(
            step, {_TAG + name: value for name, value in columns[0].scalars().items()}, **row)
        self.say(scores_lib.table(columns))
        self.say(row["citation"])
        self.say(_cost(row))
        self.say(f"samples: {path}")
        self._side.extractor.stopwatch.reset()


class _Side:
    """What the generated images are compared with: a classifier, real images, what they give.

    Attributes:
      classifier, extractor, real: each once.
      class_names: of the data, where it says them.
    """

    def __init__(self, config: config_lib.ScoringConfig, image_size: int, number_classes: int,
                 strategy: tf.distribute.Strategy, generated: int, say, show):
        records, count, self.class_names = None, 0, None
        if not config.real_stats:
            records = _open_real(config, image_size, number_classes)
            count = _real_count(config, records, generated)
            _check_neighbours(config, generated, count)
            self.class_names = records.info and (records.info.class_titles
                                                 or records.info.class_names)
        with strategy.scope():
            self.classifier = inception.load(config.inception, config.inception_sha256,
                                             config.resize)
        batch_size = distribution.fitting_batch(config.dcgan_generator_batch_size)
        self.extractor = features.Extractor(self.classifier, strategy, batch_size, show)
        self.real = real_stats.obtain(config, records, count, self.extractor, say)


def _open_real(config: config_lib.ScoringConfig, image_size: int,
               number_classes: int) -> dataset.Records:
    try:
        return dataset.open_records(config.real_dir, image_size, number_classes)
    except config_lib.UserError as error:
        if config.real_split == "train":
            raise
        raise config_lib.UserError(
            str(error).replace("--data_dir=", "--validation_dir=")) from error


def _check_neighbours(config: config_lib.ScoringConfig, generated: int, real: int) -> None:
    """Raises config.UserError where there are no k nearest neighbours."""
    images = min(config.manifold_images, generated, real)
    for name in ("precision_k", "density_k"):
        if getattr(config, name) >= images:
            raise config_lib.UserError(
                f"--{name}={getattr(config, name)}: expected fewer neighbours than the {images} "
                "images of a side (--manifold_images, --eval_sample_size, --real_sample_size)")


def _real_count(config: config_lib.ScoringConfig, records: dataset.Records,
                generated: int) -> int:
    available = len(records.index.offsets)
    flag, count = "eval_sample_size", generated
    if config.real_sample_size >= 0:
        flag, count = "real_sample_size", config.real_sample_size or available
    if available < count:
        raise config_lib.UserError(
            f"--{flag}={count}: {config.real_dir} holds {available} images; give at most that "
            "many, or --real_sample_size")
    return count


def score_images(config: config_lib.ScoreImagesConfig,
                 stream: Optional[TextIO] = None) -> list[scores_lib.Scores]:
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
    found = image_files.open_images(config.images)
    count = config.eval_sample_size or found.count
    if found.count < count:
        raise config_lib.UserError(f"--eval_sample_size={count}: {config.images} holds "
                                   f"{found.count} images; give at most that many")
    if count < 2 * config.is_splits:
        raise config_lib.UserError(f"--images={config.images}: holds {count} images; expected at "
                                   f"least {2 * config.is_splits} for --is_splits="
                                   f"{config.is_splits}")
    said = {} if config.real_stats else dataset.settings(config.real_dir)
    strategy = distribution.make_evaluation_strategy(config)
    side = _Side(config, config.image_size or said.get("image_size") or found.size[0],
                 config.number_classes or said.get("number_classes") or 1000, strategy, count,
                 lambda text: _say(stream, text), lambda *done: _show(stream, *done))
    extractor = side.extractor

    chosen = order.choose(found.count, count, config.seed)

    def batches() -> Iterator[tuple[Any, int]]:
        for batch in found.batches(extractor.global_batch, chosen):
            (images,) = extractor.share_out(dataset.to_float(batch).numpy())
            yield images, len(batch)

    name = os.path.basename(config.images.rstrip("/"))
    labels = None if found.labels is None else found.labels[chosen]
    generated = extractor.collect(name, batches(), count, config.splits_of(count), config.seed,
                                  labels)
    real = scores_lib.of_real(side.real)
    columns = [scores_lib.compute(name, generated, side.real, config, extractor.stopwatch),
               *([real] if real else [])]
    record = scores_lib.protocol(
        config, side.real, side.classifier, count,
        images=f"{config.images}, uint8 of {found.size[0]} x {found.size[1]} px")
    row = {**columns[0].scalars(), **_row(columns, record, extractor.stopwatch)}
    _say(stream, scores_lib.table(columns))
    _say(stream, row["citation"])
    _say(stream, _cost(row))
    if config.out:
        with files.writing(f"--out={config.out}"), open(
                config.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return columns


def _row(columns: list[scores_lib.Scores], record: dict[str, Any],
         stopwatch: features.Stopwatch) -> dict[str, Any]:
    """What goes beside the scores into the record."""
    return {"protocol": record, "citation": scores_lib.citation(columns[0], record),
            "images": columns[0].images,
            "intra": columns[0].intra_counts and {
                "classes": len(columns[0].intra_fids), "images_real": columns[0].intra_counts[:2],
                "images_generated": columns[0].intra_counts[2:]},
            "comparison": {scores.name: scores.scalars() for scores in columns[1:]},
            "seconds_per_1000_images": stopwatch.seconds_per_1000(),
            "peak_memory_mb": process.memory_mb(peak=True), "time": time.time()}


def _cost(row: dict[str, Any]) -> str:
    parts = ", ".join(f"{part} {seconds:.2f}"
                      for part, seconds in row["seconds_per_1000_images"].items())
    return f"seconds per 1,000 images: {parts}; peak memory {row['peak_memory_mb']:.0f} MB"


def read_model_config(config: config_lib.EvalConfig) -> config_lib.ModelConfig:
    """The run's networks.

    Raises:
      config.UserError: there is no run, or a flag contradicts it.
    """
    stored = checkpoints.read_config(config.run_dir, "model", config_lib.ModelConfig)
    if stored is None:
        raise config_lib.UserError(
            f"{config.run_dir}: no run there (config.json is missing); name the run with "
            "--checkpoint_dir and --batch_size")
    for flag, field in (("generator_type", "generator_type"), ("z_dim", "z_dim"),
                        ("gf_dim", "gf_dim"), ("num_classes", "number_classes")):
        asked, there = getattr(config, flag), getattr(stored, field)
        if asked is not None and asked != there:
            raise config_lib.UserError(
                f"--{flag}={asked}: the run in {config.run_dir} was trained with {there}")
    return stored


def _show(stream: TextIO, name: str, done: int, total: int) -> None:
    if stream.isatty():
        stream.write(f"\r\x1b[K{name}: {done}/{total}" + "\n" * (done == total))
        stream.flush()


def _say(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
