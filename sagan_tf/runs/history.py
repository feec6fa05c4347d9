"""The event log of a run: `history.jsonl` in its directory, a line for each event.

Lines are never removed. Rows of `metrics.jsonl` are removed when a killed run repeats steps.
"""

import contextlib
import json
import os
import time
from typing import Any

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import files

FILENAME = "history.jsonl"
# Kinds of events. A run whose START has no END before the next one was killed.
START = "start"
END = "end"
WARNING = "warning"


class History:
    """Adds events to a run's history; what cannot be written is lost, and the run goes on.

    Args:
      run_dir: directory of the run, which is there.
    """

    def __init__(self, run_dir: str):
        self._run_dir = run_dir

    def add(self, event: str, text: str = "", **facts: Any) -> None:
        """Adds an event, with the time in seconds since 1970.

        Args:
          event: `START`, `END` or `WARNING`.
          text: a line for people.
          **facts: what else is known, for JSON.
        """
        line = json.dumps({"event": event, "time": time.time(), "text": text, **facts})
        with contextlib.suppress(errors.UserError), files.writing(self._run_dir):
            files.append_line(os.path.join(self._run_dir, FILENAME), line)


def read(run_dir: str) -> list[dict[str, Any]]:
    """The events of a run, the oldest first, without unfinished lines; [] if there are none."""
    path = os.path.join(run_dir, FILENAME)
    if not tf.io.gfile.exists(path):
        return []

    # Keep the lines that are events.
    events = []
    for line in files.read_lines(path):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event and "time" in event:
                events.append(event)
    return events
