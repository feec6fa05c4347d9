"""Interpolations between seeds and classes, as a strip or an animation."""

import importlib.util
import os
from collections.abc import Sequence

import numpy as np

from sagan_tf import errors
from sagan_tf.config import MAX_SEEDS, SampleConfig, numbers_of
from sagan_tf.images import grids
from sagan_tf.images import pixels as images_pixels
from sagan_tf.runtime import files
from sagan_tf.viewing import trained

_STRIP_FRAMES, _ANIMATION_FRAMES = 8, 48
_FRAMES_PER_SECOND = 16
_ANIMATION_SIDE = 128  # pixels, at least
NO_VIDEO = (
    "an .mp4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); a .gif needs "
    "nothing more"
)


def slerp(first: np.ndarray, second: np.ndarray, *, shares: np.ndarray) -> np.ndarray:
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


def way(
    network: trained.Trained,
    labels: Sequence[int],
    *,
    seeds: Sequence[int],
    frames: int,
    truncation: float = 0.0,
) -> np.ndarray:
    """Images on the way between two classes, two seeds, or both: uint8 [frames, size, size, 3].

    z goes along the arc (`slerp`); the tables of conditional batch norm go straight.

    Args:
      network: makes them.
      labels, seeds: first and last.
      frames: how many, both ends among them.
      truncation: as of `Trained.draw`.
    """
    z, _ = network.draw([seeds[0], seeds[-1]], truncation)
    z = slerp(z[0], z[1], shares=np.linspace(0, 1, frames))
    if labels[0] != labels[-1]:
        between = network.between_classes(labels[0], labels[-1], frames=frames)
        return images_pixels.to_uint8(between.generate(z, np.arange(frames)))
    return images_pixels.to_uint8(network.generate(z, np.full(frames, labels[0])))


def interpolate(config: SampleConfig, network: trained.Trained) -> list[str]:
    labels, seeds = _ends(config, network)
    stem, ending = os.path.splitext(config.out.rstrip("/") or "interpolation")
    endings = [ending] if ending else [".png", ".gif", *([".mp4"] if has_video() else [])]
    for one in endings:
        require_writable(stem + one)
    made: dict[int, np.ndarray] = {}
    for one in endings:
        frames = config.frames or (_STRIP_FRAMES if one == ".png" else _ANIMATION_FRAMES)
        if frames not in made:  # A GIF and an MP4 show the same.
            made[frames] = way(
                network, labels, seeds=seeds, frames=frames, truncation=config.truncation
            )
        pixels = made[frames]
        if one == ".png":
            captions = [f"{share:.0%}" for share in np.linspace(0, 1, frames)]
            captions[0] = caption(network, labels[0], seed=seeds[0])
            captions[-1] = caption(network, labels[-1], seed=seeds[-1])
            write(
                stem + one,
                images_pixels.encode_png(
                    grids.labelled_grid(pixels, captions, columns=min(frames, _STRIP_FRAMES))
                ),
            )
        else:
            _write_animation(stem + one, pixels)
    return [stem + one for one in endings]


def _ends(config: SampleConfig, network: trained.Trained) -> tuple[list[int], list[int]]:
    seeds = numbers_of("seeds", config.seeds or "0", limit=MAX_SEEDS)
    labels = network.classes.find(config.classes or "0")
    for name, found, asked in (("seeds", seeds, config.seeds), ("classes", labels, config.classes)):
        if len(found) > 2:
            raise errors.UserError(
                f"--{name}={asked}: {len(found)} of them; expected one or two with --interpolate"
            )
    if len(seeds) == len(labels) == 1:
        raise errors.UserError(
            "--interpolate: expected two --seeds or two --classes with it, "
            f"got --seeds={config.seeds} --classes={config.classes}"
        )
    return labels, seeds


def caption(network: trained.Trained, label: int, *, seed: int) -> str:
    return f"seed {seed}, {network.classes.text(label)}"


def _write_animation(path: str, pixels: np.ndarray) -> None:
    """There and back again, as a GIF or an MP4."""
    side = pixels.shape[1] * -(-_ANIMATION_SIDE // pixels.shape[1])
    frames = [np.asarray(grids.enlarge(image, side)) for image in pixels]
    frames += frames[-2:0:-1]
    if path.endswith(".gif"):
        write(path, grids.animation_gif(frames, 1 / _FRAMES_PER_SECOND))
        return
    import imageio_ffmpeg  # Not everybody has it.

    with files.writing(f"--out={path}"), files.replaced(path) as written:
        try:
            video = imageio_ffmpeg.write_frames(
                written,
                (side, side),
                fps=_FRAMES_PER_SECOND,
                macro_block_size=1,
                ffmpeg_log_level="quiet",
            )
            video.send(None)
            for frame in frames:
                video.send(np.ascontiguousarray(frame))
            video.close()
        except RuntimeError as error:  # It has no ffmpeg.
            raise OSError(files.first_line(error)) from error


def has_video() -> bool:
    return importlib.util.find_spec("imageio_ffmpeg") is not None


def require_writable(path: str) -> None:
    with files.writing(f"--out={path}"):
        files.require_writable(path)


def write(path: str, content: bytes) -> None:
    with files.writing(f"--out={path}"):
        files.write_bytes(path, content)
