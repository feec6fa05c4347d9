"""What the blocks have in common that sit between two residual blocks of a network."""

from collections.abc import Mapping
from typing import Optional

import keras

from sagan_tf.gan import layers, ops
from sagan_tf.gan.optimizations import Optimizations
from sagan_tf.gan.updates import State


class InsertedBlock(keras.layers.Layer):
    """A block x + sigma_ratio * f(x), whose scalar `sigma_ratio` is trainable and starts at 0.

    The last of its `weighted_layers` makes f(x).

    Args:
      optimizations: of `config.optimizations`, for the convolutions.
      factory: makes the layers.
    """

    # What the name of the block in a network ends with.
    scope: str

    def __init__(
        self,
        optimizations: Optional[Mapping[str, int]] = None,
        *,
        factory: layers.SpectralLayers = layers.SPECTRAL,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.optimizations = Optimizations(optimizations)
        self.factory = factory
        self.sigma_ratio = None

    def require_channels(self, channels: int) -> None:
        """Refuses a map that is too narrow for C/8 channels."""
        if channels < 8:
            raise ValueError(f"{self.scope} needs at least 8 channels, the map has {channels}")

    def convolution(
        self, filters: int, kernel_size: int, *, name: str, input_shape: tuple
    ) -> ops.SNConv2D:
        """A built convolution without bias."""
        layer = self.factory.inside(self.name).conv(
            filters,
            kernel_size,
            use_bias=False,
            name=name,
            optimizations=self.optimizations,
            dtype=self.dtype_policy,
        )
        layer.build(input_shape)
        return layer

    def add_sigma_ratio(self) -> None:
        """Makes the scalar that weighs f(x)."""
        self.sigma_ratio = self.add_weight(name="sigma_ratio", shape=(), initializer="zeros")

    def weighted_layers(self) -> list[ops.SpectralNormLayer]:
        """The convolutions, in a fixed order."""
        raise NotImplementedError

    def spectral_norm_layers(self) -> list[ops.SpectralNormLayer]:
        """Those of them that are spectrally normalised."""
        return ops.normalized(self.weighted_layers())

    def states(self) -> list[State]:
        """What a call with `update_sn` moves."""
        found = []
        for layer in self.weighted_layers():
            found += layer.states()
        return found

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "optimizations": dict(self.optimizations)}
