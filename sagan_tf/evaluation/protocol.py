"""Protocol of a score: what it depends on, and when two are comparable."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any, Optional

from sagan_tf.config import PROTOCOL_FIELDS, ScoringConfig, protocol_differences
from sagan_tf.evaluation import inception, real_statistics
from sagan_tf.runtime import environment

# What a record says without deciding the scores.
_NOT_DECIDING = ("versions", "checkpoint_step", "checkpoint_sha256", "exported", "differs")


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
    own: dict[tuple[str, int], dict[str, Any]] = {}
    others = 0
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
    # Take the flags that a protocol consists of.
    names = {field.name for field in dataclasses.fields(config)}
    flags = {name: getattr(config, name) for name in PROTOCOL_FIELDS if name in names}

    # Describe the real images and the classifier.
    real_side = {
        "source": config.real_stats or config.real_dir,
        "images": real.about["images"],
        "split": real.about.get("split") if config.real_stats else config.real_split,
        "fingerprint": real.about.get("fingerprint"),
    }
    classifier_side = {
        "handle": classifier.handle,
        "sha256": classifier.sha256,
        "input_size": classifier.input_size,
        "resize": classifier.resize,
        "dtype": "float32",
    }

    # Say what no flag can make as the protocol's own program has it.
    differences = list(protocol_differences(config.protocol))
    differs = {"differs": differences} if differences else {}

    # Put all together.
    return {
        "name": config.protocol,
        "departures": config.departures(count),
        **differs,
        **flags,
        "eval_sample_size": count,
        "real": real_side,
        "classifier": classifier_side,
        **images,
        "versions": environment.versions(),
    }


def same_protocol(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records' scores compare: all but paths, handles and versions is the same."""
    return identity(one) == identity(other)


def identity(record: dict[str, Any]) -> str:
    """All of a record that decides the scores, as JSON in one order: equal where scores compare.

    A record that was read from a file and the one that was written there have the same identity.
    """
    deciding = {name: value for name, value in record.items() if name not in _NOT_DECIDING}
    deciding["real"] = {**record["real"], "source": ""}
    deciding["classifier"] = {**record["classifier"], "handle": ""}
    return json.dumps(deciding, sort_keys=True)


def protocol_name(record: dict[str, Any]) -> str:
    """A short name, the same for all records of the same protocol."""
    digest = hashlib.sha256(identity(record).encode()).hexdigest()
    return f"{record['name']}-{digest[:8]}"


def protocol_title(record: dict[str, Any]) -> str:
    """The protocol's name, and in what the flags depart from it."""
    departures = [f", {name} {value}" for name, value in record["departures"].items()]
    return f"protocol {record['name']}" + "".join(departures)
