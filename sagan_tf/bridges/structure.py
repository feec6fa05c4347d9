"""The structure of a network as its weights show it, and the settings of ours that it fits."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.config import ATTENTION_OF_TYPE, ModelConfig

_TYPE_OF_SIDE = {side: name for name, side in ATTENTION_OF_TYPE.items()}


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The residual blocks of a network, and its attention block.

    Attributes:
      convolutional: their names in the file, from the network's input on.
      attention: name of the attention block; None: it has none.
      before_attention: how many residual blocks come before it.
    """

    convolutional: tuple[str, ...]
    attention: Optional[str] = None
    before_attention: int = 0

    def in_discriminator(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Each block of a discriminator: its name, ours, and the numbers of our convolutions in it.

        The last block's shortcut, the third one, has no convolution.
        """
        found = []
        last = len(self.convolutional)
        for number, name in enumerate(self.convolutional, start=1):
            ours = "d_optimized_block1" if number == 1 else f"d_block{number}"
            numbers = (1, 2) if number == last else (1, 2, 3)
            found.append((name, ours, numbers))
        return found


@dataclasses.dataclass(frozen=True)
class Traits:
    """What shapes do not show of another project's networks.

    Attributes:
      epsilon: of the generator's batch norms.
      bgr: whether channels of images are blue, green, red.
      relu_shortcut: as `ModelConfig.relu_shortcut`.
      spectral_norm: as `ModelConfig.spectral_norm`.
      ours: whether this project has written the files, in the names of the other.
    """

    epsilon: float
    bgr: bool = False
    relu_shortcut: bool = False
    spectral_norm: str = "exact"
    ours: bool = False


@dataclasses.dataclass(frozen=True)
class Opened:
    """The arrays in files of another project.

    Attributes:
      networks: arrays by their names, of "generator", "averaged" and "discriminator"; the latter
        two only where they are there.
      traits: what is known of them.
      step: iterations that they were trained; None where no file says so.
      path: of the file that holds the generator that makes images, or of the checkpoint.
    """

    networks: dict[str, dict[str, np.ndarray]]
    traits: Traits
    step: Optional[int]
    path: str

    @property
    def only_average(self) -> bool:
        """Whether the generator itself is not there: "generator" is its average then."""
        return self.networks["generator"] is self.networks.get("averaged")


def settings(
    generator: Blocks,
    discriminator: Optional[Blocks],
    *,
    source: str,
    **dimensions: Any,
) -> ModelConfig:
    """The settings of our networks.

    Args:
      generator: its blocks; each doubles the side, from 4 on.
      discriminator: its blocks, all but the last of which halve the side; None: as the generator.
      source: the file, for errors.
      **dimensions: other fields of `ModelConfig`.
    Raises:
      errors.UserError: ours cannot have this structure.
    """
    # Sides of the images and of the maps that attention works on.
    image_size = 4 * 2 ** len(generator.convolutional)
    sides = {"generator": None}
    if generator.attention is not None:
        sides["generator"] = 4 * 2**generator.before_attention
    sides["discriminator"] = sides["generator"]
    if discriminator is not None:
        sides["discriminator"] = None
        if discriminator.attention is not None:
            sides["discriminator"] = image_size // 2**discriminator.before_attention

    # Ours have one size of images, and a depth that follows from it.
    if discriminator is not None:
        depth = len(discriminator.convolutional) - 1
        if depth != len(generator.convolutional):
            raise errors.UserError(
                f"{source}: the generator makes images of {image_size} pixels and the "
                f"discriminator takes {4 * 2**depth}; expected two networks of the same run"
            )

    # Let the settings check themselves.
    try:
        return ModelConfig(image_size=image_size, **_attention(sides), **dimensions)
    except errors.UserError as error:
        raise errors.UserError(
            f"{source}: its networks are not among those of this project ({error})"
        ) from error


def _attention(sides: Mapping[str, Optional[int]]) -> dict[str, Any]:
    """The fields of `ModelConfig` for maps of these sides."""
    # Sides that types name.
    if all(side in _TYPE_OF_SIDE for side in sides.values()):
        return {f"{network}_type": _TYPE_OF_SIDE[side] for network, side in sides.items()}

    # Another side, of one network or of both.
    others = {side for side in sides.values() if side is not None}
    if len(others) > 1:
        raise errors.UserError(
            f"attention works on maps of side {sides['generator']} in the generator and "
            f"{sides['discriminator']} in the discriminator"
        )
    types = {f"{network}_type": "test" if side else "baseline" for network, side in sides.items()}
    return {**types, "attention_resolution": others.pop()}


def blocks_of(
    model_config: ModelConfig, network: str, *, name: str, first: tuple[str, ...] = ()
) -> Blocks:
    """The blocks of a network of ours in another project's names: the inverse of `settings`.

    Args:
      model_config: settings of the network.
      network: "generator" or "discriminator".
      name: of a block there, with {} for its number.
      first: names of the blocks before number 0.
    """
    # How many there are, and how many come before attention.
    side = model_config.attention_side(network)
    count = model_config.num_blocks
    doublings = side // 4 if side else 1
    if network == "discriminator":
        count += 1
        doublings = model_config.image_size // side if side else 1
    before = doublings.bit_length() - 1

    # Name them; attention has a number like any other block.
    numbered = count + bool(side) - len(first)
    names = [*first, *(name.format(number) for number in range(numbered))]
    attention = names.pop(before) if side else None
    return Blocks(tuple(names), attention, before)


def number_of(names: Mapping[str, tuple], name: str, *, axis: int, source: str) -> int:
    """A length of an array that the settings follow from.

    Args:
      names: shapes by name.
      name: of the array.
      axis: of the length.
      source: the file, for errors.
    Raises:
      errors.UserError: there is no such array, or not of such a shape.
    """
    shape = names.get(name, ())
    if len(shape) <= axis:
        raise errors.UserError(f"{source}: holds no {name} from which to tell its settings")
    return int(shape[axis])
