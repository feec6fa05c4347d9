"""Settings of the benchmarks."""

import dataclasses

from sagan_tf import errors
from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class BenchmarkStepConfig:
    """What to measure."""

    what: str = fields.option(
        "train",
        "What to time: train, an iteration; generator or discriminator, a forward pass as "
        "in training; generate, as in an evaluation.",
        choices=("train", "generator", "discriminator", "generate"),
    )
    rounds: int = fields.option(5, "Measurements.")
    iterations: int = fields.option(1, "Iterations of one measurement, without a look of the host.")
    compare: str = fields.option(
        "",
        'Flags of a first setting, as in "mixed_precision=bfloat16"; a second, --against, '
        "may follow as a word.",
    )
    against: str = fields.option("", "Flags of a second setting.")
    ceilings: bool = fields.option(
        True, "Measure what convolutions and products this machine manages."
    )
    profile: bool = fields.option(False, "Say what kinds of kernels take the time.")
    json: str = fields.option("", "File for the results.")

    def __post_init__(self):
        fields.require_choices(self)
        fields.require_positive(self, "rounds", "iterations")
        if "deterministic" in self.compare + self.against:
            raise errors.UserError(
                f"--compare={self.compare} --against={self.against}: "
                "deterministic holds for the whole process; expected other "
                "flags, or two runs"
            )
        if bool(self.compare) != bool(self.against):
            raise errors.UserError(
                f"--compare={self.compare} --against={self.against}: expected "
                "two settings, as in --compare optimizations=none "
                "optimizations=auto"
            )


@dataclasses.dataclass(frozen=True)
class BenchmarkEvaluationConfig:
    """What to measure."""

    images: int = fields.option(200, "Generated images, and as many real ones.")
    size: int = fields.option(128, "Side of the images in pixels.")
    gf_dim: int = fields.option(64, "Width of the generator.")
    per_batch: int = fields.option(100, "Images generated and classified at a time.")
    classifier: str = fields.option(
        "inception", "inception or small.", choices=("inception", "small")
    )

    def __post_init__(self):
        fields.require_choices(self)
        fields.require_positive(self, "images", "size", "gf_dim", "per_batch")


@dataclasses.dataclass(frozen=True)
class GpuSuiteConfig:
    """What to measure."""

    out: str = fields.option("gpu.json", "File for the results.")
    flags: str = fields.option("", "Flags of sagan_tf.tools.benchmark for every measurement.")
    only: str = fields.option("", "Measure those with this in their names.")
    resume: bool = fields.option(False, "Keep what the file holds and measure the rest.")
    rounds: int = fields.option(20, "Measurements of each setting.")
    limit: int = fields.option(1800, "Seconds that one of the processes may take.")
    most_towers: int = fields.option(
        64, "Where the search for the largest batch ends; it doubles 4."
    )

    def __post_init__(self):
        fields.require_positive(self, "rounds", "limit", "most_towers")


PIPELINES = ("ours", "ours, floats", "plain")


@dataclasses.dataclass(frozen=True)
class BenchmarkInputConfig:
    """What to measure."""

    batch_size: int = fields.option(256, "Images of a batch.")
    seconds: float = fields.option(5.0, "Seconds of one measurement.")
    rounds: int = fields.option(3, "Measurements of each pipeline, in turns; medians are printed.")
    encodings: str = fields.option(
        "", "Also measure copies of the records in these encodings, as in raw,png,jpeg."
    )
    images: int = fields.option(8192, "Records of such a copy.")
    pipeline: str = fields.option(
        "", "Measure this one once, print JSON and leave: " + "; ".join(PIPELINES) + "."
    )

    def __post_init__(self):
        fields.require_positive(self, "batch_size", "seconds", "rounds", "images")
        if unknown := set(self.encodings.split(",")) - {"", "raw", "png", "jpeg"}:
            raise errors.UserError(
                f"--encodings={self.encodings}: {unknown.pop()} is unknown; "
                "expected some of raw,png,jpeg"
            )
        if self.pipeline and self.pipeline not in PIPELINES:
            raise errors.UserError(
                f"--pipeline={self.pipeline}: expected one of " + "; ".join(PIPELINES)
            )
