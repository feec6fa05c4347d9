"""Progress lines of a training run."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Optional, TextIO


class Progress:
    """One line that says how far the run is; on a terminal it renews itself.

    Elsewhere a line is printed for each call with `keep`, and nothing for others.

    Args:
      total: step at which the run ends.
      images_per_step: images that one step trains on.
      stream: where to print; standard output by default.
      clock: seconds, monotonic.
      worker: name of a worker that follows: it prints its notes only, each with this name.
    """

    def __init__(
        self,
        total: int,
        images_per_step: int,
        *,
        stream: Optional[TextIO] = None,
        clock: Callable[[], float] = time.monotonic,
        worker: str = "",
    ):
        self._worker = worker
        self._total = total
        self._images_per_step = images_per_step
        self._stream = stream or sys.stdout
        self._clock = clock
        self._mark = None
        self._rate = None
        self._open_line = False

    def start(self, step: int) -> None:
        """Counts time from here; called after a pause that is not training."""
        self._mark = (step, self._clock())

    def images_per_second(self, step: int) -> float:
        """Images trained on per second since `start` or the last kept line."""
        done, seconds = step - self._mark[0], self._clock() - self._mark[1]
        if done and seconds > 0:
            self._rate = done * self._images_per_step / seconds
        return self._rate or 0.0

    def show(self, step: int, scalars: Mapping[str, float], *, keep: bool) -> None:
        """Prints step, losses, images/s and the time left; `keep`: this line stays."""
        if self._worker or (not keep and not self._stream.isatty()):
            return
        rate = self.images_per_second(step)
        left = (self._total - step) * self._images_per_step / rate if rate else None
        losses = "  ".join(f"{name} {value:.4f}" for name, value in scalars.items())
        line = f"step {step}/{self._total}  {losses}  {rate:.1f} images/s  ETA {_duration(left)}"
        if self._stream.isatty():
            self._stream.write("\r\x1b[K" + line + ("\n" if keep else ""))
            self._open_line = not keep
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
        if keep:
            self.start(step)

    def note(self, text: str) -> None:
        """A line of its own."""
        prefix = ("\n" if self._open_line else "") + (self._worker and f"{self._worker}: ")
        self._stream.write(prefix + text + "\n")
        self._stream.flush()
        self._open_line = False


def _duration(seconds: Optional[float]) -> str:
    if seconds is None:
        return "?"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + f"{hours}:{minutes:02}:{seconds:02}"
