"""What a model card says beside `runs.card.Card`: flags, training, scores."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

from sagan_tf import errors
from sagan_tf.bridges import published
from sagan_tf.config import CardConfig, ExportConfig, ModelConfig, Sampling
from sagan_tf.runs.card import Card
from sagan_tf.viewing import run_summary

UNKNOWN = "unknown"
PLACEHOLDER = "USER/NAME"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What neither the weights nor their card know.

    Attributes:
      licence: as the hub names it; "" where it is unknown.
      dataset: name of the data set; "" where it is unknown.
      hub_repo: "USER/NAME"; "" where it is not chosen yet.
      training: name -> value in words, of how the model was trained; {} where it is unknown.
      scores: rows of an evaluation, as `evaluation.rows` reads them, of these very weights.
    """

    licence: str = ""
    dataset: str = ""
    hub_repo: str = ""
    training: dict[str, str] = dataclasses.field(default_factory=dict)
    scores: tuple[dict[str, Any], ...] = ()


def of_run(config: ExportConfig, run_dir: str, *, card: Card, say: Callable[[str], None]) -> Facts:
    """The facts of a run's checkpoint.

    Args:
      config: the flags.
      run_dir: directory of the run.
      card: of the checkpoint.
      say: told where the run's settings cannot be read.
    """
    # Read what the run has left.
    facts = of_flags(config)
    try:
        run = run_summary.read(run_dir, config.eval_dir)
    except errors.UserError as error:
        say(f"the model card has neither training settings nor scores: {error}")
        return facts

    # Take the scores of these weights.
    scores = scores_of(run.scores, card)
    if run.scores and not scores:
        say(
            f"the model card has no scores: none in {run.eval_dir} is of step {card.step} with "
            "this average, truncation and statistics"
        )
    return dataclasses.replace(facts, training=_training(run), scores=tuple(scores))


def of_import(config: CardConfig, card: Card) -> Facts:
    """The facts of another project's weights."""
    facts = of_flags(config)
    dataset = facts.dataset
    if not dataset and card.origin.get("published") and _has_imagenets_classes(card.model_config):
        dataset = published.DATASET
    licence = facts.licence or card.origin.get("hub_licence", "")
    return dataclasses.replace(facts, licence=licence, dataset=dataset)


def of_flags(config: CardConfig) -> Facts:
    """The facts that the flags say."""
    return Facts(licence=config.licence, dataset=config.dataset, hub_repo=config.hub_repo)


def _has_imagenets_classes(config: ModelConfig) -> bool:
    return config.number_classes == 1000


def _training(run: run_summary.Run) -> dict[str, str]:
    """How a run was trained, in words."""
    train = run.train
    images = train.batch_size * train.num_towers
    steps = f"{train.d_step} of D for each of G"
    return {
        "seed": str(train.seed),
        "images a step": f"{images:,}",
        "learning rates": f"G {train.generator_learning_rate:g}, "
        f"D {train.discriminator_learning_rate:g}",
        "steps": steps,
    }


def scores_of(rows: Iterable[dict[str, Any]], card: Card) -> list[dict[str, Any]]:
    """The rows that are scores of the weights and the sampling of a card."""
    return [row for row in rows if _is_of(row["protocol"], card)]


def _is_of(record: dict[str, Any], card: Card) -> bool:
    """Whether a record of a score is of a card's checkpoint, average and sampling."""
    sampling = record.get("sampling") or dataclasses.asdict(Sampling())
    return (
        record.get("checkpoint_sha256") == card.checkpoint_sha256
        and bool(record.get("ema")) == card.use_ema
        and sampling == dataclasses.asdict(card.sampling)
    )


def classifier_name(record: dict[str, Any]) -> str:
    """The classifier of a score: its file's name and the first digits of its SHA-256."""
    classifier = record["classifier"]
    handle = str(classifier.get("handle", ""))
    name = handle if "://" in handle else os.path.basename(handle.rstrip("/"))
    digest = str(classifier.get("sha256", ""))[:12]
    return f"{name or UNKNOWN} (sha256:{digest})"
