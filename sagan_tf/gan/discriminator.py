"""The discriminator: one class for `baseline`, `test` and `test_64`, 32 to 256 px."""

from collections.abc import Mapping
from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.config import ModelConfig
from sagan_tf.gan import inserted, non_local, ops, rectifiers
from sagan_tf.gan.optimizations import Optimizations
from sagan_tf.gan.updates import Collection, State


@keras.saving.register_keras_serializable("sagan_tf")
class DiscriminatorBlock(keras.layers.Layer):
    """Residual block; `kind` says which of the three.

    "first" (on the image): sn_conv1 -> ReLU -> sn_conv2 -> pool; shortcut pool -> sn_conv3 1x1.
    "down": ReLU -> sn_conv1 -> ReLU -> sn_conv2 -> pool; shortcut sn_conv3 1x1 -> pool.
    "last": as "down" without pools, and the shortcut is the identity.

    With `relu_shortcut` the shortcut of "down" and "last" begins with the same ReLU. That is what
    a ReLU in place makes of it (PyTorch-StudioGAN; mmgeneration's models "wReLUinplace").

    Args:
      filters: output channels.
      kind: as above.
      relu_shortcut: as above; it changes nothing in "first".
      at_most_one: as in `ops.SNConv2D`.
      optimizations: of `config.optimizations`, for the convolutions, and "relu".

    Call arguments:
      x: [batch, height, width, in].
      update_sn: whether u moves.
      collection: takes the new u instead of the variables.
    Returns: [batch, height / 2, width / 2, filters]; "last": [batch, height, width, filters].

    Source: reference `discriminator.py:29-93`.
    """

    def __init__(
        self,
        filters: int,
        kind: str = "down",
        *,
        relu_shortcut: bool = False,
        at_most_one: bool = False,
        optimizations: Optional[Mapping[str, int]] = None,
        **kwargs,
    ):
        # Keep the settings.
        super().__init__(**kwargs)
        self.filters = filters
        self.kind = kind
        self.relu_shortcut = relu_shortcut
        self.at_most_one = at_most_one
        self.optimizations = Optimizations(optimizations)
        by_result = "relu" in self.optimizations
        self._relu = rectifiers.relu_by_result if by_result else tf.nn.relu

        def conv(size, name, *, resample=None, **more):
            return ops.SNConv2D(
                filters,
                size,
                resample=resample,
                name=name,
                at_most_one=at_most_one,
                optimizations={**self.optimizations, **more},
                dtype=self.dtype_policy,
            )

        # The branch.
        self.sn_conv1 = conv(3, "sn_conv1")
        self.sn_conv2 = conv(3, "sn_conv2", resample=None if kind == "last" else "down")

        # The shortcut. The reference's first block, too, pools before its 1x1 convolution.
        self.sn_conv3 = None
        if kind == "first":
            self.sn_conv3 = conv(1, "sn_conv3", resample="down", shortcut=0)
        elif kind == "down":
            self.sn_conv3 = conv(1, "sn_conv3", resample="down")

    def build(self, input_shape):
        self.sn_conv1.build(input_shape)
        self.sn_conv2.build((*input_shape[:-1], self.filters))
        if self.sn_conv3 is not None:
            self.sn_conv3.build(input_shape)

    def call(self, x, update_sn: bool = False, collection: Optional[Collection] = None):
        spectral = {"update_sn": update_sn, "collection": collection}

        h = x if self.kind == "first" else self._relu(x)
        if self.relu_shortcut:
            x = h
        h = self.sn_conv1(h, **spectral)
        h = self.sn_conv2(self._relu(h), **spectral)
        return h + (x if self.sn_conv3 is None else self.sn_conv3(x, **spectral))

    def spectral_norm_layers(self) -> list[ops.SpectralNormLayer]:
        """The convolutions."""
        convs = [self.sn_conv1, self.sn_conv2, self.sn_conv3]
        return [conv for conv in convs if conv is not None]

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        if self.kind != "last":
            sides = [side and side // 2 for side in sides]
        return (batch, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kind": self.kind,
            "relu_shortcut": self.relu_shortcut,
            "at_most_one": self.at_most_one,
            "optimizations": dict(self.optimizations),
        }


class Discriminator(keras.Model):
    """Images and class labels to logits.

    n = log2(size / 4) downsampling blocks with df_dim * (1, 2, ..., 2^(n-1)) channels, attention
    (or `residual_block.ResidualBlock`) after the block whose map has the configured side, one block
    without downsampling, ReLU, sum over space -> h. What comes then is `config.conditioning`:

    "projection": logit = SN dense(h) + sum(h * SN embedding(label)).
    "auxiliary_classifier": logit = SN dense(h); class logits = SN dense'(h), with a bias.
    "none": logit = SN dense(h).

    Args:
      config: `config.ModelConfig`.
      optimizations: of `config.optimizations`.
      dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16, and keeps variables, SN,
        softmax and all from the sum over space to the logits in float32.

    Call arguments:
      images: float32 [batch, size, size, 3] in [-1, 1].
      labels: int [batch], 0 .. number_classes - 1; only projection uses them.
      update_sn: whether u of every SN layer moves.
      return_attention: whether to return the attention map as well; needs an attention block.
      return_share: with `return_attention`, whether to return as well how strongly attention acts.
      return_classes: whether to return the class logits as well; needs the classifier.
      collection: takes the new u instead of the variables.
    Returns: float32 logits [batch, 1]; or a tuple of that and what was asked for, in this order:
      float32 class logits [batch, number_classes]; the attention (`non_local.NonLocalBlock`); the
      share, a float32 scalar (`non_local.share_of`).

    Source: paper, section 3; reference `discriminator.py:133-242`. The classifier: Odena, Olah,
    Shlens, 2017; its spectral normalisation is our choice (`gan.objectives`).
    """

    def __init__(
        self, config: ModelConfig, optimizations: Optional[Mapping[str, int]] = None, **kwargs
    ):
        super().__init__(name=kwargs.pop("name", "discriminator"), **kwargs)
        self.config = config
        self.optimizations = Optimizations(optimizations)
        widths = [config.df_dim * 2**k for k in range(config.num_blocks)]

        # The inserted block divides by sigma in any case.
        common = {"optimizations": self.optimizations, "dtype": self.dtype_policy}
        spectral = {"at_most_one": config.norms_at_most_one, "optimizations": self.optimizations}
        block = {**spectral, "relu_shortcut": config.relu_shortcut, "dtype": self.dtype_policy}

        # From the image to the 4x4 map, and one block there.
        first = DiscriminatorBlock(widths[0], "first", name="d_optimized_block1", **block)
        self.blocks = [first]
        for number, width in enumerate(widths[1:], start=2):
            self.blocks.append(DiscriminatorBlock(width, name=f"d_block{number}", **block))
        last = f"d_block{config.num_blocks + 1}"
        self.blocks.append(DiscriminatorBlock(widths[-1], "last", name=last, **block))

        # A block of attention, or another one, after one of the blocks.
        self.attention_side = config.attention_side("discriminator")
        self.inserted = None
        if self.attention_side:
            self.inserted = inserted.make(config, "d", **common)

        # From features to the logit, and what takes the class.
        self.sn_linear = ops.SNDense(1, name="d_sn_linear", dtype="float32", **spectral)
        self.embedding = self.sn_classifier = None
        classes = config.number_classes
        if config.conditioning == "projection":
            self.embedding = ops.SNEmbedding(
                classes, widths[-1], name="d_embedding", dtype="float32", **spectral
            )
        elif config.has_classifier:
            self.sn_classifier = ops.SNDense(
                classes, name="d_sn_classifier", dtype="float32", **spectral
            )

    @property
    def non_local(self) -> Optional[non_local.NonLocalBlock]:
        """The attention block; None where there is none, or another block in its place."""
        return self.inserted if self.config.has_attention("discriminator") else None

    def build(self, input_shape=None):
        shape = (None, self.config.image_size, self.config.image_size, 3)
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
            if shape[1] == self.attention_side:
                self.inserted.build(shape)
        self.sn_linear.build((None, shape[-1]))
        if self.embedding is not None:
            self.embedding.build()
        if self.sn_classifier is not None:
            self.sn_classifier.build((None, shape[-1]))
        self.built = True

    def call(
        self,
        images,
        labels,
        update_sn: bool = False,
        return_attention: bool = False,
        return_share: bool = False,
        collection: Optional[Collection] = None,
        return_classes: bool = False,
    ):
        if return_attention and self.non_local is None:
            raise ValueError("return_attention=True, but this discriminator has no attention block")
        if return_classes and self.sn_classifier is None:
            raise ValueError("return_classes=True, but this discriminator has no classifier")
        spectral = {"update_sn": update_sn, "collection": collection}
        h, looked = self._features(images, return_share, **spectral)

        # From features to the logit, and what takes the class.
        logits = self.sn_linear(h, **spectral)
        class_logits = None
        if self.embedding is not None:
            projection = self.embedding(labels, **spectral)
            logits += tf.reduce_sum(h * projection, axis=1, keepdims=True)
        elif self.sn_classifier is not None:
            class_logits = self.sn_classifier(h, **spectral)

        # Return what was asked for.
        asked = [class_logits] if return_classes else []
        if return_attention:
            asked += looked
        return (logits, *asked) if asked else logits

    def _features(self, images, return_share: bool = False, **spectral):
        """h, and what the inserted block returns beside its map."""
        shown = {"return_attention": True, "return_share": return_share}
        x = images
        looked = []
        for block in self.blocks:
            x = block(x, **spectral)
            if x.shape[1] == self.attention_side:
                x, *looked = self.inserted(x, **shown, **spectral)
        return tf.reduce_sum(tf.cast(tf.nn.relu(x), tf.float32), axis=[1, 2]), looked

    def logits_by_class(self, images) -> tf.Tensor:
        """The logit of each image with each label: float32 [batch, number_classes].

        Without projection a logit does not depend on the label: [batch, 1]. u does not move.
        """
        h, _ = self._features(images)
        logits = self.sn_linear(h)
        if self.embedding is None:
            return logits
        return logits + tf.matmul(h, self.embedding.normalized_weight())

    def spectral_norm_layers(self) -> list[ops.SpectralNormLayer]:
        """Every spectrally normalised layer, in a fixed order."""
        found = []
        for block in self.blocks:
            found += block.spectral_norm_layers()
        if self.inserted is not None:
            found += self.inserted.weighted_layers()
        heads = [self.sn_linear, self.embedding, self.sn_classifier]
        return found + [head for head in heads if head is not None]

    def states(self) -> list[State]:
        """What a call with `update_sn` moves, in a fixed order."""
        found = []
        for layer in self.spectral_norm_layers():
            found += layer.states()
        return found
