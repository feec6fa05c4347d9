"""Console of a command: lines of text, and progress as a bar or, in a file, as lines."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import Optional, TextIO, Union

import tqdm

# Between two lines of progress where the output is not a terminal.
_SECONDS_PER_LINE = 60.0


class Console:
    """Where a command prints.

    Args:
      stream: where to; standard output by default.
      clock: seconds, monotonic.
    """

    def __init__(
        self, stream: Optional[TextIO] = None, *, clock: Callable[[], float] = time.monotonic
    ):
        self._stream = stream or sys.stdout
        self._clock = clock

    def say(self, text: str) -> None:
        """Prints a line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def progress(
        self, name: str, total: int, *, unit: str = " images"
    ) -> Union[tqdm.tqdm, "_ProgressLines"]:
        """Progress, to be used in a `with` and told of steps by `update`.

        It shows what is done, how many a second, and the time left. A terminal gets a bar; a log
        file gets a line each minute, and none where the work takes less.
        """
        if not self._stream.isatty():
            return _ProgressLines(self, name, total, unit=unit, clock=self._clock)
        return tqdm.tqdm(
            total=total,
            desc=name,
            unit=unit,
            file=self._stream,
            ncols=shutil.get_terminal_size().columns,  # 80 where a terminal does not say it
        )


class _ProgressLines:
    """Progress as a line each minute; a context, as tqdm's bar is."""

    def __init__(
        self, console: Console, name: str, total: int, *, unit: str, clock: Callable[[], float]
    ):
        self._console = console
        self._name = name
        self._total = total
        self._unit = unit
        self._clock = clock
        self._done = 0
        self._began = clock()
        self._said_at = self._began

    def __enter__(self) -> "_ProgressLines":
        return self

    def __exit__(self, *_) -> None:
        pass

    def update(self, count: int = 1) -> None:
        """Counts what was done, and says so when a minute has passed."""
        self._done += count
        now = self._clock()
        if now - self._said_at < _SECONDS_PER_LINE:
            return
        self._said_at = now

        # Say what a bar shows.
        rate = self._done / (now - self._began)
        left = tqdm.tqdm.format_interval((self._total - self._done) / rate)
        self._console.say(
            f"{self._name}: {self._done}/{self._total}{self._unit}, {rate:.1f}{self._unit}/s, "
            f"ETA {left}"
        )
