"""Settings of the tools that look at a trained model."""

import dataclasses
import os
from typing import Any

from sagan_tf.config import fields

# What every tool that looks at a trained model takes.
_RUN_HELP = (
    "What to look at: a run's directory (or one that holds a single run), or a model that "
    "export wrote."
)
_STEP_HELP = "Step of the checkpoint; -1: the latest."
MAX_SEEDS = 1_000_000
MAX_FRAMES = 1000
MAX_ROWS = 32  # of a figure
_EMA_HELP = "Take the moving average of the generator (trained with --ema_decay)."


def _require_run(config: Any) -> None:
    fields.require(bool(config.run), "run", value=config.run, expected="the directory of a run")
    step = getattr(config, "step", -1)
    fields.require(step >= -1, "step", value=step, expected="a step, or -1 for the latest")


def _require_truncation(config: Any) -> None:
    fields.require(
        config.truncation == 0 or 0.001 <= config.truncation < float("inf"),
        "truncation",
        value=config.truncation,
        expected="a number from 0.001 on, or 0 for none",
    )


def _require_out(out: str) -> None:
    """Of an output of this machine: a name that is more than an ending."""
    name = os.path.basename(out.rstrip("/"))
    fields.require("://" not in out, "out", value=out, expected="a place on this machine")
    fields.require(
        not out or (bool(name) and name not in (".", "..", ".png", ".npz", ".gif", ".mp4")),
        "out",
        value=out,
        expected="a name of its own",
    )


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """Images of chosen classes and seeds (`sample`; not in the reference)."""

    run: str = fields.option("", _RUN_HELP)
    step: int = fields.option(-1, _STEP_HELP)
    use_ema: bool = fields.option(False, _EMA_HELP)
    classes: str = fields.option(
        "",
        "Classes, with commas between them: labels (207, 0-9), names, synset ids, or "
        "beginnings of these that only one class has. Empty: up to ten, spread over all; with "
        "--count the class that each seed draws.",
    )
    seeds: str = fields.option(
        "",
        "Seeds, with commas between them: 17, or 0-63. A seed is one z, and so, with a class, "
        "one picture. Empty: 0-7.",
    )
    count: int = fields.option(
        0,
        "So many images of the seeds 0, 1, 2, ..., one each, instead of --seeds; --classes "
        "take turns.",
    )
    truncation: float = fields.option(
        0.0,
        "Draw z from a normal distribution cut off at this value, both ways: less variety, "
        "fewer failures; 0: not cut off.",
    )
    sheet: bool = fields.option(False, "Lay the grid out as classes x seeds.")
    interpolate: bool = fields.option(
        False,
        "Go from the first to the second of two --seeds, or of two --classes, or both at once.",
    )
    frames: int = fields.option(
        0,
        "With --interpolate: pictures on the way, both ends among them; 0: 8 in a strip, 48 in "
        "an animation.",
    )
    batch_size: int = fields.option(0, "Images at a time; 0: 20 on a CPU, else 100.")
    out: str = fields.option(
        "",
        "What to write, by its ending: .png, one labelled grid; .npz, arrays; .gif or .mp4, "
        "with --interpolate, an animation; without an ending a directory of single PNG files and "
        "their grid, or with --interpolate strip and animations of this name. Empty: samples.png, "
        "samples.npz for --count, or interpolation.",
    )

    def __post_init__(self):
        _require_run(self)
        fields.require_not_negative(self, "count", "frames", "batch_size")
        _require_truncation(self)
        fields.require(
            self.count <= MAX_SEEDS, "count", value=self.count, expected=f"at most {MAX_SEEDS}"
        )
        fields.require(
            self.frames <= MAX_FRAMES, "frames", value=self.frames, expected=f"at most {MAX_FRAMES}"
        )
        fields.require(
            not (self.count and self.seeds), "count", value=self.count, expected="0 with --seeds"
        )
        fields.require(
            not (self.count and self.sheet), "sheet", value=self.sheet, expected="none with --count"
        )
        fields.require(
            not (self.sheet and self.out.endswith(".npz")),
            "sheet",
            value=self.sheet,
            expected=f"none with --out={self.out}",
        )
        fields.require(
            not (self.count and self.interpolate),
            "count",
            value=self.count,
            expected="0 with --interpolate",
        )
        fields.require(
            not (self.interpolate and self.sheet),
            "sheet",
            value=self.sheet,
            expected="none with --interpolate",
        )
        fields.require(
            self.frames == 0 or self.interpolate,
            "frames",
            value=self.frames,
            expected="--interpolate with it",
        )
        fields.require(self.frames != 1, "frames", value=self.frames, expected="2 or more, or 0")
        fields.numbers_of("seeds", self.seeds or "0", limit=MAX_SEEDS)
        endings = (".png", ".gif", ".mp4", "") if self.interpolate else (".png", ".npz", "")
        _require_out(self.out)
        fields.require(
            os.path.splitext(self.out)[1] in endings,
            "out",
            value=self.out,
            expected="a name that ends in "
            + ", ".join(endings[:-1])
            + ", or one without an ending",
        )


@dataclasses.dataclass(frozen=True)
class AttentionConfig:
    """Figures of attention maps (`attention_maps`; not in the reference)."""

    run: str = fields.option("", _RUN_HELP)
    step: int = fields.option(-1, _STEP_HELP)
    use_ema: bool = fields.option(False, _EMA_HELP)
    network: str = fields.option(
        "generator",
        "Whose attention: generator, or discriminator (of a run).",
        choices=("generator", "discriminator"),
    )
    images: str = fields.option(
        "",
        "With --network=discriminator: pictures to look at, instead of generated ones, with "
        "commas between their names (which must have none); cropped to the middle square and "
        "resized.",
    )
    classes: str = fields.option(
        "",
        "Classes of the generated images, as in sample; rows take turns. Empty: spread over all.",
    )
    seeds: str = fields.option("0-3", "Seeds of the generated images, one a row, as in sample.")
    truncation: float = fields.option(0.0, "As in sample.")
    queries: str = fields.option(
        "spread",
        "Places whose attention is drawn: spread, where attention is most spread in each "
        "image; grid, evenly over the image; or pixels x,y from the top left corner, with "
        'semicolons between them, as in "64,20;30,90".',
    )
    num_queries: int = fields.option(4, "How many places, 1 to 8, where --queries does not say.")
    arrows: int = fields.option(3, "Arrows to the strongest places, at most, in each map.")
    smooth: bool = fields.option(True, "Draw maps smoothly; --nosmooth shows the keys as they are.")
    out: str = fields.option("attention.png", "The figure; the values go beside it as .npz.")

    def __post_init__(self):
        _require_run(self)
        fields.require_choices(self)
        fields.require_not_negative(self, "arrows")
        fields.require(
            1 <= self.num_queries <= 8, "num_queries", value=self.num_queries, expected="1 to 8"
        )
        _require_truncation(self)
        fields.require(
            not self.images or self.network == "discriminator",
            "images",
            value=self.images,
            expected="--network=discriminator with it: a generator makes its own images",
        )
        for name in ("classes", "use_ema", "truncation"):
            fields.require(
                not (self.images and getattr(self, name)),
                name,
                value=getattr(self, name),
                expected="none with --images, which are not generated",
            )
        fields.require(
            len(self.images.split(",")) <= MAX_ROWS,
            "images",
            value=self.images,
            expected=f"at most {MAX_ROWS} of them",
        )
        _require_out(self.out)
        fields.require(
            self.out.endswith(".png"), "out", value=self.out, expected="a name that ends in .png"
        )
        fields.numbers_of("seeds", self.seeds, limit=MAX_ROWS)


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """One HTML file about a run (`report`; not in the reference)."""

    run: str = fields.option("", "The run's directory, or one that holds a single run.")
    out: str = fields.option("", "The file to write; empty: report.html in the run's directory.")
    eval_dir: str = fields.option(
        "", "Where the run's scores are; empty: where eval_imagenet.py puts them."
    )
    max_grids: int = fields.option(24, "Sample grids to show, at most; spread over the run.")

    def __post_init__(self):
        _require_run(self)
        fields.require_positive(self, "max_grids")
        fields.require(
            not self.out or self.out.endswith((".html", ".htm")),
            "out",
            value=self.out,
            expected="a name that ends in .html",
        )


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """A generator for other programs (`export`; not in the reference)."""

    run: str = fields.option("", "The run's directory, or one that holds a single run.")
    step: int = fields.option(-1, _STEP_HELP)
    use_ema: bool = fields.option(False, _EMA_HELP)
    out: str = fields.option("", "Directory to make, new or empty.")

    def __post_init__(self):
        _require_run(self)
        fields.require(bool(self.out), "out", value=self.out, expected="a directory to make")
        _require_out(self.out)
