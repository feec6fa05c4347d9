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
# A request of somebody who was killed for good must not fill the disk.
_HEEDED_SECONDS = 24 * 3600
_RENEWED_SECONDS = 60


class KeepRequest:
    """Asks whoever saves checkpoints of a run to remove none from some step on.

    A file in the run directory, renewed while the process lives and heeded for a day after that:
    somebody who was killed finds what it had asked for, and who never comes back fills no disk.

    Args:
      run_dir: directory of the run, which is there.
      who: name of the request; a new one of the same name takes its place.
    Raises:
      config.UserError: the directory cannot be written.
    """

    def __init__(self, run_dir: str, who: str):
        self._run_dir = run_dir
        self._path = os.path.join(run_dir, f"{_REQUEST}{who}.json")
        self._step, self._lock, self._ended = 0, threading.Lock(), threading.Event()
        self._write()
        threading.Thread(target=self._renew, daemon=True).start()

    def move(self, step: int) -> None:
        """From now on those from this step on are asked for."""
        self._step = step
        self._write()

    def withdraw(self) -> None:
        """Nothing has to be kept any longer."""
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
    """The first step that somebody asks to keep; infinity where nobody does."""
    steps = [np.inf]
    for name in tf.io.gfile.listdir(run_dir):
        path = os.path.join(run_dir, name)
        if name.startswith(_REQUEST) and name.endswith(".json"):
            # It may be withdrawn while it is read, or be somebody's own file.
            with contextlib.suppress(tf.errors.OpError, ValueError, KeyError, TypeError):
                age = time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9
                with tf.io.gfile.GFile(path) as file:
                    if age < _HEEDED_SECONDS:
                        steps.append(int(json.loads(file.read())["from_step"]))
    return min(steps)
