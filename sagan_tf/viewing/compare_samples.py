"""Sample grids of several runs with the same z and classes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sagan_tf import errors
from sagan_tf.config import CompareConfig, SampleConfig
from sagan_tf.images import grids
from sagan_tf.viewing import compare_groups, run_summary, sample, trained

# Grids beside each other: as many as a group has seeds, in these bounds.
_FEWEST_IN_ROW = 3
_MOST_IN_ROW = 5
# What decides z and the classes; of images of another size nothing is the same.
_SHARED = ("image_size", "number_classes", "z_dim")


class Grid(NamedTuple):
    """The samples of one run.

    Attributes:
      group: the row of the comparison.
      run: the run.
      caption: what the grid is of.
      pixels: uint8 [height, width, 3].
      drawn: how the images were made: weights, statistics and truncation.
    """

    group: compare_groups.Group
    run: run_summary.Run
    caption: str
    pixels: np.ndarray
    drawn: str


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
    for group in groups:
        for run in group.runs:
            # Load the generator.
            note(f"drawing samples of {run.directory}")
            try:
                network = trained.open_model(
                    run.directory, use_ema=config.use_ema, sampling=config.sampling, note=note
                )
            except errors.UserError as error:
                note(f"no samples of {run.directory}: {error}")
                continue

            # Draw them.
            caption = f"{run.name}, seed {run.train.seed}, step {network.card.step:,}"
            if network.card.model_config.note_on_classes:
                caption += "; its classes mean nothing (--conditioning=none)"
            pixels = sample.picture(network, request_of(config, network), sheet=True)
            found.append(Grid(group, run, caption, pixels, _drawn(network)))
    return found


def request_of(config: CompareConfig, network: trained.Trained) -> sample.SampleRequest:
    """The images of a grid: every class with every seed, a class a row.

    Raises:
      errors.UserError: the network does not have a class.
    """
    wanted = SampleConfig(
        run=network.source, classes=config.classes, seeds=config.seeds, sheet=True
    )
    return sample.make_request(wanted, network)


def _drawn(network: trained.Trained) -> str:
    """How the images were made, in words."""
    card = network.card
    weights = "moving average (EMA)" if card.use_ema else "last weights, without EMA"
    parts = [weights, card.sampling.statistics, card.sampling.z]
    return ", ".join(filter(None, parts))


def sentence(runs: Sequence[run_summary.Run], grid: Grid) -> str:
    """What the grids have in common, and what they do not."""
    # Say how they were made.
    drawn = f"The newest checkpoint of each run; {grid.drawn}."
    differing = []
    for name in _SHARED:
        values = dict.fromkeys(str(getattr(run.model, name)) for run in runs)
        if len(values) > 1:
            differing.append(f"{name} ({', '.join(values)})")

    # Say what the same place in two grids means.
    if differing:
        return (
            f"{drawn} The runs differ in {' and '.join(differing)}: the grids have the same seeds, "
            "but the same place in two grids is not the same z and class."
        )
    return f"{drawn} A class a row, a seed a column: the same place is the same z and class."


def picture(found: Sequence[Grid], runs: Sequence[run_summary.Run]) -> np.ndarray:
    """All grids in one picture, the seeds of a group side by side; uint8 [height, width, 3].

    Args:
      found: the grids, at least one.
      runs: all runs.
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
    return grids.titled(grids.tiled(rows), [sentence(runs, found[0])])
