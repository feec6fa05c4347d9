"""Fields of a config dataclass, and the checks that several configs share."""

import dataclasses
import os
from typing import Any, Optional

from sagan_tf import errors


def option(default: Any, text: str, *, choices: Optional[tuple] = None) -> Any:
    """A field of a config: its default, its help, and, where there are few, its values."""
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


def require(condition: bool, name: str, *, value: Any, expected: str) -> None:
    if not condition:
        raise errors.UserError(f"--{name}={value}: expected {expected}")


def require_positive(config: Any, *names: str) -> None:
    """Raises `UserError` unless each of these fields is above 0 and finite."""
    for name in names:
        value = getattr(config, name)
        require(0 < value < float("inf"), name, value=value, expected="a number above 0")


def require_not_negative(config: Any, *names: str) -> None:
    for name in names:
        require(getattr(config, name) >= 0, name, value=getattr(config, name), expected="0 or more")


def require_seed(config: Any) -> None:
    require(
        0 <= config.seed < 2**32,
        "seed",
        value=config.seed,
        expected="a number from 0 to 4294967295",
    )


def require_choices(config: Any) -> None:
    """Raises `UserError` unless each field has one of its values."""
    for field in dataclasses.fields(config):
        choices, value = field.metadata.get("choices"), getattr(config, field.name)
        if choices and value is not None:
            require(
                value in choices,
                field.name,
                value=value,
                expected="one of " + ", ".join(str(c) for c in choices),
            )


def numbers_of(flag: str, text: str, *, limit: int) -> list[int]:
    """Numbers in a text such as "3,10-19", in order, each once.

    Args:
      flag: the flag that has the text.
      text: numbers, and first and last ones with "-", with commas between them.
      limit: how many there may be.
    Raises:
      UserError: it is no such text.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        fits = all(number.isdecimal() and len(number) <= 18 for number in (first, last))
        require(
            fits and int(first) <= int(last),
            flag,
            value=text,
            expected="numbers of up to 18 digits, with commas between them, as in 3,10-19",
        )
        require(
            len(found) + int(last) - int(first) < limit,
            flag,
            value=text,
            expected=f"at most {limit} numbers",
        )
        found.update(dict.fromkeys(range(int(first), int(last) + 1)))
    return list(found)


def run_directory(checkpoint_dir: str, batch_size: int) -> str:
    """`<checkpoint_dir>/imagenet_<batch_size>`, the reference's name for a run."""
    return os.path.join(checkpoint_dir, f"imagenet_{batch_size}")


def difference(stored: Any, asked: Any) -> list[str]:
    """One phrase for each field in which two configs of the same class differ."""
    return [
        f"{field.name}: {getattr(stored, field.name)} there, {getattr(asked, field.name)} here"
        for field in dataclasses.fields(stored)
        if getattr(stored, field.name) != getattr(asked, field.name)
    ]
