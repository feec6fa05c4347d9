"""Features of images: the classifier computes them on every device, and their time is measured."""

import contextlib
import math
import tempfile
import time
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.data import order
from sagan_tf.evaluation import console, devices, inception, metrics
from sagan_tf.runtime import files

# What a source gives at a time: images as `Devices.share_out` gives them, their labels (int32
# [count], None where they are unknown), and how many of the images count.
Batch = tuple[Any, Optional[np.ndarray], int]


class Source(typing.Protocol):
    """A set of images to be scored.

    Attributes:
      name: of the set.
      count: number of images.
      work: part of the work, for the stopwatch, that classifying them belongs to.
    """

    name: str
    count: int
    work: str

    def batches(self) -> Iterator[Batch]:
        """All images, in the same order each time."""


class Pool:
    """Features, float32 [images, features], which may lie in a file that is mapped into memory.

    What is read of it is a copy. The pages of the file that were read or written leave the
    process's memory at once, so that 50,000 images' features take none.

    Args:
      rows: the array, in memory or mapped.
    """

    def __init__(self, rows: np.ndarray):
        self._rows = rows
        self.shape = rows.shape

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        taken = np.array(self._rows[index])
        files.forget(self._rows)
        return taken

    def __setitem__(self, index: Any, rows: np.ndarray) -> None:
        self._rows[index] = rows
        files.forget(self._rows)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self._rows, dtype)

    def flush(self) -> None:
        """Writes what is in a mapped file to the disk."""
        self._rows.flush()


class Features(NamedTuple):
    """What the classifier makes of some images.

    Attributes:
      pool: float32 [images, features], its `pool_3`: a `Pool` or an array.
      labels: int32 [images], the images' classes; None where they are unknown.
      inception_score: of all at once; mean and standard deviation over splits. NaN where the
        classifier has no classes.
      splits: number of these.
    """

    pool: Pool
    labels: Optional[np.ndarray]
    inception_score: tuple[float, float, float]
    splits: int


class Stopwatch:
    """Seconds, and images, by part of the work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self._seconds: dict[str, float] = {}
        self._images: dict[str, int] = {}

    @contextlib.contextmanager
    def measuring(self, part: str, images: int) -> Iterator[None]:
        """Adds the seconds of what runs within, for this many images, to a part."""
        began = self._clock()
        yield
        self._seconds[part] = self._seconds.get(part, 0.0) + self._clock() - began
        self._images[part] = self._images.get(part, 0) + images

    def seconds_per_1000(self) -> dict[str, float]:
        """Seconds per 1,000 images, by part."""
        return {
            part: 1000 * seconds / self._images[part]
            for part, seconds in self._seconds.items()
            if self._images[part]
        }


class Extractor:
    """A classifier on all devices.

    Args:
      classifier: loaded in the scope of the devices' strategy.
      devices: that it runs on.
      stopwatch: takes the time of each part.
      console: shows how far it is.

    Attributes:
      classifier: as given.
    """

    def __init__(
        self,
        classifier: inception.Classifier,
        devices: devices.Devices,
        *,
        stopwatch: Stopwatch,
        console: console.Console,
    ):
        self.classifier = classifier
        self._devices = devices
        self._stopwatch = stopwatch
        self._console = console
        self._classify = tf.function(
            lambda images: devices.strategy.run(classifier, args=(images,)), autograph=False
        )

    def pool(self, images: Any, count: int, *, work: str) -> np.ndarray:
        """The features of one batch alone, float32 [count, features].

        Args:
          images: as `Devices.share_out` gives them.
          count: how many of them count.
          work: part of the work that this belongs to.
        Raises:
          errors.UnusableCheckpoint: they are not finite.
        """
        with self._stopwatch.measuring(work, count):
            features, _ = self._classify(images)
            return _finite("images of a class", self._devices.on_host(features, count))

    def collect(
        self,
        source: Source,
        *,
        splits: int,
        seed: int,
        out: Optional[Callable[[tuple[int, int]], np.ndarray]] = None,
    ) -> Features:
        """Runs the classifier over all images of a source.

        Args:
          source: the images.
          splits: of the Inception Score; a split takes images from everywhere, as `seed` draws.
          seed: of this.
          out: shape to an array for the features; where it is not given they lie in a file that is
            gone with them, and take no memory.
        Raises:
          errors.UnusableCheckpoint: what the classifier gives is not finite.
        """
        score = metrics.InceptionScore(_split_of(source.count, splits, seed), splits)
        make = out or _temporary
        pool = None
        labels: list[Optional[np.ndarray]] = []
        done = 0

        with self._console.progress(source.name, source.count) as progress:
            for images, batch_labels, count in source.batches():
                # Classify on the devices, and wait for the results.
                with self._stopwatch.measuring(source.work, count):
                    features, logits = self._classify(images)
                    features = self._devices.on_host(features, count)
                    logits = self._devices.on_host(logits, count)

                # Keep the features; of the logits only sums are kept.
                with self._stopwatch.measuring("statistics", count):
                    if pool is None:
                        pool = Pool(make((source.count, features.shape[1])))
                    pool[done : done + count] = _finite(source.name, features)
                    score.add(_finite(source.name, logits))
                labels.append(batch_labels)
                done += count
                progress.update(count)

        # Without classes there is no Inception Score.
        inception_score = score.result()
        if not self.classifier.has_logits:
            inception_score = (math.nan, math.nan, math.nan)
        return Features(pool, _joined(labels), inception_score, splits)


def _split_of(images: int, splits: int, seed: int) -> np.ndarray:
    """The split that each image belongs to, int64 [images]."""
    split_of = np.empty(images, np.int64)
    for number, part in enumerate(np.array_split(order.permutation(images, seed), splits)):
        split_of[part] = number
    return split_of


def _joined(labels: list[Optional[np.ndarray]]) -> Optional[np.ndarray]:
    """The labels of all batches, int32; None where they are unknown."""
    if any(part is None for part in labels):
        return None
    return np.concatenate(labels).astype(np.int32)


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise errors.UnusableCheckpoint(
            f"{name}: the classifier's features of these images are not finite; look at the images"
        )
    return values


def _temporary(shape: tuple[int, int]) -> np.ndarray:
    """An array in a file that has no name, and is gone with the array."""
    directory = tempfile.gettempdir()
    with files.writing(directory), tempfile.NamedTemporaryFile(dir=directory) as file:
        return files.new_array(file.name, shape)
