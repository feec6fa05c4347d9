"""Roles of the workers in a run: the chief saves, writes rows and draws; the others follow."""

import time
from collections.abc import Mapping

import numpy as np

from sagan_tf import model
from sagan_tf.data.class_names import Classes
from sagan_tf.gan import objectives, ops
from sagan_tf.runs import checkpoints, health, metric_writer
from sagan_tf.runtime import memory
from sagan_tf.training import previews
from sagan_tf.training.events import Events
from sagan_tf.training.progress import Progress

# Losses in the progress line; lines that stay have those of classes as well.
_SHOWN = ("g_loss", "d_loss")


class FollowerRun:
    """The run of a worker that follows: it prints notes, and leaves all writing to the chief.

    Args:
      saved: the checkpoints of the run.
      events: notes and warnings.
      progress: clock of the speed.

    Attributes:
      saved, events, progress: as given.
    """

    def __init__(self, *, saved: checkpoints.Checkpoints, events: Events, progress: Progress):
        self.saved = saved
        self.events = events
        self.progress = progress

    def report(
        self, step: int, metrics: Mapping[str, float], *, waited: float, seconds: float
    ) -> None:
        """The chief reports."""

    def is_save_due(self, seconds_since_save: float) -> bool:
        """False: the chief decides."""
        del seconds_since_save
        return False

    def needs_save(self, step: int) -> bool:
        """False: the chief saves."""
        del step
        return False

    def save(self, step: int) -> None:
        """The chief saves."""

    def drop_rows_after(self, step: int) -> None:
        """The chief's rows are not this worker's."""


class ChiefRun:
    """The run of the chief: it saves, and writes rows, samples and attention figures when due.

    Args:
      gan: what is trained.
      saved: the checkpoints of the run.
      events: notes and warnings.
      progress: prints the progress line.
      writer: writes rows and pictures.
      health_check: looks at what is written.
      classes: names of the classes, for the pictures.

    Attributes:
      saved, events, progress: as given.
    """

    def __init__(
        self,
        gan: model.SAGAN,
        *,
        saved: checkpoints.Checkpoints,
        events: Events,
        progress: Progress,
        writer: metric_writer.MetricWriter,
        health_check: health.HealthCheck,
        classes: Classes,
    ):
        self.saved = saved
        self.events = events
        self.progress = progress
        self._gan = gan
        self._config = gan.train_config
        self._writer = writer
        self._health_check = health_check
        self._classes = classes
        self._class_metrics = objectives.class_metrics(gan.model_config)
        self._statistics = previews.statistics_of_pictures(gan)
        # Seconds since the last row: waiting for images, and in all.
        self._waited = 0.0
        self._seconds = 0.0

    def report(
        self, step: int, metrics: Mapping[str, float], *, waited: float, seconds: float
    ) -> None:
        """Says where the run is: losses, samples, health, attention, each when it is due.

        Args:
          step: iterations done.
          metrics: of the last one, by name (`steps.metric_names`).
          waited: seconds since the last report in which the devices waited for images.
          seconds: seconds since the last report; 0 where they are no measure of the speed.
        """
        self._waited += waited
        self._seconds += seconds
        images_per_second = self.progress.images_per_second(step)

        # Find out what is due.
        at_end = step == self._config.max_steps
        row_is_due = at_end or _is_due(step, self._config.save_summaries_steps)
        samples_are_due = _is_due(step, self._config.sample_every)
        samples_are_due |= at_end and self._config.sample_every > 0
        health_is_due = health.is_due(step, self._config.health_every)
        attention_is_due = _is_due(step, self._config.attention_every)

        # Look at the health of the networks.
        health_row = {}
        if samples_are_due or health_is_due:
            with self._statistics():
                samples = previews.class_samples(self._gan)
        if health_is_due:
            health_row = self._check_health(step, samples)

        # Write the numbers.
        if row_is_due or health_is_due:
            self._write_row(step, metrics, health_row, images_per_second)
        shown = [*_SHOWN, *self._class_metrics] if row_is_due else _SHOWN
        self.progress.show(step, {name: metrics[name] for name in shown}, keep=row_is_due)

        # Draw the pictures.
        if samples_are_due:
            self._write_samples(step, samples)
        if attention_is_due:
            self._write_attention(step)

        # Looking and drawing took time that was not training.
        if samples_are_due or health_is_due or attention_is_due:
            self.progress.start(step)

    def is_save_due(self, seconds_since_save: float) -> bool:
        """Whether it is time to save."""
        return seconds_since_save >= self._config.save_checkpoint_secs

    def needs_save(self, step: int) -> bool:
        """Whether there is no checkpoint of this step."""
        return step not in self.saved.steps

    def save(self, step: int) -> None:
        """Saves a checkpoint."""
        self.saved.save(step)

    def drop_rows_after(self, step: int) -> None:
        """Takes rows back that the run walks again."""
        self._writer.drop_rows_after(step)

    def _check_health(self, step: int, samples: np.ndarray) -> dict[str, float]:
        numbers = self._health_check.check_samples(step, samples)
        numbers |= self._health_check.check_networks(
            step, generator=self._gan.generator, discriminator=self._gan.discriminator
        )
        return numbers

    def _write_row(
        self,
        step: int,
        metrics: Mapping[str, float],
        health_row: Mapping[str, float],
        images_per_second: float,
    ) -> None:
        # Check losses, gradients and attention.
        row = {**metrics, **model.sigma_ratios(self._gan)}
        self._health_check.check_row(step, row)

        # Add the singular values of the weights.
        for network in (self._gan.generator, self._gan.discriminator):
            for name, sigma in ops.sigmas(network).items():
                row[f"sigma/{name}"] = sigma

        # Add the scales of the losses in float16.
        for scale in self._gan.loss_scales.values():
            for name, variable in scale.state().items():
                row[name] = float(variable.numpy())

        # Add the probability of the augmentation.
        if self._gan.adaptive is not None:
            row.update(self._gan.adaptive.row())

        # Add how long the devices waited for images since the last row.
        if self._seconds and np.isfinite(self._waited):
            row["input_stall"] = self._waited / self._seconds
        self._waited = 0.0
        self._seconds = 0.0

        # Add what the run costs.
        row.update(health_row)
        row["d_learning_rate"] = float(self._gan.d_optimizer.rate())
        row["g_learning_rate"] = float(self._gan.g_optimizer.rate())
        row["memory_mb"] = memory.memory_mb()
        row["peak_memory_mb"] = memory.memory_mb(peak=True)
        if images_per_second:
            row["images_per_second"] = images_per_second
        self._writer.write_scalars(step, row, time=time.time())

    def _write_samples(self, step: int, samples: np.ndarray) -> None:
        path = self._writer.write_image(
            step,
            "generator_grid",
            image=previews.sample_grid(samples, self._classes),
            filename=f"samples/step-{step:08}.png",
        )
        self.events.note(f"samples: {path}")

    def _write_attention(self, step: int) -> None:
        with self._statistics():
            figures = previews.attention_figures(self._gan, step, classes=self._classes)
        for network, images in figures.items():
            self._writer.write_images(step, f"attention_maps/{network}", images=images)


def _is_due(step: int, every: int) -> bool:
    """Whether something that is done at every so many steps, 0: never, is done at this one."""
    return every > 0 and step % every == 0
