"""The training loop: from a config to a run directory."""

import signal
import time
from collections.abc import Callable
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import checkpoints, dataset, distribution, metric_writer, model, noise
from sagan_tf import config as config_lib
from sagan_tf import images as images_lib

_SHOWN = ("g_loss", "d_loss")
_SECONDS_PER_LOOP = 2.0
_MAX_STEPS_PER_LOOP = 100
_PREVIEW_IMAGES = 64


def train(model_config: config_lib.ModelConfig, data_config: config_lib.DataConfig,
          train_config: config_lib.TrainConfig, dry_run: bool = False,
          stream: Optional[TextIO] = None) -> None:
    """Trains, or goes on training, in `train_config.run_dir` until `max_steps`.

    Args:
      model_config, data_config, train_config: what to do.
      dry_run: check everything, print what would be done, and leave without writing.
      stream: where progress goes; standard output by default.

    Raises:
      config.UserError: the flags, the data, the run directory or the losses are not usable.
      config.Interrupted: SIGTERM or SIGINT came; the run was saved.
    """
    progress = metric_writer.Progress(
        train_config.max_steps, train_config.batch_size * train_config.num_towers, stream)
    strategy = distribution.make_strategy(train_config)
    records = dataset.open_records(
        data_config.data_dir, model_config.image_size, model_config.number_classes)
    keras.utils.set_random_seed(train_config.seed)
    with strategy.scope():
        gan = model.SAGAN(model_config, train_config)
    if dry_run:
        progress.note(_description(gan, records, data_config))
        return
    _check_run(model_config, data_config, train_config, progress)
    saved = checkpoints.Checkpoints(train_config.run_dir, gan.state(),
                                    train_config.keep_checkpoints)
    with strategy.scope():
        start = saved.restore()
    progress.note(f"{train_config.run_dir}: " + (
        "starting" if start is None else f"continuing from step {start}"))
    checkpoints.write_config(train_config.run_dir, model=model_config, data=data_config,
                             train=train_config)
    writer = metric_writer.MetricWriter(train_config.run_dir, start or 0)
    if start is None:
        saved.save(0)
    Trainer(gan, records, data_config, saved, writer, progress).run()


class Trainer:
    """One run of the loop.

    Args:
      gan: made in the scope of the strategy that trains it.
      records: real images.
      data_config: how to read them.
      saved, writer, progress: where results go.
    """

    def __init__(self, gan: model.SAGAN, records: dataset.Records,
                 data_config: config_lib.DataConfig, saved: checkpoints.Checkpoints,
                 writer: metric_writer.MetricWriter, progress: metric_writer.Progress):
        self.gan, self.config = gan, gan.train_config
        self.records, self.data_config = records, data_config
        self.saved, self.writer, self.progress = saved, writer, progress
        self._steps = make_train_steps(gan)

    def run(self) -> None:
        """Trains to `max_steps`; returns when done, raises as `train` does."""
        step = int(self.gan.step.numpy())
        if step >= self.config.max_steps:
            self.progress.note(f"nothing to do: step {step} of --max_steps="
                               f"{self.config.max_steps} is reached")
            return
        with _StopSignals() as stop:
            self._loop(step, stop)

    def _loop(self, step: int, stop: "_StopSignals") -> None:
        batches = self._batches(step)
        saved_at, per_step, end = time.monotonic(), None, self.config.max_steps
        self._write_preview(step)
        self.progress.start(step)
        while step < end:
            # Train without looking, up to the next thing to write.
            began, first = time.monotonic(), step
            step, metrics = self._run_steps(batches, step, self._count(step, per_step))
            if per_step is None:  # The first loop traced and compiled: not a measure of speed.
                self.progress.start(step)
                per_step = 0.0 if self.config.steps_per_loop else time.monotonic() - began
            else:
                per_step = (time.monotonic() - began) / (step - first)

            # Say where the run is.
            self._write_losses(step, metrics)
            if self.config.sample_every and (step % self.config.sample_every == 0 or step == end):
                self._write_samples(step)
                self.progress.start(step)

            # Save, and leave if asked to.
            due = time.monotonic() - saved_at >= self.config.save_checkpoint_secs
            if due or step == end or stop.number:
                self._save(step)
                saved_at = time.monotonic()
            if stop.number and step < end:
                raise config_lib.Interrupted(stop.number, step)
        self.progress.note(f"done: step {step}, {self.config.run_dir}")

    def _batches(self, step: int):
        """Batches of all devices, from where the run has got to."""
        global_batch = self.config.batch_size * self.config.num_towers
        batches = dataset.training_batches(
            self.records, self.data_config, global_batch, self.config.seed,
            start=step * self.config.d_step * global_batch)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return iter(self.gan.strategy.experimental_distribute_dataset(
            batches.with_options(options)))

    def _count(self, step: int, per_step: Optional[float]) -> int:
        """Iterations until the next look: not past anything that is to be written."""
        limit = self.config.steps_per_loop
        if not limit:
            fitting = 1 if not per_step else int(_SECONDS_PER_LOOP / per_step)
            limit = min(max(fitting, 1), _MAX_STEPS_PER_LOOP)
        marks = [every - step % every
                 for every in (self.config.save_summaries_steps, self.config.sample_every) if every]
        return min(limit, self.config.max_steps - step, *marks)

    def _run_steps(self, batches, step: int, count: int) -> tuple[int, dict[str, float]]:
        try:
            with dataset.reading(self.records, self.progress.note):
                metrics, bad_step = self._steps(batches, tf.constant(count))
        except config_lib.UserError:
            # The iteration that met the record has changed nothing: what came before is kept.
            reached = int(self.gan.step.numpy())
            if reached not in self.saved.steps:
                self._save(reached)
            raise
        if int(bad_step) >= 0:
            raise config_lib.UserError(
                f"the losses of step {int(bad_step)} are not finite; {self.config.run_dir} keeps "
                f"its checkpoints of steps {self.saved.steps}")
        return step + count, {name: float(value) for name, value in metrics.items()}

    def _save(self, step: int) -> None:
        """Saves, unless a variable is not finite: its last update may be newer than the losses."""
        for name, variable in self.gan.state().items():
            if variable.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(variable)):
                raise config_lib.UserError(
                    f"{name} is not finite at step {step}; {self.config.run_dir} keeps its "
                    f"checkpoints of steps {self.saved.steps}")
        self.saved.save(step)

    def _write_losses(self, step: int, metrics: dict[str, float]) -> None:
        due = step % self.config.save_summaries_steps == 0 or step == self.config.max_steps
        if due:
            rate = self.progress.images_per_second(step)
            self.writer.write_scalars(step, {
                **metrics, **sigma_ratios(self.gan),
                "d_learning_rate": self.config.discriminator_learning_rate,
                "g_learning_rate": self.config.generator_learning_rate,
                **({"images_per_second": rate} if rate else {})}, time=time.time())
        self.progress.show(step, {name: metrics[name] for name in _SHOWN}, keep=due)

    def _write_samples(self, step: int) -> None:
        path = self.writer.write_image(step, "generator_grid", self.gan.class_grid(),
                                       f"samples/step-{step:08}.png")
        self.progress.note(f"samples: {path}")

    def _write_preview(self, step: int) -> None:
        with dataset.reading(self.records, self.progress.note):
            pixels, _ = dataset.preview(self.records, _PREVIEW_IMAGES)
        self.writer.write_image(step, "input_image_grid",
                                images_lib.grid(pixels, *images_lib.squarest_grid(len(pixels))),
                                "samples/real.png")


def make_train_steps(gan: model.SAGAN) -> Callable:
    """The inner loop: a function of (iterator of real batches, count) that runs `count` iterations.

    The batches hold uint8 images: they become floats on the device, a quarter of the way there.
    It returns the losses of the last iteration and the first iteration whose losses were not
    finite (-1: none). Nothing is asked of the host in between.
    """
    config, strategy = gan.train_config, gan.strategy
    towers = distribution.towers_per_replica(config, strategy)

    names = ("g_loss", "d_loss", "d_loss_real", "d_loss_fake", "logit_real", "logit_fake")

    def draw(purpose, substep):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return noise.draw_towers(config.seed, gan.step, purpose, substep, replica * towers, towers,
                                 config.batch_size, gan.model_config.z_dim,
                                 gan.model_config.number_classes)

    def iteration(real):
        metrics = {}
        for substep in range(config.g_step):
            metrics.update(gan.g_step(*draw(noise.G_STEP, substep)))
        for substep, (images, labels) in enumerate(real):
            metrics.update(gan.d_step(dataset.to_float(images), labels,
                                      *draw(noise.D_STEP, substep)))
        return metrics

    def count_iteration(real):
        per_replica = strategy.run(iteration, args=(real,))
        metrics = {name: strategy.reduce("MEAN", per_replica[name], axis=None) for name in names}
        with tf.control_dependencies(list(metrics.values())):
            gan.step.assign_add(1)
        return metrics

    @tf.function
    def train_steps(batches, count):
        metrics = {name: tf.constant(0.0) for name in names}
        bad_step = tf.constant(-1, tf.int64)
        for _ in tf.range(count):
            # An iteration begins when the one before it has ended and its own images are there
            # (which is what the condition, always true, is for): a record that cannot be read
            # leaves the variables as the last whole iteration left them.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            real = [next(batches) for _ in range(config.d_step)]
            metrics = tf.cond(_have_arrived(strategy, real),
                              lambda real=real: count_iteration(real),
                              lambda: {name: tf.constant(np.nan) for name in names})
            finite = tf.reduce_all(tf.math.is_finite(tf.stack([metrics[name] for name in names])))
            bad_step = tf.where(tf.logical_or(finite, bad_step >= 0), bad_step,
                                gan.step.read_value())
        return metrics, bad_step

    return train_steps


def _have_arrived(strategy: tf.distribute.Strategy, real) -> tf.Tensor:
    """True, but not before every replica's labels are there."""
    labels = [share for _, batch in real for share in strategy.experimental_local_results(batch)]
    return tf.reduce_all([tf.reduce_min(share) >= 0 for share in labels])


def sigma_ratios(gan: model.SAGAN) -> dict[str, float]:
    """`sigma_ratio` of each attention block, by its reference name."""
    return {"model/" + v.path.split("/", 1)[1]: float(v.numpy())
            for network in (gan.generator, gan.discriminator) for v in network.trainable_variables
            if v.path.endswith("sigma_ratio")}


def _check_run(model_config, data_config, train_config, progress) -> None:
    """Refuses to go on with another model; says which other settings have changed."""
    run_dir = train_config.run_dir
    stored = checkpoints.read_config(run_dir, "model", config_lib.ModelConfig)
    if stored is None:
        return
    changed = config_lib.difference(stored, model_config)
    if changed:
        raise config_lib.UserError(
            f"{run_dir}: holds a run of another model ({'; '.join(changed)}); give the run's own "
            "settings or another --checkpoint_dir")
    for section, config in (("data", data_config), ("train", train_config)):
        before = checkpoints.read_config(run_dir, section, type(config))
        for change in config_lib.difference(before, config):
            progress.note(f"changed since this run began: {change}")


def _description(gan: model.SAGAN, records: dataset.Records,
                 data_config: config_lib.DataConfig) -> str:
    """What `--dry_run` prints."""
    lines = [f"{field}: {value}" for config in (gan.model_config, data_config, gan.train_config)
             for field, value in vars(config).items()]
    towers = distribution.towers_per_replica(gan.train_config, gan.strategy)
    lines += [f"run directory: {gan.train_config.run_dir}",
              f"generator parameters: {_count_weights(gan.generator):,}",
              f"discriminator parameters: {_count_weights(gan.discriminator):,}",
              f"devices: {gan.strategy.num_replicas_in_sync} ("
              + ", ".join(gan.strategy.extended.worker_devices)
              + f"), {towers} towers of {gan.train_config.batch_size} images on each"]
    lines += [f"data {name}: {value}" for name, value in records.describe().items()]
    return "\n".join(lines)


def _count_weights(network: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


class _StopSignals:
    """Notes SIGTERM and SIGINT instead of dying of them; a second one acts as usual."""

    def __init__(self):
        self.number = 0
        self._before = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        self.number = number
        signal.signal(number, self._before[number])
