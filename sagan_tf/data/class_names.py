"""Class names of a data set or a run, and lookup by name, number or synset id."""

import dataclasses
import difflib
import functools
import importlib.resources
import json
import os
import re
from collections.abc import Sequence
from typing import Any, Optional

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import files

FILENAME = "classes.json"
_LISTED = 6  # Candidates that an error names.
_SIMILAR = 3  # Names like a misspelt one that an error names.
_SIMILARITY = 0.6  # What `difflib` calls alike, 0 to 1.


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a model, in the order of their labels.

    Attributes:
      names: own names, for ImageNet synset ids ("n01440764"); the numbers where they are unknown.
      titles: names that people read ("tench, Tinca tinca"); "" where there is none.
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]

    def name(self, label: int) -> str:
        """A class in one word or few: its title's first name, else its own name."""
        return self.titles[label].split(",")[0] or self.names[label]

    def text(self, label: int) -> str:
        """A class for people: `name`, or "class 3" where that is a number."""
        name = self.name(label)
        if name == str(label):
            return f"class {label}"
        return f'class {label} ("{name}")' if name.isdecimal() else name

    def full_text(self, label: int) -> str:
        """A class that cannot be taken for another: number, name and title."""
        parts = [str(label), self.names[label], self.titles[label]]
        known = [part for part in parts if part]
        return " ".join(dict.fromkeys(known))

    def find(self, request: str) -> list[int]:
        """Labels of a list of classes, each once, in the order of the request.

        Args:
          request: parts between commas: a label, labels as in "0-9", a name, a synset id, or the
            beginning of either that only one class has. Capitals and "_" do not matter. What looks
            like a number is a label, even where names are numbers.
        Raises:
          errors.UserError: no class, or several, are meant; names those that may be.
        """
        # Look up each part.
        found: list[int] = []
        for part in request.split(","):
            if part.strip():
                found.extend(self._find_one(part.strip()))

        # Take each class once.
        if not found:
            raise errors.UserError(
                f"--classes={request}: expected numbers, names or synset ids "
                "of classes, with commas between them"
            )
        return list(dict.fromkeys(found))

    def _find_one(self, part: str) -> Sequence[int]:
        # A label, or a range of labels.
        numbers = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)
        if numbers:
            first = int(numbers[1])
            last = int(numbers[2] or numbers[1])
            if first > last or last >= len(self.names):
                raise errors.UserError(
                    f"--classes={part}: expected numbers from 0 to {len(self.names) - 1}"
                )
            return range(first, last + 1)

        # A name, or the beginning of one.
        wanted = _plain(part)
        by_name = self._by_name()
        found = {label for name, label in by_name if name == wanted}
        if not found:
            found = {label for name, label in by_name if name.startswith(wanted)}
        if len(found) == 1:
            return list(found)

        # None, or several.
        if found:
            raise errors.UserError(
                f"--classes={part} matches {len(found)} classes: {self._list(sorted(found))}"
                "; give more of the name, the synset id or the number"
            )
        raise errors.UserError(f"--classes={part}: {self._near(wanted)}")

    def _near(self, wanted: str) -> str:
        """What an error says of a name that no class has."""
        # Find names that are alike, or contain it.
        by_name: dict[str, int] = {}
        for name, label in self._by_name():
            by_name.setdefault(name, label)
        alike = difflib.get_close_matches(wanted, by_name, _SIMILAR, _SIMILARITY)
        near = [by_name[name] for name in alike]
        near += [label for name, label in by_name.items() if wanted in name]
        near = list(dict.fromkeys(near))

        # Name them, or say what is expected.
        if near:
            return f"no such class; did you mean {self._list(near)}?"
        if not any(self.titles) and self.names == _numbers(len(self.names)):
            return (
                f"this model has no class names; expected numbers from 0 to {len(self.names) - 1}"
            )
        return "no such class; expected a number, a name or a synset id"

    def _list(self, labels: Sequence[int]) -> str:
        listed = "; ".join(self.full_text(label) for label in labels[:_LISTED])
        more = len(labels) - _LISTED
        return listed + (f" and {more} more" if more > 0 else "")

    def _by_name(self) -> list[tuple[str, int]]:
        """Every name of every class, as `_plain` has it, and its label."""
        found = []
        for label, (own, title) in enumerate(zip(self.names, self.titles)):
            for name in (own, *title.split(",")):
                if name.strip():
                    found.append((_plain(name), label))
        return found


def make(names: Optional[Sequence[str]], titles: Optional[Sequence[str]], *, count: int) -> Classes:
    """`Classes` from what is known; without names ImageNet's if there are as many, else numbers."""
    if not names:
        names = imagenet_synsets()
        if len(names) != count:
            names = _numbers(count)
    if not titles:
        titles = imagenet_titles(names) or [""] * len(names)
    return Classes(tuple(names), tuple(titles))


def write(run_dir: str, names: Sequence[str], *, titles: Optional[Sequence[str]]) -> None:
    """Writes `classes.json` of a run, whole or not at all.

    Raises:
      errors.UserError: the directory cannot be written.
    """
    content = {"names": list(names), "titles": titles and list(titles)}
    text = json.dumps(content, indent=0, ensure_ascii=False) + "\n"
    with files.writing(run_dir):
        files.write_whole(os.path.join(run_dir, FILENAME), text)


def read(run_dir: str, count: int) -> Classes:
    """The classes of a run of `count` classes.

    Of a run without `classes.json` (made by an older release, of records that say no names, or
    imported) they are ImageNet's if there are 1,000, and else numbers.

    Raises:
      errors.UserError: the file is damaged, or has another number of classes.
    """
    # Without the file they are known by their number.
    path = os.path.join(run_dir, FILENAME)
    if not tf.io.gfile.exists(path):
        return make(None, None, count=count)

    # Read it.
    try:
        with tf.io.gfile.GFile(path) as file:
            found = from_json(json.loads(file.read()))
        if len(found.names) != count:
            raise ValueError(f"{len(found.names)} names for {count} classes")
    except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"{path}: expected names and titles of {count} classes ({files.first_line(error)}); "
            "move the file away to use numbers"
        ) from error
    return found


def from_json(content: dict[str, Any]) -> Classes:
    """`Classes` from {"names": [...], "titles": [...] or None}."""
    names = content["names"]
    titles = content["titles"] or [""] * len(names)
    are_texts = all(isinstance(value, str) for value in (*names, *titles))
    if len(titles) != len(names) or not are_texts:
        raise ValueError(f"{len(names)} names and {len(titles)} titles")
    return Classes(tuple(names), tuple(titles))


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


@functools.cache
def _imagenet() -> dict[str, str]:
    """ImageNet's 1,000 synset ids, sorted, and their words."""
    file = importlib.resources.files("sagan_tf.data").joinpath("imagenet_names.txt")
    entries = [
        line.split(" ", 1)
        for line in file.read_text("utf-8").splitlines()
        if re.match(r"n\d{8} ", line)
    ]
    return dict(entries)


def imagenet_titles(class_names: Sequence[str]) -> Optional[tuple[str, ...]]:
    """Words for each synset id ("n01440764": "tench, Tinca tinca"), "" where it is not known.

    The words are WordNet 3.0's (`imagenet_names.txt`).

    Returns:
      One for each class, or None when no class is one of ImageNet's 1,000.
    """
    found = tuple(_imagenet().get(name, "") for name in class_names)
    return found if any(found) else None


def imagenet_synsets() -> tuple[str, ...]:
    """The synset ids of ImageNet's 1,000 classes, sorted: in the order of the labels."""
    return tuple(_imagenet())
