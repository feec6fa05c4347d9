"""Images of chosen classes and seeds: grids, files, and what lies between two of them."""

import functools
import math
import os
from collections.abc import Iterator
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tqdm

from sagan_tf import errors
from sagan_tf.config import MAX_SEEDS, SampleConfig, numbers_of
from sagan_tf.gan import noise
from sagan_tf.images import grids, sets
from sagan_tf.images import pixels as images_pixels
from sagan_tf.viewing import interpolate, trained

_SEEDS = "0-7"
_CLASSES = 10
# Images of one picture.
_MAX_GRID = 2500


class Asked(NamedTuple):
    """Images that somebody wants: a seed and a label for each, classes one after the other.

    Attributes:
      seeds: int64 [n].
      labels: int32 [n]; None: those that the seeds draw.
      columns: of a grid of them.
    """

    seeds: np.ndarray
    labels: Optional[np.ndarray]
    columns: int


def sample(config: SampleConfig, stream: Optional[TextIO] = None) -> list[str]:
    """Makes the images that the config asks for.

    Returns:
      What was written.
    Raises:
      config.UserError: no such model, class or seed, or the output cannot be written.
    """
    say = functools.partial(print, file=stream, flush=True)
    if config.out.endswith(".mp4") and not interpolate.has_video():
        raise errors.UserError(f"--out={config.out}: {interpolate.NO_VIDEO}")
    network = trained.open_model(
        config.run, config.step, use_ema=config.use_ema, note=say, batch_size=config.batch_size
    )
    if config.interpolate:
        written = interpolate.interpolate(config, network)
    else:
        written = _write_images(config, network, choose(config, network))
    for path in written:
        say(f"step {network.step} of {network.source}: {path}")
    return written


def choose(config: SampleConfig, network: trained.Trained) -> Asked:
    """Which images a config asks for.

    Raises:
      config.UserError: a class is not there.
    """
    if config.count:
        labels = (
            np.resize(np.array(network.classes.find(config.classes), np.int32), config.count)
            if config.classes
            else None
        )
        return Asked(np.arange(config.count), labels, math.ceil(math.sqrt(config.count)))
    labels = (
        network.classes.find(config.classes)
        if config.classes
        else noise.spread_classes(network.model_config.number_classes, _CLASSES)
    )
    seeds = numbers_of("seeds", config.seeds or _SEEDS, limit=MAX_SEEDS)
    columns = len(seeds) if len(labels) > 1 or config.sheet else math.ceil(math.sqrt(len(seeds)))
    return Asked(
        np.tile(seeds, len(labels)), np.repeat(np.array(labels, np.int32), len(seeds)), columns
    )


class _Batch(NamedTuple):
    """uint8 [n, size, size, 3] and their seeds and labels."""

    pixels: np.ndarray
    seeds: np.ndarray
    labels: np.ndarray


def _batches(network: trained.Trained, asked: Asked, truncation: float) -> Iterator[_Batch]:
    """In order, in constant memory, with a progress bar on a terminal."""
    with tqdm.tqdm(total=len(asked.seeds), unit="image", disable=None) as shown:
        for start in range(0, len(asked.seeds), network.batch_size):
            part = slice(start, start + network.batch_size)
            seeds = asked.seeds[part]
            z, labels = network.draw(seeds, truncation)
            labels = labels if asked.labels is None else asked.labels[part]
            yield _Batch(images_pixels.to_uint8(network.generate(z, labels)), seeds, labels)
            shown.update(len(seeds))


def _write_images(config: SampleConfig, network: trained.Trained, asked: Asked) -> list[str]:
    out = config.out or ("samples.npz" if config.count else "samples.png")
    grid = _path_of_grid(out, len(asked.seeds))
    batches = _batches(network, asked, config.truncation)
    kept: list[_Batch] = []
    if out == grid:
        kept = list(batches)
    else:
        with sets.Writer(
            out, len(asked.seeds), size=network.model_config.image_size, flag="out"
        ) as writer:
            for batch in batches:
                writer.add(batch.pixels, batch.labels, batch.seeds.tolist())
                kept += [batch] if grid else []
    if grid:
        whole = _Batch(*(np.concatenate(parts) for parts in zip(*kept)))
        interpolate.write(
            grid, images_pixels.encode_png(_grid(config.sheet, network, whole, asked.columns))
        )
    return list(dict.fromkeys(filter(None, (out, grid))))


def _path_of_grid(out: str, count: int) -> str:
    """Where a grid of the images goes; "" for none.

    Raises:
      config.UserError: it cannot be written, or would be too large.
    """
    if out.endswith(".npz"):
        return ""
    if out.endswith(".png"):
        if count > _MAX_GRID:
            raise errors.UserError(
                f"--out={out}: a grid of {count} images is too large; give "
                f"at most {_MAX_GRID}, or an .npz or a directory"
            )
        interpolate.require_writable(out)
        return out
    beside = out.rstrip("/") + ".png"
    if count > _MAX_GRID:
        return ""
    if os.path.lexists(beside):
        raise errors.UserError(
            f"--out={out}: {beside}, where their grid goes, is there already; choose another name"
        )
    interpolate.require_writable(beside)
    return beside


def _grid(sheet: bool, network: trained.Trained, batch: _Batch, columns: int) -> np.ndarray:
    if sheet:
        return grids.labelled_sheet(
            batch.pixels,
            [network.classes.text(label) for label in batch.labels[::columns]],
            column_names=[f"seed {seed}" for seed in batch.seeds[:columns]],
        )
    captions = [
        interpolate.caption(network, label, seed=seed)
        for label, seed in zip(batch.labels, batch.seeds)
    ]
    return grids.labelled_grid(batch.pixels, captions, columns=columns)
