"""Events of a run: notes and warnings for its readers, and its history."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from sagan_tf import model
from sagan_tf.runs import history
from sagan_tf.runtime import distribution, environment, files
from sagan_tf.training.progress import Progress

# The facts of a start about optimizations, and what is between their names.
_OPTIMIZATIONS = "optimizations"
BY_PROCESSOR = "optimizations by processor"
_SEPARATOR = ", "


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
    facts[_OPTIMIZATIONS] = optimizations_in_force(gan)
    by_processor = chosen_by_processor(gan)
    if by_processor:
        facts[BY_PROCESSOR] = by_processor
    return facts


def optimizations_in_force(gan: model.SAGAN) -> str:
    """What --optimizations has come to on these devices."""
    texts = [f"{name} from {side} px" if side else name for name, side in gan.optimizations.items()]
    return _SEPARATOR.join(texts) or "none"


def chosen_by_processor(gan: model.SAGAN) -> str:
    """`distribution.chosen_by_processor` of a training on its own devices."""
    with gan.strategy.scope():
        return distribution.chosen_by_processor(gan.train_config)


def changed_optimizations(gan: model.SAGAN, events: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line where a run goes on with other optimizations than it had at its last start, else [].

    "auto" depends on the machine, and the rest on the flag.

    Args:
      gan: has those of this start.
      events: of the run's history, the oldest first.
    """
    # Find those of the last start that says them.
    starts = [event.get("environment") for event in events if event["event"] == history.START]
    known = [facts[_OPTIMIZATIONS] for facts in starts if facts and _OPTIMIZATIONS in facts]
    here = optimizations_in_force(gan)
    if not known or known[-1] == here:
        return []

    # Say what has come and gone.
    before = known[-1].split(_SEPARATOR)
    now = here.split(_SEPARATOR)
    new = [f"now {name}" for name in now if name not in before]
    gone = [f"no longer {name}" for name in before if name not in now]
    changes = _SEPARATOR.join(new + gone)
    return [
        f"--optimizations={gan.train_config.optimizations}: other ones than at the last start "
        f"({changes}); numbers differ by rounding from here on"
    ]
