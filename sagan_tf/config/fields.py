"""Fields of a config dataclass, and the checks that several configs share."""

import dataclasses
import os
from typing import Any, Optional

from sagan_tf import errors

SEEDS = 2**32  # Seeds that there are, from 0 on.
_INFINITE = float("inf")


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The range of a number.

    Attributes:
      minimum: the smallest value; every value is finite.
      maximum: the largest value.
      above: every value is larger than this, and finite.
      below: every value is smaller than this.
      words: the range in words, where the usual ones do not fit.
    """

    minimum: Optional[float] = None
    maximum: Optional[float] = None
    above: Optional[float] = None
    below: Optional[float] = None
    words: str = ""

    def hold(self, value: float) -> bool:
        """Whether a number lies in the range; NaN lies in none that has a bound."""
        return (
            (self.minimum is None or self.minimum <= value < _INFINITE)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or self.above < value < _INFINITE)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.words:
            return self.words
        if self.above is not None:
            return f"a number above {self.above}"
        if self.below is not None:
            return f"a number from {self.minimum} up to, not including, {self.below}"
        if self.maximum is not None:
            return f"a number from {self.minimum} to {self.maximum}"
        return f"{self.minimum} or more"


def option(
    default: Any,
    text: str,
    *,
    choices: Optional[tuple] = None,
    required: str = "",
    minimum: Optional[float] = None,
    maximum: Optional[float] = None,
    above: Optional[float] = None,
    below: Optional[float] = None,
    expected: str = "",
    group: str = "",
    meaning: str = "",
    reference: str = "",
) -> Any:
    """A field of a config, with all that `check` and the help text need to know about it.

    Args:
      default: the value of a flag that is not given.
      text: the help of the flag.
      choices: the values that it may have, where there are few.
      required: what the field must name; without it the field may be empty.
      minimum: see `Bounds`, as for the next three.
      maximum: a bound.
      above: a bound.
      below: a bound.
      expected: the bounds in words, where the usual ones do not fit.
      group: the heading that the help lists the flag under (`help_text.GROUPS`).
      meaning: what the default stands for, where its value does not say so.
      reference: file and line of the reference that have the same default.
    """
    bounds = Bounds(minimum=minimum, maximum=maximum, above=above, below=below, words=expected)
    return dataclasses.field(
        default=default,
        metadata={
            "help": text,
            "choices": choices,
            "required": required,
            "bounds": None if bounds == Bounds() else bounds,
            "group": group,
            "meaning": meaning,
            "reference": reference,
        },
    )


def check(config: Any) -> None:
    """Checks each field by itself: that it is there, its choices and its bounds.

    Raises:
      errors.UserError: the first field that does not fit; None always fits.
    """
    for field in dataclasses.fields(config):
        # Pass over what is not set.
        value = getattr(config, field.name)
        if value is None:
            continue

        # It is there.
        if required := field.metadata["required"]:
            require(bool(value), field.name, value=value or "", expected=required)

        # It is one of the choices.
        if choices := field.metadata["choices"]:
            expected = "one of " + ", ".join(str(choice) for choice in choices)
            require(value in choices, field.name, value=value, expected=expected)

        # It is within its bounds.
        if bounds := field.metadata["bounds"]:
            require(bounds.hold(value), field.name, value=value, expected=str(bounds))


def require(condition: bool, name: str, *, value: Any, expected: str) -> None:
    """Raises `errors.UserError` about the flag `name`, its value and what would be right."""
    if not condition:
        raise errors.UserError(f"--{name}={value}: expected {expected}")


def require_field(config: Any, name: str, *, holds: bool, expected: str) -> None:
    """Raises `errors.UserError` about a field of a config unless its rule holds."""
    require(holds, name, value=getattr(config, name), expected=expected)


def require_all(config: Any, *rules: tuple[str, bool, str]) -> None:
    """Raises `errors.UserError` about the first rule that does not hold.

    Args:
      config: the config.
      *rules: name of the field to blame, whether the rule holds, and what the field should be.
    """
    for name, holds, expected in rules:
        require_field(config, name, holds=holds, expected=expected)


def names_of(text: str) -> list[str]:
    """Names with commas between them, and spaces where somebody likes them; "" is one name, ""."""
    return [name.strip() for name in text.split(",")]


def numbers_of(flag: str, text: str, *, limit: int) -> list[int]:
    """Numbers in a text such as "3,10-19", in order, each once.

    Args:
      flag: the flag that has the text.
      text: numbers, and first and last ones with "-", with commas between them.
      limit: how many there may be.
    Raises:
      errors.UserError: it is no such text.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        # Read one number, or the first and the last of several.
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        fits = all(number.isdecimal() and len(number) <= 18 for number in (first, last))
        require(
            fits and int(first) <= int(last),
            flag,
            value=text,
            expected="numbers of up to 18 digits, with commas between them, as in 3,10-19",
        )

        # Count them before they are made.
        count = len(found) + int(last) - int(first) + 1
        require(count <= limit, flag, value=text, expected=f"at most {limit} numbers")
        found.update(dict.fromkeys(range(int(first), int(last) + 1)))
    return list(found)


def run_directory(checkpoint_dir: str, batch_size: int, run_name: Optional[str] = None) -> str:
    """`<checkpoint_dir>/<run_name>`; without a name the reference's, imagenet_<batch_size>."""
    name = f"imagenet_{batch_size}" if run_name is None else run_name
    return os.path.join(checkpoint_dir, name)


def run_name_rule(name: Optional[str]) -> tuple[str, bool, str]:
    """The rule for --run_name, as `require_all` takes it."""
    is_name = name is None or (bool(name.strip()) and not set(name) & {"/", "\\", "\0"})
    is_free = name is None or (name != "eval" and not name.startswith("."))
    return (
        "run_name",
        is_name and is_free,
        'the name of a directory: not empty, without slashes, without a dot in front, not "eval"',
    )


def difference(stored: Any, given: Any) -> list[str]:
    """One phrase for each field in which two configs of the same class differ."""
    return [
        f"{field.name}: {getattr(stored, field.name)} there, {getattr(given, field.name)} here"
        for field in dataclasses.fields(stored)
        if getattr(stored, field.name) != getattr(given, field.name)
    ]
