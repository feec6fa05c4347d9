"""Feature statistics of the real images, and the `.npz` files that exchange them."""

import dataclasses
import hashlib
import io
import json
import os
import uuid
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.evaluation import features, inception, metrics
from sagan_tf.runtime import files

_EXPECTED = "expected an .npz with mu [features] and sigma [features, features]"


@dataclasses.dataclass(frozen=True)
class RealStats:
    """The real side of every score.

    Attributes:
      moments: of the features.
      about: what they were made of: number of images, `fingerprint` of the data, `classifier` and
        so on; None for values that are unknown.
      features: all of them, with labels and Inception Score; None where only moments were brought.
      source: where they come from.
    """

    moments: metrics.Moments
    about: dict[str, Any]
    features: Optional[features.Features]
    source: str


def write(path: str, stats: RealStats) -> None:
    """Exports mu and sigma, as pytorch-fid and TTUR name them, and what they are of.

    Raises:
      errors.UserError: the file cannot be written.
    """
    mu, sigma = stats.moments
    with files.writing(os.path.dirname(path) or "."):
        write_npz(path, mu=mu, sigma=sigma, about=json.dumps(stats.about))


def read(path: str, classifier: inception.Classifier) -> RealStats:
    """Brings mu and sigma from an `.npz`.

    Args:
      path: of the file.
      classifier: of the generated images; if the file says which classifier it is of, it must be
        this one.
    Raises:
      errors.UserError: there is no such file, it holds something else, or features of another
        classifier.
    """
    # Read the file.
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = file.read()
        moments, about = _parse(content)
    except files.NPZ_ERRORS as error:
        raise errors.UserError(
            f"--real_stats={path}: {_EXPECTED} ({files.first_line(error)})"
        ) from error

    # See whether it is of this classifier.
    size = len(moments.mu)
    if size != classifier.features:
        raise errors.UserError(
            f"--real_stats={path}: it holds {size} features, but the classifier gives "
            f"{classifier.features}; take statistics that were made with this classifier"
        )
    for name, own in (("classifier_sha256", classifier.sha256), ("resize", classifier.resize)):
        if about.get(name, own) != own:
            raise errors.UserError(
                f"--real_stats={path}: made with {name} {about[name]}, but the generated images "
                f"are scored with {own}; use the same for both"
            )

    # Say which file it is.
    about = {"images": None, **about, "file_sha256": hashlib.sha256(content).hexdigest()}
    about.setdefault("fingerprint", f"file:{about['file_sha256']}")
    return RealStats(moments, about, None, path)


def _parse(content: bytes) -> tuple[metrics.Moments, dict[str, Any]]:
    """Moments, and what is said of them, from the bytes of an `.npz`.

    Raises:
      one of `files.NPZ_ERRORS`: it is no such file, or these are no moments.
    """
    # Read what is there.
    with files.open_npz(io.BytesIO(content)) as archive:
        mu, sigma = (archive[name].astype(np.float64) for name in ("mu", "sigma"))
        about = json.loads(str(archive["about"])) if "about" in archive.files else {}
    if not isinstance(about, dict):
        raise ValueError(f"about is {about}, and no JSON object")

    # See whether these are moments.
    if mu.ndim != 1 or sigma.shape != 2 * mu.shape or not mu.size:
        raise ValueError(f"got {mu.shape} and {sigma.shape}")
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise ValueError("not all values are finite")
    if np.diag(sigma).min() < 0:
        raise ValueError(f"sigma has {np.diag(sigma).min():g} on its diagonal, a negative variance")
    if not np.allclose(sigma, sigma.T, atol=1e-6 * np.abs(sigma).max()):
        raise ValueError("sigma is not symmetric")
    return metrics.Moments(mu, sigma), about


def unique(path: str) -> str:
    """A name that no other process, on whatever machine, takes for what will be at `path`."""
    return f"{path}.{uuid.uuid4().hex}.tmp"


def write_npz(path: str, **arrays) -> None:
    """Writes an `.npz` whole or not at all. Raises OSError."""
    unfinished = unique(path)
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)
        files.sync(unfinished)
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)
