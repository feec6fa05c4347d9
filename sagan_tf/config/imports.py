"""Settings of the import of other projects' weights."""

import dataclasses

from sagan_tf.config import card, fields

SOURCES = ("mmgen", "tfgan", "studiogan", "sngan_projection")
# Projects whose programs know one order of colours.
ALWAYS_RGB = ("tfgan", "sngan_projection")


@dataclasses.dataclass(frozen=True)
class ImportConfig(card.CardConfig):
    """What to import, and as what."""

    source: str = fields.option(
        "mmgen",
        "The project that wrote the weights: mmgeneration, TF-GAN, PyTorch-StudioGAN, or "
        "SNGAN-projection (pfnet-research).",
        choices=SOURCES,
        group="Import",
    )
    path: tuple[str, ...] = fields.option(
        (),
        "The file of weights. StudioGAN and SNGAN-projection have two: give the flag once for the "
        "generator's and once for the discriminator's. A TensorFlow checkpoint is named without "
        "the endings of its files.",
        group="Import",
        meaning="lists what is published, and what to do with it",
    )
    to: str = fields.option(
        "model",
        "What to write. model is an exported generator that computes what the source computes. "
        "run is a run directory to train on.",
        choices=("model", "run"),
        group="Import",
    )
    out: str = fields.option(
        "",
        "Directory to write, new or empty.",
        group="Import",
    )
    number_classes: int = fields.option(
        0,
        "Number of classes of your own, for fine-tuning. Each begins as the mean of the source's "
        "classes.",
        minimum=0,
        group="Import",
        meaning="the classes of the source",
    )
    live: bool = fields.option(
        False,
        "With --to=model, take the generator itself where the file has its moving average too.",
        group="Import",
    )
    sigma: str = fields.option(
        "stored",
        "What weights are divided by. stored takes the vectors in the file, as the source does "
        "when it generates. settled takes the largest singular value, as StudioGAN's own "
        "evaluation does.",
        choices=("stored", "settled"),
        group="Import",
    )
    epsilon: float = fields.option(
        0.0,
        "Epsilon of the generator's batch norms.",
        minimum=0,
        maximum=1,
        group="Import",
        meaning="what the source's configuration says",
    )
    channel_order: str = fields.option(
        "auto",
        "Order of the colours in the source. auto is bgr for mmgeneration's own networks, and rgb "
        "for all others.",
        choices=("auto", "rgb", "bgr"),
        group="Import",
    )
    shortcut: str = fields.option(
        "auto",
        "What shortcuts of the discriminator take: the map itself, or the map after a ReLU in "
        "place. auto is relu for StudioGAN's networks, and where mmgeneration's say so.",
        choices=("auto", "plain", "relu"),
        group="Import",
    )

    def __post_init__(self):
        fields.check(self)
        self.check_card()
        fields.require_all(
            self,
            ("out", bool(self.out) or not self.path, "the directory to write, with --path"),
            ("path", bool(self.path) or not self.out, "the file of weights, with --out"),
            (
                "channel_order",
                self.channel_order != "bgr" or self.source not in ALWAYS_RGB,
                f"auto or rgb, because the colours of {self.source} are red, green, blue",
            ),
            ("live", not self.live or self.to == "model", "off with --to=run, which takes both"),
            (
                "to",
                self.to == "model" or not self.asks_for_card,
                "model with --licence, --dataset or --hub_repo: a run has no model card",
            ),
        )
