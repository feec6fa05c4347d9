"""Figures of attention maps of a trained network, and their values."""

import functools
import io
from collections.abc import Sequence
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import MAX_ROWS, AttentionConfig, numbers_of
from sagan_tf.data import preprocessing, records
from sagan_tf.gan import noise
from sagan_tf.images import attention_figure
from sagan_tf.images import pixels as images_pixels
from sagan_tf.runs import directory
from sagan_tf.runtime import files
from sagan_tf.viewing import trained


class Looked(NamedTuple):
    """Images and a network's attention over them.

    Attributes:
      title: network, step, sigma_ratio.
      images: uint8 [n, size, size, 3].
      captions: one for each.
      attention: float32 [n, side * side, (side / 2)^2], rows summing to 1.
      labels, seeds: int [n], of generated images; else None.
      sigma_ratio: of the attention block.
    """

    title: str
    images: np.ndarray
    captions: Sequence[str]
    attention: np.ndarray
    labels: Optional[np.ndarray]
    seeds: Optional[np.ndarray]
    sigma_ratio: float


def draw(config: AttentionConfig, stream: Optional[TextIO] = None) -> str:
    """Writes the figure that the config asks for, and beside it the values as `.npz`.

    The `.npz` holds `images` (uint8 [n, size, size, 3]), `maps` (float32 [n, queries, side / 2,
    side / 2], each summing to 1), `queries` (int [n, queries], row * side + column), `points`
    (float [n, queries, 2], x and y in pixels), `sigma_ratio`, and, of generated images, `labels`
    and `seeds`.

    Returns:
      The figure's path.
    Raises:
      config.UserError: no such model, picture or place, or the output cannot be written.
    """
    say = functools.partial(print, file=stream, flush=True)
    values = config.out.removesuffix(".png") + ".npz"
    for path in (config.out, values):
        with files.writing(f"--out={path}"):
            files.require_writable(path)
    looked = _look(config, say)
    if looked.sigma_ratio == 0:
        say("sigma_ratio is 0: attention is not used yet, its maps are those of fresh weights")
    panels = _panels(config, looked)
    with files.writing(f"--out={config.out}"):
        files.write_bytes(
            config.out,
            attention_figure.draw(panels, looked.title, arrows=config.arrows, smooth=config.smooth),
        )
        files.write_bytes(values, _values(looked, panels))
    say(f"{looked.title}: {config.out}, {values}")
    return config.out


def _look(config: AttentionConfig, say) -> Looked:
    if config.network == "discriminator":
        return _look_with_discriminator(config, say)
    network = trained.open_model(config.run, config.step, use_ema=config.use_ema, note=say)
    if network.sigma_ratio is None:
        raise _no_attention(config)
    z, labels, seeds = _generated(config, network)
    images, maps = network.attention(z, labels)
    return _looked(
        config,
        network.step,
        network.sigma_ratio,
        images_pixels.to_uint8(images),
        _captions(network, labels, seeds),
        maps,
        labels,
        seeds,
    )


def _look_with_discriminator(config: AttentionConfig, say) -> Looked:
    if trained.is_exported(config.run):
        raise errors.UserError(
            f"--network=discriminator: {config.run} is an exported model, "
            "which has a generator alone; give the run"
        )
    run_dir = directory.find_run(config.run)
    judge, step = trained.open_discriminator(run_dir, config.step, note=say)
    if judge.non_local is None:
        raise _no_attention(config)
    labels = seeds = None
    if config.images:
        names = [name.strip() for name in config.images.split(",")]
        pixels = np.stack([read_picture(name, judge.config.image_size) for name in names])
        images, captions = records.to_float(pixels), names
    else:
        network = trained.open_model(run_dir, step, use_ema=config.use_ema, note=say)
        z, labels, seeds = _generated(config, network)
        images, captions = network.generate(z, labels), _captions(network, labels, seeds)
        pixels = images_pixels.to_uint8(images)
    # The map does not depend on the label.
    _, maps = judge(
        tf.convert_to_tensor(images),
        np.zeros(len(images), np.int32),
        update_sn=False,
        return_attention=True,
    )
    ratio = float(judge.non_local.sigma_ratio.numpy())
    return _looked(config, step, ratio, pixels, captions, maps.numpy(), labels, seeds)


def _looked(
    config: AttentionConfig, step: int, ratio: float, pixels, captions, maps, labels, seeds
) -> Looked:
    unused = ", not used yet" if ratio == 0 else ""
    title = f"attention of the {config.network}, step {step}, sigma_ratio {ratio:.4g}{unused}"
    return Looked(title, pixels, captions, maps, labels, seeds, ratio)


def _no_attention(config: AttentionConfig) -> errors.UserError:
    return errors.UserError(
        f"--network={config.network}: that of {config.run} has no "
        "attention block (its type is baseline)"
    )


def _generated(config: AttentionConfig, network: trained.Trained):
    """z, labels and seeds of the rows of the figure."""
    seeds = numbers_of("seeds", config.seeds, limit=MAX_ROWS)
    labels = (
        network.classes.find(config.classes)
        if config.classes
        else noise.spread_classes(network.model_config.number_classes, len(seeds))
    )
    rows = max(len(seeds), len(labels))
    if rows > MAX_ROWS:
        raise errors.UserError(
            f"--classes={config.classes}: {rows} rows; expected at most {MAX_ROWS}"
        )
    seeds, labels = np.resize(seeds, rows), np.resize(labels, rows)
    return network.draw(seeds, config.truncation)[0], labels, seeds


def _captions(network: trained.Trained, labels, seeds) -> list[str]:
    return [f"{network.classes.text(label)}\nseed {seed}" for label, seed in zip(labels, seeds)]


def read_picture(name: str, size: int) -> np.ndarray:
    """The middle square of a picture, uint8 [size, size, 3].

    Raises:
      config.UserError: it is no picture.
    """
    try:
        with tf.io.gfile.GFile(name, "rb") as file:
            content = file.read()
        return preprocessing.clean(content, size)
    except (OSError, tf.errors.OpError, preprocessing.Damaged) as error:
        raise errors.UserError(
            f"--images={name}: expected a picture ({files.first_line(error)})"
        ) from error


def _panels(config: AttentionConfig, looked: Looked) -> list[attention_figure.Panel]:
    size, side = looked.images.shape[1], attention_figure.side_of(looked.attention)
    chosen = _asked_queries(config, size, side)
    panels = []
    for image, caption, maps in zip(looked.images, looked.captions, looked.attention):
        queries = chosen or attention_figure.most_spread(maps, config.num_queries)
        panels.append(
            attention_figure.Panel(image, caption, queries, attention_figure.maps_of(maps, queries))
        )
    return panels


def _asked_queries(config: AttentionConfig, size: int, side: int) -> list[int]:
    """Places that are the same in all images; [] where each image has its own."""
    if config.queries == "spread":
        return []
    if config.queries == "grid":
        return attention_figure.queries_in_grid(config.num_queries, side)
    points = []
    for part in config.queries.split(";"):
        try:
            x, y = (float(number) for number in part.split(","))
        except ValueError:
            x = y = -1.0
        if not (0 <= x < size and 0 <= y < size):
            raise errors.UserError(
                f"--queries={config.queries}: expected spread, grid, or pixels x,y from 0 to "
                f"{size - 1} with semicolons between them"
            )
        points.append((x, y))
    if len(points) > attention_figure.MAX_QUERIES:
        raise errors.UserError(
            f"--queries={config.queries}: {len(points)} places; expected at "
            f"most {attention_figure.MAX_QUERIES}"
        )
    return list(dict.fromkeys(attention_figure.query_at(x, y, size, side) for x, y in points))


def _values(looked: Looked, panels: Sequence[attention_figure.Panel]) -> bytes:
    size, side = looked.images.shape[1], attention_figure.side_of(looked.attention)
    arrays = {
        "images": looked.images,
        "maps": np.stack([panel.maps for panel in panels]),
        "queries": np.array([panel.queries for panel in panels]),
        "points": np.array(
            [
                [attention_figure.centre_of(query, size, side=side) for query in panel.queries]
                for panel in panels
            ]
        ),
        "sigma_ratio": np.float32(looked.sigma_ratio),
    }
    if looked.labels is not None:
        arrays.update(labels=looked.labels, seeds=looked.seeds)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
