"""Settings of the conversion from and to the reference's checkpoints."""

import dataclasses

from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """What to convert."""

    direction: str = fields.option(
        "import",
        "import: from a reference checkpoint to a run; export: the other way.",
        choices=("import", "export"),
    )
    path: str = fields.option(
        "",
        "The reference checkpoint, as tf.compat.v1.train.Saver takes it (without .index).",
        required="the path of a reference checkpoint",
    )
    checkpoint_step: int = fields.option(-1, "Step of the checkpoint to export; -1: the latest.")

    def __post_init__(self):
        fields.check(self)
