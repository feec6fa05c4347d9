"""Help of a command: what it does, an example, and its flags by task with their defaults."""

import dataclasses
import textwrap
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import sagan_tf

WIDTH = 80
# The headings of flags, in the order in which a help text has them.
GROUPS = (
    "Measurement",
    "Import",
    "Conversion",
    "Run",
    "Model",
    "Pictures",
    "Records",
    "Data",
    "Networks",
    "Batch and devices",
    "Losses and optimizers",
    "Augmentation",
    "Generated images",
    "Images",
    "Truncation",
    "Real images",
    "Classifier",
    "Scores",
    "Several checkpoints",
    "Devices",
    "Interpolation",
    "Nearest training images",
    "Queries",
    "Logs, samples and checkpoints",
    "Speed and memory",
    "Faults and health",
    "Checks",
    "Output",
    "Page",
    "Model card",
)
_OTHERS = "Other flags"
_HELP_WORDS = ("-h", "-?", "--help", "-help", "--helpshort")
_VERSION_WORDS = ("--version",)
_GENERAL = (
    ("--flagfile=FILE", "Reads flags from a file, one a line. A flag that comes later wins."),
    ("-h, --help", "Shows this text and leaves."),
    ("--version", "Shows the version and leaves."),
    ("--helpfull", "Shows the flags of all libraries too, in absl's own layout."),
)


@dataclasses.dataclass(frozen=True)
class Command:
    """What a command does and which flags it has.

    Attributes:
      about: a paragraph; its first sentence stands in the list of all commands.
      example: what follows the command's name in an example.
      kinds: the config classes whose fields are its flags.
      argument: the flag that a word without a flag stands for, as in `sample DIRECTORY`; of a
        flag that takes several values, each word is one.
    """

    about: str
    example: str
    kinds: tuple[type, ...]
    argument: str = ""

    @property
    def summary(self) -> str:
        """The first sentence about the command."""
        return self.about.partition(". ")[0].rstrip(".") + "."

    @property
    def takes_several(self) -> bool:
        """Whether the flag `argument` takes several values."""
        owners = [kind for kind, field in _fields(self) if field.name == self.argument]
        return any(is_repeated(kind, self.argument) for kind in owners)


def answer(command: Command, program: str, *, words: Sequence[str]) -> str:
    """What -h or --version is answered with; empty where neither was given.

    Args:
      command: the command.
      program: how the user has called it.
      words: the words after that.
    """
    if wants_help(words):
        return text(command, program)
    return version() if wants_version(words) else ""


def wants_help(words: Sequence[str]) -> bool:
    """Whether one of the words asks for help."""
    return any(word in _HELP_WORDS for word in words)


def wants_version(words: Sequence[str]) -> bool:
    """Whether one of the words asks for the version."""
    return any(word in _VERSION_WORDS for word in words)


def version() -> str:
    """Name and version of the project."""
    return f"sagan-tf {sagan_tf.__version__}"


def text(command: Command, program: str) -> str:
    """The whole help of a command.

    Args:
      command: the command.
      program: how the user calls it.
    """
    # Say how it is called, what it does, and give an example.
    more = " ..." if command.takes_several else ""
    word = f" [{command.argument.upper()}{more}]" if command.argument else ""
    lines = [
        f"usage: {program}{word} [--flag=value ...]",
        "",
        *textwrap.wrap(command.about, WIDTH),
        "",
        "Example:",
        f"  {program} {command.example}".rstrip(),
    ]

    # List the flags under their headings.
    for heading, fields in _by_group(command).items():
        lines += ["", f"{heading}:"]
        for field, kind in fields:
            usage = _usage(field, kind)
            if field.name == command.argument:
                several = command.takes_several
                themselves = "by themselves" if several else "by itself"
                usage += f", or {field.name.upper()} {themselves}"
            lines += _paragraph(usage, _sentences(field))

    # Say what all commands have.
    lines += ["", "General:"]
    for usage, sentence in _GENERAL:
        lines += _paragraph(usage, [sentence])
    if any(field.metadata["reference"] for _, field in _fields(command)):
        lines += ["", "A default that names no source is this project's own."]
    return "\n".join(lines)


def _fields(command: Command) -> Iterator[tuple[type, dataclasses.Field]]:
    """The fields of all config classes, each with its class."""
    for kind in command.kinds:
        for field in dataclasses.fields(kind):
            yield kind, field


def _by_group(command: Command) -> dict[str, list[tuple[dataclasses.Field, type]]]:
    """The fields with the types of their values, by heading, in the order of `GROUPS`."""
    # Sort the fields.
    found: dict[str, list] = {}
    for kind, field in _fields(command):
        heading = field.metadata["group"] or _OTHERS
        found.setdefault(heading, []).append((field, value_type(kind, field.name)))

    # Sort the headings; what has none comes last.
    headings = sorted(found, key=(*GROUPS, _OTHERS).index)
    return {heading: found[heading] for heading in headings}


def value_type(kind: type, name: str) -> type:
    """The type of a field's values: int of Optional[int]."""
    hint = typing.get_type_hints(kind)[name]
    types = [one for one in typing.get_args(hint) if one is not type(None)]
    return types[0] if types else hint


def is_repeated(kind: type, name: str) -> bool:
    """Whether a field takes several values, a flag for each: a tuple."""
    return typing.get_origin(typing.get_type_hints(kind)[name]) is tuple


def _usage(field: dataclasses.Field, kind: type) -> str:
    """How a flag is written: `--name=N`."""
    if kind is bool:
        return f"--[no]{field.name}"
    if choices := field.metadata["choices"]:
        usage = f"--{field.name}=" + "|".join(str(choice) for choice in choices)
        if len(usage) < WIDTH - 2:
            return usage
    names = {int: "N", float: "X"}
    ending = "DIR" if field.name.endswith("_dir") else "TEXT"
    return f"--{field.name}={names.get(kind, ending)}"


def _sentences(field: dataclasses.Field) -> list[str]:
    """What a flag does, in paragraphs, and its default."""
    paragraphs = field.metadata["help"].split("\n")
    return [*paragraphs, "Required." if field.metadata["required"] else _default(field)]


def _default(field: dataclasses.Field) -> str:
    """The default of a flag, what it stands for and where it comes from."""
    # Say the value, unless what it stands for says all.
    value = _value(field.default)
    meaning = field.metadata["meaning"]
    if meaning:
        value = f"{value} ({meaning})" if value else meaning

    # Say where it comes from.
    if source := field.metadata["reference"]:
        value += f", as in the reference's {source}"
    return f"Default: {value or 'none'}."


def _value(default: Any) -> str:
    """A default as it is written on a command line; empty where there is none."""
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)


def _paragraph(usage: str, sentences: Sequence[str]) -> list[str]:
    """The lines of one flag."""
    indent = " " * 6
    lines = [f"  {usage}"]
    for sentence in sentences:
        lines += textwrap.wrap(
            sentence,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
            break_long_words=False,
        )
    return lines
