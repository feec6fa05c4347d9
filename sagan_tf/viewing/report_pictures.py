"""Pictures of the report: sample grids, and the newest checkpoint's images and attention maps."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf
from PIL import Image

from sagan_tf import errors
from sagan_tf.data import class_names
from sagan_tf.gan import noise
from sagan_tf.images import attention_figure, pixels
from sagan_tf.images.grids import labelled_sheet
from sagan_tf.runs import card
from sagan_tf.training import previews
from sagan_tf.viewing import run_summary, trained, words
from sagan_tf.viewing.pages import Picture

_SHEET_CLASSES = 10
_SHEET_SEEDS = 8
_ATTENTION_IMAGES = 3
_ATTENTION_QUERIES = 4
_SHEET_SIZE = (1400, 90)  # pixels in a row, at most, and JPEG quality
_GRID_ROWS = 10  # as training draws them
# Width in pixels and JPEG quality of the sample grids: the first with which they take less.
_GRID_SIZES = ((1000, 85), (800, 85), (640, 80), (480, 75))
GRID_BYTES = 3_500_000


class OfModel(NamedTuple):
    """What the newest checkpoint draws.

    Attributes:
      card: what the model is.
      classes: samples by class and seed.
      attention: attention maps; None where the generator has none.
      remark: on how strongly attention acts; "" where there is nothing to remark.
    """

    card: card.Card
    classes: Picture
    attention: Optional[Picture]
    remark: str


def samples(run: run_summary.Run, max_grids: int) -> dict[str, Any]:
    """What training has drawn.

    Returns:
      "grids": step and picture of at most `max_grids` grids of fixed z, steps ascending;
      "row_names": the class of each of their rows, [] where they cannot be read; "real": real
      images, None where they are not there.
    """
    # Read the grids, as large as they may be together.
    grids = words.spread(run_summary.grids_of(run.directory), max_grids)
    found: list[tuple[int, Picture]] = []
    for width, quality in _GRID_SIZES:
        read = [(step, _read_grid(path, width, quality)) for step, path in grids]
        found = [(step, one) for step, one in read if one is not None]
        size = sum(len(one.jpeg) for _, one in found)
        if size <= GRID_BYTES:
            break
    else:
        found = words.spread(found, max(len(found) * GRID_BYTES // size, 1))

    # Read the real images.
    real = _read_grid(os.path.join(run.directory, "samples", "real.png"), *_GRID_SIZES[0])
    return {"grids": found, "row_names": _row_names(run), "real": real}


def _read_grid(path: str, width: int, quality: int) -> Optional[Picture]:
    """A PNG file as a picture; None if it is not there, being written, or damaged."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            image = pixels.decode_png(file.read())
    except (OSError, ValueError, SyntaxError, EOFError, tf.errors.OpError):
        return None
    return encode(image, width, quality)


def encode(image: np.ndarray, width: int, quality: int) -> Picture:
    """uint8 [height, width, 3] as a picture of at most `width` pixels in a row."""
    height, before = image.shape[:2]
    if before > width:
        size = (width, max(round(height * width / before), 1))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    jpeg = pixels.encode(image, "jpeg", quality=quality)
    return Picture(jpeg, width=image.shape[1], height=image.shape[0])


def _row_names(run: run_summary.Run) -> list[str]:
    """Names of the classes of the grids' rows; [] where they cannot be read."""
    count = run.model.number_classes
    try:
        names = class_names.read(run.directory, count)
    except errors.UserError:
        return []
    return [names.text(label) for label in noise.spread_classes(count, _GRID_ROWS).tolist()]


def of_model(run: run_summary.Run, note: Callable[[str], None]) -> OfModel:
    """Class sheet and attention figure of the newest checkpoint.

    Raises:
      errors.UserError: there is no checkpoint, or it cannot be read.
    """
    network = trained.open_model(
        run.directory,
        use_ema=run.train.use_ema,
        sampling=previews.sampling_of_pictures(run.train),
        note=note,
    )
    attention, remark = _attention(network)
    return OfModel(network.card, _class_sheet(network), attention, remark)


def _class_sheet(network: trained.Trained) -> Picture:
    """Samples of some classes with the same seeds."""
    # Make the images.
    names = network.card.classes
    labels = _spread_labels(network, _SHEET_CLASSES)
    seeds = range(_SHEET_SEEDS)
    z, _ = network.draw(seeds)
    images = network.generate_pixels(
        tf.tile(z, (len(labels), 1)), np.repeat(np.array(labels, np.int32), len(seeds))
    )

    # Lay them out.
    columns = [f"seed {seed}" for seed in seeds]
    rows = [names.text(label) for label in labels]
    return encode(labelled_sheet(images, rows, column_names=columns), *_SHEET_SIZE)


def _attention(network: trained.Trained) -> tuple[Optional[Picture], str]:
    """Where places of a few images look; and a remark on how much it counts."""
    # Make the images.
    labels = _spread_labels(network, _ATTENTION_IMAGES)
    z, _ = network.draw(range(len(labels)))
    images, attention, share = network.attention(z, np.array(labels, np.int32))
    if attention is None:
        return None, ""

    # Draw the figure.
    panels = []
    for seed, label in enumerate(labels):
        caption = network.caption(label, seed, two_lines=True)
        panels.append(
            attention_figure.panel(
                images[seed], caption, attention=attention[seed], count=_ATTENTION_QUERIES
            )
        )
    title = attention_figure.title_of(
        "generator", network.card.step, sigma_ratio=network.card.sigma_ratio, share=share
    )
    figure = pixels.decode_png(attention_figure.draw(panels, title))
    return encode(figure, *_SHEET_SIZE), attention_figure.remark_on(share) or ""


def _spread_labels(network: trained.Trained, count: int) -> Sequence[int]:
    """Labels of at most `count` classes, evenly."""
    return words.spread(range(network.card.model_config.number_classes), count)
