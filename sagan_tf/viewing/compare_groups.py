"""Rows of a comparison: runs that learn by the same settings and differ in the seed only."""

import dataclasses
import difflib
import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sagan_tf import errors, plurals
from sagan_tf.training import real_variety
from sagan_tf.viewing import run_summary

SEED = "seed"
# What config.json says without deciding what a run learns: names, machines, logs and files. Numbers
# may differ by rounding where these do.
UNDECIDING = frozenset(
    {
        "shuffle_memory_mb",
        "data_parallelism",
        "checkpoint_dir",
        "run_name",
        "strategy",
        "num_devices",
        "worker_timeout",
        "accumulate",
        "jit_compile",
        "optimizations",
        "deterministic",
        "graph_optimizer",
        "threads_per_op",
        "use_ema",
        "steps_per_loop",
        "save_summaries_steps",
        "save_checkpoint_secs",
        "sample_every",
        "attention_every",
        "keep_checkpoints",
        "summary_dir",
        "on_nonfinite",
        "max_rollbacks",
        "health_every",
    }
)
_LONGEST = 48  # letters of a name that stands in tables and legends
_NUMBERED = "row "


class Group(NamedTuple):
    """Runs of the same settings.

    Attributes:
      label: the settings in which groups differ, or the runs' name where nothing differs.
      name: the label; where labels are long, what the runs' names have in common; "row 1" and so
        on where that does not tell groups apart.
      runs: in the order given.
    """

    label: str
    name: str
    runs: list[run_summary.Run]

    @property
    def full_label(self) -> str:
        """The label, after the name where that is another."""
        return self.label if self.name == self.label else f"{self.name}: {self.label}"

    @property
    def legend(self) -> str:
        """The name, and what a number stands for."""
        return self.full_label if self.name.startswith(_NUMBERED) else self.name

    @property
    def count(self) -> str:
        """How many there are, as in "3 seeds"."""
        seeds = {run.train.seed for run in self.runs}
        if len(seeds) == len(self.runs):
            return plurals.counted(len(seeds), "seed")
        return f"{len(self.runs)} runs of {plurals.counted(len(seeds), 'seed')}"


class Grouping(NamedTuple):
    """All runs of a comparison in groups.

    Attributes:
      groups: in the order of their first runs.
      differing: settings that decide and differ between runs -> a value for each group, as text.
      mixed: settings that decide and differ inside a group, which `--by` has put together.
      others: settings that differ and do not decide.
      by: the settings that the user has chosen; () where all that decide count.
    """

    groups: list[Group]
    differing: dict[str, list[str]]
    mixed: list[str]
    others: list[str]
    by: tuple[str, ...] = ()


def group(runs: Sequence[run_summary.Run], by: Sequence[str] = ()) -> Grouping:
    """Puts runs that learn by the same settings together.

    Args:
      runs: at least one.
      by: the settings that tell groups apart; none: all that decide, but the seed.
    Raises:
      errors.UserError: there is no such setting.
    """
    # Find what differs.
    settings = settings_of(runs)
    _require_names(by, settings[0])
    differing = [name for name in settings[0] if _differs(name, settings)]
    deciding = [name for name in differing if name not in UNDECIDING and name != SEED]

    # Put runs with the same settings together.
    names = list(by) or deciding
    members: dict[tuple[str, ...], list[int]] = {}
    for number, one in enumerate(settings):
        key = tuple(value_text(one[name]) for name in names)
        members.setdefault(key, []).append(number)

    # Name the groups.
    labels = [_label(names, key) or _plain_name(runs[of[0]]) for key, of in members.items()]
    of_groups = [[runs[one] for one in of] for of in members.values()]
    groups = [Group(*one) for one in zip(labels, names_of_groups(of_groups, labels), of_groups)]

    # Say what differs between them and inside.
    inside = [[settings[one] for one in of] for of in members.values()]
    shown = list(dict.fromkeys((*by, *deciding)))
    return Grouping(
        groups,
        differing={name: [_values_text(name, some) for some in inside] for name in shown},
        mixed=[name for name in deciding if any(_differs(name, some) for some in inside)],
        others=[name for name in differing if name in UNDECIDING],
        by=tuple(by),
    )


def settings_of(runs: Sequence[run_summary.Run]) -> list[dict[str, Any]]:
    """All settings of each run by name; the same images have one `data_dir`, wherever they lie."""
    directories: dict[Any, str] = {}
    found = []
    for run in runs:
        # Take the fields of all sections.
        settings: dict[str, Any] = {}
        for section in (run.model, run.data, run.train):
            settings.update(dataclasses.asdict(section))

        # Name the images by the first run that has them.
        directory = settings["data_dir"]
        images = real_variety.data_of(run.directory) or directory
        settings["data_dir"] = directories.setdefault(images, directory)
        found.append(settings)
    return found


def value_text(value: Any) -> str:
    """A value as a flag has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _differs(name: str, settings: Sequence[dict[str, Any]]) -> bool:
    return any(one[name] != settings[0][name] for one in settings)


def _values_text(name: str, settings: Sequence[dict[str, Any]]) -> str:
    """The values of a setting in one group, each once."""
    values = dict.fromkeys(value_text(one[name]) for one in settings)
    return ", ".join(values)


def _label(names: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(names, values))


def _plain_name(run: run_summary.Run) -> str:
    """The name of a run without what says its seed: "fin/run" of "fin_s1/run" with seed 1."""
    before = r"(?:[-_.]?seed|(?:[-_.]|(?<=/)|^)s)"
    ending = rf"{before}[-_=]?0*{run.train.seed}(?=/|$)"
    return re.sub(ending, "", run.name) or run.name


def names_of_groups(
    groups: Sequence[Sequence[run_summary.Run]], labels: Sequence[str]
) -> list[str]:
    """A name for each group: its label. Where labels are long, the words that its runs' names begin
    with, without those that the names of all groups begin with; "row 1" and so on where these do
    not tell groups apart.

    Args:
      groups: the runs of each.
      labels: of each.
    """
    # Take short labels.
    if all(len(label) <= _LONGEST for label in labels):
        return list(labels)

    # Find what all names begin with. A rest that begins with a digit may be a part of a number.
    plain = [[_plain_name(run) for run in runs] for runs in groups]
    beginning = _first_words([name for names in plain for name in names])
    rests = [name[len(beginning) :] for names in plain for name in names]
    if len(groups) == 1 or any(rest[:1].isdigit() for rest in rests):
        beginning = beginning[: beginning.rfind("/") + 1]

    # Take what the names of a group's runs have in common after it.
    found = []
    for names in plain:
        own = list(dict.fromkeys(name[len(beginning) :] for name in names))
        found.append(own[0] if len(own) == 1 else _first_words(own).rstrip("-_./"))

    # Number the groups where names do not help.
    fit = all(0 < len(name) <= _LONGEST for name in found)
    if not fit or len(set(found)) < len(found):
        return [f"{_NUMBERED}{number + 1}" for number in range(len(groups))]
    return found


def _first_words(names: Sequence[str]) -> str:
    """The whole words that all names begin with, up to the sign after them."""
    words = [re.findall("[^-_./]*[-_./]", name) for name in names]
    shared = itertools.takewhile(lambda ones: len(set(ones)) == 1, zip(*words))
    return "".join(first for first, *_ in shared)


def _require_names(names: Sequence[str], settings: dict[str, Any]) -> None:
    """Raises `errors.UserError` about the first name that is no setting."""
    for name in names:
        if name not in settings:
            near = difflib.get_close_matches(name, settings, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise errors.UserError(
                f"--by={name}: expected settings that config.json of a run names{hint}"
            )
