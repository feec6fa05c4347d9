"""The setting of commands that can only look."""

import dataclasses

from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class DryRunConfig:
    """Whether the command only looks."""

    dry_run: bool = fields.option(
        False,
        "Check everything, print the full configuration, the parameter counts, the devices and "
        "what the data holds, and leave.",
        group="Run",
    )
