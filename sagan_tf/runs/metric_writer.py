"""A writer and a reader of a run's numbers: metrics.jsonl and TensorBoard's events."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.images import pixels
from sagan_tf.runs import tensorboard_layout
from sagan_tf.runtime import files

ROWS = "metrics.jsonl"
_EVENTS = "*tfevents*"


class MetricWriter:
    """Writes scalars and pictures of one run.

    Args:
      directory: where `metrics.jsonl`, the TensorBoard events and `samples/` go; made if needed.
      start_step: rows of `metrics.jsonl` after this step are dropped, because a run that was
        killed after its last checkpoint takes those steps again. None: keep all rows.
      summary_dir: where the events go, if not into `directory`.
      copy_dir: where the events of the scalars go as well; left out where it cannot be written.
      warn: told, once, when something cannot be written, and again when it can. The caller goes
        on without what was lost. None: an error.

    Attributes:
      copy_is_new: whether there is a copy, and its directory held no events before.

    Raises (all methods, without `warn`): errors.UserError, when a directory cannot be written.
    """

    def __init__(
        self,
        directory: str,
        start_step: Optional[int] = None,
        *,
        summary_dir: str = "",
        copy_dir: str = "",
        warn: Optional[Callable[[str], None]] = None,
    ):
        self.directory = directory
        self._rows = os.path.join(directory, ROWS)
        self._summary_dir = summary_dir or directory
        self._warn = warn
        self._failing: set[str] = set()
        self._events = None

        # Make the directory, and drop the rows that will come again.
        with files.writing(directory):
            tf.io.gfile.makedirs(directory)
        if start_step is not None:
            self.drop_rows_after(start_step)

        # Open TensorBoard's events.
        with self._writing(self._summary_dir):
            self._open_events()
        self._copy_dir = copy_dir
        self.copy_is_new = bool(copy_dir) and not _has_events(copy_dir)
        self._copy = _open_if_allowed(copy_dir) if copy_dir else None

    def write_scalars(
        self, step: int, scalars: Mapping[str, float], *, tag_suffix: str = "", **record
    ) -> None:
        """Writes scalars to TensorBoard and, with the facts of `record`, to `metrics.jsonl`.

        Args:
          step: of the numbers.
          scalars: by name.
          tag_suffix: what the names end with in TensorBoard.
          record: what else the row says.
        """
        # Add a row.
        numbers = {name: float(value) for name, value in scalars.items()}
        row = {"step": step, **numbers, **record}
        with self._writing(self.directory):
            files.append_line(self._rows, json.dumps(row))

        # Add an event for each scalar.
        tagged = {name + tag_suffix: value for name, value in scalars.items()}
        with self._writing(self._summary_dir):
            _write_scalars(self._open_events(), step, tagged)

        self.copy_scalars(step, tagged)

    def copy_scalars(self, step: int, tagged: Mapping[str, float]) -> None:
        """Writes scalars, by tag, to the copy alone, if there is one and it can be written."""
        if self._copy is not None:
            with contextlib.suppress(errors.UserError), files.writing(self._copy_dir):
                _write_scalars(self._copy, step, tagged)

    def write_layout(self, layout: bytes) -> None:
        """Tells TensorBoard which tags share a chart: a layout of `tensorboard_layout`."""
        # Write it beside the scalars.
        with self._writing(self._summary_dir):
            _write_layout(self._open_events(), layout)

        # Write it beside their copy.
        if self._copy is not None:
            with contextlib.suppress(errors.UserError), files.writing(self._copy_dir):
                _write_layout(self._copy, layout)

    def write_image(
        self, step: int, tag: str, *, image: np.ndarray, filename: Optional[str] = None
    ) -> Optional[str]:
        """Writes a picture to TensorBoard and, if it has a name, to a PNG file.

        Args:
          step: of the picture.
          tag: name of the picture in TensorBoard.
          image: uint8 [height, width, 3].
          filename: of the PNG file, below the directory.
        Returns:
          The path of the PNG file, or None.
        """
        self.write_images(step, tag, images=image[None])

        # Write the file.
        if not filename:
            return None
        path = os.path.join(self.directory, filename)
        with self._writing(self.directory):
            tf.io.gfile.makedirs(os.path.dirname(path))
            with tf.io.gfile.GFile(path, "wb") as file:
                file.write(pixels.encode_png(image))
        return path

    def write_images(self, step: int, tag: str, *, images: np.ndarray) -> None:
        """Writes pictures, uint8 [n, height, width, 3], to TensorBoard: a card for each."""
        with self._writing(self._summary_dir), self._open_events().as_default():
            tf.summary.image(tag, images, step=step, max_outputs=len(images))
            self._events.flush()

    def _open_events(self) -> tf.summary.SummaryWriter:
        if self._events is None:
            self._events = tf.summary.create_file_writer(self._summary_dir)
        return self._events

    @contextlib.contextmanager
    def _writing(self, directory: str) -> Iterator[None]:
        """Turns an error of writing into a warning, where the writer was given a way to warn."""
        try:
            with files.writing(directory):
                yield
        except errors.UserError as error:
            if self._warn is None:
                raise

            # Open the events anew next time: a writer repeats what it could not write.
            if directory == self._summary_dir:
                self._events = None

            # Warn once.
            if directory not in self._failing:
                self._warn(f"{error}; training goes on without what would be written there")
            self._failing.add(directory)
        else:
            if directory in self._failing:
                self._warn(f"{directory}: can be written to again")
            self._failing.discard(directory)

    def drop_rows_after(self, step: int) -> None:
        """Drops the rows after a step, and those that a killed run left unfinished."""
        with self._writing(self.directory):
            if not tf.io.gfile.exists(self._rows):
                return
            lines = files.read_lines(self._rows)
            kept = []
            for line in lines:
                row = _row_of(line)
                if row is not None and row["step"] <= step:
                    kept.append(line + "\n")
            if len(kept) < len(lines):
                files.write_whole(self._rows, "".join(kept))


def _write_scalars(
    events: tf.summary.SummaryWriter, step: int, scalars: Mapping[str, float]
) -> None:
    with events.as_default():
        for name, value in scalars.items():
            tf.summary.scalar(name, value, step=step)
        events.flush()


def _write_layout(events: tf.summary.SummaryWriter, layout: bytes) -> None:
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = tensorboard_layout.PLUGIN
    with events.as_default():
        tf.summary.write(tensorboard_layout.TAG, tf.constant(layout), step=0, metadata=metadata)
        events.flush()


def _has_events(directory: str) -> bool:
    """Whether TensorBoard's events are in a directory."""
    return bool(tf.io.gfile.glob(os.path.join(directory, _EVENTS)))


def _open_if_allowed(directory: str) -> Optional[tf.summary.SummaryWriter]:
    """Events in a directory; None where it cannot be written."""
    try:
        with files.writing(directory):
            return tf.summary.create_file_writer(directory)
    except errors.UserError:
        return None


def read_rows(directory: str) -> list[dict[str, Any]]:
    """The finished rows of a directory's `metrics.jsonl`; [] if there are none."""
    rows, _ = read(directory)
    return rows


def read(directory: str) -> tuple[list[dict[str, Any]], int]:
    """As `read_rows`, and the number of lines that are no rows; [] and 0 without a file."""
    path = os.path.join(directory, ROWS)
    if not tf.io.gfile.exists(path):
        return [], 0
    found = [_row_of(line) for line in files.read_lines(path) if line.strip()]
    rows = [row for row in found if row is not None]
    return rows, len(found) - len(rows)


def _row_of(line: str) -> Optional[dict[str, Any]]:
    """A row; None for what has no step that is a number, as what a killed run left unfinished."""
    try:
        row = json.loads(line)
        return row if math.isfinite(row["step"]) else None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
