"""Layers of PyTorch projects beside ours: names of their arrays, and how these change.

Axes: convolutions OIHW to HWIO, matrices [out, in] to [in, out]; tables of classes stay. The first
dense layer makes a map of [channels, 4, 4] there, of [4, 4, channels] here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import mapping
from sagan_tf.bridges.mapping import Layer, Norm, Shapes, Table, Tensors, Transform

_MOST_DIGITS = 3  # Of the number of a block.
_WRAPPED = "module."
# Buffers without a meaning for us.
IGNORED = ("num_batches_tracked",)
# Endings of the names of what ours normalises.
NORMALIZED = ("/w", "/Matrix", "/embedding_map")
_ROW = mapping.reshaped(ours=(1, -1), theirs=(-1,))
_MAP = mapping.reshaped(ours=(1, 1, 1, -1), theirs=(-1,))
_GAIN = mapping.shifted(1.0)


class Layers:
    """Collects the arrays of a network, layer by layer.

    Args:
      names: of what is in the file; a layer is normalised where it has a `weight_orig`.
      epsilon: added to their variances, in the place of our 1e-5.

    Attributes:
      table: all that was collected.
    """

    def __init__(self, names: Sequence[str], *, epsilon: float):
        self.table = Table(separator=".")
        self._names = frozenset(names)
        self._shift = mapping.shifted(epsilon - 1e-5)

    def conv(self, theirs: str, ours: str, *, bias: bool = True, reverse: str = "") -> None:
        """A convolution.

        Args:
          theirs, ours: names of the layer.
          bias: whether it has one.
          reverse: "in" or "out": these channels are BGR.
        """
        # BGR.
        weight = mapping.OIHW
        vector = mapping.AS_IS
        if reverse == "in":
            weight = weight.then(mapping.reversed_axis(2))
        elif reverse == "out":
            weight = weight.then(mapping.reversed_axis(3))
            vector = mapping.reversed_axis(0)

        # Its arrays.
        layer = Layer(self.table, theirs, ours)
        self._add_weight(layer, "w", weight, vector=vector)
        if bias:
            layer.add("bias", "biases", vector)

    def dense(self, theirs: str, ours: str, *, channels: int = 0) -> None:
        """A dense layer; `channels`: of the 4x4 map that its units are."""
        weight = mapping.TRANSPOSED
        vector = mapping.AS_IS
        if channels:
            vector = mapping.places_first(channels)
            weight = vector.then(weight)
        layer = Layer(self.table, theirs, ours)
        self._add_weight(layer, "Matrix", weight, vector=vector)
        layer.add("bias", "bias", vector)

    def embedding(self, theirs: str, ours: str) -> None:
        """A table of classes that we normalise as well."""
        layer = Layer(self.table, theirs, ours)
        self._add_weight(layer, "embedding_map", mapping.AS_IS, vector=mapping.AS_IS)

    def attention(
        self, theirs: str, ours: str, *, convolutions: Mapping[str, str], scalar: str
    ) -> None:
        """An attention block.

        Args:
          theirs, ours: names of the block.
          convolutions: names of their convolutions in the block, by ours.
          scalar: name of their sigma_ratio in the block.
        """
        for name, their_name in convolutions.items():
            self.conv(f"{theirs}.{their_name}", f"{ours}/{name}", bias=False)
        block = Layer(self.table, theirs, ours)
        shape = (1,) if scalar == "sigma" else ()  # StudioGAN's has one element.
        block.add(scalar, "sigma_ratio", mapping.reshaped(ours=(), theirs=shape))

    def conditional_norm(
        self, stats: str, gain: str, shift: str, *, ours: str, transposed: bool = False
    ) -> None:
        """A batch norm with tables of classes.

        Args:
          stats, gain, shift: names of their layers; the gain is one more than its table.
          ours: name of our layer.
          transposed: whether the tables are [channels, classes].
        """
        # The tables.
        table = mapping.TRANSPOSED if transposed else mapping.AS_IS
        self._add_table(Layer(self.table, gain, ours), "gamma", table.then(_GAIN))
        self._add_table(Layer(self.table, shift, ours), "beta", table)

        # The moving statistics.
        layer = Layer(self.table, stats, ours)
        layer.add("running_mean", "mean", _MAP)
        layer.add("running_var", "var", self._shift.then(_MAP))

    def norm(self, theirs: str, ours: str) -> None:
        """A batch norm without classes."""
        layer = Layer(self.table, theirs, ours)
        layer.add("weight", "gamma", mapping.AS_IS)
        layer.add("bias", "beta", mapping.AS_IS)
        layer.add("running_mean", "moving_mean", mapping.AS_IS)
        layer.add("running_var", "moving_variance", self._shift)

    def _add_weight(self, layer: Layer, name: str, weight: Transform, *, vector: Transform) -> None:
        """A weight with its u, or a plain weight where theirs is not normalised."""
        if not self._is_normalized(layer):
            layer.add("weight", name, weight)
            return
        layer.add("weight_orig", name, weight)
        layer.add("weight_u", "u", vector.then(_ROW))
        self.table.norms.append(_norm(layer, scope=layer.ours))

    def _add_table(self, layer: Layer, name: str, transform: Transform) -> None:
        """A table of classes, which theirs may normalise and ours does not."""
        if not self._is_normalized(layer):
            layer.add("weight", name, transform)
            return
        norm = _norm(layer, scope=None)
        self.table.norms.append(norm)
        layer.add("weight_orig", name, transform, norm=norm)

    def _is_normalized(self, layer: Layer) -> bool:
        return layer.name_of("weight_orig") in self._names


def _norm(layer: Layer, *, scope: Optional[str]) -> Norm:
    return Norm(
        weight=layer.name_of("weight_orig"),
        u=layer.name_of("weight_u"),
        v=layer.name_of("weight_v"),
        scope=scope,
    )


def vector_shapes(table: Table, shapes: Shapes) -> dict[str, tuple]:
    """Shapes of the stored u and v of each normalised weight.

    Args:
      table: of the network.
      shapes: of their other arrays.
    """
    found = {}
    for norm in table.norms:
        rows, *others = shapes[norm.weight]
        found[norm.u] = (rows,)
        found[norm.v] = (int(np.prod(others)),)
    return found


def matrix(tensors: Tensors, norm: Norm) -> np.ndarray:
    """A normalised weight as float64 [in, out]."""
    weight = tensors[norm.weight].astype(np.float64)
    return weight.reshape(len(weight), -1).T


def right_vector(tensors: Tensors, norm: Norm) -> np.ndarray:
    """The stored u, float64 [out]."""
    return tensors[norm.u].astype(np.float64)


def stored_sigma(tensors: Tensors, norm: Norm) -> float:
    """u^T W v with the vectors that are stored: what PyTorch divides by in inference.

    Source: torch/nn/utils/spectral_norm.py, `compute_weight` with `do_power_iteration=False`.
    """
    return float(tensors[norm.v] @ matrix(tensors, norm) @ tensors[norm.u])


def state(content: Any, path: str) -> dict[str, np.ndarray]:
    """The arrays in a file: its "state_dict", or all of it.

    Raises:
      errors.UserError: they are not arrays by name.
    """
    found = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, np.ndarray) for name, value in found.items()
    ):
        raise errors.UserError(f"--path={path}: holds no state_dict of tensors")

    # Of a network that was saved inside of another one, as for several GPUs.
    if all(name.startswith(_WRAPPED) for name in found):
        found = {name.removeprefix(_WRAPPED): value for name, value in found.items()}
    return found


def blocks(names: Sequence[str], prefix: str) -> Iterator[tuple[int, set[str]]]:
    """The numbered parts below a prefix, ascending, each with what follows in its names."""
    found: dict[int, set[str]] = {}
    for name in names:
        number, _, rest = name.removeprefix(prefix).partition(".")
        if name.startswith(prefix) and number.isdecimal() and len(number) <= _MOST_DIGITS:
            found.setdefault(int(number), set()).add(rest)
    yield from sorted(found.items())
