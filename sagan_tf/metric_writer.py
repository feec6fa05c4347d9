"""Where numbers and pictures of a run go: TensorBoard, `metrics.jsonl`, a progress line."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Optional, TextIO

import numpy as np
import tensorflow as tf

from sagan_tf import files
from sagan_tf import images as images_lib


class MetricWriter:
    """Writes scalars and pictures of one run.

    Args:
      directory: where `metrics.jsonl`, the TensorBoard events and `samples/` go; made if needed.
      start_step: rows of `metrics.jsonl` after this step are dropped, because a run that was
        killed after its last checkpoint walks those steps again. None: keep all rows.

    Raises (all methods): config.UserError, when the directory cannot be written.
    """

    def __init__(self, directory: str, start_step: Optional[int] = None):
        self.directory = directory
        self._rows = os.path.join(directory, "metrics.jsonl")
        with files.writing(directory):
            tf.io.gfile.makedirs(directory)
            if start_step is not None:
                self._drop_rows_after(start_step)
            self._events = tf.summary.create_file_writer(directory)

    def write_scalars(self, step: int, scalars: Mapping[str, float], **record) -> None:
        """Scalars to TensorBoard and, with `record`'s other facts, as a row of `metrics.jsonl`."""
        row = {"step": step, **{k: float(v) for k, v in scalars.items()}, **record}
        with files.writing(self.directory):
            with tf.io.gfile.GFile(self._rows, "a") as file:
                file.write(json.dumps(row) + "\n")
            with self._events.as_default():
                for name, value in scalars.items():
                    tf.summary.scalar(name, value, step=step)
            self._events.flush()

    def write_image(self, step: int, tag: str, image: np.ndarray,
                    filename: Optional[str] = None) -> Optional[str]:
        """A picture, uint8 [height, width, 3], to TensorBoard and, if named, as a PNG file.

        Returns:
          The path of the PNG file, or None.
        """
        path = filename and os.path.join(self.directory, filename)
        with files.writing(self.directory):
            with self._events.as_default():
                tf.summary.image(tag, image[None], step=step)
            self._events.flush()
            if path:
                tf.io.gfile.makedirs(os.path.dirname(path))
                with tf.io.gfile.GFile(path, "wb") as file:
                    file.write(images_lib.encode_png(image))
        return path

    def _drop_rows_after(self, step: int) -> None:
        if not tf.io.gfile.exists(self._rows):
            return
        with tf.io.gfile.GFile(self._rows) as file:
            lines = file.read().splitlines()
        kept = [line for line in lines if _step_of(line) is not None and _step_of(line) <= step]
        if len(kept) < len(lines):
            files.write_whole(self._rows, "".join(line + "\n" for line in kept))


def _step_of(line: str) -> Optional[int]:
    """The step of a row, or None for a row that a killed run left unfinished."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return None


class Progress:
    """One line that says how far the run is; on a terminal it renews itself.

    Elsewhere a line is printed for each call with `keep`, and nothing for others.

    Args:
      total: step at which the run ends.
      images_per_step: images that one step trains on.
      stream: where to print; standard output by default.
      clock: seconds, monotonic.
    """

    def __init__(self, total: int, images_per_step: int, stream: Optional[TextIO] = None,
                 clock: Callable[[], float] = time.monotonic):
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

    def show(self, step: int, scalars: Mapping[str, float], keep: bool) -> None:
        """Prints step, losses, images/s and the time left; `keep`: this line stays."""
        if not keep and not self._stream.isatty():
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
        self._stream.write(("\n" if self._open_line else "") + text + "\n")
        self._stream.flush()
        self._open_line = False


def _duration(seconds: Optional[float]) -> str:
    if seconds is None:
        return "?"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + f"{hours}:{minutes:02}:{seconds:02}"
