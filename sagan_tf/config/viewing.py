"""Settings of the tools that look at a trained model."""

import dataclasses
import functools
import os
from typing import Any

from sagan_tf.config import fields

# What every tool that looks at a trained model takes.
_RUN_HELP = (
    "What to look at: a run's directory (or one that holds a single run), or a model that "
    "export wrote."
)
_RUN_EXPECTED = "the directory of a run"
_STEP_EXPECTED = "a step, or -1 for the latest"
_STEP_HELP = "Step of the checkpoint; -1: the latest."
_EMA_HELP = "Take the moving average of the generator (trained with --ema_decay)."
MAX_SEEDS = 1_000_000
MAX_FRAMES = 1000
MAX_ROWS = 32  # of a figure


def _check_truncation(config: Any) -> None:
    fields.require_field(
        config,
        "truncation",
        holds=config.truncation == 0 or 0.001 <= config.truncation < float("inf"),
        expected="a number from 0.001 on, or 0 for none",
    )


def _check_place(config: Any) -> None:
    """Checks that `out`, if given, is on this machine and is more than an ending."""
    name = os.path.basename(config.out.rstrip("/"))
    named = name not in ("", ".", "..", ".png", ".npz", ".gif", ".mp4")
    fields.require_all(
        config,
        ("out", "://" not in config.out, "a place on this machine"),
        ("out", named or not config.out, "a name of its own"),
    )


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """Images of chosen classes and seeds (`sample`; not in the reference)."""

    run: str = fields.option("", _RUN_HELP, required=_RUN_EXPECTED)
    step: int = fields.option(-1, _STEP_HELP, minimum=-1, expected=_STEP_EXPECTED)
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
        minimum=0,
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
        minimum=0,
    )
    batch_size: int = fields.option(0, "Images at a time; 0: 20 on a CPU, else 100.", minimum=0)
    out: str = fields.option(
        "",
        "What to write, by its ending: .png, one labelled grid; .npz, arrays; .gif or .mp4, "
        "with --interpolate, an animation; without an ending a directory of single PNG files and "
        "their grid, or with --interpolate strip and animations of this name. Empty: samples.png, "
        "samples.npz for --count, or interpolation.",
    )

    def __post_init__(self):
        fields.check(self)
        _check_truncation(self)
        self._check_limits()
        self._check_combinations()
        _ = self.seed_numbers  # An error in --seeds shows here.
        self._check_out()

    def _check_limits(self) -> None:
        fields.require_all(
            self,
            ("count", self.count <= MAX_SEEDS, f"at most {MAX_SEEDS}"),
            ("frames", self.frames <= MAX_FRAMES, f"at most {MAX_FRAMES}"),
        )

    def _check_combinations(self) -> None:
        """Checks the flags that exclude each other, and those that need each other."""
        arrays = self.out.endswith(".npz")

        # Each line says which flag to blame, what must hold, and what is expected of the flag.
        fields.require_all(
            self,
            ("count", not (self.count and self.seeds), "0 with --seeds"),
            ("sheet", not (self.sheet and self.count), "none with --count"),
            ("sheet", not (self.sheet and arrays), f"none with --out={self.out}"),
            ("count", not (self.count and self.interpolate), "0 with --interpolate"),
            ("sheet", not (self.sheet and self.interpolate), "none with --interpolate"),
            ("frames", self.interpolate or self.frames == 0, "--interpolate with it"),
            ("frames", self.frames != 1, "2 or more, or 0"),
        )

    def _check_out(self) -> None:
        _check_place(self)
        endings = (".png", ".gif", ".mp4") if self.interpolate else (".png", ".npz")
        ending = os.path.splitext(self.out)[1]
        fields.require_field(
            self,
            "out",
            holds=ending in ("", *endings),
            expected=f"a name that ends in {', '.join(endings)}, or one without an ending",
        )

    @functools.cached_property
    def seed_numbers(self) -> list[int]:
        """The seeds as numbers, in order: those of --count, of --seeds, or the usual ones."""
        if self.count:
            return list(range(self.count))
        usual = "0" if self.interpolate else "0-7"
        return fields.numbers_of("seeds", self.seeds or usual, limit=MAX_SEEDS)


@dataclasses.dataclass(frozen=True)
class AttentionConfig:
    """Figures of attention maps (`attention_maps`; not in the reference)."""

    run: str = fields.option("", _RUN_HELP, required=_RUN_EXPECTED)
    step: int = fields.option(-1, _STEP_HELP, minimum=-1, expected=_STEP_EXPECTED)
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
    num_queries: int = fields.option(
        4,
        "How many places, 1 to 8, where --queries does not say.",
        minimum=1,
        maximum=8,
        expected="1 to 8",
    )
    arrows: int = fields.option(
        3, "Arrows to the strongest places, at most, in each map.", minimum=0
    )
    smooth: bool = fields.option(True, "Draw maps smoothly; --nosmooth shows the keys as they are.")
    out: str = fields.option("attention.png", "The figure; the values go beside it as .npz.")

    def __post_init__(self):
        fields.check(self)
        _check_truncation(self)
        self._check_images()
        _check_place(self)
        fields.require_field(
            self, "out", holds=self.out.endswith(".png"), expected="a name that ends in .png"
        )
        _ = self.seed_numbers  # An error in --seeds shows here.

    def _check_images(self) -> None:
        """Checks the flags of pictures that are not generated."""
        # Only the discriminator looks at pictures.
        fields.require_field(
            self,
            "images",
            holds=not self.images or self.network == "discriminator",
            expected="--network=discriminator with it: a generator makes its own images",
        )

        # These flags are about generated images.
        for name in ("classes", "use_ema", "truncation"):
            fields.require_field(
                self,
                name,
                holds=not (self.images and getattr(self, name)),
                expected="none with --images, which are not generated",
            )

        # The figure has one row for each.
        fields.require_field(
            self,
            "images",
            holds=len(self.images.split(",")) <= MAX_ROWS,
            expected=f"at most {MAX_ROWS} of them",
        )

    @functools.cached_property
    def seed_numbers(self) -> list[int]:
        """The seeds as numbers, in order."""
        return fields.numbers_of("seeds", self.seeds, limit=MAX_ROWS)


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """One HTML file about a run (`report`; not in the reference)."""

    run: str = fields.option(
        "", "The run's directory, or one that holds a single run.", required=_RUN_EXPECTED
    )
    out: str = fields.option("", "The file to write; empty: report.html in the run's directory.")
    eval_dir: str = fields.option(
        "", "Where the run's scores are; empty: where eval_imagenet.py puts them."
    )
    max_grids: int = fields.option(
        24, "Sample grids to show, at most; spread over the run.", above=0
    )

    def __post_init__(self):
        fields.check(self)
        fields.require_field(
            self,
            "out",
            holds=not self.out or self.out.endswith((".html", ".htm")),
            expected="a name that ends in .html",
        )


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """A generator for other programs (`export`; not in the reference)."""

    run: str = fields.option(
        "", "The run's directory, or one that holds a single run.", required=_RUN_EXPECTED
    )
    step: int = fields.option(-1, _STEP_HELP, minimum=-1, expected=_STEP_EXPECTED)
    use_ema: bool = fields.option(False, _EMA_HELP)
    out: str = fields.option("", "Directory to make, new or empty.", required="a directory to make")

    def __post_init__(self):
        fields.check(self)
        _check_place(self)
