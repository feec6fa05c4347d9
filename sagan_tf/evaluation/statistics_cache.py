"""Cache of real images' statistics: a fingerprint of all they depend on names each file."""

import contextlib
import dataclasses
import json
import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf.evaluation import features, metrics, real_statistics
from sagan_tf.runtime import files

# What an attempt writes before it is done; older ones are of an attempt that was killed.
_UNFINISHED = re.compile(r"[0-9a-f]{16}\.(features|npz)\..*\.tmp")
_UNFINISHED_SECONDS = 24 * 3600


class Key(NamedTuple):
    """Everything that statistics depend on.

    Attributes:
      facts: what they depend on.
      name: of these, in the cache.
      about: the facts and what is said besides, for `RealStats`.
    """

    facts: dict[str, Any]
    name: str
    about: dict[str, Any]


class Cache:
    """Statistics of a key in a directory, in an `.npz` and a `.npy`.

    The `.npz` comes last and holds the SHA-256 of the other, so that what is half written, cut off
    or changed is not taken. Two processes that write the same key write the same, each to a file
    that has a name of its own until it is whole.

    Args:
      stats_dir: the directory, as the flag has it.
      key: of the statistics.
    """

    def __init__(self, stats_dir: str, key: Key):
        self._stats_dir = stats_dir
        self._key = key
        self._directory = os.path.expanduser(stats_dir)
        self._unfinished = real_statistics.unique(self._path(".features"))

    def _path(self, ending: str) -> str:
        return os.path.join(self._directory, self._key.name + ending)

    def _writing(self) -> contextlib.AbstractContextManager:
        return files.writing(f"--stats_dir={self._stats_dir}")

    def remove_leftovers(self) -> None:
        """Removes what processes that were killed have left a day ago or more."""
        with contextlib.suppress(OSError):
            for name in filter(_UNFINISHED.fullmatch, os.listdir(self._directory)):
                path = os.path.join(self._directory, name)
                with contextlib.suppress(OSError):
                    if time.time() - os.path.getmtime(path) > _UNFINISHED_SECONDS:
                        os.remove(path)

    def begin(self) -> None:
        """Makes the directory, and a file in it, so that it is known early whether that works."""
        with self._writing():
            os.makedirs(self._directory, exist_ok=True)
            with open(self._unfinished, "xb"):
                pass

    def new_features(self, shape: tuple[int, int]) -> np.ndarray:
        """An array on disk, to be filled with features."""
        with self._writing():
            return files.new_array(self._unfinished, shape)

    def clear(self) -> None:
        """Removes what an attempt that failed has left."""
        with contextlib.suppress(OSError):
            os.remove(self._unfinished)

    def write(self, stats: real_statistics.RealStats) -> real_statistics.RealStats:
        """Gives the features their name, then writes the rest."""
        path = self._path(".features.npy")
        found = stats.features
        with self._writing():
            # Give the features their name.
            found.pool.flush()
            digest = files.sha256(self._unfinished)
            os.replace(self._unfinished, path)

            # Write the rest, and with it that the features are whole.
            real_statistics.write_npz(
                self._path(".npz"),
                mu=stats.moments.mu,
                sigma=stats.moments.sigma,
                labels=found.labels,
                inception_score=found.inception_score,
                about=json.dumps(self._key.facts),
                features_sha256=digest,
            )
            pool = features.Pool(np.load(path, mmap_mode="r"))

        return dataclasses.replace(
            stats,
            features=found._replace(pool=pool),
            source=f"computed, and kept in {self._path('.npz')}",
        )

    def read(self, note: Callable[[str], None]) -> Optional[real_statistics.RealStats]:
        """The statistics; None where there are none, and with a note where they are damaged."""
        path = self._path(".npz")
        if not os.path.exists(path):
            return None
        try:
            return self._read(path)
        except files.NPZ_ERRORS as error:
            note(f"{path}: damaged or stale ({files.first_line(error)}); computing it again")
            return None

    def _read(self, path: str) -> real_statistics.RealStats:
        # Read the file, and see whether it is this key's and whole.
        with np.load(path) as archive:
            found = {name: archive[name] for name in archive.files}
        pool_path = self._path(".features.npy")
        if json.loads(str(found["about"])) != self._key.facts:
            raise ValueError("it belongs to other data")
        if files.sha256(pool_path) != str(found["features_sha256"]):
            raise ValueError("its features have changed since they were written")

        # Put together what it holds.
        kept = features.Features(
            features.Pool(np.load(pool_path, mmap_mode="r")),
            found["labels"],
            tuple(map(float, found["inception_score"])),
            self._key.facts["is_splits"],
        )
        moments = metrics.Moments(found["mu"], found["sigma"])
        return real_statistics.RealStats(moments, self._key.about, kept, path)
