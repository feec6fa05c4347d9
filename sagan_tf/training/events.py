"""Events of a run: notes and warnings for its readers, and its history."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from sagan_tf import model
from sagan_tf.runs import history
from sagan_tf.runtime import distribution, environment, files
from sagan_tf.training.progress import Progress


class Events:
    """What happens to a run: printed, and added to its history.

    Args:
      gan: gives the step of an event.
      progress: prints notes and warnings.
      add: adds an event to the history, as `history.History.add`; `keep_nothing` on a worker that
        follows.
    """

    def __init__(self, gan: model.SAGAN, progress: Progress, *, add: Callable[..., None]):
        self._gan = gan
        self._progress = progress
        self._add = add

    @contextlib.contextmanager
    def recorded(self, warnings: Sequence[str]) -> Iterator[None]:
        """Writes the start and the end of its body, however it ends, to the history.

        Args:
          warnings: given before the start, and printed already; they come after it in the history.
        """
        # Write down the start.
        self._record(history.START, "", environment=environment_of(self._gan))
        for text in warnings:
            self._record(history.WARNING, text)

        # Write down the end.
        try:
            yield
        except BaseException as error:
            self._record(history.END, files.first_line(error), reason=type(error).__name__)
            raise
        self._record(history.END, "", reason="done")

    def note(self, text: str) -> None:
        """Prints a line."""
        self._progress.note(text)

    def warn(self, text: str) -> None:
        """Prints a line that later readers of the run should know, and keeps it."""
        self._progress.note(text)
        self._record(history.WARNING, text)

    def _record(self, event: str, text: str, **facts: Any) -> None:
        """Adds to the history, whatever state the devices are in."""
        with contextlib.suppress(tf.errors.OpError):
            facts["step"] = int(self._gan.step.numpy())
        self._add(event, text, **facts)


def keep_nothing(event: str, text: str, **facts: Any) -> None:
    """The history of a worker that follows: the chief writes it."""
    del event, text, facts


def environment_of(gan: model.SAGAN) -> dict[str, str]:
    """Versions, devices, workers and optimizations that a run has, by name."""
    devices = [name.split("/device:")[-1] for name in gan.strategy.extended.worker_devices]
    facts = dict(environment.environment())
    facts["devices"] = ", ".join(devices)
    facts["workers"] = str(distribution.number_of_workers(gan.strategy))
    facts["optimizations"] = optimizations_in_force(gan)
    return facts


def optimizations_in_force(gan: model.SAGAN) -> str:
    """What --optimizations has come to on these devices."""
    texts = [f"{name} from {side} px" if side else name for name, side in gan.optimizations.items()]
    return ", ".join(texts) or "none"
