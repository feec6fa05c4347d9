"""Seconds of each part of a start, and the line that reports them."""

import time

from sagan_tf.runtime import memory


class StartUp:
    """Seconds that each part of the time up to the first step took."""

    def __init__(self, since_process: bool = True):
        self._parts = {"imports": memory.age()} if since_process else {}
        self._mark = time.monotonic()

    def done(self, part: str) -> None:
        """The part that has just ended."""
        now = time.monotonic()
        self._parts[part], self._mark = now - self._mark, now

    def end(self, part: str) -> str:
        """The last part has ended; returns a line of all."""
        self.done(part)
        return f"start-up took {sum(self._parts.values()):.1f} s: " + ", ".join(
            f"{name} {seconds:.1f}" for name, seconds in self._parts.items()
        )
