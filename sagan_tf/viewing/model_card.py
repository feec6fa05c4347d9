"""The model card of an exported model: a README for people and for the hub."""

import math
import os
import re
import zipfile
from collections.abc import Iterator, Sequence

from sagan_tf.config import SampleConfig
from sagan_tf.evaluation import protocol, rows
from sagan_tf.images import pixels
from sagan_tf.runs import beginnings, exported
from sagan_tf.runs.card import Card
from sagan_tf.runtime import files
from sagan_tf.viewing import card_metadata, sample, trained
from sagan_tf.viewing.card_facts import PLACEHOLDER, UNKNOWN, Facts, classifier_name

FILE = "README.md"
GRID = "samples.png"
ONNX_FILE = "generator.onnx"
# What Keras's own path to the hub reads, in the words of `keras.saving`.
HUB_FILES = ("config.json", "metadata.json", "model.weights.h5")
# Files that an export need not have.
_OTHER_FILES = {
    ONNX_FILE: "the same for ONNX Runtime: z, labels to floats in [-1, 1].",
    beginnings.FILE: "both networks, for training to go on from them (`--init_from`).",
}
_SEEDS = "0-3"  # Of the grid.
_LISTED_CLASSES = 40
_SPECIAL = re.compile(r"([\\`*_<>|#\[\]])")


def write(network: trained.Trained, out: str, facts: Facts) -> None:
    """Writes what a hub shows and loads: the card, a grid, and the `.keras` file's parts.

    Args:
      network: the model.
      out: directory that the model has been written to.
      facts: what the model's own card does not know.
    Raises:
      What the disk raises.
    """
    # Unpack what `keras.saving.load_model("hf://USER/NAME")` reads.
    with zipfile.ZipFile(os.path.join(out, exported.KERAS_FILE)) as archive:
        for name in HUB_FILES:
            archive.extract(name, out)

    # Draw the grid.
    request = sample.make_request(SampleConfig(run=out, seeds=_SEEDS), network)
    grid = sample.picture(network, request, sheet=True)
    files.write_bytes(os.path.join(out, GRID), pixels.encode_png(grid))

    # Write the card.
    others = [name for name in _OTHER_FILES if os.path.exists(os.path.join(out, name))]
    files.write_whole(os.path.join(out, FILE), text(network.card, facts, others=others))


def text(card: Card, facts: Facts, *, others: Sequence[str] = ()) -> str:
    """The whole card: the hub's metadata, then Markdown."""
    # Say what it is and how it is used.
    config = card.model_config
    sections = [
        card_metadata.front_matter(card, facts),
        f"# SAGAN, {config.image_size} x {config.image_size} pixels",
        _about(card),
        f"![Samples, a row for each class and a column for each seed]({GRID})",
        f"Seeds of the samples: {_SEEDS}.",
        "## Use",
        _use(card, facts),
        "## Inputs and images",
        _list(_inputs(card)),
    ]

    # Say where it is from, how good it is, and where it ends.
    sections += [
        "## Scores",
        *_scores(card, facts),
        "## Training",
        _list(_training(card, facts)),
        "## Licence",
        _licence(card, facts),
        "## Limits",
        _list(_limits(card, facts)),
        "## Files",
        _list(_files(others)),
    ]
    return "\n\n".join(section.rstrip("\n") for section in sections) + "\n"


def _about(card: Card) -> str:
    """A paragraph: which network, of which project."""
    # Name the network.
    config = card.model_config
    classes = "one class" if config.number_classes == 1 else f"{config.number_classes:,} classes"
    attention = config.attention_side("generator")
    block = (
        f"with self-attention at {attention} x {attention}" if attention else "without attention"
    )

    # Name the project.
    project = card.origin.get("project")
    origin = f" Its weights are from {_plain(project)}." if project else ""
    return (
        f"The generator of a GAN ([SAGAN](https://arxiv.org/abs/1805.08318)), {block}, for images "
        f"of {classes}.{origin}"
    )


def _use(card: Card, facts: Facts) -> str:
    """A program of five lines, in Keras alone."""
    # Draw z, cut off where the model's are.
    config = card.model_config
    shape = f"(4, {config.z_dim})"
    limit = card.sampling.truncation
    z = f'np.random.default_rng(0).standard_normal({shape}, dtype="float32")'
    if limit:
        share = math.erf(limit / math.sqrt(2))
        uniform = f"np.random.default_rng(0).uniform(-{share!r}, {share!r}, {shape})"
        normal = f'2**0.5 * keras.ops.erfinv({uniform}.astype("float32"))'
        z = f"keras.ops.convert_to_numpy({normal})"  # Keras takes no tensor beside an array.

    # Write the program.
    labels = f"np.arange(4) % {config.number_classes}"
    repo = facts.hub_repo or PLACEHOLDER
    lines = [
        "import keras, numpy as np",
        f'model = keras.saving.load_model("hf://{repo}")  # or "{exported.KERAS_FILE}" beside you',
        f"z = {z}",
        f"images = keras.ops.convert_to_numpy(model([z, {labels}]))  # in [-1, 1]",
        'keras.utils.array_to_img(np.rint((images[0] + 1) * 127.5), scale=False).save("image.png")',
    ]
    program = "\n".join(lines)
    return (
        f"```python\n{program}\n```\n\nIt needs `keras`, `tensorflow` and, for `hf://`, "
        "`huggingface_hub`. It consists of Keras's own layers."
    )


def _inputs(card: Card) -> Iterator[str]:
    """What goes in, what comes out, and the classes."""
    # Take the words of the model's own card.
    inputs = card.words()
    yield f"{inputs['inputs']}."
    yield f"Images: {inputs['images']}."
    yield f"Batch norm: {inputs['batch_norm']}."

    # Name the classes.
    classes = card.classes
    count = len(classes.names)
    shown = [classes.full_text(label) for label in range(min(count, _LISTED_CLASSES))]
    more = f", and {count - len(shown):,} more in `model.json`" if count > len(shown) else ""
    yield f"Classes: {_plain(', '.join(shown))}{more}."


def _scores(card: Card, facts: Facts) -> Iterator[str]:
    """Paragraphs and a table for each protocol."""
    # Without scores of ours there may be those of the source.
    if not facts.scores:
        yield (
            "This project has no scores of this model: of these weights with this truncation and "
            "these statistics of batch norm."
        )
        if card.origin.get("published"):
            yield (
                f"The source publishes: {_plain(card.origin['published'])}. These scores are of "
                f"its own protocol: {_plain(card.origin.get('protocol', UNKNOWN))}."
            )
        return

    # Give the scores, a protocol at a time.
    for row in facts.scores:
        record = row["protocol"]
        yield f"Classifier: {_code(classifier_name(record))}."
        yield "\n".join(["| score | value |", "|---|---|", *_lines(row)])
        cited = row.get("citation") or protocol.protocol_title(record)
        yield f"Protocol: {_plain(cited)}."
    yield (
        "A score compares only with scores of the same classifier, real images, number of images "
        "and protocol."
    )


def _lines(row: dict) -> Iterator[str]:
    """A line of the table for each score."""
    for score in card_metadata.finite_scores(row):
        value = f"{score.value:.4f}"
        if score.deviation is not None:
            value += f" (standard deviation of {score.splits} splits {score.deviation:.4f})"
        if score.name == rows.KID:
            error = "" if score.error is None else f" (standard error {score.error:.5f})"
            value = f"{score.value:.5f}{error}"
        yield f"| {card_metadata.metric_name(score)} | {value} |"


def _training(card: Card, facts: Facts) -> Iterator[str]:
    """How the weights came about, and which they are."""
    # Say the data and the settings.
    yield f"Data set: {facts.dataset or UNKNOWN + ' (whoever exported the model did not say)'}."
    for name, value in facts.training.items():
        yield f"{name[0].upper()}{name[1:]}: {value}."

    # Say which weights they are.
    average = "their moving average" if card.use_ema else "the weights as they were trained"
    yield f"Step: {card.step:,}, {average}."
    if card.run:
        yield f"Run: {_code(card.run)}."
    if card.checkpoint_sha256:
        yield f"SHA-256 of the checkpoint: `{card.checkpoint_sha256}`."
    made_with = ", ".join(f"{name} {version}" for name, version in card.made_with.items())
    if made_with:
        yield f"Exported with {made_with}."

    # Say where imported weights are from.
    if card.origin.get("url"):
        yield f"Source: <{card.origin['url']}>."
    for name, digest in card.origin.get("files", {}).items():
        yield f"File {_code(name)}: SHA-256 `{digest}`."


def _licence(card: Card, facts: Facts) -> str:
    """The licence, or that it is unknown."""
    stated = card.origin.get("licence")
    source = f" The source states: {_plain(stated)}." if stated else ""
    if facts.licence:
        return f"{facts.licence}.{source}"
    return (
        f"Unknown: whoever exported the model did not say.{source} The licence of the training "
        "images may bind what the model makes."
    )


def _limits(card: Card, facts: Facts) -> Iterator[str]:
    """What the model does not do, and what nobody has looked at."""
    # Say what it can make.
    config = card.model_config
    yield (
        f"It makes images of {config.image_size} x {config.image_size} pixels and of the classes "
        "above only. It takes no text."
    )
    yield "The Keras model does not check labels; the SavedModel refuses labels of no class."
    if config.note_on_classes:
        yield "The discriminator did not see classes: images of a class are not of that class."

    # Say what was not measured.
    if not facts.scores:
        yield "Its quality, as it is here, has not been measured."
    yield (
        "It may repeat training images and has their biases. Whether it copies was not measured "
        "for this card."
    )


def _files(others: Sequence[str]) -> Iterator[str]:
    """Each file of the directory; `others` are those that an export need not have."""
    yield f"`{exported.KERAS_FILE}`: the model for Keras in one file."
    unpacked = ", ".join(f"`{name}`" for name in HUB_FILES)
    yield f"{unpacked}: the same, as `hf://` wants it."
    yield (
        "`saved_model.pb`, `variables`: the same for TensorFlow alone, with images from seeds and "
        "attention maps as signatures."
    )
    for name in others:
        yield f"`{name}`: {_OTHER_FILES[name]}"
    yield "`model.json`: settings, classes and checkpoint."
    yield f"`{GRID}`: the samples above."


def _list(lines: Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _code(value: str) -> str:
    """A text between backquotes, on one line and without backquotes of its own."""
    line = " ".join(str(value).split())
    inside = line.replace("`", "'")
    return f"`{inside}`"


def _plain(value: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
