"""Names of SNGAN-projection, in the `.npz` files of its authors' Chainer code.

Its generator is not spectrally normalised. A block of its discriminator has as many channels
inside as it takes, where ours has as many as it makes: ours gets zeros in the place of the others.
They compute nothing, change no norm, and no gradient moves them.

Source: pfnet-research/sngan_projection@e84b1a5, gen_models/resnet.py:18-46,
gen_models/resblocks.py:17-58, dis_models/snresnet.py:8-38, dis_models/resblocks.py:12-75,
source/functions/max_sv.py:16-31, source/links/conditional_batch_normalization.py:45-104.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import mapping, npz_file, spectral, torch_layers
from sagan_tf.bridges.mapping import AS_IS, Layer, Norm, Shapes, Table, Tensors, Transform
from sagan_tf.bridges.structure import Blocks, Opened, Traits, number_of

# Of all batch norms: Chainer's default, and source/links/conditional_batch_normalization.py:45.
EPSILON = 2e-5
# Chainer counts batches of a mode that this code does not use.
IGNORED = ("/N",)
_FIRST_DENSE = "l1/W"
_FIRST_CONVOLUTION = "block1/c1/W"
_BLOCK = re.compile(r"block(\d{1,3})/")
# train.py:100-101.
_STEP = re.compile(r"_(\d{1,12})\.npz$")
# Of its convolutions, those of ours.
_CONVOLUTIONS = {"c1": 1, "c2": 2, "c_sc": 3}
_MAP = mapping.reshaped(ours=(1, 1, 1, -1), theirs=(-1,))


def opened(paths: Sequence[str]) -> Opened:
    """The networks in the files of a generator and, where it is there, of a discriminator.

    Args:
      paths: of one or two files, in any order. Their names end with the step.
    Raises:
      errors.UserError: one cannot be read, or they are not these networks.
    """
    # Read each file, and see which network it holds.
    networks: dict[str, dict[str, np.ndarray]] = {}
    found_in = {}
    for path in paths:
        tensors = npz_file.read(path)
        network = _network_of(tensors)
        if network is None or network in networks:
            found = f"a second {network}" if network else "neither"
            raise errors.UserError(
                f"--path={path}: expected ResNetGenerator_N.npz or "
                f"SNResNetProjectionDiscriminator_N.npz, found {found}; is --source right?"
            )
        networks[network] = tensors
        found_in[network] = path
    if "generator" not in networks:
        raise errors.UserError(f"--path={paths[0]}: is a discriminator; give the generator's too")

    # Both must be of one moment.
    path = found_in["generator"]
    steps = {step for step in map(_step_of, paths) if step is not None}
    if len(steps) > 1:
        raise errors.UserError(
            f"--path={', '.join(paths)}: the names say two steps; expected two files of one step"
        )
    return Opened(networks, Traits(epsilon=EPSILON), next(iter(steps), None), path)


def _network_of(names: Iterable[str]) -> Optional[str]:
    """Which network has arrays of these names; None: neither."""
    if _FIRST_DENSE in names:
        return "generator"
    return "discriminator" if _FIRST_CONVOLUTION in names else None


def _step_of(path: str) -> Optional[int]:
    """The step that a file's name ends with."""
    found = _STEP.search(path)
    return int(found[1]) if found else None


def generator_blocks(names: Shapes) -> Blocks:
    """The blocks of a generator, the first of which has number 2."""
    return Blocks(tuple(f"block{number}" for number in _numbers(names)))


def discriminator_blocks(names: Shapes) -> Blocks:
    """The blocks of a discriminator."""
    return generator_blocks(names)


def _numbers(names: Iterable[str]) -> list[int]:
    """The numbers of the blocks, ascending."""
    found = filter(None, map(_BLOCK.match, names))
    return sorted({int(match[1]) for match in found})


def _after(structure: Blocks) -> int:
    """The number of the layers after the last block."""
    last = structure.convolutional[-1] if structure.convolutional else "block1"
    return int(last.removeprefix("block")) + 1


def generator_dimensions(names: Shapes, *, source: str) -> dict[str, int]:
    """Fields of `ModelConfig` that a generator's shapes show."""
    length = functools.partial(number_of, names, source=source)
    blocks = generator_blocks(names)
    first = next(iter(blocks.convolutional), "block2")
    return {
        "z_dim": length(_FIRST_DENSE, axis=1),
        "gf_dim": length(f"b{_after(blocks)}/gamma", axis=0),
        "number_classes": length(f"{first}/b1/gammas/W", axis=0),
    }


def discriminator_width(names: Shapes, *, source: str) -> int:
    """`ModelConfig.df_dim`."""
    return number_of(names, _FIRST_CONVOLUTION, axis=0, source=source)


class _Layers:
    """Collects the arrays of a network, layer by layer.

    Args:
      epsilon: added to their variances, in the place of our 1e-5.
    """

    def __init__(self, *, epsilon: float):
        self.table = Table(separator="/")
        self._shift = mapping.shifted(epsilon - 1e-5)

    def conv(self, theirs: str, ours: str, *, pad: str = "", normalized: bool = False) -> None:
        """A convolution.

        Args:
          theirs, ours: names of the layer.
          pad: "in" or "out": ours has twice as many of these channels.
          normalized: whether theirs is.
        """
        # Zeros.
        weight = mapping.OIHW
        if pad:
            weight = weight.then(mapping.padded(2 if pad == "in" else 3))
        vector = AS_IS
        row = AS_IS
        if pad == "out":
            vector = mapping.padded(0)
            row = mapping.padded(1)

        # Its arrays.
        layer = Layer(self.table, theirs, ours)
        layer.add("W", "w", weight)
        layer.add("b", "biases", vector)
        if normalized:
            self._normalize(layer, row)

    def dense(self, theirs: str, ours: str, *, channels: int = 0) -> None:
        """A dense layer: that of z makes a map of so many channels, the other is normalised."""
        vector = mapping.places_first(channels) if channels else AS_IS
        layer = Layer(self.table, theirs, ours)
        layer.add("W", "Matrix", vector.then(mapping.TRANSPOSED))
        layer.add("b", "bias", vector)
        if not channels:
            self._normalize(layer, AS_IS)

    def embedding(self, theirs: str, ours: str) -> None:
        """The table of D."""
        layer = Layer(self.table, theirs, ours)
        layer.add("W", "embedding_map", AS_IS)
        self._normalize(layer, AS_IS)

    def conditional_norm(self, theirs: str, ours: str) -> None:
        """A batch norm with tables of classes."""
        layer = Layer(self.table, theirs, ours)
        layer.add("gammas/W", "gamma", AS_IS)
        layer.add("betas/W", "beta", AS_IS)
        layer.add("avg_mean", "mean", _MAP)
        layer.add("avg_var", "var", self._shift.then(_MAP))

    def norm(self, theirs: str, ours: str) -> None:
        """A batch norm without classes."""
        layer = Layer(self.table, theirs, ours)
        layer.add("gamma", "gamma", AS_IS)
        layer.add("beta", "beta", AS_IS)
        layer.add("avg_mean", "moving_mean", AS_IS)
        layer.add("avg_var", "moving_variance", self._shift)

    def _normalize(self, layer: Layer, row: Transform) -> None:
        """Says that a weight is normalised; `row`: how its u changes."""
        layer.add("u", "u", row)
        norm = Norm(weight=layer.name_of("W"), u=layer.name_of("u"), scope=layer.ours)
        self.table.norms.append(norm)


def generator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours.

    Args:
      names: shapes by name.
      structure: of `generator_blocks`.
      traits: its epsilon.
    """
    # From z to the 4x4 map.
    layers = _Layers(epsilon=traits.epsilon)
    channels = number_of(names, first_statistics(structure), axis=0, source="--path")
    layers.dense("l1", "g_snh0", channels=channels)

    # The blocks.
    for number, theirs in enumerate(structure.convolutional, start=1):
        ours = f"g_block{number}"
        for order, name in enumerate(("b1", "b2")):
            layers.conditional_norm(f"{theirs}/{name}", f"{ours}/cbn_{order}")
        for name, convolution in _CONVOLUTIONS.items():
            layers.conv(f"{theirs}/{name}", f"{ours}/snconv{convolution}")

    # From features to colours.
    after = _after(structure)
    layers.norm(f"b{after}", "g_bn")
    layers.conv(f"l{after}", "g_snconv_last")
    return layers.table


def discriminator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours; arguments as of `generator_table`."""
    del names
    layers = _Layers(epsilon=traits.epsilon)

    # The blocks. Between the first and the last, each makes twice the channels that it takes.
    blocks = structure.in_discriminator()
    middle = range(1, len(blocks) - 1)
    for order, (theirs, ours, numbers) in enumerate(blocks):
        pads = {1: "out", 2: "in"} if order in middle else {}
        for name, number in _CONVOLUTIONS.items():
            if number in numbers:
                layers.conv(
                    f"{theirs}/{name}",
                    f"{ours}/sn_conv{number}",
                    pad=pads.get(number, ""),
                    normalized=True,
                )

    # From features and label to the logit.
    layers.dense(f"l{_after(structure)}", "d_sn_linear")
    layers.embedding("l_y", "d_embedding")
    return layers.table


def first_statistics(structure: Blocks) -> str:
    """Name of an array of a generator that has as many numbers as its 4x4 map has channels."""
    first = next(iter(structure.convolutional), "block2")
    return f"{first}/b1/avg_mean"


def matrix(tensors: Tensors, norm: Norm) -> np.ndarray:
    """A normalised weight as float64 [in, out]."""
    return torch_layers.matrix(tensors, norm)


def right_vector(tensors: Tensors, norm: Norm) -> np.ndarray:
    """The stored u, float64 [out]."""
    return tensors[norm.u][0].astype(np.float64)


def stored_sigma(tensors: Tensors, norm: Norm) -> float:
    """One power iteration from the stored u, in training and inference.

    Source: source/functions/max_sv.py:16-31.
    """
    u = right_vector(tensors, norm)
    return spectral.sigma_of_ours(matrix(tensors, norm), u)


def vector_shapes(table: Table, shapes: Shapes) -> dict[str, tuple]:
    """Shapes of the stored u, all of which are arrays of ours too."""
    return {norm.u: shapes[norm.u] for norm in table.norms}
