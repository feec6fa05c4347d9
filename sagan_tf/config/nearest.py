"""Settings of the picture of nearest training images, a part of `sample`."""

import dataclasses

from sagan_tf.config import fields, scoring


@dataclasses.dataclass(frozen=True)
class NearestConfig:
    """Which training images to compare generated ones with, and by what."""

    nearest: bool = fields.option(
        False,
        "Draw each image beside its nearest training images by the classifier's features, and "
        "say how near generated images come to training images.",
        group="Nearest training images",
    )
    neighbours: int = fields.option(
        5,
        "With --nearest: training images in each row.",
        minimum=1,
        maximum=20,
        group="Nearest training images",
    )
    nearest_count: int = fields.option(
        1000,
        "With --nearest: generated images that the summary is of, those of the seeds from 0 on.",
        minimum=2,
        maximum=50_000,
        group="Nearest training images",
    )
    data_dir: str = fields.option(
        "",
        "With --nearest: directory of the training images' *.tfrecords. An exported model needs "
        "it.",
        group="Nearest training images",
        meaning="the one that the run was trained on",
    )
    inception: str = fields.option(
        scoring.ScoringConfig.inception,
        "With --nearest: the classifier, given as for eval.",
        group="Nearest training images",
        meaning="TF-GAN's Inception",
    )
    stats_dir: str = fields.option(
        scoring.ScoringConfig.stats_dir,
        "With --nearest: directory that keeps the training images' features for the next time. An "
        "empty value keeps none.",
        group="Nearest training images",
    )

    def check_nearest(self, *others: str) -> None:
        """Checks that these flags come with --nearest, and others do not.

        Args:
          *others: flags of other pictures, which are off where their value is false.
        Raises:
          errors.UserError: one that does not fit.
        """
        # Without --nearest, each has its default.
        for field in dataclasses.fields(NearestConfig):
            value = getattr(self, field.name)
            holds = self.nearest or value == field.default
            fields.require(holds, field.name, value=value, expected="--nearest with it")

        # With it, no other picture is asked for.
        expected = "none with --nearest, which draws a picture of its own"
        for name in others:
            holds = not (self.nearest and getattr(self, name))
            fields.require_field(self, name, holds=holds, expected=expected)
