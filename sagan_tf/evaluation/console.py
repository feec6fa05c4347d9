"""Console of a command: lines of text, and progress bars where it is a terminal."""

import sys
from typing import Optional, TextIO

import tqdm


class Console:
    """Where a command prints.

    Args:
      stream: where to; standard output by default.
    """

    def __init__(self, stream: Optional[TextIO] = None):
        self._stream = stream or sys.stdout

    def say(self, text: str) -> None:
        """Prints a line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def progress(self, name: str, total: int, *, unit: str = " images") -> tqdm.tqdm:
        """A progress bar, to be used in a `with` and told of steps by `update`.

        It shows what is done, how many a second, and the time left. Only a terminal gets one, so
        that a log file has lines alone.
        """
        return tqdm.tqdm(
            total=total,
            desc=name,
            unit=unit,
            file=self._stream,
            disable=not self._stream.isatty(),
            dynamic_ncols=True,
        )
