"""From images to the classifier's features, on every device, and how long each part takes."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.data import order
from sagan_tf.evaluation import inception, metrics
from sagan_tf.runtime import files


class Features(NamedTuple):
    """What the classifier makes of some images.

    Attributes:
      pool: float32 [images, features], its `pool_3`.
      labels: int32 [images], the images' classes; None where nobody knows them.
      inception_score: of all at once; mean and standard deviation over splits.
      splits: number of these.
    """

    pool: np.ndarray
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
    """A classifier on all devices of a strategy.

    Whatever the number of images, every call of a device has `batch_size` of them (the last ones
    are filled up), so that everything is compiled once.

    Args:
      classifier: loaded in the strategy's scope.
      strategy: its devices.
      batch_size: images that a device takes at a time.
      note: told how far it is: a name, images done, images in all.

    Attributes:
      stopwatch: time of each part.
      global_batch: images of all devices at a time.
    """

    def __init__(
        self,
        classifier: inception.Classifier,
        strategy: tf.distribute.Strategy,
        *,
        batch_size: int,
        note: Callable[[str, int, int], None] = lambda *_: None,
    ):
        self.classifier, self.strategy = classifier, strategy
        self.global_batch = batch_size * strategy.num_replicas_in_sync
        self.stopwatch = Stopwatch()
        self._note = note
        self._classify = tf.function(
            lambda images: strategy.run(classifier, args=(images,)), autograph=False
        )

    def share_out(self, *arrays: np.ndarray) -> tuple[Any, ...]:
        """Arrays of the same length, up to `global_batch`, each as one share for every device."""
        share = self.global_batch // self.strategy.num_replicas_in_sync

        def of_device(array, context):
            start = context.replica_id_in_sync_group * share
            return tf.constant(array[start : start + share])

        filled = [np.resize(array, [self.global_batch, *array.shape[1:]]) for array in arrays]
        return tuple(
            self.strategy.experimental_distribute_values_from_function(
                lambda context, array=array: of_device(array, context)
            )
            for array in filled
        )

    def on_host(self, values: Any, count: int) -> np.ndarray:
        """The first `count` images, or rows, of what all devices hold."""
        parts = [value.numpy() for value in self.strategy.experimental_local_results(values)]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[:count]

    def pool(self, images: Any, count: int) -> np.ndarray:
        """The features alone, float32 [count, features].

        Raises:
          config.UnusableCheckpoint: they are not finite.
        """
        with self.stopwatch.measuring("classify", count):
            return _finite("images of a class", self.on_host(self._classify(images)[0], count))

    def collect(
        self,
        name: str,
        batches: Iterator[tuple[Any, int]],
        *,
        total: int,
        splits: int,
        seed: int,
        labels: Optional[Sequence[int]] = None,
        out: Optional[Callable[[tuple[int, int]], np.ndarray]] = None,
    ) -> Features:
        """Runs the classifier over all batches.

        Args:
          name: of the images, for `note`.
          batches: (images, as `share_out` gives them, and how many of them count) each.
          total: images in all.
          splits: of the Inception Score; a split takes images from everywhere, as `seed` draws.
          seed: of this.
          labels: classes of the images; may still grow while the batches come.
          out: shape to an array for the features; where it is not given they lie in a file that is
            gone with them, and take no memory.
        Raises:
          config.UnusableCheckpoint: what the classifier gives is not finite.
        """
        make = out or _temporary
        split_of = np.empty(total, np.int64)
        for number, part in enumerate(np.array_split(order.permutation(total, seed), splits)):
            split_of[part] = number
        score, pool, done = metrics.InceptionScore(split_of, splits), None, 0
        for images, count in batches:
            with self.stopwatch.measuring("classify", count):
                features, logits = self._classify(images)
                features, logits = self.on_host(features, count), self.on_host(logits, count)
            with self.stopwatch.measuring("statistics", count):
                if pool is None:
                    pool = make((total, features.shape[1]))
                pool[done : done + count] = _finite(name, features)
                score.add(_finite(name, logits))
                files.forget(pool)
            done += count
            self._note(name, done, total)
        return Features(
            pool, None if labels is None else np.asarray(labels, np.int32), score.result(), splits
        )


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise errors.UnusableCheckpoint(
            f"{name}: the classifier's features of them are not finite; look at the images"
        )
    return values


def _temporary(shape: tuple[int, int]) -> np.ndarray:
    directory = tempfile.gettempdir()
    with files.writing(directory), tempfile.NamedTemporaryFile(dir=directory) as file:
        return files.new_array(file.name, shape)
