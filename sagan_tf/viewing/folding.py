"""The trained generator, built from Keras's own layers only.

W / sigma becomes the kernel of each layer. Batch norm's moving statistics go into the tables of
each class, and `sigma_ratio` into the last convolution of the block of attention or the one in its
place. Such a model saves to `.keras` and loads without this project's code.

`generator.Generator` defines the topology; another factory makes the layers.
"""

from collections.abc import Mapping
from typing import Optional

import keras
import numpy as np

from sagan_tf.gan import layers, ops
from sagan_tf.gan.generator import Generator

# Names of layers of a folded generator: the softmax of its attention; the first and the last
# convolution of its attention block; what its tables of classes end with.
ATTENTION = "attention"
_ASKS = "g_non_local_sn_conv_theta"
_ADDS = "g_non_local_sn_conv_attn"
_SCALE = "_scale"
_SHIFT = "_shift"


def fold(generator: Generator, sigmas: Optional[Mapping[str, float]] = None) -> keras.Model:
    """A folded copy of a generator as it stands, in float32.

    u is left as it stands, so this is what the generator computes with moving statistics.

    Args:
      generator: the generator.
      sigmas: what to divide each weight by, by the names of `ops.sigmas`; None: what it is
        divided by as u stands.

    Returns:
      A functional model of (z float32 [n, z_dim], labels int32 [n]) to float32 images
      [n, size, size, 3] in [-1, 1].
    """
    # Trace the generator's own code with Keras's layers.
    z = keras.Input((generator.config.z_dim,), name="z", dtype="float32")
    labels = keras.Input((), name="labels", dtype="int32")
    plain = Generator(generator.config, factory=_PlainLayers())
    folded = keras.Model([z, labels], plain.call(z, labels), name="generator")

    # Fold the weights into them.
    for layer, live in zip(plain.weighted_layers(), generator.weighted_layers()):
        layer.take(live, _normalized_weight(live, sigmas))
    for layer, live in zip(plain.batch_norm_layers(), generator.batch_norm_layers()):
        layer.take(live)
    if generator.inserted is not None:
        ratio = generator.inserted.sigma_ratio.numpy()
        live = generator.inserted.weighted_layers()[-1]
        scaled = plain.inserted.weighted_layers()[-1]
        scaled.take(live, ratio * _normalized_weight(live, sigmas))
    folded.trainable = False
    return folded


def with_attention(folded: keras.Model) -> keras.Model:
    """The same model with a second result, the attention: float32 [n, side^2, side^2 / 4].

    Raises:
      ValueError: it has no attention block.
    """
    return keras.Model(folded.inputs, [folded.output, folded.get_layer(ATTENTION).output])


def with_share(folded: keras.Model) -> keras.Model:
    """The same model with three more results, of its attention block.

    The first is the attention, as of `with_attention`. Then come what the block adds,
    sigma_ratio * attended, and what it adds that to: float32 [n, side, side, channels].

    Raises:
      ValueError: it has no attention block.
    """
    attention = folded.get_layer(ATTENTION).output
    added = folded.get_layer(_ADDS).output  # Its kernel has sigma_ratio as a factor.
    features = folded.get_layer(_ASKS).input
    return keras.Model(folded.inputs, [folded.output, attention, added, features])


def with_mixed_classes(folded: keras.Model, shares: np.ndarray) -> keras.Model:
    """A copy whose classes are mixtures of the classes of `folded`.

    Args:
      folded: of `fold`, or a saved one.
      shares: float [new classes, classes]; a row has the share of each class in a new one.
    """
    # The same model with tables of another length.
    config = folded.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Embedding":
            layer["config"]["input_dim"] = len(shares)
            layer["build_config"] = None
    mixed = keras.Model.from_config(config)

    # The same weights, with mixtures in the tables.
    for layer in folded.layers:
        weights = layer.get_weights()
        if layer.name.endswith((_SCALE, _SHIFT)):
            weights = [_mix(shares, weights[0])]
        mixed.get_layer(layer.name).set_weights(weights)
    return mixed


def _mix(shares: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Rows mixed one class after the other, so that a share of 1 gives a row to the last bit."""
    mixed = np.zeros((len(shares), table.shape[1]), np.float64)
    for label in np.flatnonzero(shares.any(axis=0)):
        mixed += shares[:, label, None] * table[label]
    return mixed.astype(np.float32)


def _normalized_weight(
    live: ops.SpectralNormLayer, sigmas: Optional[Mapping[str, float]]
) -> np.ndarray:
    """A weight over its sigma, float32: over the one that is given, or as u stands.

    Without a given sigma, a weight that is not normalised stays as it is.
    """
    if sigmas is None:
        return live.normalized_weight().numpy().astype(np.float32)
    weight = live.weight.numpy().astype(np.float64)
    return (weight / sigmas[ops.scope_of(live)]).astype(np.float32)


class _PlainLayer:
    """A layer of Keras's in the place of one of ours.

    It is called with the arguments of ours. Those that say what moves (`training`, `update_sn`,
    `collection`) mean nothing here.
    """

    def build(self, input_shape) -> None:
        """Nothing: Keras's layers are built when they are called."""


class _Conv(_PlainLayer):
    """In the place of `ops.SNConv2D`."""

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        name: str,
        use_bias: bool = True,
        resample: Optional[str] = None,
    ):
        self.kernel_size = kernel_size
        self.resample = resample
        self.conv = keras.layers.Conv2D(
            filters, kernel_size, padding="same", use_bias=use_bias, name=name, dtype="float32"
        )

    def __call__(self, x, **_):
        if self.resample is None:
            return self.conv(x)
        double = keras.layers.UpSampling2D(2)
        # A 1x1 convolution commutes with the upsampling, and costs a quarter before it.
        return double(self.conv(x)) if self.kernel_size == 1 else self.conv(double(x))

    def take(self, live: ops.SNConv2D, kernel: np.ndarray) -> None:
        """Takes over a kernel, and the bias of `live`."""
        _set_weights(self.conv, live, kernel)


class _Dense(_PlainLayer):
    """In the place of `ops.SNDense`."""

    def __init__(self, units: int, *, name: str):
        self.dense = keras.layers.Dense(units, name=name, dtype="float32")

    def __call__(self, x, **_):
        return self.dense(x)

    def take(self, live: ops.SNDense, kernel: np.ndarray) -> None:
        """Takes over a matrix, and the bias of `live`."""
        _set_weights(self.dense, live, kernel)


class _ConditionalBatchNorm(_PlainLayer):
    """In the place of `ops.ConditionalBatchNorm` with its ReLU: scale and shift of each class."""

    def __init__(self, number_classes: int, *, name: str):
        self.number_classes = number_classes
        self.name = name

    def build(self, input_shape) -> None:
        """Makes the tables, [classes, channels]."""
        self.scale = self._table(_SCALE, input_shape[-1])
        self.shift = self._table(_SHIFT, input_shape[-1])

    def __call__(self, x, labels, **_):
        scale = keras.layers.Reshape((1, 1, x.shape[-1]))(self.scale(labels))
        x = keras.layers.Multiply()([x, scale])
        shift = keras.layers.Reshape((1, 1, x.shape[-1]))(self.shift(labels))
        x = keras.layers.Add()([x, shift])
        return keras.layers.ReLU()(x)

    def _table(self, suffix: str, channels: int) -> keras.layers.Embedding:
        return keras.layers.Embedding(
            self.number_classes, channels, name=self.name + suffix, dtype="float32"
        )

    def take(self, live: ops.ConditionalBatchNorm) -> None:
        """Takes over what the moving statistics make of gamma and beta, [classes, channels]."""
        gamma, beta, mean, variance = (
            np.asarray(v.numpy(), np.float64)
            for v in (live.gamma, live.beta, live.moving_mean, live.moving_variance)
        )
        scale = gamma / np.sqrt(variance.reshape(-1) + live.epsilon)
        shift = beta - mean.reshape(-1) * scale
        self.scale.set_weights([scale.astype(np.float32)])
        self.shift.set_weights([shift.astype(np.float32)])


class _BatchNorm(_PlainLayer):
    """In the place of `ops.BatchNorm` with its ReLU."""

    def __init__(self, *, name: str):
        self.norm = keras.layers.BatchNormalization(
            epsilon=ops.BatchNorm.epsilon, name=name, dtype="float32"
        )

    def __call__(self, x, **_):
        return keras.layers.ReLU()(self.norm(x))

    def take(self, live: ops.BatchNorm) -> None:
        """Takes over all four weights."""
        weights = [live.gamma, live.beta, live.moving_mean, live.moving_variance]
        self.norm.set_weights([v.numpy() for v in weights])


class _PlainLayers(layers.SpectralLayers):
    """Keras's own layers, for a functional model.

    Args:
      prefix: what names begin with.
    """

    def __init__(self, prefix: str = ""):
        self._prefix = prefix

    def inside(self, block_name):
        return _PlainLayers(f"{block_name}_")

    def run(self, block, x, *inputs, **options):
        # `call`, because the block itself is one of our classes.
        block.build(x.shape)
        return block.call(x, *inputs, **options)

    def conv(self, filters, kernel_size, *, name, use_bias=True, resample=None, **_):
        name = self._prefix + name
        return _Conv(filters, kernel_size, name=name, use_bias=use_bias, resample=resample)

    def dense(self, units, *, name, **_):
        return _Dense(units, name=self._prefix + name)

    def batch_norm(self, *_, name, **__):
        return _BatchNorm(name=self._prefix + name)

    def conditional_batch_norm(self, number_classes, *_, name, **__):
        return _ConditionalBatchNorm(number_classes, name=self._prefix + name)

    def reshape(self, x, shape):
        return keras.layers.Reshape(shape)(x)

    def relu(self, x):
        return keras.ops.maximum(x, 0.0)  # Not a ReLU, as in `SpectralLayers`.

    def concatenate(self, maps):
        return keras.layers.Concatenate()(maps)

    def max_pool(self, x):
        return keras.layers.MaxPooling2D(2)(x)

    def add(self, x, y, *, scale=None):
        """x + y; a scale is in the weights of the layer that made y."""
        del scale
        return keras.layers.Add()([x, y])

    def attend(self, query, key, *, value):
        sides = query.shape[1:3]
        query = _places(query)
        key = _places(key)
        value = _places(value)
        logits = keras.layers.Dot((2, 2))([query, key])
        attention = keras.layers.Softmax(name=ATTENTION)(logits)
        attended = keras.layers.Dot((2, 1))([attention, value])
        return keras.layers.Reshape((*sides, value.shape[-1]))(attended), attention

    def to_images(self, x):
        return keras.layers.Activation("tanh")(x)


def _places(x):
    """[n, h, w, c] -> [n, h w, c]."""
    _, height, width, channels = x.shape
    return keras.layers.Reshape((height * width, channels))(x)


def _set_weights(layer, live: ops.SpectralNormLayer, kernel: np.ndarray) -> None:
    """Gives a layer a kernel, and the bias of another layer."""
    weights = [kernel]
    if live.use_bias:
        weights.append(live.bias.numpy())
    layer.set_weights(weights)
