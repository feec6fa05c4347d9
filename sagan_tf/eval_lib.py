"""The evaluation: from a run directory and real images to IS and FID."""

import dataclasses
import sys
import time
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import checkpoints, dataset, inception, metric_writer, metrics, model, noise, ops
from sagan_tf import config as config_lib


@dataclasses.dataclass(frozen=True)
class Score:
    """A row of the result. `fid` is None for the real images themselves."""

    name: str
    inception_score: float
    fid: Optional[float]


def evaluate(config: config_lib.EvalConfig, stream: Optional[TextIO] = None) -> list[Score]:
    """Scores a checkpoint by the reference's protocol and writes what it finds.

    `eval_sample_size` images with moving statistics and uniform random labels against as many real
    ones; floats, not rounded, resized with TensorFlow 1's bilinear; IS over all in one split. SN's
    u is settled once and then frozen, so that scores do not depend on batch size or order.

    Returns:
      Rows: the checkpoint, the real images, and the untrained generator if asked for.
    Raises:
      config.UserError: no run, no checkpoint, no such classifier, too few or unusable images.

    Source: reference `eval_imagenet.py:81-244`; paper, section 4.
    """
    stream = stream or sys.stdout
    model_config = _model_config(config)
    gan = model.SAGAN(model_config, config_lib.TrainConfig(seed=config.seed))
    step = _restore(config, gan, stream)
    if step is None:
        raise config_lib.UserError(f"{config.run_dir}: holds no checkpoint to score; train first, "
                                   "or name the run with --checkpoint_dir and --batch_size")
    records = dataset.open_records(config.data_dir, model_config.image_size,
                                   model_config.number_classes)
    available = records.describe()["records"]
    if available < config.eval_sample_size:
        raise config_lib.UserError(
            f"--eval_sample_size={config.eval_sample_size}: {config.data_dir} holds {available} "
            "images; give at most that many")
    classifier = inception.load(config.inception)
    writer = metric_writer.MetricWriter(config.eval_dir)
    _say(stream, f"scoring step {step} of {config.run_dir} on {config.eval_sample_size} images")

    real_pool, real_logits = _real_features(config, records, classifier, stream)
    scores = [_score(f"step {step}", gan, config, classifier, real_pool, stream),
              Score("real images", metrics.inception_score(real_logits), None)]
    if config.compare_untrained:
        keras.utils.set_random_seed(config.seed)
        untrained = model.SAGAN(model_config)
        scores.append(_score("untrained", untrained, config, classifier, real_pool, stream))
    _say(stream, _table(scores))
    grid = _write(config, step, scores, classifier, gan, writer)
    _say(stream, f"samples: {grid}")
    return scores


def _restore(config: config_lib.EvalConfig, gan: model.SAGAN, stream: TextIO) -> Optional[int]:
    """Sets the generator's weights, to the trained ones or their moving average."""
    prefix = model.AVERAGE if config.use_ema else ""
    saved = checkpoints.Checkpoints(
        config.run_dir, {prefix + v.path: v.value for v in gan.generator.weights})
    step = saved.restore(config.checkpoint_step, complete=False,
                         note=lambda line: _say(stream, line))
    if saved.missing:
        raise config_lib.UserError(
            f"--use_ema: {saved.path(step)} holds no moving average; train with --ema_decay, or "
            "score the generator itself")
    return step


def _model_config(config: config_lib.EvalConfig) -> config_lib.ModelConfig:
    """The run's networks; flags that contradict them are an error."""
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


def _score(name: str, gan: model.SAGAN, config: config_lib.EvalConfig,
           classifier: inception.Classifier, real_pool: np.ndarray, stream: TextIO) -> Score:
    ops.settle_spectral_norms(gan.generator)
    z, labels = noise.draw_samples(config.seed, noise.EVALUATION, config.eval_sample_size,
                                   gan.model_config.z_dim, gan.model_config.number_classes)
    size = config.dcgan_generator_batch_size
    batches = (gan.sample(z[i:i + size], labels[i:i + size], size)
               for i in range(0, config.eval_sample_size, size))
    pool, logits = _features(batches, config.eval_sample_size, classifier, name, stream)
    return Score(name, metrics.inception_score(logits), metrics.frechet_distance(real_pool, pool))


def _real_features(config, records, classifier, stream):
    def batches():
        with dataset.reading(records):
            for images, _ in dataset.evaluation_batches(
                    records, config.eval_sample_size, config.dcgan_generator_batch_size,
                    config.seed):
                yield dataset.to_float(images)

    return _features(batches(), config.eval_sample_size, classifier, "real images", stream)


def _features(batches, total: int, classifier: inception.Classifier, name: str,
              stream: TextIO) -> tuple[np.ndarray, np.ndarray]:
    """pool_3 [n, features] and logits [n, classes] of all batches, float32."""
    parts, done = [], 0
    for images in batches:
        parts.append([output.numpy() for output in classifier(tf.convert_to_tensor(images))])
        done += len(images)
        if stream.isatty():
            stream.write(f"\r\x1b[K{name}: {done}/{total} images" + "\n" * (done == total))
            stream.flush()
    return tuple(np.concatenate(outputs) for outputs in zip(*parts))


def _write(config, step, scores, classifier, gan, writer) -> str:
    """TensorBoard, `metrics.jsonl` with the protocol, and a grid; returns the grid's path."""
    path = writer.write_image(step, "eval_vis/generated_images_grid", gan.class_grid(),
                              f"samples-{step:08}.png")
    protocol = {"samples": config.eval_sample_size, "real_images": config.eval_sample_size,
                "splits": 1, "classifier": classifier.handle,
                "classifier_input_size": classifier.input_size,
                "resize": "bilinear, align_corners=False, half_pixel_centers=False",
                "rounded_to_uint8": False, "batch_norm": "moving statistics", "ema": config.use_ema,
                "seed": config.seed, "data_dir": config.data_dir}
    comparison = {score.name: {"incscore": score.inception_score, "fid": score.fid}
                  for score in scores[1:]}
    writer.write_scalars(step, {"eval/incscore": scores[0].inception_score,
                                "eval/fid": scores[0].fid},
                         time=time.time(), protocol=protocol, comparison=comparison)
    return path


def _table(scores: list[Score]) -> str:
    width = max(len(score.name) for score in scores)
    rows = [f"{'':{width}}  {'IS':>9}  {'FID':>10}"]
    rows += [f"{score.name:{width}}  {score.inception_score:9.4f}  "
             + (f"{'-':>10}" if score.fid is None else f"{score.fid:10.4f}") for score in scores]
    return "\n".join(rows)


def _say(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
