"""The self-attention block."""

from typing import Optional

import keras

from sagan_tf.gan import ops
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
      optimizations, factory: as of `InsertedBlock`.

    Call arguments:
      x: [batch, height, width, C]; height and width even, C at least 8.
      update_sn: whether u of the four convolutions moves.
      return_attention: whether to return the attention as well.
      collection: takes the new u instead of the variables.
    Returns: [batch, height, width, C]; with `return_attention` a pair of that and the attention,
      float32 [batch, height * width, height * width / 4], rows summing to 1.

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
        collection: Optional[Collection] = None,
    ):
        spectral = {"update_sn": update_sn, "collection": collection}

        # Each place asks, the pooled places answer.
        theta = self.theta(x, **spectral)
        phi = self.factory.max_pool(self.phi(x, **spectral))
        g = self.factory.max_pool(self.g(x, **spectral))
        attended, attention = self.factory.attend(theta, phi, value=g)

        # Add what was read.
        y = self.factory.add(x, self.attn(attended, **spectral), scale=self.sigma_ratio)
        return (y, attention) if return_attention else y

    def weighted_layers(self) -> list[ops.SpectralNormLayer]:
        """The four convolutions."""
        return [self.theta, self.phi, self.g, self.attn]
