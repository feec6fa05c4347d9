"""The generator as it is after training, made of Keras's own layers and nothing else.

Spectral normalisation is done once (W / sigma becomes the kernel), batch norm's moving statistics
go into the tables of each class, and `sigma_ratio` into the attention's last convolution. Such a
model saves to `.keras` and loads without a line of ours.
"""

import keras
import numpy as np

from sagan_tf.config import ModelConfig
from sagan_tf.gan import generator as gan_generator
from sagan_tf.gan import ops

# Names of layers of a folded generator: the softmax of its attention; what its tables of classes
# end with.
ATTENTION = "attention"
_TABLES = ("_scale", "_shift")


def fold(generator: gan_generator.Generator) -> keras.Model:
    """A folded copy of a generator as it stands, in float32.

    u is left as it stands, so this is what the generator computes with moving statistics.

    Returns:
      A functional model of (z float32 [n, z_dim], labels int32 [n]) to float32 images
      [n, size, size, 3] in [-1, 1].
    """
    folded = _architecture(generator.config)
    for name, weights in _weights(generator).items():
        folded.get_layer(name).set_weights(weights)
    folded.trainable = False
    return folded


def with_attention(folded: keras.Model) -> keras.Model:
    """The same model with a second result, the attention: float32 [n, side^2, side^2 / 4].

    Raises:
      ValueError: it has no attention block.
    """
    return keras.Model(folded.inputs, [folded.output, folded.get_layer(ATTENTION).output])


def with_mixed_classes(folded: keras.Model, shares: np.ndarray) -> keras.Model:
    """A copy whose classes are mixtures of the classes of `folded`.

    Args:
      folded: of `fold`, or a saved one.
      shares: float [new classes, classes]; a row has the share of each class in a new one.
    """
    config = folded.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Embedding":
            layer["config"]["input_dim"] = len(shares)
            layer["build_config"] = None
    mixed = keras.Model.from_config(config)
    for layer in folded.layers:
        weights = layer.get_weights()
        if layer.name.endswith(_TABLES):
            weights = [_mix(shares, weights[0])]
        mixed.get_layer(layer.name).set_weights(weights)
    return mixed


def _mix(shares: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Rows mixed one class after the other, so that a share of 1 gives a row to the last bit."""
    mixed = np.zeros((len(shares), table.shape[1]), np.float64)
    for label in np.flatnonzero(shares.any(axis=0)):
        mixed += shares[:, label, None] * table[label]
    return mixed.astype(np.float32)


def _architecture(config: ModelConfig) -> keras.Model:
    layers = keras.layers
    widths = [config.gf_dim * 2**k for k in reversed(range(config.num_blocks))]
    z = keras.Input((config.z_dim,), name="z", dtype="float32")
    labels = keras.Input((), name="labels", dtype="int32")

    def normalized(x, name):
        for suffix, join in zip(_TABLES, (layers.Multiply, layers.Add)):
            table = layers.Embedding(
                config.number_classes, x.shape[-1], name=name + suffix, dtype="float32"
            )
            row = layers.Reshape((1, 1, x.shape[-1]))(table(labels))
            x = join()([x, row])
        return layers.ReLU()(x)

    x = layers.Dense(16 * widths[0], name="g_snh0", dtype="float32")(z)
    x = layers.Reshape((4, 4, widths[0]))(x)
    for number, width in enumerate(widths, start=1):
        name = f"g_block{number}"
        # A 1x1 convolution commutes with the upsampling, and costs a quarter before it.
        shortcut = layers.UpSampling2D(2)(_conv(width, 1, f"{name}_snconv3")(x))
        x = layers.UpSampling2D(2)(normalized(x, f"{name}_cbn_0"))
        x = normalized(_conv(width, 3, f"{name}_snconv1")(x), f"{name}_cbn_1")
        x = layers.Add()([shortcut, _conv(width, 3, f"{name}_snconv2")(x)])
        if x.shape[1] == config.attention_side("generator"):
            x = _attend(x)
    x = layers.BatchNormalization(epsilon=ops.BatchNorm.epsilon, name="g_bn", dtype="float32")(x)
    x = _conv(3, 3, "g_snconv_last", activation="tanh")(layers.ReLU()(x))
    return keras.Model([z, labels], x, name="generator")


def _attend(x):
    layers, (side, _, channels) = keras.layers, x.shape[1:]

    def places(x, count):
        return layers.Reshape((count, x.shape[-1]))(x)

    def pooled(filters, name):
        features = _conv(filters, 1, f"g_non_local_{name}", use_bias=False)(x)
        return places(layers.MaxPooling2D(2)(features), side * side // 4)

    theta = places(
        _conv(channels // 8, 1, "g_non_local_sn_conv_theta", use_bias=False)(x), side * side
    )
    phi, g = pooled(channels // 8, "sn_conv_phi"), pooled(channels // 2, "sn_conv_g")
    attention = layers.Softmax(name=ATTENTION)(layers.Dot((2, 2))([theta, phi]))
    attended = layers.Reshape((side, side, channels // 2))(layers.Dot((2, 1))([attention, g]))
    return layers.Add()(
        [x, _conv(channels, 1, "g_non_local_sn_conv_attn", use_bias=False)(attended)]
    )


def _conv(filters: int, size: int, name: str, **options) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, size, padding="same", name=name, dtype="float32", **options)


def _weights(generator: gan_generator.Generator) -> dict[str, list[np.ndarray]]:
    """Layer of the folded model -> its weights."""
    weights = {}
    for block in generator.blocks:
        for cbn in (block.cbn_0, block.cbn_1):
            for suffix, table in zip(_TABLES, _tables(cbn)):
                weights[f"{block.name}_{cbn.name}{suffix}"] = [table]
        for conv in (block.snconv1, block.snconv2, block.snconv3):
            weights[f"{block.name}_{conv.name}"] = _normalized(conv)
    for layer in (generator.snh0, generator.snconv_last):
        weights[layer.name] = _normalized(layer)
    if generator.non_local is not None:
        block = generator.non_local
        for conv in (block.theta, block.phi, block.g):
            weights[f"{block.name}_{conv.name}"] = _normalized(conv)
        weights[f"{block.name}_{block.attn.name}"] = [
            block.sigma_ratio.numpy() * _normalized(block.attn)[0]
        ]
    bn = generator.bn
    weights[bn.name] = [v.numpy() for v in (bn.gamma, bn.beta, bn.moving_mean, bn.moving_variance)]
    return weights


def _tables(cbn: ops.ConditionalBatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of every class, [classes, channels]: what the moving statistics make of gamma
    and beta."""
    gamma, beta, mean, variance = (
        np.asarray(v.numpy(), np.float64)
        for v in (cbn.gamma, cbn.beta, cbn.moving_mean, cbn.moving_variance)
    )
    scale = gamma / np.sqrt(variance.reshape(-1) + cbn.epsilon)
    return scale.astype(np.float32), (beta - mean.reshape(-1) * scale).astype(np.float32)


def _normalized(layer) -> list[np.ndarray]:
    kernel = layer.normalized_weight(update_sn=False).numpy().astype(np.float32)
    return [kernel] + ([layer.bias.numpy()] if layer.use_bias else [])
