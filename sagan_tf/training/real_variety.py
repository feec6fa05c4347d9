"""Variety of the real images within their classes, which that of the samples is compared with."""

import json
import os
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.data import dataset, faults
from sagan_tf.data.records import Records, to_float
from sagan_tf.gan import noise
from sagan_tf.runs import health
from sagan_tf.runtime import files
from sagan_tf.training import previews

FILENAME = "real_variety.json"
# Most real images that are looked at.
IMAGES = 5000
_BATCH = 64
_SEED = 0


def of_run(run_dir: str, records: Records, note: Callable[[str], None]) -> Optional[float]:
    """Variance of the pixels of real images within a class; computed once for a run's images.

    Args:
      run_dir: directory of the run; the number is kept there.
      records: the real images.
      note: gets a line when a record cannot be read and the search for it begins.
    Returns:
      As of `health.Variances.within`.
    Raises:
      errors.UserError: a record cannot be read, or the number cannot be kept.
    """
    # Take what is there.
    path = os.path.join(run_dir, FILENAME)
    facts = _facts(records)
    kept = _read(path)
    if kept.get("data") == facts:
        return kept["within_class"]

    # Compute it, and keep it.
    with faults.reading(records, note):
        found = compute(records)
    text = json.dumps({"within_class": found, "data": facts}, indent=2) + "\n"
    with files.writing(run_dir):
        files.write_whole(path, text)
    return found


def compute(records: Records) -> Optional[float]:
    """The same, computed from those of up to `IMAGES` images whose class is sampled."""
    variances = health.Variances(_classes(records))
    batches = dataset.evaluation_batches(records, IMAGES, batch_size=_BATCH, seed=_SEED)
    for images, labels in batches:
        variances.add(to_float(images).numpy(), labels.numpy())
    return variances.within()


def _classes(records: Records) -> list[int]:
    """Labels of the classes that a grid of samples shows, which are compared with these images."""
    return noise.spread_classes(records.number_classes, previews.GRID_CLASSES).tolist()


def _facts(records: Records) -> dict[str, Any]:
    """What tells these images from others."""
    index = records.index
    return {
        "records": len(index.offsets),
        "bytes": int(np.sum(index.sizes)),
        "fingerprint": records.info.fingerprint if records.info is not None else "",
        "images": IMAGES,
        "classes": _classes(records),
    }


def data_of(run_dir: str) -> Optional[tuple[Any, ...]]:
    """What tells the real images of a run from others, wherever they lie; None if not recorded."""
    facts = _read(os.path.join(run_dir, FILENAME)).get("data")
    if not isinstance(facts, dict):
        return None
    return tuple(facts.get(name) for name in ("records", "bytes", "fingerprint"))


def _read(path: str) -> dict[str, Any]:
    """What is kept; {} where nothing is, or where it is damaged."""
    try:
        with tf.io.gfile.GFile(path) as file:
            content = json.loads(file.read())
    except (tf.errors.OpError, OSError, ValueError, errors.UserError):
        return {}
    return content if isinstance(content, dict) and "within_class" in content else {}
