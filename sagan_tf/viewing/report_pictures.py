"""Pictures of the report: sample grids, and the newest checkpoint's images and attention maps."""

import os
from collections.abc import Callable, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
from PIL import Image

from sagan_tf import errors
from sagan_tf.config import ModelConfig
from sagan_tf.data import class_names
from sagan_tf.gan import noise
from sagan_tf.images import attention_figure, pixels
from sagan_tf.images.grids import labelled_sheet
from sagan_tf.training import previews
from sagan_tf.viewing import html, run_summary, trained, words

_SHEET_CLASSES = 10
_SHEET_SEEDS = 8
_ATTENTION_IMAGES = 3
_ATTENTION_QUERIES = 4
_SHEET_SIZE = (1400, 90)  # pixels in a row, at most, and JPEG quality
_GRID_ROWS = 10  # as training draws them
# Width in pixels and JPEG quality of the sample grids: the first with which they take less.
_GRID_SIZES = ((1000, 85), (800, 85), (640, 80), (480, 75))
GRID_BYTES = 5_500_000


def samples(run: run_summary.Run, max_grids: int) -> list[str]:
    """The grids of fixed z with a slider, and the real images; HTML."""
    # Show the grids.
    grids = words.spread(run_summary.grids_of(run.directory), max_grids)
    pictures = _read_grids([path for _, path in grids])
    shown = [(step, picture) for (step, _), picture in zip(grids, pictures) if picture]
    if shown:
        parts = html.slider(shown, "Samples")
    else:
        parts = [html.paragraph("No grid of samples has been written yet.")]

    # Name their rows.
    rows = _row_names(run)
    if shown and rows:
        parts.append(html.paragraph(f"The same z at all steps, a class a row: {', '.join(rows)}."))

    # Show the real images.
    real = _read_grid(os.path.join(run.directory, "samples", "real.png"), *_GRID_SIZES[0])
    if real:
        parts.append(
            "<details><summary>Real images, as training reads them</summary>"
            + html.picture(real, "real images", kind="grid")
            + "</details>"
        )
    return parts


def _read_grids(paths: Sequence[str]) -> list[Optional[html.Picture]]:
    """The grids, not too large together; None for a damaged one."""
    found = []
    for width, quality in _GRID_SIZES:
        found = [_read_grid(path, width, quality) for path in paths]
        if sum(len(one.jpeg) for one in found if one) <= GRID_BYTES:
            break
    return found


def _read_grid(path: str, width: int, quality: int) -> Optional[html.Picture]:
    """A PNG file as a picture; None if it is not there, being written, or damaged."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            image = pixels.decode_png(file.read())
    except (OSError, ValueError, SyntaxError, EOFError, tf.errors.OpError):
        return None
    return _encode(image, width, quality)


def _encode(image: np.ndarray, width: int, quality: int) -> html.Picture:
    """uint8 [height, width, 3] as a picture of at most `width` pixels in a row."""
    height, before = image.shape[:2]
    if before > width:
        size = (width, max(round(height * width / before), 1))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    jpeg = pixels.encode(image, "jpeg", quality=quality)
    return html.Picture(jpeg, width=image.shape[1], height=image.shape[0])


def _row_names(run: run_summary.Run) -> list[str]:
    """Names of the classes of the grids' rows; [] where they cannot be read."""
    count = run.model.number_classes
    try:
        names = class_names.read(run.directory, count)
    except errors.UserError:
        return []
    return [names.text(label) for label in noise.spread_classes(count, _GRID_ROWS).tolist()]


def sections_of_model(
    run: run_summary.Run, note: Callable[[str], None]
) -> list[tuple[str, str, list[str]]]:
    """The sections that take a model: class sheet and attention figure of the newest checkpoint.

    Returns:
      Anchor, title and parts of each section.
    """
    try:
        network = trained.open_model(
            run.directory,
            use_ema=run.train.use_ema,
            sampling=previews.sampling_of_pictures(run.train),
            note=note,
        )
    except errors.UserError as error:
        missing = [html.paragraph(f"No picture: {error}")]
        return [("classes", "Classes", missing), ("attention", "Attention", missing)]
    return [
        ("classes", "Classes", _class_sheet(network)),
        ("attention", "Attention", _attention(network)),
    ]


def _class_sheet(network: trained.Trained) -> list[str]:
    """Samples of some classes with the same seeds; HTML."""
    # Make the images.
    card = network.card
    labels = words.spread(range(card.model_config.number_classes), _SHEET_CLASSES)
    seeds = range(_SHEET_SEEDS)
    z, _ = network.draw(seeds)
    images = network.generate_pixels(
        tf.tile(z, (len(labels), 1)), np.repeat(np.array(labels, np.int32), len(seeds))
    )

    # Lay them out.
    sheet = labelled_sheet(
        images,
        [card.classes.text(label) for label in labels],
        column_names=[f"seed {seed}" for seed in seeds],
    )
    picture = html.picture(_encode(sheet, *_SHEET_SIZE), "samples by class and seed", kind="wide")
    return [
        html.paragraph(
            f"Checkpoint of step {card.step:,}: a class a row, a seed (one z) a column; "
            f"{card.sampling.statistics}."
        ),
        html.box(picture, "class sheet"),
    ]


def _attention(network: trained.Trained) -> list[str]:
    """Where places of a few images look, and how much it counts; HTML."""
    # Make the images.
    card = network.card
    classes = range(card.model_config.number_classes)
    labels = words.spread(classes, _ATTENTION_IMAGES)
    z, _ = network.draw(range(len(labels)))
    images, attention = network.attention(z, np.array(labels, np.int32))
    if attention is None:
        return [html.paragraph(_no_attention(card.model_config))]

    # Draw the figure.
    panels = []
    for seed, label in enumerate(labels):
        caption = network.caption(label, seed, two_lines=True)
        panels.append(
            attention_figure.panel(
                images[seed], caption, attention=attention[seed], count=_ATTENTION_QUERIES
            )
        )
    title = trained.attention_title("generator", card.step, sigma_ratio=card.sigma_ratio)
    figure = pixels.decode_png(attention_figure.draw(panels, title))
    picture = html.picture(_encode(figure, *_SHEET_SIZE), "attention maps", kind="wide")

    # Say what it means.
    meaning = "Each dot is a place, and its map says where it looks."
    if card.sigma_ratio == 0:
        meaning = "It is exactly 0: attention is not used yet, and the maps say nothing."
    return [
        html.paragraph(
            f"Checkpoint of step {card.step:,}: sigma_ratio {card.sigma_ratio:.4g}. {meaning}"
        ),
        html.box(picture, "attention figure"),
    ]


def _no_attention(model_config: ModelConfig) -> str:
    if model_config.attention_side("generator") is None:
        return "The generator of this run has no attention block."
    return (
        f"The generator of this run has a {model_config.block} block in the place of attention: "
        "there is no attention to draw."
    )
