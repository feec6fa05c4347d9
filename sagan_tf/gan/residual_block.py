"""The residual block that the paper puts in the place of attention."""

from typing import Optional

import keras

from sagan_tf.gan import ops
from sagan_tf.gan.inserted_block import InsertedBlock
from sagan_tf.gan.updates import Collection


@keras.saving.register_keras_serializable("sagan_tf")
class ResidualBlock(InsertedBlock):
    """A residual block with as many parameters as `non_local.NonLocalBlock`, and no attention.

    x + sigma_ratio * conv1x1(relu(inner(relu(x)))), where inner = conv3x3 from C channels to C/8
    and conv1x1 goes back to C: 9 C C/8 + C/8 C = 1.25 C^2 weights, and `sigma_ratio`. Both
    convolutions are spectrally normalised and have no bias.

    Where C is no multiple of 8, an attention block has 2 C s weights, s = floor(C/8) + floor(C/2).
    Here inner has floor(s/5) channels of the conv3x3 and, beside them, s mod 5 of a conv1x1:
    9 C floor(s/5) + C (s mod 5) + (floor(s/5) + s mod 5) C = 2 C s, the same number at every C.

    The paper says only that the block has the same number of parameters. Our choices are its two
    convolutions, their order, and that it keeps a trainable scalar that starts at 0, as attention
    has. At the start, a network is what it would be without a block.

    Args:
      optimizations, factory: as of `InsertedBlock`.

    Call arguments:
      x: [batch, height, width, C]; C at least 8.
      update_sn: whether u of the convolutions moves.
      return_attention: whether to return a pair, as `non_local.NonLocalBlock` does.
      collection: takes the new u instead of the variables.
    Returns: [batch, height, width, C]; with `return_attention` a pair of that and None.

    Source: paper, section 5.2 and table 1; the reference does not have it.
    """

    scope = "residual"

    def build(self, input_shape):
        channels = input_shape[-1]
        self.require_channels(channels)

        # Split the channels in the middle so that the weights are as many as those of attention.
        wide, narrow = divmod(channels // 8 + channels // 2, 5)
        inner_shape = (*input_shape[:-1], wide + narrow)

        # Make the convolutions, and the scalar that weighs their result.
        self.conv1 = self.convolution(wide, 3, name="sn_conv1", input_shape=input_shape)
        self.conv1_rest = None
        if narrow:
            self.conv1_rest = self.convolution(
                narrow, 1, name="sn_conv1_rest", input_shape=input_shape
            )
        self.conv2 = self.convolution(channels, 1, name="sn_conv2", input_shape=inner_shape)
        self.add_sigma_ratio()

    def call(
        self,
        x,
        update_sn: bool = False,
        return_attention: bool = False,
        collection: Optional[Collection] = None,
    ):
        spectral = {"update_sn": update_sn, "collection": collection}

        # To few channels, and back.
        begun = self.factory.relu(x)
        inner = self.conv1(begun, **spectral)
        if self.conv1_rest is not None:
            rest = self.conv1_rest(begun, **spectral)
            inner = self.factory.concatenate([inner, rest])
        residual = self.conv2(self.factory.relu(inner), **spectral)

        # Add what was computed.
        y = self.factory.add(x, residual, scale=self.sigma_ratio)
        return (y, None) if return_attention else y

    def weighted_layers(self) -> list[ops.SpectralNormLayer]:
        """The convolutions, in the order of the computation."""
        convs = [self.conv1, self.conv1_rest, self.conv2]
        return [conv for conv in convs if conv is not None]
