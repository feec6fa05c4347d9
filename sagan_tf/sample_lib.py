"""Images of chosen classes and seeds: grids, files, and what lies between two of them."""

import functools
import importlib.util
import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional, TextIO

import numpy as np
import tqdm

from sagan_tf import config as config_lib
from sagan_tf import files, image_files, noise, trained
from sagan_tf import images as images_lib

_SEEDS = "0-7"
_CLASSES = 10
# Images of one picture.
_MAX_GRID = 2500
_STRIP_FRAMES, _ANIMATION_FRAMES = 8, 48
_FRAMES_PER_SECOND = 16
_ANIMATION_SIDE = 128  # pixels, at least
_NO_VIDEO = ("an .mp4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); a .gif needs "
             "nothing more")


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


def sample(config: config_lib.SampleConfig, stream: Optional[TextIO] = None) -> list[str]:
    """Makes the images that the config asks for.

    Returns:
      What was written.
    Raises:
      config.UserError: no such model, class or seed, or the output cannot be written.
    """
    say = functools.partial(print, file=stream, flush=True)
    if config.out.endswith(".mp4") and not _has_video():
        raise config_lib.UserError(f"--out={config.out}: {_NO_VIDEO}")
    network = trained.open_model(config.run, config.step, config.use_ema, say, config.batch_size)
    if config.interpolate:
        written = _interpolate(config, network)
    else:
        written = _write_images(config, network, choose(config, network))
    for path in written:
        say(f"step {network.step} of {network.source}: {path}")
    return written


def choose(config: config_lib.SampleConfig, network: trained.Trained) -> Asked:
    """Which images a config asks for.

    Raises:
      config.UserError: a class is not there.
    """
    if config.count:
        labels = np.resize(np.array(network.classes.find(config.classes), np.int32),
                           config.count) if config.classes else None
        return Asked(np.arange(config.count), labels, math.ceil(math.sqrt(config.count)))
    labels = network.classes.find(config.classes) if config.classes else noise.spread_classes(
        network.model_config.number_classes, _CLASSES)
    seeds = config_lib.numbers_of("seeds", config.seeds or _SEEDS, config_lib.MAX_SEEDS)
    columns = len(seeds) if len(labels) > 1 or config.sheet else math.ceil(math.sqrt(len(seeds)))
    return Asked(np.tile(seeds, len(labels)), np.repeat(np.array(labels, np.int32), len(seeds)),
                 columns)


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
            yield _Batch(images_lib.to_uint8(network.generate(z, labels)), seeds, labels)
            shown.update(len(seeds))


def _write_images(config: config_lib.SampleConfig, network: trained.Trained,
                  asked: Asked) -> list[str]:
    out = config.out or ("samples.npz" if config.count else "samples.png")
    grid = _path_of_grid(out, len(asked.seeds))
    batches = _batches(network, asked, config.truncation)
    kept: list[_Batch] = []
    if out == grid:
        kept = list(batches)
    else:
        with image_files.Writer(out, len(asked.seeds), network.model_config.image_size,
                                "out") as writer:
            for batch in batches:
                writer.add(batch.pixels, batch.labels, batch.seeds.tolist())
                kept += [batch] if grid else []
    if grid:
        whole = _Batch(*(np.concatenate(parts) for parts in zip(*kept)))
        _write(grid, images_lib.encode_png(_grid(config.sheet, network, whole, asked.columns)))
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
            raise config_lib.UserError(f"--out={out}: a grid of {count} images is too large; give "
                                       f"at most {_MAX_GRID}, or an .npz or a directory")
        _require_writable(out)
        return out
    beside = out.rstrip("/") + ".png"
    if count > _MAX_GRID:
        return ""
    if os.path.lexists(beside):
        raise config_lib.UserError(f"--out={out}: {beside}, where their grid goes, is there "
                                   "already; choose another name")
    _require_writable(beside)
    return beside


def _grid(sheet: bool, network: trained.Trained, batch: _Batch, columns: int) -> np.ndarray:
    if sheet:
        return images_lib.labelled_sheet(
            batch.pixels, [network.classes.text(label) for label in batch.labels[::columns]],
            [f"seed {seed}" for seed in batch.seeds[:columns]])
    captions = [_caption(network, label, seed) for label, seed in zip(batch.labels, batch.seeds)]
    return images_lib.labelled_grid(batch.pixels, captions, columns)


def slerp(first: np.ndarray, second: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The way from one z to another along the arc between them (Shoemake, 1985).

    Normal z lie near a sphere; a straight way would cut through its inside, where no z is.

    Args:
      first, second: float [z_dim].
      shares: float [n], 0 for the first, 1 for the second.
    Returns:
      float32 [n, z_dim].
    """
    cosine = np.dot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second))
    angle, shares = np.arccos(np.clip(cosine, -1.0, 1.0)), np.asarray(shares)[:, None]
    if np.sin(angle) < 1e-6:  # The same direction, or the opposite one: no arc.
        return (first + shares * (second - first)).astype(np.float32)
    ends = np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * second
    return (ends / np.sin(angle)).astype(np.float32)


def way(network: trained.Trained, labels: Sequence[int], seeds: Sequence[int], frames: int,
        truncation: float = 0.0) -> np.ndarray:
    """Images on the way between two classes, two seeds, or both: uint8 [frames, size, size, 3].

    z goes along the arc (`slerp`); the tables of conditional batch norm go straight.

    Args:
      network: makes them.
      labels, seeds: first and last.
      frames: how many, both ends among them.
      truncation: as of `Trained.draw`.
    """
    z, _ = network.draw([seeds[0], seeds[-1]], truncation)
    z = slerp(z[0], z[1], np.linspace(0, 1, frames))
    if labels[0] != labels[-1]:
        between = network.between_classes(labels[0], labels[-1], frames)
        return images_lib.to_uint8(between.generate(z, np.arange(frames)))
    return images_lib.to_uint8(network.generate(z, np.full(frames, labels[0])))


def _interpolate(config: config_lib.SampleConfig, network: trained.Trained) -> list[str]:
    labels, seeds = _ends(config, network)
    stem, ending = os.path.splitext(config.out.rstrip("/") or "interpolation")
    endings = [ending] if ending else [".png", ".gif", *([".mp4"] if _has_video() else [])]
    for one in endings:
        _require_writable(stem + one)
    made: dict[int, np.ndarray] = {}
    for one in endings:
        frames = config.frames or (_STRIP_FRAMES if one == ".png" else _ANIMATION_FRAMES)
        if frames not in made:  # A GIF and an MP4 show the same.
            made[frames] = way(network, labels, seeds, frames, config.truncation)
        pixels = made[frames]
        if one == ".png":
            captions = [f"{share:.0%}" for share in np.linspace(0, 1, frames)]
            captions[0] = _caption(network, labels[0], seeds[0])
            captions[-1] = _caption(network, labels[-1], seeds[-1])
            _write(stem + one, images_lib.encode_png(
                images_lib.labelled_grid(pixels, captions, min(frames, _STRIP_FRAMES))))
        else:
            _write_animation(stem + one, pixels)
    return [stem + one for one in endings]


def _ends(config: config_lib.SampleConfig, network: trained.Trained) -> tuple[list[int], list[int]]:
    seeds = config_lib.numbers_of("seeds", config.seeds or "0", config_lib.MAX_SEEDS)
    labels = network.classes.find(config.classes or "0")
    for name, found, asked in (("seeds", seeds, config.seeds), ("classes", labels, config.classes)):
        if len(found) > 2:
            raise config_lib.UserError(
                f"--{name}={asked}: {len(found)} of them; expected one or two with --interpolate")
    if len(seeds) == len(labels) == 1:
        raise config_lib.UserError("--interpolate: expected two --seeds or two --classes with it, "
                                   f"got --seeds={config.seeds} --classes={config.classes}")
    return labels, seeds


def _caption(network: trained.Trained, label: int, seed: int) -> str:
    return f"seed {seed}, {network.classes.text(label)}"


def _write_animation(path: str, pixels: np.ndarray) -> None:
    """There and back again, as a GIF or an MP4."""
    side = pixels.shape[1] * -(-_ANIMATION_SIDE // pixels.shape[1])
    frames = [np.asarray(images_lib.enlarge(image, side)) for image in pixels]
    frames += frames[-2:0:-1]
    if path.endswith(".gif"):
        _write(path, images_lib.animation_gif(frames, 1 / _FRAMES_PER_SECOND))
        return
    import imageio_ffmpeg  # Not everybody has it.

    with files.writing(f"--out={path}"), files.replaced(path) as written:
        try:
            video = imageio_ffmpeg.write_frames(written, (side, side), fps=_FRAMES_PER_SECOND,
                                                macro_block_size=1, ffmpeg_log_level="quiet")
            video.send(None)
            for frame in frames:
                video.send(np.ascontiguousarray(frame))
            video.close()
        except RuntimeError as error:  # It has no ffmpeg.
            raise OSError(files.first_line(error)) from error


def _has_video() -> bool:
    return importlib.util.find_spec("imageio_ffmpeg") is not None


def _require_writable(path: str) -> None:
    with files.writing(f"--out={path}"):
        files.require_writable(path)


def _write(path: str, content: bytes) -> None:
    with files.writing(f"--out={path}"):
        files.write_bytes(path, content)
