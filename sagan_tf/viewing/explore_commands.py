"""Commands as configs, from what a page asks for, and as lines that a shell takes."""

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any, TypeVar

from sagan_tf import config, errors
from sagan_tf.config import help_text

_Kind = TypeVar("_Kind")
# Characters of a text; to read millions would take the page's time from everybody.
_LONGEST = 20_000
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def read(kind: type[_Kind], fields: Mapping[str, Any], **known: Any) -> _Kind:
    """A config from what a page has sent; fields that the config does not have are left out.

    Args:
      kind: a config dataclass.
      fields: values as JSON has them.
      **known: what the page does not decide, by field.
    Raises:
      errors.UserError: a value is of another type, or fails its check.
    """
    values = dict(known)
    for field in dataclasses.fields(kind):
        if field.name in fields and field.name not in known:
            wanted = help_text.value_type(kind, field.name)
            values[field.name] = _converted(field.name, fields[field.name], wanted)
    return kind(**values)


def _converted(name: str, value: Any, wanted: type) -> Any:
    """A value of JSON as a type; whole numbers are also numbers."""
    fits = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
    if wanted is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits:
        raise errors.UserError(f"--{name}={value}: expected {_WORDS[wanted]}")
    if isinstance(value, str) and len(value) > _LONGEST:
        raise errors.UserError(
            f"--{name}={value[:20]}...: expected at most {_LONGEST} characters, not {len(value)}"
        )

    # JSON has numbers that are too large for a float.
    try:
        return wanted(value)
    except OverflowError as error:
        raise errors.UserError(f"--{name}: expected a number that is not so large") from error


def sampling(started: config.ExploreConfig, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of truncation and statistics that a page asks for.

    The number of batches and their seed are those that the command was started with, where
    statistics are gathered at all.
    """
    asked = read(
        config.TruncationConfig,
        {name: fields[name] for name in ("truncation", "standing_statistics") if name in fields},
    )
    values = dataclasses.asdict(asked)
    if asked.truncation or asked.standing_statistics:
        values["standing_batches"] = started.standing_batches
        values["standing_seed"] = started.standing_seed
    return values


def replaced(request: _Kind, **values: Any) -> _Kind:
    """The same config with other values; raises `errors.UserError` where they fail its check."""
    return dataclasses.replace(request, **values)


def line(command: str, request: Any) -> str:
    """The command line that makes a config: its run, and each flag that is not the default.

    Args:
      command: its name, as in "sample".
      request: a config with the field `run`.
    """
    return shlex.join(["sagan", command, request.run, *changed_flags(request)])


def changed_flags(request: Any) -> list[str]:
    """A flag for each field of a config that is not the default, but for what names the run."""
    words = []
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if field.name in ("run", "runs") or value == field.default:
            continue

        # A switch is its name alone.
        if isinstance(value, bool):
            words.append(f"--{field.name}" if value else f"--no{field.name}")
        else:
            words.append(f"--{field.name}={value}")
    return words
