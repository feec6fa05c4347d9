"""Checks of what another project's file holds, before anything is made of it."""

from typing import Any, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import pickle_machine
from sagan_tf.bridges.mapping import Table, Tensors
from sagan_tf.config import ModelConfig

_MOST_STEPS = 2**62


def step_of(value: Any) -> Optional[int]:
    """Iterations that a file says, a whole number from 0 on; None for anything else.

    Args:
      value: a number of Python's or NumPy's, an array of one number, or whatever is there.
    """
    if not isinstance(value, (int, float, np.generic, np.ndarray)):
        return None
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "iuf":
        return None
    step = float(number.reshape(()))
    return int(step) if step.is_integer() and 0 <= step < _MOST_STEPS else None


def refuse_widths(
    model_config: ModelConfig, tensors: Tensors, *, first_channels: int, where: str
) -> None:
    """Raises errors.UserError unless the generator's arrays can have the widths of ours.

    It comes before a network of these widths is made, so that a small file cannot ask for a large
    one.

    Args:
      model_config: settings that were read from shapes.
      tensors: of the generator.
      first_channels: of its 4x4 map.
      where: the file, for errors.
    """
    # The two convolutions of the first block have 9 * channels^2 numbers each.
    channels = model_config.gf_dim * 2 ** (model_config.num_blocks - 1)
    numbers = sum(np.size(tensor) for tensor in tensors.values())
    fits = first_channels == channels and 18 * channels**2 <= numbers
    if not fits:
        raise errors.UserError(
            f"{where}: its generator for {model_config.image_size} px has other channels than ours "
            f"of width {model_config.gf_dim}, whose 4x4 map has {channels}; networks for 128 px fit"
        )


def content_faults(table: Table, tensors: Tensors) -> list[str]:
    """Arrays that are not finite, and normalised weights and vectors that are 0."""
    found = []
    for part in table.parts:
        if not np.isfinite(tensors[part.theirs]).all():
            found.append(f"{part.theirs} has numbers that are not finite")
    for norm in table.norms:
        for name in filter(None, (norm.weight, norm.u, norm.v)):
            if not np.any(tensors[name]):
                found.append(f"{name} is 0 everywhere")
    return [pickle_machine.shown(fault) for fault in found]
