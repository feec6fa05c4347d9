"""Settings of the benchmarks."""

import dataclasses
import functools

from sagan_tf import errors
from sagan_tf.config import fields


@dataclasses.dataclass(frozen=True)
class BenchmarkStepConfig:
    """What to measure."""

    what: str = fields.option(
        "train",
        "What to time.\n"
        "train: an iteration.\n"
        "generator, discriminator: a forward pass as in training.\n"
        "generate: a forward pass as in an evaluation.",
        choices=("train", "generator", "discriminator", "generate"),
        group="Measurement",
    )
    rounds: int = fields.option(5, "Number of measurements.", above=0, group="Measurement")
    iterations: int = fields.option(
        1,
        "Iterations of one measurement, which run on the device without a check by the host.",
        above=0,
        group="Measurement",
    )
    compare: str = fields.option(
        "",
        'Flags of a first setting, as in "mixed_precision=bfloat16". The second setting is '
        "the next word.",
        group="Measurement",
    )
    against: str = fields.option("", "Flags of the second setting.", group="Measurement")
    ceilings: bool = fields.option(
        True,
        "Measure how fast this machine computes convolutions and products, for comparison.",
        group="Measurement",
    )
    profile: bool = fields.option(
        False, "Say which kinds of kernels take the time.", group="Measurement"
    )
    json: str = fields.option("", "File to write the results to.", group="Output")

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

    images: int = fields.option(
        200, "Number of generated images, and of real ones.", above=0, group="Measurement"
    )
    size: int = fields.option(128, "Side of the images in pixels.", above=0, group="Measurement")
    gf_dim: int = fields.option(64, "Width of the generator.", above=0, group="Measurement")
    per_batch: int = fields.option(
        100, "Images that are generated and classified at a time.", above=0, group="Measurement"
    )
    classifier: str = fields.option(
        "inception",
        "The classifier, with random weights.\n"
        "inception: the architecture of Inception v3.\n"
        "small: the same outputs and next to no work, to see what the number of images costs.",
        choices=("inception", "small"),
        group="Measurement",
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class GpuSuiteConfig:
    """What to measure."""

    out: str = fields.option("gpu.json", "File to write the results to.", group="Output")
    flags: str = fields.option(
        "",
        "Flags that every measurement gets, as in "
        '"--image_size=32 --gf_dim=8 --df_dim=8". They make a trial on a CPU possible.',
        group="Measurement",
    )
    only: str = fields.option(
        "",
        "Make only the measurements that have this in their names, as in XLA.",
        group="Measurement",
        meaning="all of them",
    )
    resume: bool = fields.option(
        False,
        "Keep the measurements that the file holds, and make the rest.",
        group="Measurement",
    )
    rounds: int = fields.option(
        20, "Number of measurements of each setting.", above=0, group="Measurement"
    )
    limit: int = fields.option(
        1800, "Seconds that one process may take.", above=0, group="Measurement"
    )
    most_towers: int = fields.option(
        64,
        "Number of towers at which the search for the largest batch ends. It starts at 4 and "
        "doubles.",
        above=0,
        group="Measurement",
    )

    def __post_init__(self):
        fields.check(self)


PIPELINES = ("ours", "ours, floats", "plain")


@dataclasses.dataclass(frozen=True)
class BenchmarkInputConfig:
    """What to measure."""

    batch_size: int = fields.option(256, "Images of a batch.", above=0, group="Measurement")
    seconds: float = fields.option(5.0, "Seconds of one measurement.", above=0, group="Measurement")
    rounds: int = fields.option(
        3,
        "Measurements of each pipeline, which take turns. Medians are printed.",
        above=0,
        group="Measurement",
    )
    encodings: str = fields.option(
        "",
        "Measure copies of the records in these encodings as well, as in raw,png,jpeg.",
        group="Measurement",
    )
    images: int = fields.option(
        8192, "Number of records of such a copy.", above=0, group="Measurement"
    )
    pipeline: str = fields.option(
        "",
        "Measure only this pipeline, once, and print JSON: " + "; ".join(PIPELINES) + ".",
        group="Measurement",
        meaning="all of them",
    )

    def __post_init__(self):
        fields.check(self)

        # Check the names of encodings and of the pipeline.
        if unknown := set(self.encoding_names) - {"raw", "png", "jpeg"}:
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

    @functools.cached_property
    def encoding_names(self) -> list[str]:
        """The encodings, in order, each once."""
        return list(dict.fromkeys(filter(None, fields.names_of(self.encodings))))


DEVICES = ("h100", "a100", "v4", "v5e", "v5p", "v6e")


@dataclasses.dataclass(frozen=True)
class CompileAheadConfig:
    """What to compile, and for what."""

    device: str = fields.option(
        "h100",
        "The device to compile for; it need not be here. h100 and a100 are GPUs, the others TPUs.",
        choices=DEVICES,
        group="Measurement",
    )
    what: str = fields.option(
        "both",
        "What to compile.\n"
        "iteration: a step of G and one of D with their Adams and all state.\n"
        "generation: a batch of images as in an evaluation.",
        choices=("both", "iteration", "generation"),
        group="Measurement",
    )
    compare: tuple[str, ...] = fields.option(
        (),
        'Flags of a setting, as in "mixed_precision=bfloat16 num_towers=8". Further settings are '
        "the next words.",
        group="Measurement",
        meaning="the other flags alone",
    )
    compute_share: float = fields.option(
        0.6,
        "Share of the device's peak that convolutions and products are taken to reach.",
        above=0,
        group="Measurement",
    )
    bandwidth_share: float = fields.option(
        0.8,
        "Share of the peak of the device's memory, and of its links, that is taken to be reached.",
        above=0,
        group="Measurement",
    )
    replicas: int = fields.option(
        1,
        "Devices that share the towers. The program is that of one of them. Gradients and moving "
        "statistics are reduced over all.",
        choices=(1, 8),
        group="Measurement",
    )
    largest_batch: bool = fields.option(
        False,
        "Find the largest batch that fits, by bisection over the number of towers. This takes "
        "many compilations.",
        group="Measurement",
    )
    most_towers: int = fields.option(
        256, "Number of towers at which that search ends.", above=0, group="Measurement"
    )
    run: str = fields.option(
        "",
        "Run this file of --save on the accelerator that is here, and put measured beside "
        "predicted. This needs JAX, and not TensorFlow.",
        group="Measurement",
    )
    rounds: int = fields.option(
        10, "Number of measurements of --run, 10 iterations each.", above=0, group="Measurement"
    )
    save: str = fields.option(
        "", "File for the first program, as StableHLO. Its name ends in .mlir.", group="Output"
    )
    hlo: str = fields.option("", "File for the compiled text of the first program.", group="Output")
    json: str = fields.option("", "File to write the results to.", group="Output")

    def __post_init__(self):
        fields.check(self)
        fields.require_all(
            self,
            ("compute_share", self.compute_share <= 1, "a share, up to 1"),
            ("bandwidth_share", self.bandwidth_share <= 1, "a share, up to 1"),
            (
                "save",
                not self.save or self.replicas == 1,
                "none with --replicas=8: one device cannot run that program",
            ),
        )
