"""The generator: one class for `baseline`, `test` and `test_64`, for 32 to 256 px."""

from collections.abc import Mapping
from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.config import ModelConfig
from sagan_tf.gan import non_local, ops


@keras.saving.register_keras_serializable("sagan_tf")
class GeneratorBlock(keras.layers.Layer):
    """Residual block that doubles the size.

    cbn_0 -> ReLU -> upsample -> snconv1 3x3 -> cbn_1 -> ReLU -> snconv2 3x3, plus the shortcut
    upsample -> snconv3 1x1.

    Args:
      filters, number_classes, decay, group_size: as in `ops.SNConv2D`, `ops.ConditionalBatchNorm`.
      optimizations: of `config.optimizations`.

    Call arguments:
      x: [batch, height, width, in].
      labels: int [batch].
      training, update_sn: as in `Generator`.
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
        optimizations: Optional[Mapping[str, int]] = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.norm_options = {
            "number_classes": number_classes,
            "decay": decay,
            "group_size": group_size,
        }
        self.optimizations = dict(optimizations or {})
        common = {"optimizations": self.optimizations, "dtype": self.dtype_policy}

        def norm(name):
            return ops.ConditionalBatchNorm(name=name, relu=True, **self.norm_options, **common)

        def conv(size, name, resample=None):
            return ops.SNConv2D(filters, size, resample=resample, name=name, **common)

        self.cbn_0, self.cbn_1 = norm("cbn_0"), norm("cbn_1")
        self.snconv1 = conv(3, "snconv1", "up")
        self.snconv2 = conv(3, "snconv2")
        self.snconv3 = conv(1, "snconv3", "up")

    def build(self, input_shape, *_):
        output_shape = self.compute_output_shape(input_shape)
        self.cbn_0.build(input_shape)
        self.snconv1.build(input_shape)
        self.cbn_1.build(output_shape)
        self.snconv2.build(output_shape)
        self.snconv3.build(input_shape)

    def call(self, x, labels, training: bool = False, update_sn: bool = False):
        shortcut = self.snconv3(x, update_sn=update_sn)
        x = self.snconv1(self.cbn_0(x, labels, training=training), update_sn=update_sn)
        x = self.snconv2(self.cbn_1(x, labels, training=training), update_sn=update_sn)
        return shortcut + x

    def compute_output_shape(self, input_shape, *_):
        batch, height, width, _ = input_shape
        double = [side and 2 * side for side in (height, width)]
        return (batch, *double, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            **self.norm_options,
            "optimizations": self.optimizations,
        }


class Generator(keras.Model):
    """z and class labels to images.

    SN dense to 4x4 -> n = log2(size / 4) blocks with gf_dim * (2^(n-1), ..., 2, 1) channels,
    attention after the block whose map has the configured side -> batch norm -> ReLU -> SN conv
    3x3 to 3 channels -> tanh.

    Args:
      config: `config.ModelConfig`.
      group_size: images that batch norm takes its moments over, consecutive ones: a tower.
      optimizations: of `config.optimizations`.
      dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16, and keeps variables, SN,
        batch moments, softmax and images in float32.

    Call arguments:
      z: float32 [batch, z_dim], standard normal.
      labels: int [batch], 0 .. number_classes - 1.
      training: batch norm uses the moments of each tower, and its moving statistics move;
        otherwise it uses the moving statistics.
      update_sn: whether the new u of every SN layer is stored; None: as `training`.
      return_attention: whether to return the attention map as well; needs an attention block.
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
        **kwargs,
    ):
        super().__init__(name=kwargs.pop("name", "generator"), **kwargs)
        self.config = config
        self.group_size = group_size
        self.optimizations = dict(optimizations or {})
        common = {"optimizations": self.optimizations, "dtype": self.dtype_policy}
        self.snh0 = ops.SNDense(16 * self._widths()[0], name="g_snh0", **common)
        self.blocks = [
            GeneratorBlock(
                width,
                config.number_classes,
                decay=config.cbn_decay,
                group_size=group_size,
                name=f"g_block{number}",
                **common,
            )
            for number, width in enumerate(self._widths(), start=1)
        ]
        self.attention_side = config.attention_side("generator")
        self.non_local = (
            non_local.NonLocalBlock(name="g_non_local", **common) if self.attention_side else None
        )
        self.bn = ops.BatchNorm(
            config.bn_decay, group_size=group_size, relu=True, name="g_bn", **common
        )
        self.snconv_last = ops.SNConv2D(3, 3, name="g_snconv_last", **common)

    def _widths(self) -> list[int]:
        """Output channels of the blocks, from the 8x8 map to the image's own size."""
        return [self.config.gf_dim * 2**k for k in reversed(range(self.config.num_blocks))]

    def build(self, input_shape=None):
        self.snh0.build((None, self.config.z_dim))
        shape = (None, 4, 4, self._widths()[0])
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
            if shape[1] == self.attention_side:
                self.non_local.build(shape)
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
    ):
        update_sn = training if update_sn is None else update_sn
        if return_attention and self.non_local is None:
            raise ValueError("return_attention=True, but this generator has no attention block")
        attention = None
        x = self.snh0(z, update_sn=update_sn)
        x = tf.reshape(x, [-1, 4, 4, self._widths()[0]])
        for block in self.blocks:
            x = block(x, labels, training=training, update_sn=update_sn)
            if x.shape[1] == self.attention_side:
                x, attention = self.non_local(x, update_sn=update_sn, return_attention=True)
        x = self.snconv_last(self.bn(x, training=training), update_sn=update_sn)
        images = tf.cast(tf.tanh(x), tf.float32)
        return (images, attention) if return_attention else images
