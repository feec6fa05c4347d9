"""Figures of attention maps of a trained network, and their values."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import MAX_ROWS, AttentionConfig, ModelConfig
from sagan_tf.data import preprocessing, records
from sagan_tf.gan import noise
from sagan_tf.images import attention_figure
from sagan_tf.runs import directory
from sagan_tf.runtime import files
from sagan_tf.viewing import trained, words


class Rows(NamedTuple):
    """Images, the rows of the figure.

    Attributes:
      pixels: uint8 [n, size, size, 3].
      captions: one for each.
      labels, seeds: int [n], of generated images; else None.
    """

    pixels: np.ndarray
    captions: Sequence[str]
    labels: Optional[np.ndarray] = None
    seeds: Optional[np.ndarray] = None


class NetworkAttention(NamedTuple):
    """A network's attention over some images.

    Attributes:
      step: iterations that the network was trained.
      sigma_ratio: factor of the attention block.
      rows: the images.
      attention: float32 [n, side * side, (side / 2)^2], rows summing to 1.
    """

    step: int
    sigma_ratio: float
    rows: Rows
    attention: np.ndarray


def draw(config: AttentionConfig, stream: Optional[TextIO] = None) -> str:
    """Writes the figure that the config asks for, and beside it the values as `.npz`.

    The `.npz` holds `images` (uint8 [n, size, size, 3]), `maps` (float32 [n, queries, side / 2,
    side / 2], each summing to 1), `queries` (int [n, queries], row * side + column), `points`
    (float [n, queries, 2], x and y in pixels), `sigma_ratio`, and, of generated images, `labels`
    and `seeds`.

    Returns:
      The figure's path.
    Raises:
      errors.UserError: no such model, picture or place, or the output cannot be written.
    """
    say = words.printer(stream)

    # Find out whether the files can be written before the work is done.
    values = config.out.removesuffix(".png") + ".npz"
    for path in (config.out, values):
        files.require_writable_output("out", path)

    # Compute the attention.
    if config.network == "discriminator":
        found = _attend_with_discriminator(config, say)
    else:
        found = _attend_with_generator(config, say)
    title = trained.attention_title(
        f"attention of the {config.network}", found.step, sigma_ratio=found.sigma_ratio
    )
    if found.sigma_ratio == 0:
        title += ", not used yet"
        say("sigma_ratio is 0: attention is not used yet; its maps are those of fresh weights")

    # Draw the figure, and write it with its values.
    panels = _panels(config, found)
    with files.writing(f"--out={config.out}"):
        figure = attention_figure.draw(panels, title, arrows=config.arrows, smooth=config.smooth)
        files.write_bytes(config.out, figure)
        files.write_bytes(values, _values(found, panels))
    say(f"{title}: {config.out}, {values}")
    return config.out


def _attend_with_generator(
    config: AttentionConfig, note: Callable[[str], None]
) -> NetworkAttention:
    """Generated images and the generator's attention over them."""
    network = trained.open_model(
        config.run, config.step, use_ema=config.use_ema, sampling=config.sampling, note=note
    )
    card = network.card
    if not card.model_config.has_attention("generator"):
        raise _no_attention(config, card.model_config)

    # Make the images.
    labels, seeds = _labels_and_seeds(config, network)
    z, _ = network.draw(seeds)
    pixels, attention = network.attention(z, labels)
    rows = Rows(pixels, _captions(network, labels, seeds=seeds), labels, seeds)
    return NetworkAttention(card.step, card.sigma_ratio, rows, attention)


def _attend_with_discriminator(
    config: AttentionConfig, note: Callable[[str], None]
) -> NetworkAttention:
    """Pictures or generated images and the discriminator's attention over them."""
    # Load the discriminator.
    if trained.is_exported(config.run):
        raise errors.UserError(
            f"--network=discriminator: {config.run} is an exported model, "
            "which holds only a generator; give the run"
        )
    run_dir = directory.find_run(config.run)
    network, step = trained.open_discriminator(run_dir, config.step, note=note)
    if network.non_local is None:
        raise _no_attention(config, network.config)

    # Read pictures, or generate images.
    if config.images:
        names = [name.strip() for name in config.images.split(",")]
        size = network.config.image_size
        rows = Rows(np.stack([read_picture(name, size) for name in names]), names)
        images = records.to_float(rows.pixels)
    else:
        generator = trained.open_model(
            run_dir, step, use_ema=config.use_ema, sampling=config.sampling, note=note
        )
        labels, seeds = _labels_and_seeds(config, generator)
        z, _ = generator.draw(seeds)
        images = generator.generate(z, labels)
        captions = _captions(generator, labels, seeds=seeds)
        rows = Rows(trained.to_uint8(images).numpy(), captions, labels, seeds)

    # Compute the attention; it does not depend on the label.
    no_labels = np.zeros(len(images), np.int32)
    _, attention = network(
        tf.convert_to_tensor(images), no_labels, update_sn=False, return_attention=True
    )
    ratio = float(network.non_local.sigma_ratio.numpy())
    return NetworkAttention(step, ratio, rows, attention.numpy())


def _no_attention(config: AttentionConfig, model_config: ModelConfig) -> errors.UserError:
    reason = "its type is baseline"
    if model_config.attention_side(config.network) is not None:
        reason = f"its block is {model_config.block}; there is no attention to draw"
    return errors.UserError(
        f"--network={config.network}: the {config.network} of {config.run} does not have an "
        f"attention block ({reason})"
    )


def _labels_and_seeds(
    config: AttentionConfig, network: trained.Trained
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and seeds of the rows of the figure, int [rows]; the shorter list is repeated."""
    # Find the classes and seeds that are asked for.
    seeds = config.seed_numbers
    if config.classes:
        labels = network.card.classes.find(config.classes)
    else:
        labels = noise.spread_classes(network.card.model_config.number_classes, len(seeds))

    # Make them equally many.
    rows = max(len(seeds), len(labels))
    if rows > MAX_ROWS:
        raise errors.UserError(
            f"--classes={config.classes}: {rows} rows; expected at most {MAX_ROWS}"
        )
    return np.resize(labels, rows), np.resize(seeds, rows)


def _captions(network: trained.Trained, labels: np.ndarray, *, seeds: np.ndarray) -> list[str]:
    return [network.caption(label, seed, two_lines=True) for label, seed in zip(labels, seeds)]


def read_picture(name: str, size: int) -> np.ndarray:
    """The middle square of a picture, uint8 [size, size, 3].

    Raises:
      errors.UserError: the file is not a picture.
    """
    try:
        with tf.io.gfile.GFile(name, "rb") as file:
            content = file.read()
        return preprocessing.clean(content, size)
    except (OSError, tf.errors.OpError, preprocessing.Damaged) as error:
        raise errors.UserError(
            f"--images={name}: expected a picture ({files.first_line(error)})"
        ) from error


def _panels(config: AttentionConfig, found: NetworkAttention) -> list[attention_figure.Panel]:
    """A panel for each image, with the queries that the config asks for."""
    rows = found.rows
    size = rows.pixels.shape[1]
    side = attention_figure.side_of(found.attention)
    shared = _shared_queries(config, size, side=side)

    panels = []
    for image, caption, attention in zip(rows.pixels, rows.captions, found.attention):
        queries = shared or attention_figure.most_spread(attention, config.num_queries)
        maps = attention_figure.maps_of(attention, queries)
        panels.append(attention_figure.Panel(image, caption, queries, maps))
    return panels


def _shared_queries(config: AttentionConfig, size: int, *, side: int) -> list[int]:
    """Queries that are the same in all images; [] where each image has its own."""
    if config.queries == "spread":
        return []
    if config.queries == "grid":
        return attention_figure.queries_in_grid(config.num_queries, side)

    # Read the pixels.
    points = [_point(part, config, size=size) for part in config.queries.split(";")]
    if len(points) > attention_figure.MAX_QUERIES:
        raise errors.UserError(
            f"--queries={config.queries}: {len(points)} positions; expected at "
            f"most {attention_figure.MAX_QUERIES}"
        )

    # Find the places under them, each once.
    queries = [attention_figure.query_at(x, y, image_size=size, side=side) for x, y in points]
    return list(dict.fromkeys(queries))


def _point(text: str, config: AttentionConfig, *, size: int) -> tuple[float, float]:
    """The pixel (x, y) that one part of --queries names."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x < size and 0 <= y < size):
        raise errors.UserError(
            f"--queries={config.queries}: expected spread, grid, or pixels x,y from 0 to "
            f"{size - 1} with semicolons between them"
        )
    return x, y


def _values(found: NetworkAttention, panels: Sequence[attention_figure.Panel]) -> bytes:
    """What is drawn, as an .npz file."""
    rows = found.rows
    size = rows.pixels.shape[1]
    side = attention_figure.side_of(found.attention)

    # Find the pixels in the middle of the queries.
    points = []
    for panel in panels:
        points.append(
            [attention_figure.centre_of(query, size, side=side) for query in panel.queries]
        )

    # Name the arrays.
    arrays = {
        "images": rows.pixels,
        "maps": np.stack([panel.maps for panel in panels]),
        "queries": np.array([panel.queries for panel in panels]),
        "points": np.array(points),
        "sigma_ratio": np.float32(found.sigma_ratio),
    }
    if rows.labels is not None:
        arrays.update(labels=rows.labels, seeds=rows.seeds)

    # Write them.
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
