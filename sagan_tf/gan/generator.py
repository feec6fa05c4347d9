"""The generator: one class for `baseline`, `test` and `test_64`, for 32 to 256 px."""

from collections.abc import Mapping
from typing import Optional

import keras

from sagan_tf.config import ModelConfig
from sagan_tf.gan import inserted, layers, non_local, ops
from sagan_tf.gan.optimizations import Optimizations
from sagan_tf.gan.updates import Collection, State


@keras.saving.register_keras_serializable("sagan_tf")
class GeneratorBlock(keras.layers.Layer):
    """Residual block that doubles the size.

    cbn_0 -> ReLU -> upsample -> snconv1 3x3 -> cbn_1 -> ReLU -> snconv2 3x3, plus the shortcut
    upsample -> snconv3 1x1.

    Args:
      filters, number_classes, decay, group_size: as in `ops.SNConv2D`, `ops.ConditionalBatchNorm`.
      at_most_one: as in `ops.SNConv2D`.
      optimizations: of `config.optimizations`.
      factory: makes the layers.

    Call arguments:
      x: [batch, height, width, in].
      labels: int [batch].
      training, update_sn, collection: as in `Generator`.
    Returns: [batch, 2 height, 2 width, filters].

    Source: reference `generator.py:78-92`.
    """

    def __init__(
        self,
        filters: int,
        number_classes: int,
        *,
        decay: float = 0.999,
        group_size: Optional[int] = None,
        at_most_one: bool = False,
        optimizations: Optional[Mapping[str, int]] = None,
        factory: layers.SpectralLayers = layers.SPECTRAL,
        **kwargs,
    ):
        # Keep the settings.
        super().__init__(**kwargs)
        self.filters = filters
        self.number_classes = number_classes
        self.decay = decay
        self.group_size = group_size
        self.at_most_one = at_most_one
        self.optimizations = Optimizations(optimizations)
        self.factory = factory

        # Make the layers.
        inside = factory.inside(self.name)
        common = {"optimizations": self.optimizations, "dtype": self.dtype_policy}

        def norm(name):
            return inside.conditional_batch_norm(
                number_classes, decay, group_size=group_size, relu=True, name=name, **common
            )

        def conv(size, name, *, resample=None):
            return inside.conv(
                filters, size, resample=resample, at_most_one=at_most_one, name=name, **common
            )

        self.cbn_0 = norm("cbn_0")
        self.cbn_1 = norm("cbn_1")
        self.snconv1 = conv(3, "snconv1", resample="up")
        self.snconv2 = conv(3, "snconv2")
        self.snconv3 = conv(1, "snconv3", resample="up")

    def build(self, input_shape, *_):
        output_shape = self.compute_output_shape(input_shape)
        self.cbn_0.build(input_shape)
        self.snconv1.build(input_shape)
        self.cbn_1.build(output_shape)
        self.snconv2.build(output_shape)
        self.snconv3.build(input_shape)

    def call(
        self,
        x,
        labels,
        training: bool = False,
        update_sn: bool = False,
        collection: Optional[Collection] = None,
    ):
        spectral = {"update_sn": update_sn, "collection": collection}
        norm = {"training": training, "collection": collection}

        shortcut = self.snconv3(x, **spectral)
        x = self.cbn_0(x, labels, **norm)
        x = self.snconv1(x, **spectral)
        x = self.cbn_1(x, labels, **norm)
        x = self.snconv2(x, **spectral)
        return self.factory.add(shortcut, x)

    def weighted_layers(self) -> list[ops.SpectralNormLayer]:
        """The three convolutions."""
        return [self.snconv1, self.snconv2, self.snconv3]

    def batch_norm_layers(self) -> list[ops.ConditionalBatchNorm]:
        """Both conditional batch norms."""
        return [self.cbn_0, self.cbn_1]

    def compute_output_shape(self, input_shape, *_):
        batch, *sides, _ = input_shape
        doubled = [side and 2 * side for side in sides]
        return (batch, *doubled, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "number_classes": self.number_classes,
            "decay": self.decay,
            "group_size": self.group_size,
            "at_most_one": self.at_most_one,
            "optimizations": dict(self.optimizations),
        }


class Generator(keras.Model):
    """z and class labels to images.

    SN dense to 4x4 -> n = log2(size / 4) blocks with gf_dim * (2^(n-1), ..., 2, 1) channels,
    attention (or `residual_block.ResidualBlock`) after the block whose map has the configured side
    -> batch norm -> ReLU -> SN conv 3x3 to 3 channels -> tanh. Without `config.generator_sn` no
    layer is spectrally normalised.

    Args:
      config: `config.ModelConfig`.
      group_size: images that batch norm takes its moments over, consecutive ones: a tower.
      optimizations: of `config.optimizations`.
      factory: makes the layers; None: `layers.SPECTRAL`, or `layers.RAW` without
        `config.generator_sn`.
      dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16, and keeps variables, SN,
        batch moments, softmax and images in float32.

    Call arguments:
      z: float32 [batch, z_dim], standard normal.
      labels: int [batch], 0 .. number_classes - 1.
      training: batch norm uses the moments of each tower, and its moving statistics move;
        otherwise it uses the moving statistics.
      update_sn: whether u of every SN layer moves; None: as `training`.
      return_attention: whether to return the attention map as well; needs an attention block.
      collection: takes the new u and moving statistics instead of the variables.
    Returns: float32 [batch, size, size, 3] in [-1, 1]; with `return_attention` a pair of that and
      the attention (`non_local.NonLocalBlock`).

    Source: paper, section 3; reference `generator.py:137-263`.
    """

    def __init__(
        self,
        config: ModelConfig,
        group_size: Optional[int] = None,
        *,
        optimizations: Optional[Mapping[str, int]] = None,
        factory: Optional[layers.SpectralLayers] = None,
        **kwargs,
    ):
        super().__init__(name=kwargs.pop("name", "generator"), **kwargs)
        if factory is None:
            factory = layers.SPECTRAL if config.generator_sn else layers.RAW
        self.config = config
        self.group_size = group_size
        self.optimizations = Optimizations(optimizations)
        self.factory = factory
        common = {"optimizations": self.optimizations, "dtype": self.dtype_policy}
        # The inserted block divides by sigma in any case.
        spectral = {**common, "at_most_one": config.norms_at_most_one}

        # From z to the 4x4 map.
        widths = self._widths()
        self.snh0 = factory.dense(16 * widths[0], name="g_snh0", **spectral)

        # From there to the image's own size.
        self.blocks = []
        for number, width in enumerate(widths, start=1):
            block = GeneratorBlock(
                width,
                config.number_classes,
                decay=config.cbn_decay,
                group_size=group_size,
                factory=factory,
                name=f"g_block{number}",
                **spectral,
            )
            self.blocks.append(block)

        # A block of attention, or another one, after one of the blocks.
        self.attention_side = config.attention_side("generator")
        self.inserted = None
        if self.attention_side:
            self.inserted = inserted.make(config, "g", factory=factory, **common)

        # From features to colours.
        self.bn = factory.batch_norm(
            config.bn_decay, group_size=group_size, relu=True, name="g_bn", **common
        )
        self.snconv_last = factory.conv(3, 3, name="g_snconv_last", **spectral)

    @property
    def non_local(self) -> Optional[non_local.NonLocalBlock]:
        """The attention block; None where there is none, or another block in its place."""
        return self.inserted if self.config.has_attention("generator") else None

    def _widths(self) -> list[int]:
        """Output channels of the blocks, from the 8x8 map to the image's own size."""
        return [self.config.gf_dim * 2**k for k in reversed(range(self.config.num_blocks))]

    def build(self, input_shape=None):
        self.snh0.build((None, self.config.z_dim))
        shape = (None, 4, 4, self._widths()[0])

        # Blocks, and the inserted one between two of them.
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
            if shape[1] == self.attention_side:
                self.inserted.build(shape)

        # From features to colours.
        self.bn.build(shape)
        self.snconv_last.build(shape)
        self.built = True

    def call(
        self,
        z,
        labels,
        training: bool = False,
        update_sn: Optional[bool] = None,
        return_attention: bool = False,
        collection: Optional[Collection] = None,
    ):
        if return_attention and self.non_local is None:
            raise ValueError("return_attention=True, but this generator has no attention block")
        update_sn = training if update_sn is None else update_sn
        spectral = {"update_sn": update_sn, "collection": collection}
        norm = {"training": training, "collection": collection}
        run = self.factory.run

        # From z to the 4x4 map.
        x = self.snh0(z, **spectral)
        x = self.factory.reshape(x, (4, 4, self._widths()[0]))

        # Each block doubles the size.
        attention = None
        for block in self.blocks:
            x = run(block, x, labels, training=training, **spectral)
            if x.shape[1] == self.attention_side:
                x, attention = run(self.inserted, x, return_attention=True, **spectral)

        # From features to colours.
        x = self.bn(x, **norm)
        x = self.snconv_last(x, **spectral)
        images = self.factory.to_images(x)
        return (images, attention) if return_attention else images

    def weighted_layers(self) -> list[ops.SpectralNormLayer]:
        """The dense layer and every convolution, in a fixed order."""
        found = [self.snh0]
        for block in self.blocks:
            found += block.weighted_layers()
        if self.inserted is not None:
            found += self.inserted.weighted_layers()
        return [*found, self.snconv_last]

    def spectral_norm_layers(self) -> list[ops.SpectralNormLayer]:
        """Those of them that are spectrally normalised: all, or none."""
        return ops.normalized(self.weighted_layers())

    def batch_norm_layers(self) -> list[keras.layers.Layer]:
        """Every batch norm, in a fixed order."""
        found = []
        for block in self.blocks:
            found += block.batch_norm_layers()
        return [*found, self.bn]

    def states(self) -> list[State]:
        """What a call with `training` and `update_sn` moves, in a fixed order."""
        found = []
        for layer in [*self.weighted_layers(), *self.batch_norm_layers()]:
            found += layer.states()
        return found
