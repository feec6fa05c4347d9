"""Settings of the conversion from and to checkpoints of the reference, and to state dicts."""

import dataclasses
from typing import Optional

from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """What to convert."""

    direction: Optional[str] = fields.option(
        None,
        "import makes a run from a checkpoint of the reference. export writes what --to says from "
        "a run.",
        choices=("import", "export"),
        group="Conversion",
        meaning="import; with --to=torch-state-dict, export",
    )
    to: str = fields.option(
        "reference",
        "What --direction=export writes. reference is a checkpoint of the reference. "
        "torch-state-dict is weights for PyTorch, in the names of --names. The way back from there "
        "is the command import-weights.",
        choices=("reference", "torch-state-dict"),
        group="Conversion",
    )
    names: str = fields.option(
        "mmgen",
        "Whose names --to=torch-state-dict writes: mmgeneration's or PyTorch-StudioGAN's. Both "
        "have the channels of a run at 128 px only.",
        choices=("mmgen", "studiogan"),
        group="Conversion",
    )
    path: str = fields.option(
        "",
        "The checkpoint of the reference, named as TensorFlow 1 names it: model.ckpt-1000000, "
        "without .index. With --to=torch-state-dict it is the file to write; for studiogan a "
        "directory, new or empty, because StudioGAN has a file for each network.",
        required="the path of a reference checkpoint, or of a state dict to write",
        group="Conversion",
    )
    checkpoint_step: int = fields.option(
        -1, "Step of the checkpoint to export.", group="Conversion", meaning="the latest"
    )

    def __post_init__(self):
        fields.check(self)
        fields.require_field(
            self,
            "direction",
            holds=self.direction != "import" or not self.to_torch,
            expected="export with --to=torch-state-dict; the command import-weights imports those",
        )

    @property
    def to_torch(self) -> bool:
        """Whether weights for PyTorch are written."""
        return self.to == "torch-state-dict"

    @property
    def exports(self) -> bool:
        """Whether a checkpoint of the reference is written, rather than read."""
        return self.direction == "export"
