"""A table between another project's weights and ours, read in either direction.

Names of ours are the reference's without "model/": `g_block1/snconv1/w`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from sagan_tf.bridges import pickle_machine

# Shapes, and arrays, by name.
Shapes = Mapping[str, tuple]
Tensors = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Transform:
    """How an array changes on the way.

    Attributes:
      to_ours: from theirs, in float64 or the file's type.
      to_theirs: its inverse.
    """

    to_ours: Callable[[np.ndarray], np.ndarray]
    to_theirs: Callable[[np.ndarray], np.ndarray]

    def then(self, after: "Transform") -> "Transform":
        """This one, and another after it on the way to ours."""
        return Transform(
            to_ours=lambda x: after.to_ours(self.to_ours(x)),
            to_theirs=lambda x: self.to_theirs(after.to_theirs(x)),
        )


@dataclasses.dataclass(frozen=True)
class Norm:
    """A weight of theirs that is spectrally normalised.

    Attributes:
      weight: name of the raw weight.
      u: name of the vector of the power iteration that is stored.
      v: name of the other one, where it is stored too.
      scope: our layer that has this weight; None: a table of classes, which ours does not
        normalise.
    """

    weight: str
    u: str
    v: Optional[str] = None
    scope: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Part:
    """An array in both projects.

    Attributes:
      theirs, ours: its names.
      transform: how it changes.
      norm: what it is divided by before, if it is a table that they normalise.
    """

    theirs: str
    ours: str
    transform: Transform
    norm: Optional[Norm] = None


@dataclasses.dataclass(frozen=True)
class Table:
    """All arrays of a network.

    Attributes:
      separator: of the parts of their names.
      parts: the arrays.
      norms: the weights that they normalise.
    """

    separator: str
    parts: list[Part] = dataclasses.field(default_factory=list)
    norms: list[Norm] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer in both projects, whose arrays go into a table.

    Attributes:
      table: of its network.
      theirs, ours: its names.
    """

    table: Table
    theirs: str
    ours: str

    def add(
        self,
        theirs: str,
        ours: str,
        transform: "Transform",
        *,
        norm: Optional[Norm] = None,
    ) -> None:
        """Adds an array, given by its names inside the layer; arguments as of `Part`."""
        part = Part(
            theirs=self.name_of(theirs),
            ours=f"{self.ours}/{ours}",
            transform=transform,
            norm=norm,
        )
        self.table.parts.append(part)

    def name_of(self, theirs: str) -> str:
        """The full name of an array of theirs."""
        return self.table.separator.join((self.theirs, theirs))


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of another project in our names.

    Attributes:
      arrays: float32, by our names, u included.
      sigmas: what they divide the weight of each of our layers by when they generate.
    """

    arrays: dict[str, np.ndarray]
    sigmas: dict[str, float]

    def assign_to(self, network: Any) -> None:
        """Sets the weights of a network of ours, which is built."""
        for weight in network.weights:
            weight.assign(self.arrays[weight.path.split("/", 1)[1]])


def shapes_in_theirs(table: Table, shapes: Shapes) -> dict[str, tuple]:
    """The shapes that their arrays need to have so that ours have the shapes given.

    Vectors of the power iteration are in it only as far as they are arrays of ours too.
    """
    found = {}
    for part in table.parts:
        nothing = np.broadcast_to(np.float32(0), shapes[part.ours])
        found[part.theirs] = part.transform.to_theirs(nothing).shape
    return found


def faults(expected: Shapes, tensors: Tensors, *, ignored: Sequence[str] = ()) -> list[str]:
    """All that is missing, unexpected or misshapen.

    Args:
      expected: shapes by name.
      tensors: what is there.
      ignored: endings of names that may be there.
    """
    found = [f"missing {name}" for name in expected if name not in tensors]
    found += [
        f"unexpected {name}"
        for name in tensors
        if name not in expected and not name.endswith(tuple(ignored))
    ]
    for name, shape in expected.items():
        there = np.shape(tensors[name]) if name in tensors else shape
        if there != shape:
            found.append(f"{name} has shape {there}, expected {shape}")
    return [pickle_machine.shown(fault) for fault in found]


def to_ours(
    table: Table, tensors: Tensors, *, sigma: Callable[[Norm], float]
) -> dict[str, np.ndarray]:
    """Our arrays, float32 by our names.

    Args:
      table: of the network.
      tensors: theirs, without faults.
      sigma: what a table of classes is divided by.
    """
    arrays = {}
    for part in table.parts:
        values = np.asarray(tensors[part.theirs])
        if part.norm is not None:
            values = values.astype(np.float64) / sigma(part.norm)
        arrays[part.ours] = np.array(part.transform.to_ours(values), np.float32, order="C")
    return arrays


def to_theirs(table: Table, arrays: Tensors) -> dict[str, np.ndarray]:
    """Their arrays but for vectors of the power iteration that ours has not."""
    return {part.theirs: part.transform.to_theirs(arrays[part.ours]) for part in table.parts}


# Transforms that several projects need.
AS_IS = Transform(lambda x: x, lambda x: x)
TRANSPOSED = Transform(np.transpose, np.transpose)
# Convolutions [out, in, height, width] to [height, width, in, out].
OIHW = Transform(lambda x: np.transpose(x, (2, 3, 1, 0)), lambda x: np.transpose(x, (3, 2, 0, 1)))


def shifted(by: float) -> Transform:
    """ours = theirs + by, in float64."""
    return Transform(lambda x: np.float64(x) + by, lambda x: np.float64(x) - by)


def reshaped(*, ours: tuple, theirs: tuple) -> Transform:
    """Another shape; one length of each may be -1."""
    return Transform(lambda x: np.reshape(x, ours), lambda x: np.reshape(x, theirs))


def reversed_axis(axis: int) -> Transform:
    """An axis backwards, as from BGR to RGB."""
    return Transform(lambda x: np.flip(x, axis), lambda x: np.flip(x, axis))


def places_first(channels: int) -> Transform:
    """[channels * 16, ...] to [16 * channels, ...] along the first axis."""
    return Transform(
        to_ours=lambda x: _swapped(x, channels, 16),
        to_theirs=lambda x: _swapped(x, 16, channels),
    )


def _swapped(x: np.ndarray, first: int, second: int) -> np.ndarray:
    """[first * second, ...] to [second * first, ...]."""
    split = np.reshape(x, (first, second, *np.shape(x)[1:]))
    return np.reshape(np.swapaxes(split, 0, 1), np.shape(x))


def padded(axis: int) -> Transform:
    """ours = theirs with as many zeros behind it along an axis."""
    return Transform(
        to_ours=lambda x: np.concatenate([x, np.zeros_like(x)], axis),
        to_theirs=lambda x: np.split(x, 2, axis)[0],
    )
