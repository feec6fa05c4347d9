"""Figures of attention maps of a trained network, and their values."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import MAX_ROWS, AttentionConfig, ModelConfig
from sagan_tf.data import preprocessing, records
from sagan_tf.gan import discriminator, noise
from sagan_tf.images import attention_figure, attention_places
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
      share: how strongly attention acts on these images, as of `non_local.share_of`.
    """

    step: int
    sigma_ratio: float
    rows: Rows
    attention: np.ndarray
    share: float


def draw(config: AttentionConfig, stream: Optional[TextIO] = None) -> str:
    """Writes the figure that the config asks for, and beside it the values as `.npz`.

    The `.npz` holds `images` (uint8 [n, size, size, 3]), `maps` (float32 [n, queries, side / 2,
    side / 2], each summing to 1), `queries` (int [n, queries], row * side + column), `points`
    (float [n, queries, 2], x and y in pixels), `sigma_ratio`, `share` (as of `NetworkAttention`),
    and, of generated images, `labels` and `seeds`.

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

    # Say where it does not act.
    remark = remark_on(found)
    if remark:
        say(remark)

    # Draw the figure, and write it with its values.
    panels = _panels(config, found)
    with files.writing(f"--out={config.out}"):
        files.write_bytes(config.out, _figure(config, found, panels=panels))
        files.write_bytes(values, _values(found, panels))
    say(f"{_title(config, found)}: {config.out}, {values}")
    return config.out


def picture(config: AttentionConfig, found: NetworkAttention) -> bytes:
    """The figure that a config asks for, as a PNG.

    Raises:
      errors.UserError: --queries names no places.
    """
    return _figure(config, found, panels=_panels(config, found))


def _figure(
    config: AttentionConfig,
    found: NetworkAttention,
    *,
    panels: Sequence[attention_figure.Panel],
) -> bytes:
    """The figure of panels, as a PNG."""
    title = _title(config, found)
    return attention_figure.draw(panels, title, arrows=config.arrows, smooth=config.smooth)


def remark_on(found: NetworkAttention) -> str:
    """A line on attention that is not used, or hardly acts; "" where it does act."""
    if found.sigma_ratio == 0:
        return "sigma_ratio is 0: attention is not used yet; its maps are those of fresh weights"
    return attention_figure.remark_on(found.share)


def _title(config: AttentionConfig, found: NetworkAttention) -> str:
    return attention_figure.title_of(
        config.network, found.step, sigma_ratio=found.sigma_ratio, share=found.share
    )


def _attend_with_generator(
    config: AttentionConfig, note: Callable[[str], None]
) -> NetworkAttention:
    """Generated images and the generator's attention over them."""
    network = trained.open_model(
        config.run, config.step, use_ema=config.use_ema, sampling=config.sampling, note=note
    )
    return of_generator(config, network)


def of_generator(config: AttentionConfig, network: trained.Trained) -> NetworkAttention:
    """The images that a config asks for, and the attention of the generator that makes them.

    Raises:
      errors.UserError: the generator has no attention block, or a class is not there.
    """
    card = network.card
    if not card.model_config.has_attention("generator"):
        raise no_attention(config, card.model_config)

    # Make the images.
    labels, seeds = _labels_and_seeds(config, network)
    z, _ = network.draw(seeds)
    pixels, attention, share = network.attention(z, labels)
    rows = Rows(pixels, _captions(network, labels, seeds=seeds), labels, seeds)
    return NetworkAttention(card.step, card.sigma_ratio, rows, attention, share)


def _attend_with_discriminator(
    config: AttentionConfig, note: Callable[[str], None]
) -> NetworkAttention:
    """Pictures or generated images and the discriminator's attention over them."""
    # Load the discriminator.
    run_dir = run_of_discriminator(config.run)
    network, step = trained.open_discriminator(run_dir, config.step, note=note)
    if network.non_local is None:
        raise no_attention(config, network.config)

    # Read pictures, or generate images.
    if config.images:
        names = config.image_names
        size = network.config.image_size
        rows = Rows(np.stack([read_picture(name, size) for name in names]), names)
        images = records.to_float(rows.pixels)
    else:
        generator = trained.open_model(
            run_dir, step, use_ema=config.use_ema, sampling=config.sampling, note=note
        )
        rows, images = generated_rows(config, generator)
    return of_discriminator(network, step, rows=rows, images=images)


def run_of_discriminator(path: str) -> str:
    """The directory of the run whose discriminator is asked for.

    Raises:
      errors.UserError: the path is an exported model, or holds no run.
    """
    if trained.is_exported(path):
        raise errors.UserError(
            f"--network=discriminator: {path} is an exported model, "
            "which holds only a generator; give the run"
        )
    return directory.find_run(path)


def generated_rows(config: AttentionConfig, generator: trained.Trained) -> tuple[Rows, np.ndarray]:
    """The images that a config asks for: as rows, and float32 [n, size, size, 3] in [-1, 1]."""
    labels, seeds = _labels_and_seeds(config, generator)
    z, _ = generator.draw(seeds)
    images = generator.generate(z, labels)
    captions = _captions(generator, labels, seeds=seeds)
    return Rows(trained.to_uint8(images).numpy(), captions, labels, seeds), images


def of_discriminator(
    network: discriminator.Discriminator, step: int, *, rows: Rows, images: np.ndarray
) -> NetworkAttention:
    """The attention of a discriminator with an attention block over some images.

    Args:
      network: the discriminator.
      step: iterations that it was trained.
      rows: what the figure shows.
      images: the same, float32 [n, size, size, 3] in [-1, 1].
    """
    no_labels = np.zeros(len(images), np.int32)  # Attention does not depend on the label.
    _, attention, share = network(
        tf.convert_to_tensor(images),
        no_labels,
        update_sn=False,
        return_attention=True,
        return_share=True,
    )
    ratio = float(network.non_local.sigma_ratio.numpy())
    return NetworkAttention(step, ratio, rows, attention.numpy(), float(share.numpy()))


def no_attention(config: AttentionConfig, model_config: ModelConfig) -> errors.UserError:
    """What to raise where the network that a config names has no attention block."""
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
    side = attention_places.side_of(found.attention)
    shared = _shared_queries(config, size, side=side)

    # Find out which places of an image have queries of its own.
    choose = attention_places.most_concentrated
    if config.queries == "spread":
        choose = attention_places.most_spread

    # Make the panels.
    panels = []
    for image, caption, attention in zip(rows.pixels, rows.captions, found.attention):
        queries = shared or choose(attention, config.num_queries)
        maps = attention_figure.maps_of(attention, queries)
        panels.append(attention_figure.Panel(image, caption, queries, maps))
    return panels


def _shared_queries(config: AttentionConfig, size: int, *, side: int) -> list[int]:
    """Queries that are the same in all images; [] where each image has its own."""
    if config.queries in ("concentrated", "spread"):
        return []
    if config.queries == "grid":
        return attention_places.queries_in_grid(config.num_queries, side)

    # Read the pixels.
    points = [_point(part, config, size=size) for part in config.queries.split(";")]
    if len(points) > attention_figure.MAX_QUERIES:
        raise errors.UserError(
            f"--queries={config.queries}: {len(points)} positions; expected at "
            f"most {attention_figure.MAX_QUERIES}"
        )

    # Find the places under them, each once.
    queries = [attention_places.query_at(x, y, image_size=size, side=side) for x, y in points]
    return list(dict.fromkeys(queries))


def _point(text: str, config: AttentionConfig, *, size: int) -> tuple[float, float]:
    """The pixel (x, y) that one part of --queries names."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x < size and 0 <= y < size):
        raise errors.UserError(
            f"--queries={config.queries}: expected concentrated, spread, grid, or pixels x,y "
            f"from 0 to {size - 1} with semicolons between them"
        )
    return x, y


def _values(found: NetworkAttention, panels: Sequence[attention_figure.Panel]) -> bytes:
    """What is drawn, as an .npz file."""
    rows = found.rows
    size = rows.pixels.shape[1]
    side = attention_places.side_of(found.attention)

    # Find the pixels in the middle of the queries.
    points = []
    for panel in panels:
        points.append(
            [attention_places.centre_of(query, size, side=side) for query in panel.queries]
        )

    # Name the arrays.
    arrays = {
        "images": rows.pixels,
        "maps": np.stack([panel.maps for panel in panels]),
        "queries": np.array([panel.queries for panel in panels]),
        "points": np.array(points),
        "sigma_ratio": np.float32(found.sigma_ratio),
        "share": np.float32(found.share),
    }
    if rows.labels is not None:
        arrays.update(labels=rows.labels, seeds=rows.seeds)

    # Write them.
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
