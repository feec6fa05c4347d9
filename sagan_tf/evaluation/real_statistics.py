"""What the scores know of the real images: computed once, kept in a cache, brought, exported."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ScoringConfig
from sagan_tf.data import dataset, faults, record_index
from sagan_tf.data import records as data_records
from sagan_tf.evaluation import features as evaluation_features
from sagan_tf.evaluation import metrics
from sagan_tf.runtime import files

_VERSION = 1
# What NumPy raises for a file that is not whole, or is no .npz.
_READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tf.errors.OpError,
)
_EXPECTED = "expected an .npz with mu [features] and sigma [features, features]"
# What an attempt writes before it is done; older ones are of an attempt that was killed.
_UNFINISHED = re.compile(r"[0-9a-f]{16}\.(features|npz)\..*\.tmp")
_UNFINISHED_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class RealStats:
    """The real side of every score.

    Attributes:
      moments: of the features.
      about: what they were made of: number of images, `fingerprint` of the data, `classifier` and
        so on; None for values that nobody knows.
      features: all of them, with labels and Inception Score; None where only moments were brought.
      source: where they come from.
    """

    moments: metrics.Moments
    about: dict[str, Any]
    features: Optional[evaluation_features.Features]
    source: str


class _Key(NamedTuple):
    """Everything that the statistics depend on, the name that it has in the cache, what is said.

    Attributes:
      facts: what the statistics depend on.
      name: of these.
      about: the same and what is said besides, for `RealStats`.
    """

    facts: dict[str, Any]
    name: str
    about: dict[str, Any]


def obtain(
    config: ScoringConfig,
    records: Optional[data_records.Records],
    *,
    count: int,
    extractor: evaluation_features.Extractor,
    note: Callable[[str], None],
) -> RealStats:
    """The statistics that the config asks for: brought, cached, or computed now and cached.

    Args:
      config: what to compare with.
      records: the real images; None where `--real_stats` takes their place.
      count: how many of them.
      extractor: the classifier.
      note: told where the statistics come from.
    Raises:
      config.UserError: `--real_stats` is not fit, a record cannot be read, or a file cannot be
        written.
    """
    if records is None:
        stats = read(config.real_stats, extractor.classifier)
    else:
        with faults.reading(records):
            stats = _cached_or_computed(config, records, count, extractor, note)
    note(f"real statistics: {stats.source}")
    if config.export_real_stats:
        write(config.export_real_stats, stats)
        note(f"real statistics written to {config.export_real_stats}")
    return stats


def _cached_or_computed(config, records, count, extractor, note) -> RealStats:
    key = _key(config, records, count, extractor.classifier)
    if not config.stats_dir:
        return _compute(config, records, count, extractor, key)
    cache = _Cache(config.stats_dir, key)
    cache.remove_leftovers()
    found = cache.read(note)
    if found is not None:
        return found
    try:
        cache.begin()
        return cache.write(_compute(config, records, count, extractor, key, cache.new_features))
    except BaseException:
        cache.clear()
        raise


def _key(config: ScoringConfig, records: data_records.Records, count: int, classifier) -> _Key:
    chosen = dataset.evaluation_records(records, count, seed=config.seed)
    facts = {
        "version": _VERSION,
        "images": count,
        "image_size": records.image_size,
        "fingerprint": record_index.fingerprint(records.index, chosen),
        "classifier_sha256": classifier.sha256,
        "classifier_input_size": classifier.input_size,
        "resize": classifier.resize,
        "dtype": "float32",
        "is_splits": config.splits_of(count),
        "tensorflow": tf.__version__,
    }
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return _Key(facts, name, {**facts, "split": config.real_split})


def _compute(config, records, count, extractor, key: _Key, out=None) -> RealStats:
    labels: list[int] = []

    def batches() -> Iterator[tuple[Any, int]]:
        iterator = iter(
            dataset.evaluation_batches(
                records, count, batch_size=extractor.global_batch, seed=config.seed
            )
        )
        while True:
            with extractor.stopwatch.measuring("read", extractor.global_batch):
                found = next(iterator, None)
                if found is None:
                    return
                labels.extend(found[1].numpy().tolist())
                (images,) = extractor.share_out(data_records.to_float(found[0]).numpy())
            yield images, len(found[0])

    # One seed for all: the seed chooses the images, and the same ones have the same statistics.
    found = extractor.collect(
        "real images", batches(), total=count, splits=key.facts["is_splits"], seed=0, out=out
    )
    found = found._replace(labels=np.array(labels, np.int32))
    with extractor.stopwatch.measuring("statistics", 0):
        moments = metrics.moments(found.pool)
    return RealStats(moments, key.about, found, "computed")


class _Cache:
    """Statistics of a key in a directory, in an `.npz` and a `.npy`.

    The `.npz` comes last and holds the SHA-256 of the other, so that what is half written, cut off
    or changed is not taken. Two processes that write the same key write the same, each to a file
    that has a name of its own until it is whole.

    Args:
      stats_dir: the directory, as the flag has it.
      key: of the statistics.
    """

    def __init__(self, stats_dir: str, key: _Key):
        self._stats_dir, self._key = stats_dir, key
        self._directory = os.path.expanduser(stats_dir)
        self._unfinished = _unique(self._path(".features"))

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

    def write(self, stats: RealStats) -> RealStats:
        """Gives the features their name, then writes the rest."""
        path, found = self._path(".features.npy"), stats.features
        with self._writing():
            found.pool.flush()
            digest = files.sha256(self._unfinished)
            os.replace(self._unfinished, path)
            _write_npz(
                self._path(".npz"),
                mu=stats.moments.mu,
                sigma=stats.moments.sigma,
                labels=found.labels,
                inception_score=found.inception_score,
                about=json.dumps(self._key.facts),
                features_sha256=digest,
            )
            pool = np.load(path, mmap_mode="r")
        return dataclasses.replace(
            stats,
            features=found._replace(pool=pool),
            source=f"computed, and kept in {self._path('.npz')}",
        )

    def read(self, note: Callable[[str], None]) -> Optional[RealStats]:
        """What is there of this key; None, with a note if it is damaged, where nothing usable is."""
        path = self._path(".npz")
        if not os.path.exists(path):
            return None
        try:
            return self._read(path)
        except _READ_ERRORS as error:
            note(f"{path}: damaged or stale ({files.first_line(error)}); computing it anew")
            return None

    def _read(self, path: str) -> RealStats:
        with np.load(path) as archive:
            found = {name: archive[name] for name in archive.files}
        pool_path = self._path(".features.npy")
        if json.loads(str(found["about"])) != self._key.facts:
            raise ValueError("it is of other data")
        if files.sha256(pool_path) != str(found["features_sha256"]):
            raise ValueError("its features have changed since they were written")
        pool = np.load(pool_path, mmap_mode="r")
        score = tuple(map(float, found["inception_score"]))
        kept = evaluation_features.Features(
            pool, found["labels"], score, self._key.facts["is_splits"]
        )
        return RealStats(metrics.Moments(found["mu"], found["sigma"]), self._key.about, kept, path)


def write(path: str, stats: RealStats) -> None:
    """Exports mu and sigma, as pytorch-fid and TTUR name them, and what they are of.

    Raises:
      config.UserError: the file cannot be written.
    """
    with files.writing(os.path.dirname(path) or "."):
        _write_npz(
            path, mu=stats.moments.mu, sigma=stats.moments.sigma, about=json.dumps(stats.about)
        )


def read(path: str, classifier) -> RealStats:
    """Brings mu and sigma from an `.npz`.

    Args:
      path: of the file.
      classifier: of the generated images; if the file says which classifier it is of, it must be
        this one.
    Raises:
      config.UserError: there is no such file, it holds something else, or features of another
        classifier.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = file.read()
        moments, about = _parse(content)
    except _READ_ERRORS as error:
        raise errors.UserError(
            f"--real_stats={path}: {_EXPECTED} ({files.first_line(error)})"
        ) from error
    size = len(moments.mu)
    if size != classifier.features:
        raise errors.UserError(
            f"--real_stats={path}: it is of {size} features, and the classifier gives "
            f"{classifier.features}; take statistics that were made with this classifier"
        )
    for name, own in (("classifier_sha256", classifier.sha256), ("resize", classifier.resize)):
        if about.get(name, own) != own:
            raise errors.UserError(
                f"--real_stats={path}: made with {name} {about[name]}, and the generated images "
                f"are judged with {own}; take the same for both"
            )
    about = {"images": None, **about, "file_sha256": hashlib.sha256(content).hexdigest()}
    about.setdefault("fingerprint", f"file:{about['file_sha256']}")
    return RealStats(moments, about, None, path)


def _parse(content: bytes) -> tuple[metrics.Moments, dict[str, Any]]:
    """Moments, and what is said of them, from the bytes of an `.npz`.

    Raises:
      one of _READ_ERRORS: it is no such file, or these are no moments.
    """
    with np.load(io.BytesIO(content)) as archive:
        moments = metrics.Moments(
            *(archive[name].astype(np.float64) for name in metrics.Moments._fields)
        )
        about = json.loads(str(archive["about"])) if "about" in archive.files else {}
    if not isinstance(about, dict):
        raise ValueError(f"about is {about}, and no JSON object")
    mu, sigma = moments
    if mu.ndim != 1 or sigma.shape != 2 * mu.shape or not mu.size:
        raise ValueError(f"got {mu.shape} and {sigma.shape}")
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise ValueError("not all values are finite")
    if np.diag(sigma).min() < 0:
        raise ValueError(f"sigma has {np.diag(sigma).min():g} on its diagonal, a negative variance")
    if not np.allclose(sigma, sigma.T, atol=1e-6 * np.abs(sigma).max()):
        raise ValueError("sigma is not symmetric")
    return moments, about


def _unique(path: str) -> str:
    """A name that no other process, on whatever machine, takes for what will be at `path`."""
    return f"{path}.{uuid.uuid4().hex}.tmp"


def _write_npz(path: str, **arrays) -> None:
    unfinished = _unique(path)
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)
        files.sync(unfinished)
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)
