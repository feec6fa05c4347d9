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
    rounds: int = fields.option(5, "Measurements.", above=0)
    iterations: int = fields.option(
        1, "Iterations of one measurement, without a look of the host.", above=0
    )
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
        fields.check(self)

        # Check the two settings of a comparison.
        settings = f"--compare={self.compare} --against={self.against}"
        if "deterministic" in self.compare + self.against:
            raise errors.UserError(
                f"{settings}: deterministic holds for the whole process; expected other "
                "flags, or two runs"
            )
        if bool(self.compare) != bool(self.against):
            raise errors.UserError(
                f"{settings}: expected two settings, as in --compare optimizations=none "
                "optimizations=auto"
            )


@dataclasses.dataclass(frozen=True)
class BenchmarkEvaluationConfig:
    """What to measure."""

    images: int = fields.option(200, "Generated images, and as many real ones.", above=0)
    size: int = fields.option(128, "Side of the images in pixels.", above=0)
    gf_dim: int = fields.option(64, "Width of the generator.", above=0)
    per_batch: int = fields.option(100, "Images generated and classified at a time.", above=0)
    classifier: str = fields.option(
        "inception", "inception or small.", choices=("inception", "small")
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class GpuSuiteConfig:
    """What to measure."""

    out: str = fields.option("gpu.json", "File for the results.")
    flags: str = fields.option("", "Flags of sagan_tf.tools.benchmark for every measurement.")
    only: str = fields.option("", "Measure those with this in their names.")
    resume: bool = fields.option(False, "Keep what the file holds and measure the rest.")
    rounds: int = fields.option(20, "Measurements of each setting.", above=0)
    limit: int = fields.option(1800, "Seconds that one of the processes may take.", above=0)
    most_towers: int = fields.option(
        64, "Where the search for the largest batch ends; it doubles 4.", above=0
    )

    def __post_init__(self):
        fields.check(self)


PIPELINES = ("ours", "ours, floats", "plain")


@dataclasses.dataclass(frozen=True)
class BenchmarkInputConfig:
    """What to measure."""

    batch_size: int = fields.option(256, "Images of a batch.", above=0)
    seconds: float = fields.option(5.0, "Seconds of one measurement.", above=0)
    rounds: int = fields.option(
        3, "Measurements of each pipeline, in turns; medians are printed.", above=0
    )
    encodings: str = fields.option(
        "", "Also measure copies of the records in these encodings, as in raw,png,jpeg."
    )
    images: int = fields.option(8192, "Records of such a copy.", above=0)
    pipeline: str = fields.option(
        "", "Measure this one once, print JSON and leave: " + "; ".join(PIPELINES) + "."
    )

    def __post_init__(self):
        fields.check(self)

        # Check the names of encodings and of the pipeline.
        if unknown := set(self.encodings.split(",")) - {"", "raw", "png", "jpeg"}:
            raise errors.UserError(
                f"--encodings={self.encodings}: {unknown.pop()} is unknown; "
                "expected some of raw,png,jpeg"
            )
        fields.require_field(
            self,
            "pipeline",
            holds=self.pipeline in ("", *PIPELINES),
            expected="one of " + "; ".join(PIPELINES),
        )
