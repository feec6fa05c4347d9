"""The self-attention block."""

from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.gan import attention_by_hand, ops
from sagan_tf.gan.inserted_block import InsertedBlock
from sagan_tf.gan.updates import Collection


@keras.saving.register_keras_serializable("sagan_tf")
class NonLocalBlock(InsertedBlock):
    """Self-attention over the places of a feature map: x + sigma_ratio * attended(x).

    theta = conv1x1(x) to C/8, phi = maxpool2x2(conv1x1(x)) to C/8, g = maxpool2x2(conv1x1(x)) to
    C/2; attention = softmax(theta phi^T) over the HW/4 pooled places, without 1/sqrt(d);
    attended = conv1x1(attention g) back to C. All four convolutions are spectrally normalised
    and have no bias. `sigma_ratio` is a trainable scalar that starts at 0 (gamma in the paper).

    Args:
      optimizations: of `config.optimizations`, for the convolutions, and "attention".
      factory: as of `InsertedBlock`.

    Call arguments:
      x: [batch, height, width, C]; height and width even, C at least 8.
      update_sn: whether u of the four convolutions moves.
      return_attention: whether to return the attention as well.
      return_share: with `return_attention`, whether to return `share_of` as well.
      collection: takes the new u instead of the variables.
    Returns: [batch, height, width, C]; with `return_attention` a pair of that and the attention,
      float32 [batch, height * width, height * width / 4], rows summing to 1. With `return_share`
      too, three of that and the share, a float32 scalar.

    Source: paper, section 3; reference `non_local.py:48-80`.
    """

    scope = "non_local"

    def build(self, input_shape):
        channels = input_shape[-1]
        self.require_channels(channels)

        # Make the convolutions, and the scalar that weighs the attention.
        def conv(filters, name, *, in_channels=channels):
            shape = (*input_shape[:-1], in_channels)
            return self.convolution(filters, 1, name=name, input_shape=shape)

        self.theta = conv(channels // 8, "sn_conv_theta")
        self.phi = conv(channels // 8, "sn_conv_phi")
        self.g = conv(channels // 2, "sn_conv_g")
        self.attn = conv(channels, "sn_conv_attn", in_channels=channels // 2)
        self.add_sigma_ratio()

    def call(
        self,
        x,
        update_sn: bool = False,
        return_attention: bool = False,
        return_share: bool = False,
        collection: Optional[Collection] = None,
    ):
        spectral = {"update_sn": update_sn, "collection": collection}
        if "attention" in self.optimizations and not return_share:
            y, attention = attention_by_hand.attend(self, x, **spectral)
            return (y, attention) if return_attention else y

        # Each place asks, the pooled places answer.
        theta = self.theta(x, **spectral)
        phi = self.factory.max_pool(self.phi(x, **spectral))
        g = self.factory.max_pool(self.g(x, **spectral))
        attended, attention = self.factory.attend(theta, phi, value=g)

        # Add what was read.
        attended = self.attn(attended, **spectral)
        y = self.factory.add(x, attended, scale=self.sigma_ratio)
        if not return_attention:
            return y

        # Tell how it was read, and how much that was.
        if return_share:
            return y, attention, share_of(self.sigma_ratio * attended, x)
        return y, attention

    def weighted_layers(self) -> list[ops.SpectralNormLayer]:
        """The four convolutions."""
        return [self.theta, self.phi, self.g, self.attn]


def share_of(added: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """How strongly attention acts: mean |added| / mean |x|, a float32 scalar.

    Both means are over all images, places and channels; 0 where x is 0.

    Args:
      added: sigma_ratio * attended, [batch, height, width, C].
      x: what it is added to, of the same shape.
    """
    added = tf.reduce_mean(tf.abs(tf.cast(added, tf.float32)))
    return tf.math.divide_no_nan(added, tf.reduce_mean(tf.abs(tf.cast(x, tf.float32))))
