"""Progress lines of a training run."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Optional, TextIO

# Begins a terminal's line anew.
_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """One line that says how far the run is; on a terminal it renews itself.

    Elsewhere a line is printed for each call with `keep`, and nothing for others.

    Args:
      total: step at which the run ends.
      images_per_step: images that one step trains on.
      stream: where to print; standard output by default.
      clock: seconds, monotonic.
      worker: name of a worker that follows: it prints its notes only, each with this name.

    Attributes:
      has_reader: False from when nobody reads what is printed, as where the output goes to a
        `head` that has ended. Nothing is printed from then on.
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
        self._total = total
        self._images_per_step = images_per_step
        self._stream = stream or sys.stdout
        self._clock = clock
        self._worker = worker
        self._first_step = 0
        self._began = clock()
        self._rate = 0.0
        self._line_is_open = False
        self.has_reader = True

    def start(self, step: int) -> None:
        """Counts steps and time from here; called after a pause that is not training."""
        self._first_step = step
        self._began = self._clock()

    def images_per_second(self, step: int) -> float:
        """Images trained on per second since `start` or the last kept line.

        Where nothing was trained since then, the rate before; 0 where none is known.
        """
        done = step - self._first_step
        seconds = self._clock() - self._began
        if done and seconds > 0:
            self._rate = done * self._images_per_step / seconds
        return self._rate

    def show(self, step: int, scalars: Mapping[str, float], *, keep: bool) -> None:
        """Prints step, losses, images/s and the time left; `keep`: this line stays."""
        on_terminal = self._stream.isatty()
        if self._worker or not (keep or on_terminal):
            return

        # Print the line.
        line = self._line(step, scalars)
        if on_terminal:
            self._print(_CLEAR_LINE + line + ("\n" if keep else ""))
            self._line_is_open = not keep
        else:
            self._print(line + "\n")

        # Measure the speed from here.
        if keep:
            self.start(step)

    def note(self, text: str) -> None:
        """Prints a line of its own."""
        self.close()
        name = f"{self._worker}: " if self._worker else ""
        self._print(f"{name}{text}\n")

    def close(self) -> None:
        """Ends the line that renews itself, so that what is printed next has its own."""
        if self._line_is_open:
            self._print("\n")
        self._line_is_open = False

    def _print(self, text: str) -> None:
        if not self.has_reader:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self.has_reader = False

    def _line(self, step: int, scalars: Mapping[str, float]) -> str:
        rate = self.images_per_second(step)
        images_left = (self._total - step) * self._images_per_step
        time_left = _duration(images_left / rate) if rate else "?"
        losses = "  ".join(f"{name} {value:.4f}" for name, value in scalars.items())
        return f"step {step}/{self._total}  {losses}  {rate:.1f} images/s  ETA {time_left}"


def _duration(seconds: float) -> str:
    """Seconds as "3d 4:05:06", or "4:05:06"."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{seconds:02}"
    return f"{days}d {clock}" if days else clock
