"""Settings of the comparison of several runs."""

import dataclasses
import functools
from typing import Optional

from sagan_tf.config import fields, truncation

LAST, BEST = "last", "best"
MOST_SEEDS = 32  # images in a row of a grid


@dataclasses.dataclass(frozen=True)
class CompareConfig(truncation.TruncationConfig):
    """Several runs side by side (`compare`; not in the reference)."""

    runs: tuple[str, ...] = fields.option(
        (),
        "The runs: directories of runs, directories that hold a single run each, or patterns such "
        "as 'checkpoint/*'. Without the word RUNS, give the flag once for each.",
        required="the directories of runs, or patterns of them",
        group="Run",
    )
    by: str = fields.option(
        "",
        "Settings with commas between them: runs in which these are the same are one row, as in "
        "gf_dim,attention_resolution.",
        group="Run",
        meaning="all settings that decide what is learned, but the seed",
    )
    at: str = fields.option(
        LAST,
        "Which scores of each run are compared.\n"
        "last: those of its last evaluated step.\n"
        "best: those of the step with its lowest FID.\n"
        "A number: those of this step.",
        group="Scores",
    )
    protocol: str = fields.option(
        "",
        "Name of the protocol whose scores are compared, as the command prints it where runs are "
        "scored by several.",
        group="Scores",
        meaning="of those that all runs are scored by, the one with the most scores",
    )
    use_ema: bool = fields.option(
        False,
        "Draw the samples with the moving average of the generator.",
        group="Images",
    )
    classes: str = fields.option(
        "",
        "Classes of the samples, one a row, given as for sample.",
        group="Images",
        meaning="up to ten, spread over all",
    )
    seeds: str = fields.option(
        "0-7", "Seeds of the samples, one a column, given as for sample.", group="Images"
    )
    out: str = fields.option(
        "",
        "Directory of what is written: index.html, table.csv, rows.csv, curves.png and "
        "samples.png.",
        group="Output",
        meaning="compare, beside the first run",
    )

    def __post_init__(self):
        fields.check(self)
        self.check_sampling()
        fields.require_all(
            self,
            ("at", self.at in (LAST, BEST) or self.step is not None, "last, best, or a step"),
            ("out", "://" not in self.out, "a place on this machine"),
        )
        _ = self.seed_numbers  # An error in --seeds shows here.

    @property
    def step(self) -> Optional[int]:
        """The step that `at` names; None where it is a word."""
        is_step = self.at.isdecimal() and len(self.at) <= 18
        return int(self.at) if is_step else None

    @functools.cached_property
    def seed_numbers(self) -> list[int]:
        """The seeds of the samples as numbers, in order."""
        return fields.numbers_of("seeds", self.seeds, limit=MOST_SEEDS)

    @functools.cached_property
    def by_fields(self) -> list[str]:
        """The settings that `by` names, in order, each once."""
        return list(dict.fromkeys(filter(None, fields.names_of(self.by))))
