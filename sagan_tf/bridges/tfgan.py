"""Names of TF-GAN's SAGAN, in its TensorFlow 1 checkpoints.

Source: ilyakava/gan@84a5002 (tensorflow/gan@bc369b7 has the same names and arithmetic),
examples/self_attention_estimator/generator.py:258-292, discriminator.py:461-533, ops.py:45-254;
python/features/spectral_normalization.py:96-160.
"""

import functools
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.bridges import checks, mapping
from sagan_tf.bridges.mapping import Layer, Norm, Shapes, Table, Tensors
from sagan_tf.bridges.structure import Blocks, Opened, Traits, number_of

GENERATOR = "Generator/generator/"
DISCRIMINATOR = "Discriminator/discriminator/"
# normalization_ops.py:38-48.
EPSILON = 1e-3
# Every variable of a network has a meaning for us.
IGNORED = ()
# Variables that training alone needs; heads that our discriminator does not have.
_OF_TRAINING = (
    "/Adam",
    "/Adam_1",
    "/ExponentialMovingAverage",
    "beta1_power",
    "beta2_power",
)
_OTHER_HEADS = (f"{DISCRIMINATOR}d_sn_linear_class/",)
_U = "spectral_normalize/spectral_norm/spectral_norm_u"
# The table that is transposed before it is normalised.
_TRANSPOSED = "/embedding_map"
_ATTENTION = ("sn_conv_theta", "sn_conv_phi", "sn_conv_g", "sn_conv_attn")
_TABLE = mapping.Transform(lambda x: np.squeeze(x, (1, 2)), lambda x: x[:, None, None, :])
_VECTOR = mapping.reshaped(ours=(-1,), theirs=(1, 1, 1, -1))
_MAP = mapping.reshaped(ours=(1, 1, 1, -1), theirs=(-1,))


def opened(paths: Sequence[str]) -> Opened:
    """The networks in a checkpoint.

    Args:
      paths: of one checkpoint, without the endings of its files or with one of them.
    Raises:
      errors.UserError: it cannot be read, or holds no generator of TF-GAN.
    """
    # Read the checkpoint.
    if len(paths) != 1:
        raise errors.UserError(f"--path: tfgan has all networks in one file; got {len(paths)}")
    path = prefix_of(paths[0])
    try:
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_shape_map()
        tensors = {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise errors.UserError(
            f"--path={paths[0]}: expected a TensorFlow 1 checkpoint, {path}.index and "
            f"{path}.data-00000-of-00001"
        ) from error

    # Take the networks apart.
    networks: dict[str, dict[str, np.ndarray]] = {}
    for name, value in tensors.items():
        network = _network_of(name)
        if network:
            networks.setdefault(network, {})[name] = value
    if "generator" not in networks:
        raise errors.UserError(
            f"--path={path}: expected variables that begin with {GENERATOR}; is --source right?"
        )

    # See what else is known of them.
    traits = Traits(epsilon=EPSILON, spectral_norm="at_most_one")
    return Opened(networks, traits, checks.step_of(tensors.get("global_step")), path)


def prefix_of(path: str) -> str:
    """A checkpoint's path without the endings of its files."""
    return re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path)


def _network_of(name: str) -> str:
    """The network that a variable is a weight of; empty where it is none."""
    if name.endswith(_OF_TRAINING) or name.startswith(_OTHER_HEADS):
        return ""
    if name.startswith(GENERATOR):
        return "generator"
    return "discriminator" if name.startswith(DISCRIMINATOR) else ""


def generator_blocks(names: Shapes) -> Blocks:
    """The blocks of a generator. (In that for 64 pixels their numbers begin with 2.)"""
    found = _numbered(names, f"{GENERATOR}g_block")
    channels = [_channels(names, f"{block}/snconv1/snconv1") for block in found]
    return _with_attention(names, found, channels=channels, attention=f"{GENERATOR}g_ops")


def discriminator_blocks(names: Shapes) -> Blocks:
    """The blocks of a discriminator. (In that for 64 pixels number 5 is left out.)"""
    later = _numbered(names, f"{DISCRIMINATOR}d_block")
    found = [f"{DISCRIMINATOR}d_optimized_block1", *later]
    channels = [_channels(names, f"{block}/sn_conv1/sn_conv1") for block in found]
    return _with_attention(names, found, channels=channels, attention=f"{DISCRIMINATOR}d_ops")


def _numbered(names: Shapes, prefix: str) -> list[str]:
    """The scopes that begin with a prefix and end with a number, ascending."""
    numbers = set()
    for name in names:
        if not name.startswith(prefix):
            continue
        number, _, _ = name.removeprefix(prefix).partition("/")
        if number.isdecimal():
            numbers.add(int(number))
    return [f"{prefix}{number}" for number in sorted(numbers)]


def _channels(names: Shapes, scope: str) -> int:
    """The channels that a convolution makes; 0 where it is not there."""
    shape = names.get(f"{scope}/bias", (0,))
    return shape[-1]


def _with_attention(
    names: Shapes, blocks: list[str], *, channels: list[int], attention: str
) -> Blocks:
    """The blocks with the attention after the one that makes as many channels as it takes."""
    shape = names.get(f"{attention}/sn_conv_theta/weights", ())
    if len(shape) != 4:
        return Blocks(tuple(blocks))
    taken = shape[2]
    before = channels.index(taken) + 1 if taken in channels else 0
    return Blocks(tuple(blocks), attention, before)


def generator_dimensions(names: Shapes, *, source: str) -> dict[str, int]:
    """Fields of `ModelConfig` that a generator's shapes show."""
    length = functools.partial(number_of, names, source=source)
    first = next(iter(_numbered(names, f"{GENERATOR}g_block")), f"{GENERATOR}g_block1")
    return {
        "z_dim": length(f"{GENERATOR}g_snh0/dense/kernel", axis=0),
        "gf_dim": length(f"{GENERATOR}g_bn/moving_mean", axis=0),
        "number_classes": length(f"{first}/cbn_0/gamma", axis=0),
    }


def discriminator_width(names: Shapes, *, source: str) -> int:
    """`ModelConfig.df_dim`."""
    first = f"{DISCRIMINATOR}d_optimized_block1/sn_conv1/sn_conv1"
    return number_of(names, f"{first}/bias", axis=0, source=source)


class _Layers:
    """Collects the arrays of a network, layer by layer."""

    def __init__(self, *, epsilon: float):
        self.table = Table(separator="/")
        self._shift = mapping.shifted(epsilon - 1e-5)

    def conv(self, theirs: str, ours: str) -> None:
        """A convolution through `tf.layers`, which repeats its scope."""
        repeated = theirs.split("/")[-1]
        layer = Layer(self.table, f"{theirs}/{repeated}", ours)
        layer.add("kernel", "w", mapping.AS_IS)
        layer.add("bias", "biases", mapping.AS_IS)
        self._normalize(layer, "kernel")

    def dense(self, theirs: str, ours: str) -> None:
        """A dense layer through `tf.layers`."""
        layer = Layer(self.table, f"{theirs}/dense", ours)
        layer.add("kernel", "Matrix", mapping.AS_IS)
        layer.add("bias", "bias", mapping.AS_IS)
        self._normalize(layer, "kernel")

    def embedding(self, theirs: str, ours: str) -> None:
        """The table of D; its u stands in a scope of its own."""
        layer = Layer(self.table, theirs, ours)
        layer.add("embedding_map", "embedding_map", mapping.AS_IS)
        norm = Norm(
            weight=layer.name_of("embedding_map"),
            u=layer.name_of(_U),
            scope=ours,
        )
        self.table.norms.append(norm)

    def attention(self, theirs: str, ours: str) -> None:
        """The attention block."""
        for name in _ATTENTION:
            layer = Layer(self.table, f"{theirs}/{name}", f"{ours}/{name}")
            layer.add("weights", "w", mapping.AS_IS)
            self._normalize(layer, "weights")
        block = Layer(self.table, theirs, ours)
        block.add("sigma_ratio", "sigma_ratio", mapping.AS_IS)

    def conditional_norm(self, theirs: str, ours: str) -> None:
        """A batch norm with tables of classes."""
        layer = Layer(self.table, theirs, ours)
        layer.add("gamma", "gamma", _TABLE)
        layer.add("beta", "beta", _TABLE)
        layer.add("moving_mean", "mean", _MAP)
        layer.add("moving_variance", "var", self._shift.then(_MAP))

    def norm(self, theirs: str, ours: str) -> None:
        """A batch norm without classes."""
        layer = Layer(self.table, theirs, ours)
        layer.add("gamma", "gamma", _VECTOR)
        layer.add("beta", "beta", _VECTOR)
        layer.add("moving_mean", "moving_mean", mapping.AS_IS)
        layer.add("moving_variance", "moving_variance", self._shift)

    def _normalize(self, layer: Layer, weight: str) -> None:
        """Says that a weight is normalised; its u has the weight's full name inside its scope."""
        full_name = layer.name_of(weight)
        norm = Norm(
            weight=full_name,
            u=layer.name_of(f"{full_name}/{_U}"),
            scope=layer.ours,
        )
        self.table.norms.append(norm)


def generator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours.

    Args:
      names: shapes by name.
      structure: of `generator_blocks`.
      traits: its epsilon.
    """
    del names
    # From z to the 4x4 map.
    layers = _Layers(epsilon=traits.epsilon)
    layers.dense(f"{GENERATOR}g_snh0", "g_snh0")

    # The blocks.
    for number, theirs in enumerate(structure.convolutional, start=1):
        ours = f"g_block{number}"
        for name in ("cbn_0", "cbn_1"):
            layers.conditional_norm(f"{theirs}/{name}", f"{ours}/{name}")
        for name in ("snconv1", "snconv2", "snconv3"):
            layers.conv(f"{theirs}/{name}", f"{ours}/{name}")
    if structure.attention is not None:
        layers.attention(structure.attention, "g_non_local")

    # From features to colours.
    layers.norm(f"{GENERATOR}g_bn", "g_bn")
    layers.conv(f"{GENERATOR}g_snconv_last", "g_snconv_last")
    return layers.table


def discriminator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours; the head that guesses classes is left out."""
    del names
    layers = _Layers(epsilon=traits.epsilon)

    # The blocks.
    for theirs, ours, numbers in structure.in_discriminator():
        for number in numbers:
            layers.conv(f"{theirs}/sn_conv{number}", f"{ours}/sn_conv{number}")
    if structure.attention is not None:
        layers.attention(structure.attention, "d_non_local")

    # From features and label to the logit.
    layers.dense(f"{DISCRIMINATOR}d_sn_linear", "d_sn_linear")
    layers.embedding(f"{DISCRIMINATOR}d_embedding", "d_embedding")
    return layers.table


def first_statistics(structure: Blocks) -> str:
    """Name of an array of a generator that has as many numbers as its 4x4 map has channels."""
    return f"{structure.convolutional[0]}/cbn_0/moving_mean"


def matrix(tensors: Tensors, norm: Norm) -> np.ndarray:
    """A normalised weight as float64 [in, out]; the table of D is transposed."""
    weight = np.float64(tensors[norm.weight])
    if norm.weight.endswith(_TRANSPOSED):
        return weight.T
    return weight.reshape(-1, weight.shape[-1])


def right_vector(tensors: Tensors, norm: Norm) -> np.ndarray:
    """v = l2(W^T u), float64 [out] (spectral_normalization.py:96-124)."""
    u = np.float64(tensors[norm.u])
    v = matrix(tensors, norm).T @ u[:, 0]
    return v / np.linalg.norm(v)


def stored_sigma(tensors: Tensors, norm: Norm) -> float:
    """|W v|: one power iteration from the stored u, in training and inference."""
    v = right_vector(tensors, norm)
    product = matrix(tensors, norm) @ v
    return float(np.linalg.norm(product))


def vector_shapes(table: Table, shapes: Shapes) -> dict[str, tuple]:
    """Shapes of the stored u of each normalised weight."""
    found = {}
    for norm in table.norms:
        shape = shapes[norm.weight]
        inputs = shape[-1]
        if not norm.weight.endswith(_TRANSPOSED):
            inputs = int(np.prod(shape[:-1]))
        found[norm.u] = (inputs, 1)
    return found
