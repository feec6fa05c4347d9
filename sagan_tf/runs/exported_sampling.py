"""Truncation and statistics of an exported model: what it has, and what flags ask of it."""

import dataclasses
from collections.abc import Callable

from sagan_tf import config, errors
from sagan_tf.runs.card import Card


def fitting(card: Card, asked: config.Sampling, *, path: str, note: Callable[[str], None]) -> Card:
    """The card of an exported model with the truncation that its z are drawn with.

    Statistics are in the model for good, and a model that was exported for truncated z takes no
    other truncation. One that was exported without takes none if it has standing statistics. If it
    has moving ones, it takes any where the flags ask for those (`--standing_batches=0`).

    Args:
      card: of the model.
      asked: by the flags.
      path: of the model.
      note: told where the model's own truncation and statistics do not fit together.
    Raises:
      errors.UserError: the flags ask for what the model does not have.
    """
    has = card.sampling
    _check_statistics(has, asked, path=path)
    if not asked.truncation:
        return card

    # Refuse another truncation.
    flag = f"--truncation={asked.truncation:g}"
    if has.truncation not in (0, asked.truncation):
        raise errors.UserError(
            f"{flag}: {path} was exported for z truncated at {has.truncation:g}; export the run "
            f"again with {flag}"
        )

    # Refuse statistics that do not fit, unless they are moving ones and asked for.
    fault = f"{flag}: batch norm's statistics in {path} are those of z that are not truncated"
    remedy = f"leave the flag out, or export the run again with {flag}"
    if not has.batches:
        remedy += ", or give --standing_batches=0 to draw with its moving statistics"
    if asked.batches and not has.truncation:
        raise errors.UserError(f"{fault}, and would spoil the images; {remedy}")
    if asked.batches and not has.batches:
        note(f"{fault}; {remedy}")
    truncated = dataclasses.replace(has, truncation=asked.truncation)
    return dataclasses.replace(card, sampling=truncated)


def _check_statistics(has: config.Sampling, asked: config.Sampling, *, path: str) -> None:
    """Raises errors.UserError where other statistics are asked for than a model has."""
    # A model with moving statistics has no others. Truncation alone is looked at later.
    if not has.batches:
        flag = _flag_of_statistics(asked)
        if flag:
            raise errors.UserError(
                f"{flag}: {path} was exported with moving statistics; leave out the flag, or "
                "export the run again with it"
            )
        return

    # Other flags ask for some in particular.
    if asked == config.Sampling():
        return
    for name, default in (("batches", config.STANDING_BATCHES), ("seed", 0)):
        value = getattr(asked, name)
        if value not in (default, getattr(has, name)):
            flag = f"--standing_{name}={value}"
            raise errors.UserError(
                f"{flag}: {path} was exported with {has.statistics}; leave out the flag, or export "
                "the run again with it"
            )


def _flag_of_statistics(asked: config.Sampling) -> str:
    """The flag that asks for standing statistics; empty where none or --truncation alone does."""
    if not asked.batches:
        return ""
    if asked.batches != config.STANDING_BATCHES:
        return f"--standing_batches={asked.batches}"
    if asked.seed:
        return f"--standing_seed={asked.seed}"
    return "" if asked.truncation else "--standing_statistics"
