"""The card of a model: which network it is, of which run and step."""

import dataclasses
import json
from typing import Any, Optional

from sagan_tf import config
from sagan_tf.data import class_names

CARD_FILE = "model.json"  # beside an exported model, and inside its .keras file
CARD_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known of a trained generator beside its weights.

    Attributes:
      model_config: the networks' settings.
      classes: names of the classes.
      step: iterations that the network was trained.
      use_ema: whether the weights are the moving average.
      sigma_ratio: factor of the attention block, or of the residual block in its place; None
        without one.
      run: the run's own name.
      checkpoint_sha256: SHA-256 of the checkpoint that the weights were read from.
      made_with: name of a library -> version.
      sampling: truncation of z, and the statistics of batch norm. (Cards of 0.2.0 and before say
        neither: z is not truncated, and statistics are moving ones.)
      origin: of weights of another project: "project", "url", "licence", "files" and more; empty
        where they were trained here.
    """

    model_config: config.ModelConfig
    classes: class_names.Classes
    step: int
    use_ema: bool
    sigma_ratio: Optional[float]
    run: Optional[str] = None
    checkpoint_sha256: Optional[str] = None
    made_with: dict[str, str] = dataclasses.field(default_factory=dict)
    sampling: config.Sampling = dataclasses.field(default_factory=config.Sampling)
    origin: dict[str, Any] = dataclasses.field(default_factory=dict)

    def words(self) -> dict[str, str]:
        """What a user of the weights has to know."""
        limit = self.sampling.truncation
        cut_off = f", cut off at -{limit:g} and {limit:g}" if limit else ""
        return {
            "inputs": f"z: float32 [n, {self.model_config.z_dim}], standard normal{cut_off}; "
            f"labels: int32 [n], 0 to {self.model_config.number_classes - 1}",
            "images": "float in [-1, 1]; as uint8 round((x + 1) * 127.5)",
            "batch_norm": self.sampling.statistics,
            "spectral_norm": "folded into the weights"
            if self.model_config.generator_sn
            else "none; the weights are as they were trained",
        }

    def to_json(self) -> str:
        """The card as text, with `words`."""
        content = {"version": CARD_VERSION, "protocol": self.words(), **dataclasses.asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def card_from_json(text: str) -> Card:
    """The inverse of `Card.to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    # Check the version.
    content = json.loads(text)
    if content["version"] > CARD_VERSION:
        raise ValueError(f"version {content['version']}, expected at most {CARD_VERSION}")

    # Make the parts that are objects of their own.
    content.setdefault("sampling", {})
    content.setdefault("origin", {})
    values = {field.name: content[field.name] for field in dataclasses.fields(Card)}
    values["sampling"] = config.Sampling(**values["sampling"])
    values["model_config"] = config.ModelConfig(**values["model_config"])
    values["classes"] = class_names.from_json(values["classes"])
    return Card(**values)
