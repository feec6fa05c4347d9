"""Settings of the two networks."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Optional

from sagan_tf.config import fields

# Attention sits on the map of this side; None: the network has no attention block.
ATTENTION_OF_TYPE = {"test": 32, "test_64": 64, "baseline": None}
IMAGE_SIZES = (32, 64, 128, 256)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The two networks. Everything here decides names or shapes of weights, or the forward pass."""

    image_size: int = fields.option(
        128,
        "Side of the square images in pixels. Where --data_dir holds a dataset.json, training "
        "takes the side from there.",
        choices=IMAGE_SIZES,
        group="Data",
        meaning="unless dataset.json says another",
        reference="model.py:43",
    )
    z_dim: int = fields.option(
        128,
        "Length of the latent vector z.",
        above=0,
        group="Networks",
        reference="model.py:49",
    )
    gf_dim: int = fields.option(
        64,
        "Width of the generator: the number of channels of its last block.",
        above=0,
        group="Networks",
        reference="model.py:50",
    )
    df_dim: int = fields.option(
        64,
        "Width of the discriminator: the number of channels of its first block.",
        above=0,
        group="Networks",
        reference="model.py:51",
    )
    number_classes: int = fields.option(
        1000,
        "Number of classes; labels run from 0 to this number minus 1. Where --data_dir holds a "
        "dataset.json, training takes the number from there.",
        above=0,
        group="Data",
        meaning="unless dataset.json says another",
        reference="model.py:52",
    )
    generator_type: str = fields.option(
        "test",
        "Kind of generator. test has attention on the 32x32 map, test_64 has it on the 64x64 map, "
        "and baseline has none. --block puts another block in the place of attention.",
        choices=tuple(ATTENTION_OF_TYPE),
        group="Networks",
        reference="model.py:55",
    )
    discriminator_type: str = fields.option(
        "test",
        "Kind of discriminator, as for --generator_type.",
        choices=tuple(ATTENTION_OF_TYPE),
        group="Networks",
        reference="model.py:56",
    )
    attention_resolution: int = fields.option(
        0,
        "Side of the map that attention, or the residual block of --block, works on, in every "
        "network whose type is not baseline.",
        group="Networks",
        meaning="the side that the type of the network names",
    )
    block: str = fields.option(
        "attention",
        "The block on that map. residual puts a residual block with as many parameters in the "
        "place of attention, in both networks: a comparison of the paper.",
        choices=("attention", "residual"),
        group="Networks",
    )
    relu_shortcut: bool = fields.option(
        False,
        "In every block of the discriminator but the first, a ReLU comes before the shortcut too. "
        "Networks of PyTorch-StudioGAN, and some of mmgeneration, compute that.",
        group="Networks",
        reference="discriminator.py:29-93",
    )
    spectral_norm: str = fields.option(
        "exact",
        "What spectral normalisation divides a weight by. exact takes sigma, the weight's largest "
        "singular value. at_most_one takes max(1, sigma), so that a weight whose sigma is below 1 "
        "stays as it is; TF-GAN does that. The block of --block takes sigma in any case.",
        choices=("exact", "at_most_one"),
        group="Networks",
        reference="ops.py:120-175",
    )
    generator_sn: bool = fields.option(
        True,
        "The generator is spectrally normalised, as the discriminator always is. Without it the "
        "generator's layers compute with the weights themselves, as those of SNGAN-projection do.",
        group="Networks",
        reference="generator.py:137-263",
    )
    conditioning: str = fields.option(
        "projection",
        "How the discriminator takes the class. projection adds the product of its features and "
        "an embedding of the class to the logit. auxiliary_classifier gives it a second head, "
        "which tells the class, as in AC-GAN; the cross-entropy is a part of both networks' "
        "losses. none: it does not see the class. The generator's labels mean nothing then, and "
        "samples of a class are not of that class.",
        choices=("projection", "auxiliary_classifier", "none"),
        group="Networks",
        reference="discriminator.py:133-242",
    )
    cbn_decay: float = fields.option(
        0.999,
        "Decay of the moving statistics of conditional batch norm.",
        minimum=0,
        below=1,
        group="Networks",
        reference="ops.py:310",
    )
    bn_decay: float = fields.option(
        0.9999,
        "Decay of the moving statistics of the generator's last batch norm.",
        minimum=0,
        below=1,
        group="Networks",
        reference="ops.py:363",
    )

    def __post_init__(self):
        fields.check(self)
        if self.attention_resolution:
            self._check_attention_resolution()
        fields.require_field(
            self,
            "block",
            holds=self.block == "attention" or self._has_block,
            expected="attention, because both networks are of type baseline",
        )
        for network, width in (("generator", "gf_dim"), ("discriminator", "df_dim")):
            if self.attention_side(network) is not None:
                self._check_attention(network, width)

    @property
    def _has_block(self) -> bool:
        """Whether a network has a block of attention, or the one in its place."""
        return {self.generator_type, self.discriminator_type} != {"baseline"}

    @property
    def _attention_sides(self) -> list[int]:
        """Sides of the maps that attention can sit on, at this size of the images."""
        return [side for side in (8, 16, 32, 64, 128) if side <= self.image_size // 2]

    def _check_attention_resolution(self) -> None:
        sides = self._attention_sides

        # Some network must have the block, and it a map of this side.
        fields.require_all(
            self,
            (
                "attention_resolution",
                self.attention_resolution in sides,
                f"one of {sides} at --image_size={self.image_size}, or 0",
            ),
            (
                "attention_resolution",
                self._has_block,
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
            f"channels that the {self.block} block needs",
        )

    def departures(self, names: Iterable[str]) -> dict[str, tuple[Any, Any]]:
        """Of the settings of these names, those that are not the defaults: value and default."""
        default = ModelConfig()
        found = {}
        for name in names:
            value = getattr(self, name)
            usual = getattr(default, name)
            if value != usual:
                found[name] = (value, usual)
        return found

    def attention_side(self, network: str) -> Optional[int]:
        """Side of the map that attention, or the block in its place, sits on, or None.

        Args:
          network: "generator" or "discriminator".
        """
        side_of_type = ATTENTION_OF_TYPE[getattr(self, f"{network}_type")]
        if side_of_type is None:
            return None
        return self.attention_resolution or side_of_type

    def has_attention(self, network: str) -> bool:
        """Whether a network, "generator" or "discriminator", has an attention block."""
        return self.block == "attention" and self.attention_side(network) is not None

    @property
    def norms_at_most_one(self) -> bool:
        """Whether weights are divided by max(1, sigma) instead of sigma, those of `block` apart."""
        return self.spectral_norm == "at_most_one"

    @property
    def has_classifier(self) -> bool:
        """Whether the discriminator has a second head, which tells the class."""
        return self.conditioning == "auxiliary_classifier"

    @property
    def note_on_classes(self) -> str:
        """A line for users where the generator's labels mean nothing; else empty."""
        if self.conditioning != "none" or self.number_classes == 1:
            return ""
        return (
            "--conditioning=none: the discriminator did not see classes, so samples of a class "
            "are not of that class"
        )

    @property
    def num_blocks(self) -> int:
        """Up-blocks of the generator, n = log2(image_size / 4); D has one block more."""
        return (self.image_size // 4).bit_length() - 1
