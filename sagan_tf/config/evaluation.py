"""Settings of the commands that score: of a run, and of images that are there already."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, ClassVar, Optional

from sagan_tf.config import fields, model, scoring, truncation


@dataclasses.dataclass(frozen=True)
class EvalConfig(truncation.TruncationConfig, scoring.ScoringConfig):
    """The evaluation of a run or an exported model, which say the networks' settings."""

    run: str = fields.option(
        "",
        "Directory of the run, in the place of --checkpoint_dir, --batch_size and --run_name. Or "
        "a model that export wrote: its directory, or the .keras file in it.",
        group="Run",
        meaning="the directory that these three flags name",
    )
    checkpoint_dir: str = fields.option(
        "checkpoint",
        "Directory of runs, as in training.",
        group="Run",
        reference="eval_imagenet.py:47",
    )
    run_name: Optional[str] = fields.option(
        None,
        "Name of the run's directory, as in training.",
        group="Run",
        meaning="imagenet_BATCH_SIZE, as in the reference",
    )
    batch_size: int = fields.option(
        64,
        "Images per tower of the training run. The number is part of the run directory's name.",
        above=0,
        group="Run",
        reference="eval_imagenet.py:53",
    )
    data_dir: str = fields.option(
        "data",
        "Directory that holds the real images' *.tfrecords. Without this flag, the one that the "
        "run was trained on. An exported model needs it.",
        group="Real images",
        meaning="where the run does not say its own",
    )
    checkpoint_step: int = fields.option(
        -1,
        "Step of the checkpoint to score.",
        minimum=-1,
        expected="a step, or -1 for the latest",
        group="Run",
        meaning="the latest",
    )
    use_ema: bool = fields.option(
        False,
        "Score the moving average of the generator, which training keeps with --ema_decay. An "
        "exported model is what it was exported as.",
        group="Run",
    )
    label_sampling: str = fields.option(
        "uniform",
        "Labels of the generated images.\n"
        "uniform: each is drawn at random.\n"
        "balanced: each class comes equally often.\n"
        "real: each class has its share of the real images that are compared, rounded.",
        choices=("uniform", "balanced", "real"),
        group="Generated images",
        meaning="as in the reference",
    )
    intra_images: int = fields.option(
        0,
        "Images to generate of each class for intra-FID.",
        group="Generated images",
        meaning="those of the other scores",
    )
    all: bool = fields.option(
        False,
        "Score every checkpoint of the run that was not scored yet.",
        group="Several checkpoints",
    )
    watch: bool = fields.option(
        False,
        "Score every checkpoint of the run, also those to come, until training has ended.",
        group="Several checkpoints",
    )
    poll_secs: float = fields.option(
        10.0,
        "With --watch: seconds between two checks for a new checkpoint.",
        above=0,
        group="Several checkpoints",
    )
    keep_best: int = fields.option(
        3,
        "With --watch or --all: number of checkpoints kept in RUN/best, those of the best scores.",
        minimum=0,
        group="Several checkpoints",
    )
    best_by: str = fields.option(
        "fid",
        "Score that decides which checkpoints are the best.",
        choices=("fid", "is"),
        group="Several checkpoints",
    )
    save_samples: str = fields.option(
        "",
        "Write the generated images as uint8: to this .npz file, or as PNG files into this "
        "directory.",
        group="Output",
    )
    compare_untrained: bool = fields.option(
        False,
        "Score an untrained generator as well, for a sense of scale.",
        group="Output",
    )
    generator_type: Optional[str] = fields.option(
        None,
        "The run's generator_type. A run of another type is an error.",
        choices=tuple(model.ATTENTION_OF_TYPE),
        group="Checks",
        meaning="what the run says",
    )
    z_dim: Optional[int] = fields.option(
        None,
        "The run's z_dim. A run with another one is an error.",
        group="Checks",
        meaning="what the run says",
    )
    gf_dim: Optional[int] = fields.option(
        None,
        "The run's gf_dim. A run with another one is an error.",
        group="Checks",
        meaning="what the run says",
    )
    num_classes: Optional[int] = fields.option(
        None,
        "The run's number_classes. A run with another one is an error.",
        group="Checks",
        meaning="what the run says",
    )

    def __post_init__(self):
        super().__post_init__()
        self.check_sampling()

        # Check the run's name and intra-FID.
        fields.require_all(
            self,
            fields.run_name_rule(self.run_name),
            (
                "intra_images",
                self.intra_images == 0 or self.intra_images >= 2,
                "2 or more images, or 0",
            ),
            (
                "intra_images",
                not (self.intra_images and self.real_stats),
                f"0 with --real_stats={self.real_stats}, which holds no images of each class",
            ),
            (
                "label_sampling",
                self.label_sampling != "real" or not self.real_stats,
                f"uniform or balanced with --real_stats={self.real_stats}, which holds no labels",
            ),
        )

        # Check a series of checkpoints.
        if self.watch or self.all:
            self._check_several("--watch" if self.watch else "--all")

    def _check_several(self, flag: str) -> None:
        """Checks the flags that name one checkpoint, where `flag` asks for several."""
        every = f"none with {flag}, which scores every checkpoint"
        overwritten = f"none with {flag}: each checkpoint would write over the one before"

        fields.require_all(
            self,
            ("checkpoint_step", self.checkpoint_step == -1, every),
            ("save_samples", not self.save_samples, overwritten),
        )

    def departures(self, images: int) -> dict[str, Any]:
        """As of `ScoringConfig`, with truncation and standing statistics where they are used."""
        found = super().departures(images)
        if self.sampling.truncation:
            found["truncation"] = self.sampling.truncation
        if self.sampling.batches:
            found["standing_batches"] = self.sampling.batches
        return found

    def require_one_run(self, is_given: Callable[[str], bool]) -> None:
        """Checks that no flag names a run beside `run`, which would go before it.

        Args:
          is_given: whether a flag was given.
        Raises:
          errors.UserError: one does.
        """
        if self.run:
            expected = (
                f"none with --run={self.run}, which names the run; leave out one of the two, or "
                "give another run than a flagfile's as a word of its own"
            )
            for name in ("checkpoint_dir", "run_name", "batch_size"):
                holds = not is_given(name)
                fields.require_field(self, name, holds=holds, expected=expected)

    @property
    def run_dir(self) -> str:
        """The directory of the training run that is scored."""
        if self.run:
            return self.run.rstrip("/") or "/"
        return fields.run_directory(self.checkpoint_dir, self.batch_size, self.run_name)

    @property
    def eval_dir(self) -> str:
        """Where the results of a run go (reference `eval_imagenet.py:82-85`)."""
        parent, name = os.path.split(self.run_dir)
        return os.path.join(parent, "eval", name)


@dataclasses.dataclass(frozen=True)
class DigitsClassifierConfig:
    """The classifier of the embedded digits, made anew (`make_digits_classifier`)."""

    out: str = fields.option(
        "data/digits_classifier", "Directory for the classifier.", group="Output"
    )


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """A small classifier of a set of pictures (`make_classifier`)."""

    data_dir: str = fields.option(
        "",
        "Directory of records with their classes and a dataset.json, as prepare_data makes them.",
        required="a directory of records",
        group="Data",
    )
    out: str = fields.option(
        "",
        "Directory for the classifier and the accuracy that the test has found.",
        required="a directory for the classifier",
        group="Output",
    )
    epochs: int = fields.option(
        60, "Number of passes over the images.", minimum=1, group="Classifier"
    )
    held_out: float = fields.option(
        0.2,
        "Share of the images, from 0.01 to 0.5, for the test. Training does not see them.",
        minimum=0.01,
        maximum=0.5,
        expected="a share from 0.01 to 0.5",
        group="Classifier",
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class ScoreImagesConfig(scoring.ScoringConfig):
    """The scores of images that are there already (`score_images`)."""

    allow_all: ClassVar[bool] = True

    images: str = fields.option(
        "",
        "The images to score: a directory of pictures, or an .npz file. The .npz file has "
        "one uint8 array [n, height, width, 3] named images or arr_0, and may have labels.",
        required="a directory or an .npz file",
        group="Generated images",
    )
    eval_sample_size: int = fields.option(
        0,
        "Number of images to score, the first ones. The names of scores of fewer than 50,000 "
        "images carry the number, as in fid5k.",
        group="Generated images",
        meaning="all of them",
    )
    image_size: int = fields.option(
        0,
        "Side of the real images in pixels. A dataset.json in --data_dir decides.",
        minimum=0,
        group="Real images",
        meaning="what dataset.json says; without one, the side of the images to score",
    )
    number_classes: int = fields.option(
        0,
        "Number of classes of the real images. A dataset.json in --data_dir decides.",
        minimum=0,
        group="Real images",
        meaning="what dataset.json says; without one, 1000",
    )
    out: str = fields.option("", "File that a row of the scores is appended to.", group="Output")
