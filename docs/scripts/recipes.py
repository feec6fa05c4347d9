"""The two recipes that are trained again and again: the embedded digits, and the emoji."""

import dataclasses
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
      flagfile: of training.
      data: directory of all its images.
      classifier: that scores them.
      batch: images of a step, as the flagfile says.
      steps: of a run, as the flagfile says.
      ema_decay: of the moving average of the generator, as the flagfile says.
    """

    flagfile: str
    data: str
    classifier: str
    batch: int
    steps: int
    ema_decay: float


RECIPES = {
    "digits": Recipe(
        flagfile="configs/ablation_digits.flags",
        data="data/digits",
        classifier="data/digits_classifier",
        batch=12,
        steps=6000,
        ema_decay=0.998,
    ),
    "emoji": Recipe(
        flagfile="configs/ablation_emoji.flags",
        data="data/emoji_all",
        classifier="data/emoji_all_classifier",
        batch=12,
        steps=20_000,
        ema_decay=0.999,
    ),
}


def flags_of(name):
    """The lines of a recipe's flagfile."""
    text = (ROOT / RECIPES[name].flagfile).read_text(encoding="utf-8")
    return text.splitlines()


def scoring(name, run, out):
    """Flags that score a run's averaged generator, with its own statistics of batch norm.

    Args:
      name: of the recipe.
      run: directory of the run.
      out: directory of all runs, a `pathlib.Path`.
    """
    return [
        str(run),
        "--use_ema",
        "--standing_statistics",
        f"--inception={RECIPES[name].classifier}",
        f"--stats_dir={out / 'real_statistics'}",
    ]
