"""The training loop: from a config to a run directory."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import (
    attention,
    checkpoints,
    classes,
    dataset,
    distribution,
    files,
    health,
    history,
    metric_writer,
    model,
    noise,
    ops,
    process,
)
from sagan_tf import config as config_lib
from sagan_tf import images as images_lib

# In the order in which they come to be: the first that is not finite is where it began.
METRICS = ("g_loss", "g_gradient_norm", "logit_fake", "logit_real", "d_loss_fake", "d_loss_real",
           "d_loss", "d_gradient_norm")
_SHOWN = ("g_loss", "d_loss")
_WAIT = "input_wait"
# Between the seeds of a run before and after a rollback: 2^32 over the golden ratio.
_SEED_OFFSET = 0x9E3779B9
_SECONDS_PER_LOOP = 2.0
_MAX_STEPS_PER_LOOP = 100
_PREVIEW_IMAGES = 64
_ATTENTION_ROWS, _ATTENTION_QUERIES = 3, 4


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
      config.WorkerLost: another worker has died or does not answer.
    """
    with _StopSignals() as stop:
        start_up = _StartUp()
        set_tensorflow_options(train_config)
        strategy = distribution.make_strategy(train_config)
        progress = _progress(train_config, strategy, stream)
        start_up.done("devices")
        with distribution.workers(strategy):
            records = dataset.open_records(
                data_config.data_dir, model_config.image_size, model_config.number_classes)
            start_up.done("data")
            keras.utils.set_random_seed(train_config.seed)
            with strategy.scope():
                gan = model.SAGAN(model_config, train_config)
            start_up.done("networks")
            if dry_run:
                progress.note(_description(gan, records, data_config))
                return
            with _only_run(train_config.run_dir, distribution.is_chief(strategy)):
                trainer = _open_run(gan, records, data_config, progress)
                start_up.done("checkpoint")
                with trainer.recorded():
                    trainer.run(stop, start_up)


def set_tensorflow_options(config: config_lib.TrainConfig) -> None:
    """Sets what TensorFlow keeps for the whole process."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(config.tensor_float_32)
    # With oneDNN's kernels on a CPU the remapper stumbles over this graph (seen in TensorFlow 2.21)
    # and says so in an error of its own.
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": not config.graph_optimizer, "remapping": False})


def _open_run(gan: model.SAGAN, records: dataset.Records, data_config: config_lib.DataConfig,
              progress: metric_writer.Progress) -> "Trainer":
    """Finds out where the run directory has got to, and prepares it to go on."""
    config, chief = gan.train_config, distribution.is_chief(gan.strategy)
    run_dir = config.run_dir
    _check_run(gan.model_config, data_config, config, progress)
    with gan.strategy.scope():
        rollbacks = tf.Variable(0, dtype=tf.int64, trainable=False, name="rollbacks",
                                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    saved = checkpoints.Checkpoints(run_dir, {**gan.state(), "rollbacks": rollbacks},
                                    config.keep_checkpoints)
    if chief:
        saved.clear_unfinished()
    trainer = Trainer(gan, records, data_config, saved, None, progress, rollbacks)
    start = trainer.restore()
    progress.note(f"{run_dir}: " + (
        "starting" if start is None else f"continuing from step {start}"))
    if chief:
        checkpoints.write_config(run_dir, model=gan.model_config, data=data_config, train=config)
        if records.info is not None:
            classes.write(run_dir, records.info.class_names, records.info.class_titles)
        trainer.writer = metric_writer.MetricWriter(run_dir, start or 0, config.summary_dir,
                                                    warn=progress.note)
        if start is None:
            saved.save(0)
    return trainer


class Trainer:
    """One run of the loop.

    Args:
      gan: made in the scope of the strategy that trains it.
      records: real images.
      data_config: how to read them.
      saved, writer, progress: where results go; `writer` is None where another worker writes.
      rollbacks: int64 variable, how often the run went back, with other random numbers.
    """

    def __init__(self, gan: model.SAGAN, records: dataset.Records,
                 data_config: config_lib.DataConfig, saved: checkpoints.Checkpoints,
                 writer: Optional[metric_writer.MetricWriter], progress: metric_writer.Progress,
                 rollbacks: Optional[tf.Variable] = None):
        self.gan, self.config = gan, gan.train_config
        self.records, self.data_config = records, data_config
        self.saved, self.writer, self.progress = saved, writer, progress
        self._rollbacks, self._watch = rollbacks, None
        self._chief = distribution.is_chief(gan.strategy)
        self._history: Optional[history.History] = None
        self._warnings: list[str] = []  # of before the start, which comes first in the history
        self._waited = self._looped = 0.0  # seconds since the last row: for input, and in all

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Writes the start and, however it comes, the end of what is done inside to the history."""
        if self._chief:
            self._history = history.History(self.saved.run_dir)
        self._record(history.START, "", **_circumstances(self.gan))
        for text in self._warnings:
            self._record(history.WARNING, text)
        try:
            yield
        except BaseException as error:
            self._record(history.END, files.first_line(error), reason=type(error).__name__)
            raise
        self._record(history.END, "", reason="done")

    def _record(self, event: str, text: str, **facts) -> None:
        """Adds to the history, whatever state the devices are in."""
        if self._history is None:
            return
        with contextlib.suppress(tf.errors.OpError):
            facts["step"] = int(self.gan.step.numpy())
        self._history.add(event, text, **facts)

    def _warn(self, text: str) -> None:
        """Something that whoever looks at the run later should know."""
        self.progress.note(text)
        if self._history is None:
            self._warnings.append(text)
        self._record(history.WARNING, text)

    def restore(self) -> Optional[int]:
        """Goes to the newest checkpoint that can be read; all workers go to the same one.

        Returns:
          Its step, or None where there is none.
        """
        workers = distribution.number_of_workers(self.gan.strategy)
        found = None
        with self.gan.strategy.scope():
            if self._chief:
                found = self.saved.restore(note=self._warn)
            own = workers * (found + 1) if found is not None else 0
            step = round(float(distribution.agree(self.gan.strategy, [own])[0])) - 1
            if not self._chief and step >= 0:
                self.saved.restore(step)
            if any(name.startswith(model.AVERAGE) for name in self.saved.missing):
                self.gan.begin_average()
                self._warn(f"the average of the generator begins at step {step}")
        return step if step >= 0 else None

    def run(self, stop: "_StopSignals", start_up: Optional["_StartUp"] = None) -> None:
        """Trains to `max_steps`; returns when done, raises as `train` does."""
        step = int(self.gan.step.numpy())
        if step >= self.config.max_steps:
            self.progress.note(f"nothing to do: step {step} of --max_steps="
                               f"{self.config.max_steps} is reached")
            return
        if self._chief:
            self._write_preview(step)
        start_up = start_up or _StartUp()
        while True:
            try:
                self._loop(stop, start_up)
                return
            except NotFinite as fault:
                self._roll_back(fault)
                start_up = _StartUp(since_process=False)

    def _loop(self, stop: "_StopSignals", start_up: "_StartUp") -> None:
        step, end = int(self.gan.step.numpy()), self.config.max_steps
        begun_at = step
        batches = input_batches(self.gan, self.records, self.data_config, self._seed(), step)
        self._steps = make_train_steps(self.gan, self._seed())
        start_up.done("input pipeline")
        self._steps.get_concrete_function(batches, tf.TensorSpec([], tf.int32))
        start_up.done("tracing")
        stop.wait_for_steps()
        saved_at, per_step = time.monotonic(), None
        self.progress.start(step)
        while step < end:
            # Train without looking, up to the next thing to write.
            began, first = time.monotonic(), step
            step, metrics = self._run_steps(batches, step, self._count(step, per_step))
            took, waited = time.monotonic() - began, metrics.pop(_WAIT)
            seconds = took / (step - first)
            if first == begun_at:  # The first loop warmed up: not a measure of speed.
                self.progress.note(start_up.end(f"{step - first} steps"))
                self.progress.start(step)
                seconds = 0.0 if self.config.steps_per_loop else seconds
            else:
                self._waited, self._looped = self._waited + waited, self._looped + took

            # Say where the run is.
            if self._chief:
                self._write(step, metrics)

            # Save, and leave if asked to. All workers do the same.
            due = time.monotonic() - saved_at >= self.config.save_checkpoint_secs
            stopping, due, per_step = distribution.agree(
                self.gan.strategy, [stop.number, due and self._chief, seconds])
            if due or step == end or stopping:
                self._save(step)
                saved_at = time.monotonic()
            if stopping and step < end:
                raise config_lib.Interrupted(stop.number or signal.SIGTERM, step)
        self.progress.note(f"done: step {step}, {self.config.run_dir}")

    def _seed(self) -> int:
        """The run's seed, or after a rollback another one."""
        rollbacks = 0 if self._rollbacks is None else int(self._rollbacks.numpy())
        return (self.config.seed + rollbacks * _SEED_OFFSET) % 2**32

    def _count(self, step: int, per_step: Optional[float]) -> int:
        """Iterations until the next look: not past anything that is to be written."""
        limit = self.config.steps_per_loop
        if not limit:
            fitting = 1 if not per_step else int(_SECONDS_PER_LOOP / per_step)
            limit = min(max(fitting, 1), _MAX_STEPS_PER_LOOP)
        marks = [every - step % every
                 for every in (self.config.save_summaries_steps, self.config.sample_every,
                               self.config.health_every, self.config.attention_every) if every]
        return min(limit, self.config.max_steps - step, *marks)

    def _run_steps(self, batches, step: int, count: int) -> tuple[int, dict[str, float]]:
        try:
            with dataset.reading(self.records, self._warn):
                metrics, bad_step = self._steps(batches, tf.constant(count))
        except config_lib.UserError:
            # The iteration that met the record has changed nothing: what came before is kept,
            # unless it may have seen other images than the run began with.
            reached = int(self.gan.step.numpy())
            if (self._chief and reached not in self.saved.steps
                    and dataset.find_change(self.records, removed=False) is None):
                self._refuse_nonfinite_weights(reached)
                self.saved.save(reached)
            raise
        metrics = {name: float(value) for name, value in metrics.items()}
        if int(bad_step) >= 0:
            name = next(name for name in METRICS if not np.isfinite(metrics[name]))
            raise NotFinite(f"step {int(bad_step)}: {name} is not finite", self.saved)
        return step + count, metrics

    def _save(self, step: int) -> None:
        """Saves what may be kept; no worker goes on, or leaves, before the chief has done it."""
        changed = dataset.find_change(self.records, removed=False) if self.records else None
        if changed:
            raise config_lib.UserError(
                f"{changed} from step {max(self.saved.steps, default=0)}")
        self._refuse_nonfinite_weights(step)
        if self._chief:
            self.saved.save(step)
        distribution.agree(self.gan.strategy, [0])

    def _refuse_nonfinite_weights(self, step: int) -> None:
        """A variable's last update may be newer than the losses."""
        for name, variable in self.gan.state().items():
            if variable.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(variable)):
                raise NotFinite(f"step {step}: {name} is not finite", self.saved)

    def _roll_back(self, fault: "NotFinite") -> None:
        """Goes back to the last checkpoint, and on from there with other random numbers."""
        if self.config.on_nonfinite != "rollback":
            raise fault
        done = int(self._rollbacks.numpy()) + 1
        if done > self.config.max_rollbacks:
            raise config_lib.UserError(
                f"{fault}; --max_rollbacks={self.config.max_rollbacks} are used up") from fault
        step = self.restore() or 0
        # The checkpoint may be older than the rollback before this one.
        self._rollbacks.assign(done)
        if self._chief:
            self.writer.drop_rows_after(step)
        self._warn(f"{fault}; rollback {done} of at most {self.config.max_rollbacks}: "
                   f"continuing from step {step} with other random numbers")

    def _write(self, step: int, metrics: dict[str, float]) -> None:
        """Says where the run is: losses, samples, health, each when it is due."""
        at_end = step == self.config.max_steps
        draw = self.config.sample_every and (step % self.config.sample_every == 0 or at_end)
        look = self.config.health_every and step % self.config.health_every == 0
        rate, found = self.progress.images_per_second(step), {}
        samples = self.gan.class_samples() if draw or look else None
        if look:
            found = {**self._watch.see_samples(step, samples),
                     **self._watch.see_networks(step, generator=self.gan.generator,
                                                discriminator=self.gan.discriminator)}
        due = step % self.config.save_summaries_steps == 0 or at_end
        if due or look:
            self._write_row(step, metrics, rate, found)
        self.progress.show(step, {name: metrics[name] for name in _SHOWN}, keep=due)
        if draw:
            path = self.writer.write_image(step, "generator_grid", model.grid_of(samples),
                                           f"samples/step-{step:08}.png")
            self.progress.note(f"samples: {path}")
        attend = self.config.attention_every and step % self.config.attention_every == 0
        if attend:
            self._write_attention(step)
        if draw or look or attend:
            self.progress.start(step)

    def _write_row(self, step: int, metrics: dict[str, float], rate: float,
                   found: dict[str, float]) -> None:
        row = {**metrics, **sigma_ratios(self.gan)}
        self._watch.see_row(step, row)
        for network in (self.gan.generator, self.gan.discriminator):
            row.update({f"sigma/{name}": sigma for name, sigma in ops.sigmas(network).items()})
        row.update({name: float(v.numpy()) for scale in self.gan.loss_scales.values()
                    for name, v in scale.state().items()})
        if self._looped and np.isfinite(self._waited):
            row["input_stall"] = self._waited / self._looped
        self._waited = self._looped = 0.0
        self.writer.write_scalars(step, {
            **row, **found,
            "d_learning_rate": self.config.discriminator_learning_rate,
            "g_learning_rate": self.config.generator_learning_rate,
            "memory_mb": process.memory_mb(), "peak_memory_mb": process.memory_mb(peak=True),
            **({"images_per_second": rate} if rate else {})}, time=time.time())

    def _write_attention(self, step: int) -> None:
        """Figures of where both networks look, in samples of fixed z."""
        model_config = self.gan.model_config
        rows = min(_ATTENTION_ROWS, model_config.number_classes)
        z, labels = noise.draw_grid(self.config.seed, rows, 1, model_config.z_dim,
                                    model_config.number_classes)
        images, found = self.gan.attention_of(z, labels)
        ratios = sigma_ratios(self.gan)
        for name, maps in found.items():
            ratio = ratios[f"model/{name[0]}_non_local/sigma_ratio"]
            panels = [attention.panel(image, f"class {label}", one, _ATTENTION_QUERIES)
                      for image, label, one in zip(images_lib.to_uint8(images), labels, maps)]
            figure = attention.draw(panels, f"{name}, step {step}, sigma_ratio {ratio:.4g}")
            self.writer.write_image(step, f"attention_maps/{name}", images_lib.decode_png(figure))

    def _write_preview(self, step: int) -> None:
        with dataset.reading(self.records, self.progress.note):
            pixels, _ = dataset.preview(self.records, _PREVIEW_IMAGES)
        self._watch = health.Watch(self._warn,
                                   health.variety(dataset.to_float(pixels).numpy()[None]))
        self.writer.write_image(step, "input_image_grid",
                                images_lib.grid(pixels, *images_lib.squarest_grid(len(pixels))),
                                "samples/real.png")


class NotFinite(config_lib.UserError):
    """A loss, gradient or weight is not a finite number; the message names step and quantity."""

    def __init__(self, what: str, saved: checkpoints.Checkpoints):
        super().__init__(f"{what}; {saved.run_dir} keeps its checkpoints of steps {saved.steps}")


def input_batches(gan: model.SAGAN, records: dataset.Records, data_config: config_lib.DataConfig,
                  seed: int, step: int = 0):
    """Iterator of the batches of all devices, from where a run of `step` iterations has got to.

    The strategy puts each device's next share there while the one before is at work.
    """
    config, strategy = gan.train_config, gan.strategy
    global_batch = config.batch_size * config.num_towers

    def own_share(context):
        share = dataset.Share(context.input_pipeline_id, context.num_input_pipelines,
                              strategy.num_replicas_in_sync // context.num_input_pipelines)
        return dataset.training_batches(records, data_config, global_batch, seed,
                                        start=step * config.d_step * global_batch, share=share)

    return iter(strategy.distribute_datasets_from_function(own_share))


def make_iteration(gan: model.SAGAN, seed: int) -> Callable:
    """One iteration of one replica, to be called by `strategy.run`, or without a strategy.

    A function of its `d_step` batches of real images, pairs of uint8 [batch, size, size, 3] and
    int32 [batch]; it returns `METRICS`, float32. All shapes are static, so that XLA
    can compile the whole of it.
    """
    config = gan.train_config
    towers = distribution.towers_per_replica(config, gan.strategy)

    def draw(purpose, substep):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return noise.draw_towers(seed, gan.step, purpose, substep, replica * towers, towers,
                                 config.batch_size, gan.model_config.z_dim,
                                 gan.model_config.number_classes)

    def iteration(real):
        metrics = {}
        for substep in range(config.g_step):
            metrics.update(gan.g_step(*draw(noise.G_STEP, substep)))
        for substep, (images, labels) in enumerate(real):
            metrics.update(gan.d_step(dataset.to_float(images), labels,
                                      *draw(noise.D_STEP, substep)))
        gan.update_average()
        return tf.stack([metrics[name] for name in METRICS])

    return iteration


def make_train_steps(gan: model.SAGAN, seed: int) -> Callable:
    """The inner loop: a function of (iterator of real batches, count) that runs `count` iterations.

    The batches hold uint8 images: they become floats on the device, a quarter of the way there.
    It returns the metrics of the last iteration, with "input_wait", seconds in which all iterations
    waited for their images (not a number with `deterministic`, where TensorFlow has no clock), and
    -1; or, where an iteration's metrics were not finite, those of the first such one and its
    number. Nothing is asked of Python in between.
    """
    config, strategy = gan.train_config, gan.strategy
    iteration = make_iteration(gan, seed)
    now = (lambda: tf.constant(np.nan, tf.float64)) if config.deterministic else tf.timestamp

    # Nothing in there is Python's control flow on tensors: reading our source, and that of Keras,
    # for AutoGraph would take half of the tracing.
    @tf.autograph.experimental.do_not_convert
    def count_iteration(real):
        metrics = strategy.reduce("MEAN", strategy.run(iteration, args=(real,)), axis=None)
        with tf.control_dependencies([metrics]):
            gan.step.assign_add(1)
        return metrics

    @tf.function
    def train_steps(batches, count):
        metrics = tf.zeros([len(METRICS)])
        bad_step = tf.constant(-1, tf.int64)
        waited = tf.zeros([], tf.float64)
        for _ in tf.range(count):
            # An iteration begins when the one before it has ended and its own images are there
            # (which is what the condition, always true, is for): a record that cannot be read
            # leaves the variables as the last whole iteration left them.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            with tf.control_dependencies([metrics]):
                began = now()
            with tf.control_dependencies([began]):
                real = [next(batches) for _ in range(config.d_step)]
            arrived = _have_arrived(strategy, real)
            with tf.control_dependencies([arrived]):
                waited += now() - began
            found = tf.cond(arrived,
                            lambda real=real: count_iteration(real),
                            lambda: tf.fill([len(METRICS)], np.float32(np.nan)))
            metrics = tf.where(bad_step < 0, found, metrics)
            finite = tf.reduce_all(tf.math.is_finite(metrics))
            bad_step = tf.where(tf.logical_or(finite, bad_step >= 0), bad_step,
                                gan.step.read_value())
        return {**dict(zip(METRICS, tf.unstack(metrics))), _WAIT: waited}, bad_step

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


def _circumstances(gan: model.SAGAN) -> dict[str, Any]:
    """What a run runs on, for its history."""
    devices = [name.split("/device:")[-1] for name in gan.strategy.extended.worker_devices]
    return {"environment": {**history.environment(), "devices": ", ".join(devices),
                            "workers": str(distribution.number_of_workers(gan.strategy)),
                            "optimizations": _in_force(gan)}}


def _in_force(gan: model.SAGAN) -> str:
    """What --optimizations has come to on these devices."""
    return ", ".join(f"{name} from {side} px" if side else name
                     for name, side in gan.optimizations.items()) or "none"


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
    lines += [f"optimizations in force: {_in_force(gan)}",
              f"run directory: {gan.train_config.run_dir}",
              f"generator parameters: {_count_weights(gan.generator):,}",
              f"discriminator parameters: {_count_weights(gan.discriminator):,}",
              f"devices: {gan.strategy.num_replicas_in_sync} ("
              + ", ".join(gan.strategy.extended.worker_devices)
              + f"), {towers} towers of {gan.train_config.batch_size} images on each"]
    lines += [f"data {name}: {value}" for name, value in dataset.describe(records).items()]
    return "\n".join(lines)


def _count_weights(network: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def _progress(config: config_lib.TrainConfig, strategy: tf.distribute.Strategy,
              stream: Optional[TextIO]) -> metric_writer.Progress:
    name = "" if distribution.is_chief(strategy) else f"worker {strategy.cluster_resolver.task_id}"
    return metric_writer.Progress(config.max_steps, config.batch_size * config.num_towers, stream,
                                  worker=name)


@contextlib.contextmanager
def _only_run(run_dir: str, chief: bool) -> Iterator[None]:
    """Keeps a second run out of the directory; several workers of one run share it."""
    with contextlib.ExitStack() as held:
        if chief:
            with files.writing(run_dir):
                tf.io.gfile.makedirs(run_dir)
                held.enter_context(files.locked(
                    os.path.join(run_dir, "lock"),
                    f"{run_dir}: another run is at work there; wait for its end, or choose another "
                    "--checkpoint_dir"))
        yield


class _StartUp:
    """Seconds that each part of the time up to the first step took."""

    def __init__(self, since_process: bool = True):
        self._parts = {"imports": process.age()} if since_process else {}
        self._mark = time.monotonic()

    def done(self, part: str) -> None:
        """The part that has just ended."""
        now = time.monotonic()
        self._parts[part], self._mark = now - self._mark, now

    def end(self, part: str) -> str:
        """The last part has ended; returns a line of all."""
        self.done(part)
        return f"start-up took {sum(self._parts.values()):.1f} s: " + ", ".join(
            f"{name} {seconds:.1f}" for name, seconds in self._parts.items())


class _StopSignals:
    """SIGTERM and SIGINT: at once while nothing is under way, then after the step; twice as usual.

    Attributes:
      number: the signal that came, or 0.
    """

    def __init__(self):
        self.number = 0
        self._at_once = True
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                # One that is ignored (nohup), or not Python's own, stays so.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait_for_steps(self) -> None:
        """From here on a signal waits until the step has ended and was saved."""
        self._at_once = False

    def _note(self, number, _):
        self.number = number
        signal.signal(number, self._before[number])
        if self._at_once:
            raise config_lib.Interrupted(number)
