"""A watchdog process: it kills its parent unless the parent ends it in time.

    python watchdog.py PARENT SECONDS LINE

A process of its own, because a thread would not run: while TensorFlow waits for other workers it
holds Python's interpreter lock. `signal.alarm` would end the process too, but with 142 and before
the line is printed; users and their schedulers count on 137. Standard library only, so that it
starts at once.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def limited(seconds: float, line: str) -> Iterator[None]:
    """Kills this process (SIGKILL) when the body takes longer than this.

    Args:
      seconds: the limit.
      line: what to say before, on standard error.
    """
    command = [sys.executable, __file__, str(os.getpid()), str(seconds), line]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as watchdog:
        try:
            yield
        finally:
            watchdog.kill()


def watch(parent: int, seconds: float, line: str) -> None:
    """Kills the parent process after this time; returns as soon as that has ended."""
    end = time.monotonic() + seconds
    while os.getppid() == parent:
        if time.monotonic() > end:
            print(line, file=sys.stderr, flush=True)
            os.kill(parent, signal.SIGKILL)
            return
        time.sleep(0.1)


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
