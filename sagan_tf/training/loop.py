"""The training loop."""

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import config, errors, model
from sagan_tf.data import dataset, faults
from sagan_tf.data import records as data_records
from sagan_tf.gan import noise, ops
from sagan_tf.images import attention_figure, grids
from sagan_tf.images import pixels as images_pixels
from sagan_tf.runs import checkpoints, health, history, metric_writer
from sagan_tf.runtime import distribution, environment, files, memory
from sagan_tf.training import previews, signals, steps
from sagan_tf.training import progress as training_progress
from sagan_tf.training import start_up as training_start_up

_SHOWN = ("g_loss", "d_loss")
# Between the seeds of a run before and after a rollback: 2^32 over the golden ratio.
_SEED_OFFSET = 0x9E3779B9
_SECONDS_PER_LOOP = 2.0
_MAX_STEPS_PER_LOOP = 100


class Trainer:
    """One run of the loop.

    Args:
      gan: made in the scope of the strategy that trains it.
      records: real images.
      data_config: how to read them.
      saved, writer, progress: where results go; `writer` is None where another worker writes.
      rollbacks: int64 variable, how often the run went back, with other random numbers.
    """

    def __init__(
        self,
        gan: model.SAGAN,
        records: data_records.Records,
        *,
        data_config: config.DataConfig,
        saved: checkpoints.Checkpoints,
        writer: Optional[metric_writer.MetricWriter],
        progress: training_progress.Progress,
        rollbacks: Optional[tf.Variable] = None,
    ):
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
            step = round(float(distribution.mean_over_workers(self.gan.strategy, [own])[0])) - 1
            if not self._chief and step >= 0:
                self.saved.restore(step)
            if any(name.startswith(model.AVERAGE) for name in self.saved.missing):
                self.gan.begin_average()
                self._warn(f"the average of the generator begins at step {step}")
        return step if step >= 0 else None

    def run(
        self, stop: signals.StopSignals, start_up: Optional[training_start_up.StartUp] = None
    ) -> None:
        """Trains to `max_steps`; returns when done, raises as `train` does."""
        step = int(self.gan.step.numpy())
        if step >= self.config.max_steps:
            self.progress.note(
                f"nothing to do: step {step} of --max_steps={self.config.max_steps} is reached"
            )
            return
        if self._chief:
            self._write_preview(step)
        start_up = start_up or training_start_up.StartUp()
        while True:
            try:
                self._loop(stop, start_up)
                return
            except NotFinite as fault:
                self._roll_back(fault)
                start_up = training_start_up.StartUp(since_process=False)

    def _loop(self, stop: signals.StopSignals, start_up: training_start_up.StartUp) -> None:
        step, end = int(self.gan.step.numpy()), self.config.max_steps
        begun_at = step
        batches = steps.input_batches(
            self.gan, self.records, data_config=self.data_config, seed=self._seed(), step=step
        )
        self._steps = steps.make_train_steps(self.gan, self._seed())
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
            took, waited = time.monotonic() - began, metrics.pop(steps.WAIT)
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
            stopping, due, per_step = distribution.mean_over_workers(
                self.gan.strategy, [stop.number, due and self._chief, seconds]
            )
            if due or step == end or stopping:
                self._save(step)
                saved_at = time.monotonic()
            if stopping and step < end:
                raise errors.Interrupted(stop.number or signal.SIGTERM, step)
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
        marks = [
            every - step % every
            for every in (
                self.config.save_summaries_steps,
                self.config.sample_every,
                self.config.health_every,
                self.config.attention_every,
            )
            if every
        ]
        return min(limit, self.config.max_steps - step, *marks)

    def _run_steps(self, batches, step: int, count: int) -> tuple[int, dict[str, float]]:
        try:
            with faults.reading(self.records, self._warn):
                metrics, bad_step = self._steps(batches, tf.constant(count))
        except errors.UserError:
            # The iteration that met the record has changed nothing: what came before is kept,
            # unless it may have seen other images than the run began with.
            reached = int(self.gan.step.numpy())
            if (
                self._chief
                and reached not in self.saved.steps
                and faults.find_change(self.records, removed=False) is None
            ):
                self._refuse_nonfinite_weights(reached)
                self.saved.save(reached)
            raise
        metrics = {name: float(value) for name, value in metrics.items()}
        if int(bad_step) >= 0:
            name = next(name for name in steps.METRICS if not np.isfinite(metrics[name]))
            raise NotFinite(f"step {int(bad_step)}: {name} is not finite", self.saved)
        return step + count, metrics

    def _save(self, step: int) -> None:
        """Saves what may be kept; no worker goes on, or leaves, before the chief has done it."""
        changed = faults.find_change(self.records, removed=False) if self.records else None
        if changed:
            raise errors.UserError(f"{changed} from step {max(self.saved.steps, default=0)}")
        self._refuse_nonfinite_weights(step)
        if self._chief:
            self.saved.save(step)
        distribution.mean_over_workers(self.gan.strategy, [0])

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
            raise errors.UserError(
                f"{fault}; --max_rollbacks={self.config.max_rollbacks} are used up"
            ) from fault
        step = self.restore() or 0
        # The checkpoint may be older than the rollback before this one.
        self._rollbacks.assign(done)
        if self._chief:
            self.writer.drop_rows_after(step)
        self._warn(
            f"{fault}; rollback {done} of at most {self.config.max_rollbacks}: "
            f"continuing from step {step} with other random numbers"
        )

    def _write(self, step: int, metrics: dict[str, float]) -> None:
        """Says where the run is: losses, samples, health, each when it is due."""
        at_end = step == self.config.max_steps
        draw = self.config.sample_every and (step % self.config.sample_every == 0 or at_end)
        look = self.config.health_every and step % self.config.health_every == 0
        rate, found = self.progress.images_per_second(step), {}
        samples = self.gan.class_samples() if draw or look else None
        if look:
            found = {
                **self._watch.see_samples(step, samples),
                **self._watch.see_networks(
                    step, generator=self.gan.generator, discriminator=self.gan.discriminator
                ),
            }
        due = step % self.config.save_summaries_steps == 0 or at_end
        if due or look:
            self._write_row(step, metrics, rate, found)
        self.progress.show(step, {name: metrics[name] for name in _SHOWN}, keep=due)
        if draw:
            path = self.writer.write_image(
                step,
                "generator_grid",
                image=grids.grid_of(samples),
                filename=f"samples/step-{step:08}.png",
            )
            self.progress.note(f"samples: {path}")
        attend = self.config.attention_every and step % self.config.attention_every == 0
        if attend:
            self._write_attention(step)
        if draw or look or attend:
            self.progress.start(step)

    def _write_row(
        self, step: int, metrics: dict[str, float], rate: float, found: dict[str, float]
    ) -> None:
        row = {**metrics, **model.sigma_ratios(self.gan)}
        self._watch.see_row(step, row)
        for network in (self.gan.generator, self.gan.discriminator):
            row.update({f"sigma/{name}": sigma for name, sigma in ops.sigmas(network).items()})
        row.update(
            {
                name: float(v.numpy())
                for scale in self.gan.loss_scales.values()
                for name, v in scale.state().items()
            }
        )
        if self._looped and np.isfinite(self._waited):
            row["input_stall"] = self._waited / self._looped
        self._waited = self._looped = 0.0
        self.writer.write_scalars(
            step,
            {
                **row,
                **found,
                "d_learning_rate": self.config.discriminator_learning_rate,
                "g_learning_rate": self.config.generator_learning_rate,
                "memory_mb": memory.memory_mb(),
                "peak_memory_mb": memory.memory_mb(peak=True),
                **({"images_per_second": rate} if rate else {}),
            },
            time=time.time(),
        )

    def _write_attention(self, step: int) -> None:
        """Figures of where both networks look, in samples of fixed z."""
        model_config = self.gan.model_config
        rows = min(previews.ATTENTION_ROWS, model_config.number_classes)
        z, labels = noise.draw_grid(
            self.config.seed,
            rows,
            columns=1,
            z_dim=model_config.z_dim,
            number_classes=model_config.number_classes,
        )
        images, found = self.gan.attention_of(z, labels)
        ratios = model.sigma_ratios(self.gan)
        for name, maps in found.items():
            ratio = ratios[f"model/{name[0]}_non_local/sigma_ratio"]
            panels = [
                attention_figure.panel(
                    image, f"class {label}", attention=one, count=previews.ATTENTION_QUERIES
                )
                for image, label, one in zip(images_pixels.to_uint8(images), labels, maps)
            ]
            figure = attention_figure.draw(panels, f"{name}, step {step}, sigma_ratio {ratio:.4g}")
            self.writer.write_image(
                step, f"attention_maps/{name}", image=images_pixels.decode_png(figure)
            )

    def _write_preview(self, step: int) -> None:
        with faults.reading(self.records, self.progress.note):
            pixels, _ = dataset.preview(self.records, previews.PREVIEW_IMAGES)
        rows, columns = grids.squarest_grid(len(pixels))
        self._watch = health.Watch(
            self._warn, health.variety(data_records.to_float(pixels).numpy()[None])
        )
        self.writer.write_image(
            step,
            "input_image_grid",
            image=grids.grid(pixels, rows, columns=columns),
            filename="samples/real.png",
        )


class NotFinite(errors.UserError):
    """A loss, gradient or weight is not a finite number; the message names step and quantity."""

    def __init__(self, what: str, saved: checkpoints.Checkpoints):
        super().__init__(f"{what}; {saved.run_dir} keeps its checkpoints of steps {saved.steps}")


def _circumstances(gan: model.SAGAN) -> dict[str, Any]:
    """What a run runs on, for its history."""
    devices = [name.split("/device:")[-1] for name in gan.strategy.extended.worker_devices]
    return {
        "environment": {
            **environment.environment(),
            "devices": ", ".join(devices),
            "workers": str(distribution.number_of_workers(gan.strategy)),
            "optimizations": optimizations_in_force(gan),
        }
    }


def optimizations_in_force(gan: model.SAGAN) -> str:
    """What --optimizations has come to on these devices."""
    return (
        ", ".join(
            f"{name} from {side} px" if side else name for name, side in gan.optimizations.items()
        )
        or "none"
    )
