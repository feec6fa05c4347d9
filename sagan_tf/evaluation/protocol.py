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

# The size of standing statistics' batches in a record of `with_own_batches`.
OWN_SIZE = "the run's own number"
# Fields that say in words what others say too.
_IN_OTHER_WORDS = ("departures", "images", "batch_norm")
# Fields of a record as people call them.
_FIELD_NAMES = {
    "name": "protocol",
    "eval_sample_size": "number of generated images",
    "real_sample_size": "number of real images asked for",
    "real.images": "number of real images",
    "real.split": "split of the real images",
    "real.fingerprint": "real images' digest",
    "classifier.sha256": "classifier's digest",
    "classifier.input_size": "classifier's input size",
    "ema": "EMA",
    "sampling.truncation": "truncation",
    "sampling.batches": "standing statistics, batches",
    "sampling.batch_size": "standing statistics, images in a batch",
    "sampling.seed": "standing statistics, seed",
}


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
        except (KeyError, TypeError, ValueError, OverflowError):  # of an older release
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


def with_own_batches(record: dict[str, Any], group_size: int) -> dict[str, Any]:
    """The record without the size of standing statistics' batches, where it is the run's own.

    Standing statistics are gathered as batch norm has trained, so that the size goes with the run.

    Args:
      record: of a score.
      group_size: images that batch norm of the run has seen together (`TrainConfig.group_size`).
    """
    # Find the size.
    sampling = record.get("sampling")
    gathered = isinstance(sampling, dict) and sampling.get("batches")
    if not gathered or sampling.get("batch_size") != group_size:
        return record

    # Put words in its place, also where it stands in words.
    own = {**record, "sampling": {**sampling, "batch_size": OWN_SIZE}}
    for name in ("batch_norm", "images"):
        if isinstance(record.get(name), str):
            own[name] = record[name].replace(
                f"batches of {group_size} images", f"batches of {OWN_SIZE} of images"
            )
    return own


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """In what two records' scores do not compare, a phrase each; [] where they do."""
    # Find the fields that differ.
    first = _flat(one)
    second = _flat(other)
    names = dict.fromkeys((*first, *second))
    differing = [name for name in names if first.get(name) != second.get(name)]

    # What other fields say in other words is left out.
    plain = [name for name in differing if not name.startswith(_IN_OTHER_WORDS)]
    phrases = []
    for name in plain or differing:
        here = _value_text(first.get(name))
        there = _value_text(second.get(name))
        phrases.append(f"{_FIELD_NAMES.get(name, name)}: {here} against {there}")
    return phrases


def described(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of a record that decide the scores: name and value, for people."""
    found = []
    for name, value in _flat(record).items():
        if value != "" and not name.startswith(_IN_OTHER_WORDS):
            found.append((_FIELD_NAMES.get(name, name), _plain(value)))
    return sorted(found, key=lambda field: field[0].lower())


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The fields that decide, those of a field as "field.name"."""
    flat = {}
    for name, value in json.loads(identity(record)).items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value_text(value: Any) -> str:
    """A value in a few words; of a digest the first digits."""
    if value is None:
        return "not said"
    text = _plain(value)
    kind, colon, digits = text.rpartition(":")
    return kind + colon + digits[:12] if len(digits) >= 32 and " " not in digits else text


def protocol_name(record: dict[str, Any]) -> str:
    """A short name, the same for all records of the same protocol."""
    digest = hashlib.sha256(identity(record).encode()).hexdigest()
    return f"{record['name']}-{digest[:8]}"


def protocol_title(record: dict[str, Any]) -> str:
    """The protocol's name, and in what the flags depart from it."""
    departures = [f", {name} {value}" for name, value in record["departures"].items()]
    return f"protocol {record['name']}" + "".join(departures)


def is_truncated(record: dict[str, Any]) -> bool:
    """Whether scores are of truncated z; records of older releases do not say it, and are not."""
    sampling = record.get("sampling")
    return isinstance(sampling, dict) and bool(sampling.get("truncation"))


def classifier_title(record: dict[str, Any]) -> str:
    """The classifier of a score: what it was loaded from, and how its SHA-256 begins."""
    classifier = record["classifier"]
    handle = classifier.get("handle") or "an unnamed classifier"
    digest = classifier.get("sha256") or ""
    return f"{handle} (sha256:{digest[:12]})" if digest else handle
