"""Stopwatch of a start: the seconds of each part, and the line that reports them."""

import time

from sagan_tf.runtime import memory


class StartUp:
    """Seconds that each part of the time up to the first step took.

    Args:
      since_process: whether the time before this object, from the start of the process, counts as
        the part "imports".
    """

    def __init__(self, since_process: bool = True):
        self._seconds = {}
        if since_process:
            self._seconds["imports"] = memory.age()
        self._last_end = time.monotonic()

    def done(self, part: str) -> None:
        """Takes the time since the last part as the time of `part`, which has just ended."""
        now = time.monotonic()
        self._seconds[part] = now - self._last_end
        self._last_end = now

    def report(self, last_part: str) -> str:
        """Takes the time of the last part, and returns a line of all parts."""
        self.done(last_part)
        total = sum(self._seconds.values())
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in self._seconds.items())
        return f"start-up took {total:.1f} s: {parts}"
