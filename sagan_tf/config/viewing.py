"""Settings of the tools that look at a trained model."""

import dataclasses
import functools
import os
from typing import Any

from sagan_tf.config import card, fields, nearest, truncation

# What every tool that looks at a trained model takes.
_RUN_HELP = (
    "What to look at: the directory of a run, a directory that holds a single run, or a model that "
    "export wrote."
)
_RUN_DIRECTORY_HELP = "The directory of a run, or a directory that holds a single run."
_RUN_EXPECTED = "the directory of a run"
_STEP_EXPECTED = "a step, or -1 for the latest"
_STEP_HELP = "Step of the checkpoint."
_EMA_HELP = "Use the moving average of the generator, which training keeps with --ema_decay."
MAX_SEEDS = 1_000_000
MAX_FRAMES = 1000
MAX_ROWS = 32  # of a figure


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
class OpenedModelConfig(truncation.TruncationConfig):
    """A run or an exported model that is opened to look at, and how its z are drawn."""

    run: str = fields.option("", _RUN_HELP, required=_RUN_EXPECTED, group="Model")
    step: int = fields.option(
        -1,
        _STEP_HELP,
        minimum=-1,
        expected=_STEP_EXPECTED,
        group="Model",
        meaning="the latest",
    )
    use_ema: bool = fields.option(False, _EMA_HELP, group="Model")


@dataclasses.dataclass(frozen=True)
class SampleConfig(OpenedModelConfig, nearest.NearestConfig):
    """Images of chosen classes and seeds (`sample`; not in the reference)."""

    classes: str = fields.option(
        "",
        "Classes with commas between them: labels (207, 0-9), names, synset ids, or beginnings of "
        "names and ids that no other class has.",
        group="Images",
        meaning="up to ten, spread over all; with --count, the class that each seed draws",
    )
    seeds: str = fields.option(
        "",
        "Seeds with commas between them: 17, or 0-63. A seed always gives the same z; a seed "
        "and a class always give the same picture.",
        group="Images",
        meaning="0-7; with --interpolate, 0; with --nearest, as many as make eight images",
    )
    count: int = fields.option(
        0,
        "Draw this many images in the place of --seeds, one for each seed from 0 on. --classes "
        "take turns.",
        minimum=0,
        group="Images",
        meaning="take --seeds",
    )
    sheet: bool = fields.option(
        False,
        "Lay the grid out with a row for each class and a column for each seed.",
        group="Output",
    )
    interpolate: bool = fields.option(
        False,
        "Go from the first to the second of two --seeds, of two --classes, or of both at once.",
        group="Interpolation",
    )
    frames: int = fields.option(
        0,
        "With --interpolate: number of pictures on the way, with both ends.",
        minimum=0,
        group="Interpolation",
        meaning="8 in a strip, 48 in an animation",
    )
    batch_size: int = fields.option(
        0,
        "Images that are generated at a time.",
        minimum=0,
        group="Speed and memory",
        meaning="20 on a CPU, otherwise 100",
    )
    out: str = fields.option(
        "",
        "What to write. The ending decides.\n"
        ".png: one labelled grid.\n"
        ".npz: arrays.\n"
        ".gif or .mp4: an animation of --interpolate.\n"
        "With --nearest: a .png; the numbers go into a .json of the same name.\n"
        "No ending: a directory of PNG files and their grid; with --interpolate, a strip and "
        "animations of this name.",
        group="Output",
        meaning="samples.png; with --count, samples.npz; with --interpolate, interpolation; with "
        "--nearest, nearest.png",
    )

    def __post_init__(self):
        fields.check(self)
        self.check_sampling()
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
        self.check_nearest("count", "sheet", "interpolate")

    def _check_out(self) -> None:
        _check_place(self)
        endings = (".png", ".gif", ".mp4") if self.interpolate else (".png", ".npz")
        if self.nearest:
            endings = (".png",)
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
class AttentionConfig(OpenedModelConfig):
    """Figures of attention maps (`attention_maps`; not in the reference)."""

    network: str = fields.option(
        "generator",
        "The network whose attention is drawn. The discriminator needs a run; an exported model "
        "does not have it.",
        choices=("generator", "discriminator"),
        group="Model",
    )
    images: str = fields.option(
        "",
        "With --network=discriminator: picture files to look at in the place of generated images, "
        "with commas between their names. Each is cropped to the middle square and resized.",
        group="Images",
        meaning="generated images",
    )
    classes: str = fields.option(
        "",
        "Classes of the generated images, given as for sample; rows take turns.",
        group="Images",
        meaning="spread over all",
    )
    seeds: str = fields.option(
        "0-3",
        "Seeds of the generated images, given as for sample; one a row.",
        group="Images",
    )
    queries: str = fields.option(
        "concentrated",
        "Query positions to draw.\n"
        "concentrated: those in each image whose strongest key has the largest share.\n"
        "spread: those with the highest entropy of attention in each image.\n"
        "grid: evenly over the image.\n"
        'Pixels x,y from the top left corner, as in "64,20;30,90".',
        group="Queries",
    )
    num_queries: int = fields.option(
        4,
        "Number of query positions, 1 to 8, where --queries names none.",
        minimum=1,
        maximum=8,
        expected="1 to 8",
        group="Queries",
    )
    arrows: int = fields.option(
        3,
        "Largest number of arrows in each map; they point to the keys with the most attention.",
        minimum=0,
        group="Queries",
    )
    smooth: bool = fields.option(
        True,
        "Draw smooth maps. --nosmooth draws each key as a square.",
        group="Output",
    )
    out: str = fields.option(
        "attention.png",
        "The figure to write; its values go into an .npz file of the same name.",
        group="Output",
    )

    def __post_init__(self):
        fields.check(self)
        self.check_sampling()
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
        for name in ("classes", "use_ema", "truncation", "standing_statistics"):
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
            holds=len(self.image_names) <= MAX_ROWS,
            expected=f"at most {MAX_ROWS} of them",
        )

    @functools.cached_property
    def image_names(self) -> list[str]:
        """The pictures' files, in order; [""] for generated images."""
        return fields.names_of(self.images)

    @functools.cached_property
    def seed_numbers(self) -> list[int]:
        """The seeds as numbers, in order."""
        return fields.numbers_of("seeds", self.seeds, limit=MAX_ROWS)


@dataclasses.dataclass(frozen=True)
class ExploreConfig(OpenedModelConfig):
    """A page on which people click into images (`explore`; not in the reference)."""

    host: str = fields.option(
        "127.0.0.1",
        "Address to listen on. 0.0.0.0 lets every machine of the network use the page; it asks "
        "for no password.",
        group="Page",
    )
    port: int = fields.option(
        8008,
        "Port to listen on; 0 takes one that is free.",
        minimum=0,
        maximum=65535,
        group="Page",
    )

    def __post_init__(self):
        fields.check(self)
        self.check_sampling()
        expected = "an address of this machine"
        fields.require_field(self, "host", holds=bool(self.host), expected=expected)


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """One HTML file about a run (`report`; not in the reference)."""

    run: str = fields.option("", _RUN_DIRECTORY_HELP, required=_RUN_EXPECTED, group="Run")
    out: str = fields.option(
        "", "The file to write.", group="Output", meaning="report.html in the run's directory"
    )
    eval_dir: str = fields.option(
        "",
        "Directory of the run's scores.",
        group="Run",
        meaning="where the evaluation puts them",
    )
    max_grids: int = fields.option(
        24,
        "Largest number of sample grids to show; they are spread over the run.",
        above=0,
        group="Output",
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
class ExportConfig(truncation.TruncationConfig, card.CardConfig):
    """A generator for other programs (`export`; not in the reference)."""

    run: str = fields.option("", _RUN_DIRECTORY_HELP, required=_RUN_EXPECTED, group="Run")
    step: int = fields.option(
        -1,
        _STEP_HELP,
        minimum=-1,
        expected=_STEP_EXPECTED,
        group="Run",
        meaning="the latest",
    )
    use_ema: bool = fields.option(False, _EMA_HELP, group="Run")
    out: str = fields.option(
        "",
        "Directory to make; it must be new or empty.",
        required="a directory to make",
        group="Output",
    )
    onnx: bool = fields.option(
        False,
        "Write generator.onnx too, for programs without TensorFlow. It needs tf2onnx and "
        'onnxruntime (pip install -e ".[onnx]").',
        group="Output",
    )
    for_training: bool = fields.option(
        False,
        "Write training.npz too, with which another run can begin (--init_from): D, and G's moving "
        "average, or G where there is none.",
        group="Output",
    )
    eval_dir: str = fields.option(
        "",
        "Directory of the run's scores, which the model card shows.",
        group="Model card",
        meaning="where the evaluation puts them",
    )

    def __post_init__(self):
        fields.check(self)
        self.check_sampling()
        self.check_card()
        _check_place(self)
