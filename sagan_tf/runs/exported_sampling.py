"""Truncation and statistics of an exported model: what it has, and what flags ask of it."""

import dataclasses
from collections.abc import Callable

from sagan_tf import config, errors
from sagan_tf.runs.card import Card


def fitting(card: Card, asked: config.Sampling, *, path: str, note: Callable[[str], None]) -> Card:
    """The card of an exported model with the truncation that its z are drawn with.

    Statistics are in the model for good, and a model that was exported for truncated z takes no
    other truncation. One that was exported without takes any, and the user is told what is wrong
    with that.

    Args:
      card: of the model.
      asked: by the flags.
      path: of the model.
      note: told where truncation and statistics do not fit together.
    Raises:
      errors.UserError: the flags ask for what the model does not have.
    """
    has = card.sampling
    _check_statistics(has, asked, path=path)
    if asked.truncation in (0.0, has.truncation):
        return card

    # Refuse another truncation.
    flag = f"--truncation={asked.truncation:g}"
    if has.truncation:
        raise errors.UserError(
            f"{flag}: {path} was exported for z truncated at {has.truncation:g}; export the run "
            f"again with {flag}"
        )

    # Say what is wrong, unless the user has asked for it.
    if asked.batches:
        note(
            f"{flag}: batch norm's statistics in {path} are those of z that are not truncated; "
            f"export the run again with {flag}, or give --standing_batches=0 to leave out this line"
        )
    truncated = dataclasses.replace(has, truncation=asked.truncation)
    return dataclasses.replace(card, sampling=truncated)


def _check_statistics(has: config.Sampling, asked: config.Sampling, *, path: str) -> None:
    """Raises errors.UserError where other statistics are asked for than a model has."""
    # The flag alone asks for standing statistics of any kind.
    if asked.batches and not asked.truncation and not has.batches:
        raise errors.UserError(
            f"--standing_statistics: {path} was exported with moving statistics; export the run "
            "again with --standing_statistics"
        )

    # Other flags ask for some in particular.
    if asked == config.Sampling() or not has.batches:
        return
    for name, default in (("batches", config.STANDING_BATCHES), ("seed", 0)):
        value = getattr(asked, name)
        if value not in (default, getattr(has, name)):
            flag = f"--standing_{name}={value}"
            raise errors.UserError(
                f"{flag}: {path} was exported with {has.statistics}; leave out the flag, or export "
                "the run again with it"
            )
