"""Images of chosen classes and seeds: grids, files, and interpolations between two of them."""

import math
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tqdm

from sagan_tf import errors
from sagan_tf.config import SampleConfig
from sagan_tf.gan import noise
from sagan_tf.images import grids, pixels, sets
from sagan_tf.runtime import files
from sagan_tf.viewing import interpolate, nearest, trained, words

_CLASSES = 10
_MAX_GRID = 2500  # images of one picture


class SampleRequest(NamedTuple):
    """Images to make: a seed and a label for each, classes one after the other.

    Attributes:
      seeds: int64 [n].
      labels: int32 [n]; None: those that the seeds draw.
      columns: of a grid of the images.
    """

    seeds: np.ndarray
    labels: Optional[np.ndarray]
    columns: int


class Batch(NamedTuple):
    """Images that were made.

    Attributes:
      pixels: uint8 [n, size, size, 3].
      seeds, labels: int [n].
    """

    pixels: np.ndarray
    seeds: np.ndarray
    labels: np.ndarray


def sample(config: SampleConfig, stream: Optional[TextIO] = None) -> list[str]:
    """Makes the images that the config asks for.

    Returns:
      The paths of the files and directories that were written.
    Raises:
      errors.UserError: no such model, class or seed, or the output cannot be written.
    """
    say = words.printer(stream)
    if config.out.endswith(".mp4") and not interpolate.has_video():
        raise errors.UserError(f"--out={config.out}: {interpolate.NO_VIDEO}")

    # Load the generator.
    network = trained.open_model(
        config.run,
        config.step,
        use_ema=config.use_ema,
        sampling=config.sampling,
        note=say,
        batch_size=config.batch_size,
    )

    # Make the images and write them.
    if config.interpolate:
        written = interpolate.write_interpolation(config, network)
    elif config.nearest:
        written = nearest.write_nearest(config, network, stream)
    else:
        written = _write_images(config, network, request=make_request(config, network))

    # Name the files.
    for path in written:
        say(f"step {network.card.step} of {network.source}: {path}")
    return written


def make_request(config: SampleConfig, network: trained.Trained) -> SampleRequest:
    """Which images a config asks for.

    Raises:
      errors.UserError: a class is not there.
    """
    # With --count, the seeds are 0, 1, 2, ..., and the classes take turns.
    if config.count:
        labels = None
        if config.classes:
            classes = np.array(network.card.classes.find(config.classes), np.int32)
            labels = np.resize(classes, config.count)
        columns = math.ceil(math.sqrt(config.count))
        return SampleRequest(np.arange(config.count), labels, columns)

    # Otherwise every class has every seed.
    if config.classes:
        classes = network.card.classes.find(config.classes)
    else:
        classes = noise.spread_classes(network.card.model_config.number_classes, _CLASSES)
    seeds = config.seed_numbers

    # Give each class a row; a single class fills a square.
    columns = len(seeds)
    if len(classes) == 1 and not config.sheet:
        columns = math.ceil(math.sqrt(len(seeds)))
    labels = np.repeat(np.array(classes, np.int32), len(seeds))
    return SampleRequest(np.tile(seeds, len(classes)), labels, columns)


def picture(network: trained.Trained, request: SampleRequest, *, sheet: bool) -> np.ndarray:
    """The images of a request in one picture, uint8 [height, width, 3].

    Args:
      network: that makes them.
      request: which images.
      sheet: whether their names are at the margins, and not below each.
    """
    whole = _joined(_batches(network, request))
    return laid_out(network, whole, columns=request.columns, sheet=sheet)


def make(network: trained.Trained, request: SampleRequest) -> Batch:
    """The images of a request, without a progress bar."""
    return _joined(_batches(network, request, quiet=True))


def _joined(batches: Iterable[Batch]) -> Batch:
    return Batch(*map(np.concatenate, zip(*batches)))


def _batches(
    network: trained.Trained, request: SampleRequest, *, quiet: bool = False
) -> Iterator[Batch]:
    """Images in order, in constant memory, with a progress bar on a terminal."""
    with tqdm.tqdm(total=len(request.seeds), unit="image", disable=quiet or None) as progress:
        for start in range(0, len(request.seeds), network.batch_size):
            part = slice(start, start + network.batch_size)

            # Draw z, and the labels where the user chose none.
            seeds = request.seeds[part]
            z, drawn = network.draw(seeds)
            labels = drawn.numpy() if request.labels is None else request.labels[part]

            # Make the images.
            yield Batch(network.generate_pixels(z, labels), seeds, labels)
            progress.update(len(seeds))


def _write_images(
    config: SampleConfig, network: trained.Trained, *, request: SampleRequest
) -> list[str]:
    """Writes the images as a grid, as arrays, or as single files with a grid; returns the paths."""
    count = len(request.seeds)
    out = config.out or ("samples.npz" if config.count else "samples.png")
    grid = _path_of_grid(out, count)
    batches = _batches(network, request)

    # Write the set of images; keep what a grid needs.
    kept: list[Batch] = []
    if out == grid:
        kept = list(batches)
    else:
        size = network.card.model_config.image_size
        with sets.Writer(out, count, size=size, flag="out") as writer:
            for batch in batches:
                writer.add(batch.pixels, batch.labels, seeds=batch.seeds.tolist())
                if grid:
                    kept.append(batch)

    # Write the grid.
    if grid:
        image = laid_out(network, _joined(kept), columns=request.columns, sheet=config.sheet)
        files.write_output("out", grid, content=pixels.encode_png(image))
    return list(dict.fromkeys(filter(None, (out, grid))))


def _path_of_grid(out: str, count: int) -> str:
    """Where a grid of the images goes; "" for none.

    Raises:
      errors.UserError: the grid cannot be written, or would be too large.
    """
    # Arrays have no grid.
    if out.endswith(".npz"):
        return ""

    # A PNG is the grid itself.
    if out.endswith(".png"):
        if count > _MAX_GRID:
            raise errors.UserError(
                f"--out={out}: a grid of {count} images is too large; give "
                f"at most {_MAX_GRID}, or an .npz or a directory"
            )
        files.require_writable_output("out", out)
        return out

    # Single files have a grid beside their directory, if it is not too large.
    beside = out.rstrip("/") + ".png"
    if count > _MAX_GRID:
        return ""
    if os.path.lexists(beside):
        raise errors.UserError(
            f"--out={out}: {beside}, the file of their grid, exists already; choose another name"
        )
    files.require_writable_output("out", beside)
    return beside


def laid_out(network: trained.Trained, batch: Batch, *, columns: int, sheet: bool) -> np.ndarray:
    """The images in one picture, uint8 [height, width, 3]; a sheet has names at its margins."""
    if sheet:
        row_names = [network.card.classes.text(label) for label in batch.labels[::columns]]
        column_names = [f"seed {seed}" for seed in batch.seeds[:columns]]
        return grids.labelled_sheet(batch.pixels, row_names, column_names=column_names)

    captions = [network.caption(label, seed) for label, seed in zip(batch.labels, batch.seeds)]
    return grids.labelled_grid(batch.pixels, captions, columns=columns)
