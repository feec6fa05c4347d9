"""The protocol of a score: what it depends on, and when two are comparable."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any, Optional

from sagan_tf.config import PROTOCOL_FIELDS, ScoringConfig
from sagan_tf.evaluation import inception, real_statistics
from sagan_tf.runtime import environment


def own_scores(
    rows: Iterable[dict[str, Any]], run: Optional[str]
) -> tuple[list[dict[str, Any]], int]:
    """The rows of an evaluation that are of this run, and the number of the others.

    Args:
      rows: of the evaluation's metrics.jsonl, oldest first.
      run: the run's own name.
    Returns:
      Those of `run` that say their protocol, steps ascending, the newest only of a step and
      protocol.
    """
    own, others = {}, 0
    for row in rows:
        try:
            if row.get("run") != run or "checkpoint_sha256" not in row["protocol"]:
                others += 1
                continue
            own[protocol_name(row["protocol"]), int(row["step"])] = row
        except (KeyError, TypeError, ValueError):  # of an older release
            others += 1
    return sorted(own.values(), key=lambda row: row["step"]), others


def protocol(
    config: ScoringConfig,
    real: real_statistics.RealStats,
    *,
    classifier: inception.Classifier,
    count: int,
    **images: Any,
) -> dict[str, Any]:
    """Everything that decides the scores, for the record.

    Args:
      config: the flags.
      real: the real side.
      classifier: of both sides.
      count: of the generated images.
      **images: what is known of the generated images (moving average or not, ...).
    """
    fields = {field.name for field in dataclasses.fields(config)}
    split = real.about.get("split") if config.real_stats else config.real_split
    return {
        "name": config.protocol,
        "departures": config.departures(count),
        **{name: getattr(config, name) for name in PROTOCOL_FIELDS if name in fields},
        "eval_sample_size": count,
        "real": {
            "source": config.real_stats or config.real_dir,
            "images": real.about["images"],
            "split": split,
            "fingerprint": real.about.get("fingerprint"),
        },
        "classifier": {
            "handle": classifier.handle,
            "sha256": classifier.sha256,
            "input_size": classifier.input_size,
            "resize": classifier.resize,
            "dtype": "float32",
        },
        **images,
        "versions": environment.versions(),
    }


def same_protocol(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records' scores compare: all but paths, handles and versions is the same."""
    return _essence(one) == _essence(other)


def protocol_name(record: dict[str, Any]) -> str:
    """A short name, the same for all records of the same protocol."""
    text = json.dumps(_essence(record), sort_keys=True)
    return f"{record['name']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def protocol_title(record: dict[str, Any]) -> str:
    """The protocol's name, and in what the flags depart from it."""
    return f"protocol {record['name']}" + "".join(
        f", {name} {value}" for name, value in record["departures"].items()
    )


def _essence(record: dict[str, Any]) -> dict[str, Any]:
    record = {
        **record,
        "real": {**record["real"], "source": ""},
        "classifier": {**record["classifier"], "handle": ""},
    }
    return {
        name: value
        for name, value in record.items()
        if name not in ("versions", "checkpoint_step", "checkpoint_sha256")
    }
