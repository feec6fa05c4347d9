"""Figures of attention maps of a trained network, and their values."""

import functools
import io
from collections.abc import Sequence
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tensorflow as tf

from sagan_tf import attention, dataset, files, noise, pictures, trained
from sagan_tf import config as config_lib
from sagan_tf import images as images_lib


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


def draw(config: config_lib.AttentionConfig, stream: Optional[TextIO] = None) -> str:
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
        files.write_bytes(config.out,
                          attention.draw(panels, looked.title, config.arrows, config.smooth))
        files.write_bytes(values, _values(looked, panels))
    say(f"{looked.title}: {config.out}, {values}")
    return config.out


def _look(config: config_lib.AttentionConfig, say) -> Looked:
    if config.network == "discriminator":
        return _look_with_discriminator(config, say)
    network = trained.open_model(config.run, config.step, config.use_ema, say)
    if network.sigma_ratio is None:
        raise _no_attention(config)
    z, labels, seeds = _generated(config, network)
    images, maps = network.attention(z, labels)
    return _looked(config, network.step, network.sigma_ratio, images_lib.to_uint8(images),
                   _captions(network, labels, seeds), maps, labels, seeds)


def _look_with_discriminator(config: config_lib.AttentionConfig, say) -> Looked:
    if trained.is_exported(config.run):
        raise config_lib.UserError(f"--network=discriminator: {config.run} is an exported model, "
                                   "which has a generator alone; give the run")
    run_dir = trained.find_run(config.run)
    judge, step = trained.open_discriminator(run_dir, config.step, say)
    if judge.non_local is None:
        raise _no_attention(config)
    labels = seeds = None
    if config.images:
        names = [name.strip() for name in config.images.split(",")]
        pixels = np.stack([read_picture(name, judge.config.image_size) for name in names])
        images, captions = dataset.to_float(pixels), names
    else:
        network = trained.open_model(run_dir, step, config.use_ema, say)
        z, labels, seeds = _generated(config, network)
        images, captions = network.generate(z, labels), _captions(network, labels, seeds)
        pixels = images_lib.to_uint8(images)
    # The map does not depend on the label.
    _, maps = judge(tf.convert_to_tensor(images), np.zeros(len(images), np.int32), update_sn=False,
                    return_attention=True)
    ratio = float(judge.non_local.sigma_ratio.numpy())
    return _looked(config, step, ratio, pixels, captions, maps.numpy(), labels, seeds)


def _looked(config: config_lib.AttentionConfig, step: int, ratio: float, pixels, captions, maps,
            labels, seeds) -> Looked:
    unused = ", not used yet" if ratio == 0 else ""
    title = f"attention of the {config.network}, step {step}, sigma_ratio {ratio:.4g}{unused}"
    return Looked(title, pixels, captions, maps, labels, seeds, ratio)


def _no_attention(config: config_lib.AttentionConfig) -> config_lib.UserError:
    return config_lib.UserError(f"--network={config.network}: that of {config.run} has no "
                                "attention block (its type is baseline)")


def _generated(config: config_lib.AttentionConfig, network: trained.Trained):
    """z, labels and seeds of the rows of the figure."""
    seeds = config_lib.numbers_of("seeds", config.seeds, config_lib.MAX_ROWS)
    labels = (network.classes.find(config.classes) if config.classes
              else noise.spread_classes(network.model_config.number_classes, len(seeds)))
    rows = max(len(seeds), len(labels))
    if rows > config_lib.MAX_ROWS:
        raise config_lib.UserError(f"--classes={config.classes}: {rows} rows; expected at most "
                                   f"{config_lib.MAX_ROWS}")
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
        return pictures.clean(content, size)
    except (OSError, tf.errors.OpError, pictures.Damaged) as error:
        raise config_lib.UserError(
            f"--images={name}: expected a picture ({files.first_line(error)})") from error


def _panels(config: config_lib.AttentionConfig, looked: Looked) -> list[attention.Panel]:
    size, side = looked.images.shape[1], attention.side_of(looked.attention)
    chosen = _asked_queries(config, size, side)
    panels = []
    for image, caption, maps in zip(looked.images, looked.captions, looked.attention):
        queries = chosen or attention.most_spread(maps, config.num_queries)
        panels.append(attention.Panel(image, caption, queries, attention.maps_of(maps, queries)))
    return panels


def _asked_queries(config: config_lib.AttentionConfig, size: int, side: int) -> list[int]:
    """Places that are the same in all images; [] where each image has its own."""
    if config.queries == "spread":
        return []
    if config.queries == "grid":
        return attention.queries_in_grid(config.num_queries, side)
    points = []
    for part in config.queries.split(";"):
        try:
            x, y = (float(number) for number in part.split(","))
        except ValueError:
            x = y = -1.0
        if not (0 <= x < size and 0 <= y < size):
            raise config_lib.UserError(
                f"--queries={config.queries}: expected spread, grid, or pixels x,y from 0 to "
                f"{size - 1} with semicolons between them")
        points.append((x, y))
    if len(points) > attention.MAX_QUERIES:
        raise config_lib.UserError(f"--queries={config.queries}: {len(points)} places; expected at "
                                   f"most {attention.MAX_QUERIES}")
    return list(dict.fromkeys(attention.query_at(x, y, size, side) for x, y in points))


def _values(looked: Looked, panels: Sequence[attention.Panel]) -> bytes:
    size, side = looked.images.shape[1], attention.side_of(looked.attention)
    arrays = {
        "images": looked.images, "maps": np.stack([panel.maps for panel in panels]),
        "queries": np.array([panel.queries for panel in panels]),
        "points": np.array([[attention.centre_of(query, size, side) for query in panel.queries]
                            for panel in panels]),
        "sigma_ratio": np.float32(looked.sigma_ratio)}
    if looked.labels is not None:
        arrays.update(labels=looked.labels, seeds=looked.seeds)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
