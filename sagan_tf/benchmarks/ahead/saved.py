"""A program in a file: StableHLO, with a line in front that says what its arguments are.

Standard library only: a machine with JAX and without TensorFlow reads it.
"""

import dataclasses
import json
import os
from typing import Any, NamedTuple

from sagan_tf import errors

_MARK = "// sagan-tf program: "


class Argument(NamedTuple):
    """One argument of a program, and how numbers like ours are drawn.

    Attributes:
      name: of the state, or "images", "labels", "z".
      dtype: as NumPy names it.
      shape: its sides.
      below: integers are uniform from 0 up to this; 0: they are `mean`.
      mean, deviation: floats are normal.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    below: int
    mean: float
    deviation: float


@dataclasses.dataclass(frozen=True)
class Program:
    """StableHLO, and what it takes.

    Attributes:
      text: the module.
      arguments: in order.
      fed_back: number of a result -> number of the argument that it replaces.
      predicted: what is known before it runs: the settings, and a roofline for each device.
    """

    text: str
    arguments: list[Argument]
    fed_back: dict[int, int]
    predicted: dict[str, Any] = dataclasses.field(default_factory=dict)


def write(path: str, program: Program) -> None:
    """Writes a program.

    Raises:
      errors.UserError: the file cannot be written.
    """
    header = {
        "arguments": program.arguments,
        "fed_back": program.fed_back,
        "predicted": program.predicted,
    }
    write_text(path, f"{_MARK}{json.dumps(header)}\n{program.text}", flag="save")


def write_text(path: str, text: str, *, flag: str) -> None:
    """Writes a file that a flag names.

    Raises:
      errors.UserError: the file cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(path, flag, error) from error


def require_writable(path: str, *, flag: str) -> None:
    """Finds out whether `write_text` can write a file, before its content is there.

    Raises:
      errors.UserError: it cannot.
    """
    is_new = not os.path.exists(path)
    try:
        with open(path, "a", encoding="utf-8"):
            pass
        if is_new:
            os.remove(path)
    except OSError as error:
        raise _unwritable(path, flag, error) from error


def _unwritable(path: str, flag: str, error: OSError) -> errors.UserError:
    reason = error.strerror
    return errors.UserError(f"--{flag}={path}: cannot be written ({reason}); name another file")


def read(path: str) -> Program:
    """Reads a program.

    Raises:
      errors.UserError: it cannot be read, or `write` did not write it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            first = file.readline()
            text = file.read()
        found = json.loads(first.removeprefix(_MARK))
        return Program(
            text=text,
            arguments=[Argument(*one) for one in found["arguments"]],
            fed_back={int(result): number for result, number in found["fed_back"].items()},
            predicted=dict(found["predicted"]),
        )
    except OSError as error:
        reason = error.strerror
    except (ValueError, KeyError, TypeError):
        reason = "it has no line of ours in front"
    raise errors.UserError(
        f"--run={path}: cannot be read ({reason}); expected a file of compile_ahead --save"
    )
