"""The hub's metadata of a model card: YAML between two lines of dashes.

Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from sagan_tf.evaluation import protocol, rows
from sagan_tf.runs.card import Card
from sagan_tf.viewing import words
from sagan_tf.viewing.card_facts import PLACEHOLDER, UNKNOWN, Facts, classifier_name

_TASK = "unconditional-image-generation"
# Name in `rows` -> type in the metadata, and what people call it.
METRICS = {
    rows.INCEPTION_SCORE: ("inception_score", "Inception Score"),
    rows.SPLITS: ("inception_score_splits", "Inception Score, mean of splits"),
    rows.FID: ("fid", "FID"),
    rows.KID: ("kid", "KID"),
    rows.INTRA_FID: ("intra_fid", "Intra-FID"),
    "precision": ("improved_precision", "Precision (improved)"),
    "recall": ("improved_recall", "Recall (improved)"),
    "density": ("density", "Density"),
    "coverage": ("coverage", "Coverage"),
}


def front_matter(card: Card, facts: Facts) -> str:
    """The first lines of a model card, with the dashes around them."""
    return "\n".join(["---", *yaml_lines(metadata(card, facts)), "---", ""])


def metadata(card: Card, facts: Facts) -> dict[str, Any]:
    """The hub's fields. What is unknown is left out, but for the licence."""
    # Say what it is.
    found: dict[str, Any] = {
        "license": facts.licence or UNKNOWN,
        "library_name": "keras",
        "pipeline_tag": _TASK,
        "tags": _tags(card),
    }
    if facts.dataset:
        found["datasets"] = [facts.dataset]

    # Give the scores.
    results = [_result(row, facts) for row in facts.scores]
    if results:
        found["model-index"] = [{"name": name_of(card, facts), "results": results}]
    return found


def name_of(card: Card, facts: Facts) -> str:
    """The model's name: that of its repository, else "sagan-32"."""
    if facts.hub_repo not in ("", PLACEHOLDER):
        return facts.hub_repo.rpartition("/")[2]
    return f"sagan-{card.model_config.image_size}"


def _tags(card: Card) -> list[str]:
    """What the hub finds the model by."""
    config = card.model_config
    tags = ["gan", "sagan", "image-generation", "tensorflow"]
    if config.has_attention("generator"):
        tags.append("self-attention")
    if config.number_classes > 1 and not config.note_on_classes:
        tags.append("class-conditional")
    return tags


def _result(row: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """The scores of one protocol."""
    record = row["protocol"]
    dataset = {
        "name": facts.dataset or UNKNOWN,
        "type": facts.dataset or UNKNOWN,
        "split": record["real"].get("split") or UNKNOWN,
    }
    return {
        "task": {"type": _TASK, "name": "Image generation by class"},
        "dataset": dataset,
        "metrics": [_metric(score, record) for score in finite_scores(row)],
    }


def finite_scores(row: dict[str, Any]) -> list[rows.Score]:
    """The scores of a row that are numbers."""
    return [score for score in rows.read_scores(row).values() if words.is_finite(score.value)]


def _metric(score: rows.Score, record: dict[str, Any]) -> dict[str, Any]:
    """One score, with what it depends on."""
    kind, _ = METRICS[score.name]
    real = record["real"]
    arguments = {
        "protocol": protocol.protocol_title(record),
        "classifier": classifier_name(record),
        "generated_images": images_words(score),
        "real_images": f"{real.get('images') or UNKNOWN}",
        "seed": record.get("seed", UNKNOWN),
    }
    return {"type": kind, "name": metric_name(score), "value": score.value, "args": arguments}


def metric_name(score: rows.Score) -> str:
    """What people call a score, with its number of images."""
    _, name = METRICS[score.name]
    return f"{name}, {images_words(score)} images"


def images_words(score: rows.Score) -> str:
    """The number of images of a score; old rows say only that it is large."""
    if score.images is None:
        return f"at least {rows.FULL_CLASS if score.name == rows.INTRA_FID else 50_000:,}"
    return f"{score.images:,}"


def yaml_lines(values: dict[str, Any], indent: str = "") -> Iterator[str]:
    """The lines of a mapping in YAML: numbers, texts, lists and mappings."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from yaml_lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}:"
            yield from _sequence(value, indent)
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _sequence(values: list[Any], indent: str) -> Iterator[str]:
    """The lines of a list in YAML; a mapping's first line has the hyphen."""
    for value in values:
        if not isinstance(value, dict):
            yield f"{indent}- {_scalar(value)}"
            continue
        first, *others = yaml_lines(value, indent + "  ")
        yield f"{indent}- {first.lstrip()}"
        yield from others


def _scalar(value: Any) -> str:
    """A number, or a text between quotation marks.

    YAML 1.1 takes 1e-05 for a text, so a float has all its digits.
    """
    if isinstance(value, float):
        return np.format_float_positional(value, trim="0")
    if isinstance(value, int):
        return str(value)
    printable = "".join(letter if letter.isprintable() else "?" for letter in value)
    return json.dumps(printable, ensure_ascii=False)
