"""Settings of how images are drawn: truncation of z, and the statistics that go with it."""

import dataclasses
from typing import Any

from sagan_tf import plurals
from sagan_tf.config import fields

STANDING_BATCHES = 16
_GROUP = "Truncation"
_INFINITE = float("inf")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Which z a generator gets, and which statistics its batch norms use.

    Attributes:
      truncation: z stays between this and its negative; 0: anywhere.
      batches: that standing statistics are gathered over; 0: moving statistics, as training
        left them.
      batch_size: images of each of these; 0: as many as batch norm has seen together in training.
      seed: of their z and labels.
    """

    truncation: float = 0.0
    batches: int = 0
    batch_size: int = 0
    seed: int = 0

    @property
    def limit(self) -> float:
        """As `gan.noise` takes it: infinite where z stays anywhere."""
        return self.truncation or _INFINITE

    @property
    def z(self) -> str:
        """z in words; empty where it is not truncated."""
        return f"z truncated at {self.truncation:g}" if self.truncation else ""

    @property
    def suffix(self) -> str:
        """What names of files and tags end with; empty where z is not truncated."""
        return f"-truncation-{self.truncation:g}" if self.truncation else ""

    @property
    def statistics(self) -> str:
        """The statistics in words."""
        if not self.batches:
            return "moving statistics"
        batches = plurals.counted(self.batches, "batch", "batches")
        images = plurals.counted(self.batch_size, "image")
        return f"standing statistics of {batches} of {images} from seed {self.seed}"

    @property
    def words(self) -> str:
        """z, where it is truncated, and the statistics in words."""
        return ", ".join(filter(None, (self.z, self.statistics)))

    @property
    def flags(self) -> dict[str, Any]:
        """The fields of a `TruncationConfig` that ask for it; the batch size has none."""
        gathers = bool(self.batches)
        unused = STANDING_BATCHES if not self.truncation else 0
        return {
            "truncation": self.truncation,
            "standing_statistics": gathers,
            "standing_batches": self.batches or unused,
            "standing_seed": self.seed,
        }


@dataclasses.dataclass(frozen=True)
class TruncationConfig:
    """The flags of a `Sampling`, which several commands share (not in the reference)."""

    truncation: float = fields.option(
        0.0,
        "Draw z from a normal distribution that is cut off at this distance from 0. That gives "
        "less variety and fewer failures. It implies --standing_statistics.",
        group=_GROUP,
        meaning="not cut off",
    )
    standing_statistics: bool = fields.option(
        False,
        "Gather batch norm's statistics anew, over z that are drawn and cut off like those of the "
        "images (Brock et al., 2019). Without this flag the moving statistics of training are "
        "used. The run does not change.",
        group=_GROUP,
    )
    standing_batches: int = fields.option(
        STANDING_BATCHES,
        "Batches that standing statistics are gathered over. A batch has as many images as batch "
        "norm sees together in training. 0 keeps the moving statistics with --truncation.",
        minimum=0,
        maximum=100_000,
        group=_GROUP,
    )
    standing_seed: int = fields.option(
        0,
        "Seed of the z and the classes that standing statistics are gathered over.",
        minimum=0,
        maximum=fields.SEEDS - 1,
        group=_GROUP,
    )

    def check_sampling(self) -> None:
        """Checks what bounds cannot say; raises errors.UserError."""
        # Without standing statistics their settings say nothing.
        gathers = self.standing_statistics or self.truncation != 0
        with_it = "--standing_statistics or --truncation with it"

        # Compare the flags with each other.
        fields.require_all(
            self,
            (
                "truncation",
                self.truncation == 0 or 0.001 <= self.truncation < _INFINITE,
                "a number from 0.001 on, or 0 for none",
            ),
            (
                "standing_batches",
                bool(self.standing_batches) or not self.standing_statistics,
                "1 or more with --standing_statistics",
            ),
            ("standing_batches", gathers or self.standing_batches == STANDING_BATCHES, with_it),
            ("standing_seed", gathers or self.standing_seed == 0, with_it),
            (
                "standing_seed",
                bool(self.standing_batches) or self.standing_seed == 0,
                "--standing_batches of 1 or more with it",
            ),
        )

    @property
    def sampling(self) -> Sampling:
        """What the flags ask for."""
        if not (self.standing_statistics or self.truncation):
            return Sampling()
        if not self.standing_batches:
            return Sampling(self.truncation)
        return Sampling(self.truncation, self.standing_batches, seed=self.standing_seed)
