"""Requests of other processes to keep checkpoints of a run."""

import contextlib
import json
import os
import threading
import time

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import files

_REQUEST = "keep-for-"
# The request of a process that was killed for good must not fill the disk.
_EXPIRY_SECONDS = 24 * 3600
_RENEWED_SECONDS = 60


class KeepRequest:
    """A request to the process that trains a run: remove no checkpoint from a step on.

    It is a file in the run directory. A thread renews it while this process lives; training
    honours it for a day after the last renewal. So a process that was killed and restarted finds
    what it had requested, and one that never comes back does not fill the disk.

    Args:
      run_dir: directory of the run, which is there.
      who: name of the request; a new one of the same name takes its place.
    Raises:
      errors.UserError: the directory cannot be written.
    """

    def __init__(self, run_dir: str, who: str):
        self._run_dir = run_dir
        self._path = os.path.join(run_dir, f"{_REQUEST}{who}.json")
        self._step = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._write()
        threading.Thread(target=self._renew, daemon=True).start()

    def move(self, step: int) -> None:
        """Requests the checkpoints from this step on, and no earlier ones."""
        self._step = step
        self._write()

    def withdraw(self) -> None:
        """Removes the request."""
        with self._lock:
            self._ended.set()
            if tf.io.gfile.exists(self._path):
                tf.io.gfile.remove(self._path)

    def _renew(self) -> None:
        while not self._ended.wait(_RENEWED_SECONDS):
            with contextlib.suppress(errors.UserError):  # The next one may succeed.
                self._write()

    def _write(self) -> None:
        with self._lock, files.writing(self._run_dir):
            if not self._ended.is_set():
                files.write_whole(self._path, json.dumps({"from_step": self._step}) + "\n")


def first_step_to_keep(run_dir: str) -> float:
    """The first step that a request names; infinity if there is none."""
    steps = [np.inf]
    for name in tf.io.gfile.listdir(run_dir):
        if name.startswith(_REQUEST) and name.endswith(".json"):
            # It may be withdrawn while it is read, or be a file of another kind.
            with contextlib.suppress(tf.errors.OpError, ValueError, KeyError, TypeError):
                steps.append(_requested_step(os.path.join(run_dir, name)))
    return min(steps)


def _requested_step(path: str) -> float:
    """The step that a request names; infinity if it has expired."""
    age = time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9
    with tf.io.gfile.GFile(path) as file:
        content = json.loads(file.read())
    return int(content["from_step"]) if age < _EXPIRY_SECONDS else np.inf
