"""Sample grids of several runs with the same z and classes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.config import CompareConfig, SampleConfig, Sampling
from sagan_tf.data import class_names
from sagan_tf.images import grids
from sagan_tf.runs.card import Card
from sagan_tf.viewing import compare_groups, explore_commands, run_summary, sample, trained

# Grids beside each other: as many as a group has seeds, in these bounds.
_FEWEST_IN_ROW = 3
_MOST_IN_ROW = 5
# What decides z and the classes; of images of another size nothing is the same.
_SHARED = ("image_size", "number_classes", "z_dim")
# What decides how images are drawn; the size of a batch goes with the run.
_DRAWN = ("truncation", "batches", "seed")


class Grid(NamedTuple):
    """The samples of one run.

    Attributes:
      group: the row of the comparison.
      run: the run.
      caption: what the grid is of.
      pixels: uint8 [height, width, 3].
      card: of the generator that made it.
    """

    group: compare_groups.Group
    run: run_summary.Run
    caption: str
    pixels: np.ndarray
    card: Card


def require_average(config: CompareConfig, runs: Sequence[run_summary.Run]) -> None:
    """Raises `errors.UserError` where `--use_ema` is on and a run has no moving average."""
    for run in runs:
        if config.use_ema and not run.train.ema_decay:
            raise errors.UserError(
                f"--use_ema: {run.directory} has kept no moving average (its --ema_decay is 0); "
                "leave the flag out, or this run"
            )


def draw(
    config: CompareConfig,
    groups: Sequence[compare_groups.Group],
    *,
    note: Callable[[str], None],
) -> list[Grid]:
    """A grid of each run's newest checkpoint; a run that has none is noted and left out.

    Raises:
      errors.UserError: a run does not have a class that is asked for.
    """
    found = []
    note_once = _once(note)
    for group in groups:
        for run in group.runs:
            # Load the generator.
            note(f"drawing samples of {run.directory}")
            try:
                network = trained.open_model(
                    run.directory, use_ema=config.use_ema, sampling=config.sampling, note=note_once
                )
            except errors.UserError as error:
                note(f"no samples of {run.directory}: {error}")
                continue

            # Draw them.
            caption = f"{run.name}, seed {run.train.seed}, step {network.card.step:,}"
            if network.card.model_config.note_on_classes:
                caption += "; its classes mean nothing (--conditioning=none)"
            pixels = sample.picture(network, request_of(config, network), sheet=True)
            found.append(Grid(group, run, caption, pixels, network.card))
    return found


def _once(note: Callable[[str], None]) -> Callable[[str], None]:
    """The same, told each line once: what holds for many runs need not be said for each."""
    said: set[str] = set()

    def told(line: str) -> None:
        if line not in said:
            note(line)
        said.add(line)

    return told


def request_of(config: CompareConfig, network: trained.Trained) -> sample.SampleRequest:
    """The images of a grid: every class with every seed, a class a row.

    Raises:
      errors.UserError: the network does not have a class.
    """
    wanted = SampleConfig(
        run=network.source, classes=config.classes, seeds=config.seeds, sheet=True
    )
    return sample.make_request(wanted, network)


def _made_with(use_ema: bool, statistics: str, z: str) -> str:
    """Weights, statistics and truncation in words."""
    weights = "moving average (EMA)" if use_ema else "last weights, without EMA"
    return ", ".join(filter(None, (weights, statistics, z)))


def scored_otherwise(grid: Grid, record: Optional[Mapping[str, Any]]) -> str:
    """What the scores are of, where that is other weights or statistics than a grid's; else empty.

    Args:
      grid: the samples.
      record: of the protocol of the scores; None without any.
    """
    # Scores of older releases do not say it.
    if record is None or not isinstance(record.get("sampling"), Mapping):
        return ""

    # Find what the scores are of.
    use_ema = bool(record.get("ema"))
    values = {name: record["sampling"].get(name, 0) for name in _DRAWN}
    scored = Sampling(**values)
    drawn = dataclasses.replace(grid.card.sampling, batch_size=0)
    if (use_ema, scored) == (grid.card.use_ema, drawn):
        return ""

    # Name it, and the flags that draw it.
    statistics = "standing statistics" if scored.batches else "moving statistics"
    words = _made_with(use_ema, statistics, scored.z)
    asked = CompareConfig(runs=(grid.run.directory,), use_ema=use_ema, **scored.flags)
    flags = " ".join(explore_commands.changed_flags(asked)) or "no flag"
    return f"the scores are of others: {words}. Compare with {flags} to see those."


def sentence(
    runs: Sequence[run_summary.Run], grid: Grid, record: Optional[Mapping[str, Any]]
) -> str:
    """What the grids have in common, and what they do not.

    Args:
      runs: all runs.
      grid: one of the grids.
      record: of the protocol of the scores; None without any.
    """
    # Say how they were made.
    sampling = grid.card.sampling
    how = _made_with(grid.card.use_ema, sampling.statistics, sampling.z)
    drawn = f"The newest checkpoint of each run; {how}."
    if otherwise := scored_otherwise(grid, record):
        drawn += f" But {otherwise}"
    differing = []
    for name in _SHARED:
        values = dict.fromkeys(str(getattr(run.model, name)) for run in runs)
        if len(values) > 1:
            differing.append(f"{name} ({', '.join(values)})")
    counts = {run.model.number_classes for run in runs}
    classes = {tuple(_class_names(run)) for run in runs}
    if len(classes) > len(counts):
        differing.append("the names of their classes")

    # Say what the same place in two grids means.
    if differing:
        return (
            f"{drawn} The runs differ in {' and '.join(differing)}: the grids have the same seeds, "
            "but the same place in two grids is not the same z and class."
        )
    return f"{drawn} A class a row, a seed a column: the same place is the same z and class."


def _class_names(run: run_summary.Run) -> Sequence[str]:
    """The names of a run's classes."""
    return class_names.read(run.directory, run.model.number_classes).names


def picture(
    found: Sequence[Grid],
    runs: Sequence[run_summary.Run],
    record: Optional[Mapping[str, Any]],
) -> np.ndarray:
    """All grids in one picture, the seeds of a group side by side; uint8 [height, width, 3].

    Args:
      found: the grids, at least one.
      runs: all runs.
      record: of the protocol of the scores; None without any.
    """
    # Put names above the grids.
    titled: dict[str, list[np.ndarray]] = {}
    for grid in found:
        named = grids.titled(grid.pixels, [grid.group.legend, grid.caption])
        titled.setdefault(grid.group.label, []).append(named)

    # Lay them out; a group begins a row where the row before has no room for all of it.
    columns = int(np.clip(max(map(len, titled.values())), _FEWEST_IN_ROW, _MOST_IN_ROW))
    rows: list[list[np.ndarray]] = [[]]
    for pictures in titled.values():
        if rows[-1] and len(rows[-1]) + len(pictures) > columns:
            rows.append([])
        for one in pictures:
            if len(rows[-1]) == columns:
                rows.append([])
            rows[-1].append(one)
    return grids.titled(grids.tiled(rows), [sentence(runs, found[0], record)])
