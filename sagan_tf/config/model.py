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
    z_dim: int = fields.option(128, "Dimension of the latent vector z.")
    gf_dim: int = fields.option(64, "Width of the generator: channels of its last block.")
    df_dim: int = fields.option(64, "Width of the discriminator: channels of its first block.")
    number_classes: int = fields.option(
        1000, "Number of classes; labels run from 0 to this minus 1."
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
    )
    bn_decay: float = fields.option(
        0.9999,
        "Decay of the moving statistics of the generator's last batch norm. (A constant "
        "in the reference.)",
    )

    def __post_init__(self):
        fields.require_positive(self, "z_dim", "gf_dim", "df_dim", "number_classes")
        fields.require_choices(self)
        for name in ("cbn_decay", "bn_decay"):
            fields.require(
                0 <= getattr(self, name) < 1,
                name,
                value=getattr(self, name),
                expected="a number from 0 up to, not including, 1",
            )
        self._check_attention()

    def _check_attention(self) -> None:
        possible = [8 * 2**k for k in range(8) if 8 * 2**k <= self.image_size // 2]
        if self.attention_resolution:
            value = self.attention_resolution
            fields.require(
                value in possible,
                "attention_resolution",
                value=value,
                expected=f"one of {possible} at --image_size={self.image_size}, or 0",
            )
            both = {self.generator_type, self.discriminator_type}
            fields.require(
                both != {"baseline"},
                "attention_resolution",
                value=value,
                expected="0, because both networks are of type baseline",
            )
        for net, width in (("generator", self.gf_dim), ("discriminator", self.df_dim)):
            side = self.attention_side(net)
            if side is None:
                continue
            fields.require(
                side in possible,
                f"{net}_type",
                value=getattr(self, f"{net}_type"),
                expected=f"a type whose map of side {side} exists at --image_size={self.image_size}; "
                f"with --attention_resolution it may sit on one of {possible}",
            )
            channels = width * self.image_size // (side if net == "generator" else 2 * side)
            fields.require(
                channels >= 8,
                "gf_dim" if net == "generator" else "df_dim",
                value=width,
                expected=f"at least {-(-8 * width // channels)}, so that the map of side {side} has "
                "the 8 channels that attention needs",
            )

    def attention_side(self, network: str) -> Optional[int]:
        """Side of the map under attention in `network` ("generator" or "discriminator"), or None."""
        by_type = ATTENTION_OF_TYPE[getattr(self, f"{network}_type")]
        return by_type if by_type is None else self.attention_resolution or by_type

    @property
    def num_blocks(self) -> int:
        """Up-blocks of the generator, n = log2(image_size / 4); D has one block more."""
        return (self.image_size // 4).bit_length() - 1
