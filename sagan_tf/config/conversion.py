"""Settings of the conversion from and to the reference's checkpoints."""

import dataclasses

from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """What to convert."""

    direction: str = fields.option(
        "import",
        "import makes a run from a checkpoint of the reference; export makes a checkpoint of the "
        "reference from a run.",
        choices=("import", "export"),
        group="Conversion",
    )
    path: str = fields.option(
        "",
        "The checkpoint of the reference, named as TensorFlow 1 names it: model.ckpt-1000000, "
        "without .index.",
        required="the path of a reference checkpoint",
        group="Conversion",
    )
    checkpoint_step: int = fields.option(
        -1, "Step of the checkpoint to export.", group="Conversion", meaning="the latest"
    )

    def __post_init__(self):
        fields.check(self)
