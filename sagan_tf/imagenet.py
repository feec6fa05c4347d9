"""Names that people read for ImageNet's synset ids."""

import functools
import importlib.resources
import re
from collections.abc import Sequence
from typing import Optional


@functools.cache
def _names() -> dict[str, str]:
    text = importlib.resources.files("sagan_tf").joinpath("imagenet_names.txt").read_text("utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines() if re.match(r"n\d{8} ", line))


def titles(class_names: Sequence[str]) -> Optional[tuple[str, ...]]:
    """Words for each synset id ("n01440764": "tench, Tinca tinca"), "" where it is not known.

    The words are WordNet 3.0's (`imagenet_names.txt`).

    Returns:
      One for each class, or None when no class is one of ImageNet's 1,000.
    """
    found = tuple(_names().get(name, "") for name in class_names)
    return found if any(found) else None


def synsets() -> tuple[str, ...]:
    """The synset ids of ImageNet's 1,000 classes, sorted: in the order of the labels."""
    return tuple(_names())
