"""Settings of the two networks."""

import dataclasses
from typing import Optional

from sagan_tf.config import fields

# Attention sits on the map of this side; None: the network has no attention block.
ATTENTION_OF_TYPE = {"test": 32, "test_64": 64, "baseline": None}
IMAGE_SIZES = (32, 64, 128, 256)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The two networks. Everything here decides names or shapes of weights, or the forward pass."""

    image_size: int = fields.option(
        128, "Side of the square images in pixels (the reference: 128 only).", choices=IMAGE_SIZES
    )
    z_dim: int = fields.option(128, "Dimension of the latent vector z.", above=0)
    gf_dim: int = fields.option(64, "Width of the generator: channels of its last block.", above=0)
    df_dim: int = fields.option(
        64, "Width of the discriminator: channels of its first block.", above=0
    )
    number_classes: int = fields.option(
        1000, "Number of classes; labels run from 0 to this minus 1.", above=0
    )
    generator_type: str = fields.option(
        "test",
        "Generator: test is SAGAN with attention on the 32x32 map, test_64 on the 64x64 "
        "map, baseline has no attention.",
        choices=tuple(ATTENTION_OF_TYPE),
    )
    discriminator_type: str = fields.option(
        "test",
        "Discriminator: test, test_64 or baseline, as for the generator.",
        choices=tuple(ATTENTION_OF_TYPE),
    )
    attention_resolution: int = fields.option(
        0,
        "Side of the map that attention sits on, in every network whose type is not baseline; "
        "0: as the type says. (Not in the reference.)",
    )
    cbn_decay: float = fields.option(
        0.999,
        "Decay of the moving statistics of conditional batch norm. (A constant in the reference.)",
        minimum=0,
        below=1,
    )
    bn_decay: float = fields.option(
        0.9999,
        "Decay of the moving statistics of the generator's last batch norm. (A constant "
        "in the reference.)",
        minimum=0,
        below=1,
    )

    def __post_init__(self):
        fields.check(self)
        if self.attention_resolution:
            self._check_attention_resolution()
        for network, width in (("generator", "gf_dim"), ("discriminator", "df_dim")):
            if self.attention_side(network) is not None:
                self._check_attention(network, width)

    @property
    def _attention_sides(self) -> list[int]:
        """Sides of the maps that attention can sit on, at this size of the images."""
        return [side for side in (8, 16, 32, 64, 128) if side <= self.image_size // 2]

    def _check_attention_resolution(self) -> None:
        sides = self._attention_sides
        types = {self.generator_type, self.discriminator_type}

        # Some network must have attention, and it a map of this side.
        fields.require_all(
            self,
            (
                "attention_resolution",
                self.attention_resolution in sides,
                f"one of {sides} at --image_size={self.image_size}, or 0",
            ),
            (
                "attention_resolution",
                types != {"baseline"},
                "0, because both networks are of type baseline",
            ),
        )

    def _check_attention(self, network: str, width: str) -> None:
        """Checks that a network has the map that its attention sits on, with enough channels."""
        # Check the side of the map.
        side = self.attention_side(network)
        sides = self._attention_sides
        fields.require_field(
            self,
            f"{network}_type",
            holds=side in sides,
            expected=f"a type whose map of side {side} exists at --image_size={self.image_size}; "
            f"with --attention_resolution it may sit on one of {sides}",
        )

        # Check its channels.
        multiple = self.image_size // (side if network == "generator" else 2 * side)
        fields.require_field(
            self,
            width,
            holds=getattr(self, width) * multiple >= 8,
            expected=f"at least {-(-8 // multiple)}, so that the map of side {side} has the 8 "
            "channels that attention needs",
        )

    def attention_side(self, network: str) -> Optional[int]:
        """Side of the map that attention sits on, or None.

        Args:
          network: "generator" or "discriminator".
        """
        side_of_type = ATTENTION_OF_TYPE[getattr(self, f"{network}_type")]
        if side_of_type is None:
            return None
        return self.attention_resolution or side_of_type

    @property
    def num_blocks(self) -> int:
        """Up-blocks of the generator, n = log2(image_size / 4); D has one block more."""
        return (self.image_size // 4).bit_length() - 1
