"""Scores in the rows of an evaluation's `metrics.jsonl`: written, labelled, and read back."""

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any, Optional

from sagan_tf.config import FULL_SAMPLE

# Version 2 of a row has `scores`: name -> value, number of images and so on. Rows before it had
# only flat keys such as `eval/fid5k`, which are written still, for people and their scripts.
VERSION = 2
# What the flat keys of a row, and the tags in TensorBoard, begin with.
TAG = "eval/"
# Generated images of each class that an intra-FID is made of where nothing else is said.
FULL_CLASS = 5000

# Names in `scores`, in the order in which they are shown.
INCEPTION_SCORE = "incscore"
SPLITS = "incscore_splits"
FID = "fid"
KID = "kid"
MANIFOLD = ("precision", "recall", "density", "coverage")
INTRA_FID = "intra_fid"
NAMES = (INCEPTION_SCORE, SPLITS, FID, KID, *MANIFOLD, INTRA_FID)

# A flat key: name, number of images, then what else it is.
_FLAT = re.compile(
    TAG + r"(?P<name>incscore|intra_fid|fid|kid|precision|recall|density|coverage)"
    r"(?P<images>\d+k?)?(_(?P<splits>\d+)_splits)?(?P<spread>_deviation|_error)?"
)


@dataclasses.dataclass(frozen=True)
class Score:
    """One score of a set of images.

    Attributes:
      name: one of `NAMES`.
      value: the score.
      images: number of images of the side that has fewer; of intra-FID the smallest number of
        generated images of a class. None where an old row does not say: it is at least 50,000, or
        5,000 for intra-FID.
      splits: number of splits of the Inception Score.
      deviation: standard deviation over them.
      error: standard error of KID.
    """

    name: str
    value: float
    images: Optional[int] = None
    splits: Optional[int] = None
    deviation: Optional[float] = None
    error: Optional[float] = None

    @property
    def suffix(self) -> str:
        """Number of images as labels have it: "5k"; "" where there are as many as papers take."""
        if self.images is None:
            return ""
        if self.name == INTRA_FID:
            return "" if self.images >= FULL_CLASS else str(self.images)
        return suffix(self.images)

    @property
    def label(self) -> str:
        """The name with the number of images in it: "fid5k", "incscore5k_10_splits"."""
        if self.name == SPLITS:
            return f"{INCEPTION_SCORE}{self.suffix}_{self.splits}_splits"
        return self.name + self.suffix


def suffix(images: int) -> str:
    """ "" from 50,000 images on; "5k" for 5,000, "1797" for 1,797."""
    if images >= FULL_SAMPLE:
        return ""
    return str(images) if images % 1000 else f"{images // 1000}k"


def labelled(scores: Iterable[Score]) -> dict[str, float]:
    """All numbers of some scores by label, as TensorBoard and the flat keys of a row have them."""
    numbers = {}
    for score in scores:
        numbers[score.label] = score.value
        if score.deviation is not None:
            numbers[f"{score.label}_deviation"] = score.deviation
        if score.error is not None:
            numbers[f"{score.label}_error"] = score.error
    return numbers


def to_row(scores: Iterable[Score]) -> dict[str, dict[str, float]]:
    """The field `scores` of a row of version 2."""
    entries = {}
    for score in scores:
        entry = dataclasses.asdict(score)
        name = entry.pop("name")
        entries[name] = {field: value for field, value in entry.items() if value is not None}
    return entries


def read_scores(row: dict[str, Any]) -> dict[str, Score]:
    """The scores of a row of any version, by name; what is not a number is left out."""
    if isinstance(row.get("scores"), dict):
        found = _entries_of(row["scores"])
    else:
        found = _entries_of_flat_keys(row)
    return {name: found[name] for name in NAMES if name in found}


def value_of(row: dict[str, Any], name: str) -> float:
    """A score of a row; NaN where the row does not have it."""
    score = read_scores(row).get(name)
    return math.nan if score is None else score.value


def _entries_of(scores: dict[str, Any]) -> dict[str, Score]:
    """The scores of a row of version 2."""
    fields = [field.name for field in dataclasses.fields(Score) if field.name != "name"]
    found = {}
    for name, entry in scores.items():
        if isinstance(entry, dict) and _is_number(entry.get("value")):
            known = {field: entry[field] for field in fields if _is_number(entry.get(field))}
            found[name] = Score(name, **known)
    return found


def _entries_of_flat_keys(row: dict[str, Any]) -> dict[str, Score]:
    """The scores of a row of version 1, which are in its keys."""
    # Read the keys.
    values: dict[str, dict[str, Any]] = {}
    for key, value in row.items():
        match = _FLAT.fullmatch(key)
        if match is None or not _is_number(value):
            continue
        entry = values.setdefault(SPLITS if match["splits"] else match["name"], {})
        entry[(match["spread"] or "_value")[1:]] = float(value)
        entry["images"] = _number_of(match["images"])
        if match["splits"]:
            entry["splits"] = int(match["splits"])

    # A spread without its score is none.
    return {name: Score(name, **entry) for name, entry in values.items() if "value" in entry}


def _number_of(images: Optional[str]) -> Optional[int]:
    """Number of images of a suffix: 5000 for "5k"; None where there is none."""
    if images is None:
        return None
    return int(images[:-1]) * 1000 if images.endswith("k") else int(images)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
