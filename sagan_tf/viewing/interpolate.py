"""Interpolations between seeds and classes, as a strip or an animation."""

import importlib.util
import os
from collections.abc import Callable, Sequence

import numpy as np

from sagan_tf import errors
from sagan_tf.config import SampleConfig
from sagan_tf.images import grids, pixels
from sagan_tf.runtime import files
from sagan_tf.viewing import trained

_STRIP_FRAMES = 8
_ANIMATION_FRAMES = 48
_FRAMES_PER_SECOND = 16
_ANIMATION_SIDE = 128  # pixels, at least
NO_VIDEO = (
    "an .mp4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); a .gif needs "
    "nothing more"
)


def slerp(first: np.ndarray, second: np.ndarray, *, shares: np.ndarray) -> np.ndarray:
    """Spherical interpolation: z along the arc from one z to another (Shoemake, 1985).

    Normal z lie near a sphere; a straight line would cut through its inside, where no z is.

    Args:
      first, second: float [z_dim].
      shares: float [n], 0 for the first, 1 for the second.
    Returns:
      float32 [n, z_dim].
    """
    # Find the angle between the two.
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    cosine = np.dot(first, second) / lengths
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    shares = np.asarray(shares)[:, None]

    # Go straight where the directions are the same or opposite: there is no arc.
    if np.sin(angle) < 1e-6:
        return (first + shares * (second - first)).astype(np.float32)

    # Go along the arc.
    of_first = np.sin((1 - shares) * angle) * first
    of_second = np.sin(shares * angle) * second
    return ((of_first + of_second) / np.sin(angle)).astype(np.float32)


def interpolate(
    network: trained.Trained,
    labels: Sequence[int],
    *,
    seeds: Sequence[int],
    frames: int,
) -> np.ndarray:
    """Images between two classes, two seeds, or both: uint8 [frames, size, size, 3].

    z goes along the arc (`slerp`); the tables of conditional batch norm go straight.

    Args:
      network: makes the images.
      labels, seeds: first and last.
      frames: how many, both ends among them.
    """
    # Interpolate z.
    ends, _ = network.draw([seeds[0], seeds[-1]])
    first, last = ends.numpy()
    z = slerp(first, last, shares=np.linspace(0, 1, frames))

    # Interpolate the classes where they differ.
    if labels[0] != labels[-1]:
        between = network.between_classes(labels[0], labels[-1], frames=frames)
        return between.generate_pixels(z, np.arange(frames))
    return network.generate_pixels(z, np.full(frames, labels[0]))


def write_interpolation(config: SampleConfig, network: trained.Trained) -> list[str]:
    """Writes the interpolation that a config asks for, in one or more formats.

    Returns:
      The paths of the files.
    Raises:
      errors.UserError: a class is not there, there is nothing to interpolate between, or a file
        cannot be written.
    """
    # Find out what to write before the work is done.
    labels, seeds = find_ends(config, network)
    paths = _paths(config.out)
    for path in paths:
        files.require_writable_output("out", path)

    made: dict[int, np.ndarray] = {}
    for path in paths:
        # Make the images; a GIF and an MP4 show the same.
        is_strip = path.endswith(".png")
        frames = config.frames or (_STRIP_FRAMES if is_strip else _ANIMATION_FRAMES)
        if frames not in made:
            made[frames] = interpolate(network, labels, seeds=seeds, frames=frames)

        # Write them.
        if is_strip:
            png = strip(made[frames], network.caption, labels=labels, seeds=seeds)
            files.write_output("out", path, content=png)
        else:
            _write_animation(path, made[frames])
    return paths


def _paths(out: str) -> list[str]:
    """The files of `--out`: one, or of a name without an ending one of every format."""
    stem, ending = os.path.splitext(out.rstrip("/") or "interpolation")
    if ending:
        return [stem + ending]
    paths = [stem + ".png", stem + ".gif"]
    if has_video():
        paths.append(stem + ".mp4")
    return paths


def find_ends(config: SampleConfig, network: trained.Trained) -> tuple[list[int], list[int]]:
    """The one or two labels, and the one or two seeds, to interpolate between.

    Raises:
      errors.UserError: a class is not there, or there is nothing to interpolate between.
    """
    seeds = config.seed_numbers
    labels = network.card.classes.find(config.classes or "0")

    # Refuse more than two.
    for name, found, value in (("seeds", seeds, config.seeds), ("classes", labels, config.classes)):
        if len(found) > 2:
            raise errors.UserError(
                f"--{name}={value}: --interpolate takes one or two, not {len(found)}"
            )

    # Refuse one of each.
    if len(seeds) == len(labels) == 1:
        raise errors.UserError(
            "--interpolate needs two --seeds or two --classes, "
            f"got --seeds={config.seeds} --classes={config.classes}"
        )
    return labels, seeds


def strip(
    images: np.ndarray,
    caption: Callable[[int, int], str],
    *,
    labels: Sequence[int],
    seeds: Sequence[int],
) -> bytes:
    """Images between two side by side, as a PNG.

    Args:
      images: uint8 [n, size, size, 3].
      caption: makes that of an end, from its label and its seed.
      labels, seeds: first and last.
    """
    captions = [f"{share:.0%}" for share in np.linspace(0, 1, len(images))]
    captions[0] = caption(labels[0], seeds[0])
    captions[-1] = caption(labels[-1], seeds[-1])
    columns = min(len(images), _STRIP_FRAMES)
    return pixels.encode_png(grids.labelled_grid(images, captions, columns=columns))


def _write_animation(path: str, images: np.ndarray) -> None:
    """The images there and back again, as a GIF or an MP4."""
    size = images.shape[1]
    side = size * -(-_ANIMATION_SIDE // size)
    frames = [np.asarray(grids.enlarge(image, side)) for image in images]
    frames += frames[-2:0:-1]
    if path.endswith(".gif"):
        files.write_output("out", path, content=grids.animation_gif(frames, 1 / _FRAMES_PER_SECOND))
    else:
        _write_video(path, frames)


def _write_video(path: str, frames: Sequence[np.ndarray]) -> None:
    """Writes an MP4 of frames, uint8 [side, side, 3] each."""
    import imageio_ffmpeg  # Not installed everywhere.

    with files.writing(f"--out={path}"), files.replaced(path) as written:
        try:
            # Start the encoder.
            video = imageio_ffmpeg.write_frames(
                written,
                frames[0].shape[1::-1],
                fps=_FRAMES_PER_SECOND,
                macro_block_size=1,
                ffmpeg_log_level="quiet",
            )
            video.send(None)

            # Encode the frames.
            for frame in frames:
                video.send(np.ascontiguousarray(frame))
            video.close()
        except RuntimeError as error:  # The package has no ffmpeg.
            raise OSError(files.first_line(error)) from error


def has_video() -> bool:
    """Whether an MP4 can be written."""
    return importlib.util.find_spec("imageio_ffmpeg") is not None
