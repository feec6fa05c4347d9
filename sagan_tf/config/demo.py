"""Settings of the demo."""

import dataclasses

from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """The demo: a small model of the embedded digits, trained and scored."""

    checkpoint_dir: str = fields.option(
        "checkpoint/digits",
        "Directory that the demo writes into. Started again, the demo continues there.",
        group="Output",
    )
    max_steps: int = fields.option(
        6000,
        "Iteration to stop at. Fewer take less time, and give worse digits.",
        above=0,
        group="Run",
    )
    seed: int = fields.option(
        0,
        "Seed of the training.",
        minimum=0,
        maximum=fields.SEEDS - 1,
        group="Run",
    )

    def __post_init__(self):
        fields.check(self)
