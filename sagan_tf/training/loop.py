"""The training loop: runs steps on the devices, checks them, reports, and saves."""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Optional, Union

import numpy as np
import tensorflow as tf

from sagan_tf import errors, model, plurals
from sagan_tf.config import TrainConfig
from sagan_tf.data import faults
from sagan_tf.data.records import Records
from sagan_tf.runs import checkpoints, health
from sagan_tf.runtime import distribution
from sagan_tf.training import steps
from sagan_tf.training.roles import ChiefRun, FollowerRun
from sagan_tf.training.signals import StopSignals
from sagan_tf.training.start_up import StartUp

# Time between two looks of the host at the devices, and the most steps in between.
_SECONDS_PER_LOOP = 2.0
_MAX_STEPS_PER_LOOP = 100


class NotFinite(errors.UserError):
    """A loss, gradient or weight is not a finite number; the message names step and quantity."""

    def __init__(self, what: str, saved: checkpoints.Checkpoints):
        super().__init__(f"{what}; {saved.run_dir} keeps its checkpoints of steps {saved.steps}")


class Trainer:
    """A walk from the current step to `max_steps`, or to the first fault.

    Args:
      gan: made in the scope of the strategy that trains it.
      train_steps: the compiled loop, as of `steps.make_train_steps`.
      batches: iterator of the batches that `train_steps` takes.
      records: what the batches are read from.
      run: where results go.
    """

    def __init__(
        self,
        gan: model.SAGAN,
        train_steps: Callable,
        *,
        batches: Iterator,
        records: Records,
        run: Union[ChiefRun, FollowerRun],
    ):
        self._gan = gan
        self._config = gan.train_config
        self._train_steps = train_steps
        self._batches = batches
        self._records = records
        self._run = run

    def train(self, stop: StopSignals, start_up: StartUp) -> None:
        """Trains to `max_steps`.

        Args:
          stop: asks the loop to save and leave.
          start_up: reported after the first steps.

        Raises:
          NotFinite: a loss, gradient or weight is not finite.
          errors.Interrupted: `stop` asked for the end, or the reader of what is printed has
            ended, and the run was saved.
          errors.UserError: a record cannot be read, or the data have changed.
        """
        stop.wait_for_steps()
        step = int(self._gan.step.numpy())
        end = self._config.max_steps
        is_first = True
        seconds_per_step = None
        saved_at = time.monotonic()
        self._run.progress.start(step)

        while step < end:
            # Train up to the next thing to write.
            began = time.monotonic()
            count = steps_before_next_look(self._config, step, seconds_per_step=seconds_per_step)
            metrics = self._run_steps(count)
            waited = metrics.pop(steps.WAIT)
            seconds = time.monotonic() - began
            seconds_per_step = seconds / count
            step += count

            # The first loop warmed up: its time is no measure of speed.
            if is_first:
                self._run.events.note(start_up.report(plurals.counted(count, "step")))
                self._run.progress.start(step)
                waited = 0.0
                seconds = 0.0
                if self._config.steps_per_loop:
                    seconds_per_step = 0.0
                is_first = False

            # Say where the run is.
            self._run.report(step, metrics, waited=waited, seconds=seconds)

            # Save, and leave if asked to, or where nobody reads on. All workers do the same.
            save_is_due = self._run.is_save_due(time.monotonic() - saved_at)
            reason = stop.number or (0 if self._run.progress.has_reader else signal.SIGPIPE)
            stopping, save_is_due, seconds_per_step = distribution.mean_over_workers(
                self._gan.strategy, [reason, save_is_due, seconds_per_step]
            )
            if save_is_due or stopping or step == end:
                self._save(step)
                saved_at = time.monotonic()
            if stopping and step < end:
                raise errors.Interrupted(reason or signal.SIGTERM, step)

        self._run.events.note(f"done: step {step}, {self._config.run_dir}")

    def _run_steps(self, count: int) -> dict[str, float]:
        """Runs `count` iterations; returns the metrics of the last one."""
        # Train.
        try:
            with faults.reading(self._records, self._run.events.warn):
                metrics, bad_step = self._train_steps(self._batches, tf.constant(count))
        except errors.UserError:
            self._save_steps_before_fault()
            raise

        # Refuse what is not finite.
        metrics = {name: float(value) for name, value in metrics.items()}
        if int(bad_step) >= 0:
            names = steps.metric_names(self._gan.model_config)
            name = next(name for name in names if not np.isfinite(metrics[name]))
            raise NotFinite(f"step {int(bad_step)}: {name} is not finite", self._run.saved)
        return metrics

    def _save_steps_before_fault(self) -> None:
        """Saves the iterations before the one that met a record that cannot be read.

        That iteration has changed nothing. What came before is kept, unless it may have seen other
        images than the run began with.
        """
        step = int(self._gan.step.numpy())
        if self._run.needs_save(step) and not faults.find_change(self._records, removed=False):
            self._refuse_nonfinite_weights(step)
            self._run.save(step)

    def _save(self, step: int) -> None:
        """Saves what may be kept; no worker goes on, or leaves, before the chief has done it."""
        # Refuse what was trained on other images.
        changed = faults.find_change(self._records, removed=False)
        if changed:
            raise errors.UserError(f"{changed} from step {max(self._run.saved.steps, default=0)}")

        # Save, and wait for the chief.
        self._refuse_nonfinite_weights(step)
        self._run.save(step)
        distribution.mean_over_workers(self._gan.strategy, [0])

    def _refuse_nonfinite_weights(self, step: int) -> None:
        """A variable's last update may be newer than the losses."""
        for name, variable in self._gan.state().items():
            if variable.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(variable)):
                raise NotFinite(f"step {step}: {name} is not finite", self._run.saved)


def steps_before_next_look(
    config: TrainConfig, step: int, *, seconds_per_step: Optional[float]
) -> int:
    """Iterations until the host looks at the devices again; not past anything to be written.

    Args:
      config: `steps_per_loop`, and how often something is written.
      step: iterations done.
      seconds_per_step: time of an iteration; None or 0 where it is not known.
    """
    # As many as asked for, or as fit into some seconds.
    limit = config.steps_per_loop
    if not limit:
        fitting = int(_SECONDS_PER_LOOP / seconds_per_step) if seconds_per_step else 1
        limit = min(max(fitting, 1), _MAX_STEPS_PER_LOOP)

    # Stop where something is to be written.
    periods = (
        config.save_summaries_steps,
        config.sample_every,
        config.attention_every,
    )
    until_next = [every - step % every for every in periods if every]
    if config.health_every:
        until_next.append(health.steps_until_due(step, config.health_every))
    return min(limit, config.max_steps - step, *until_next)
