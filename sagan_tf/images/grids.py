"""Grids and sheets of images, with and without captions, and animations. No TensorFlow."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sagan_tf.images import fonts, pixels

_CAPTION_WIDTH = 112  # Pixels that a caption has at least, and its height.
_CAPTION_HEIGHT = 16
_MARGIN = 2  # Pixels around an image and its caption.
_SHEET_SIDE = 64  # Pixels that an image of a sheet has at least.
_NAME_WIDTH = 120  # At most.
_GIF_COLOURS = 128


def squarest_grid(count: int) -> tuple[int, int]:
    """(rows, columns) with rows * columns = count, columns the largest divisor up to sqrt(count).

    Source: reference `utils_ori.py:339-358`.
    """
    divisors = [d for d in range(1, int(count**0.5) + 1) if count % d == 0]
    columns = max(divisors)
    return count // columns, columns


def grid(images: np.ndarray, rows: int, *, columns: int) -> np.ndarray:
    """Tiles images row by row.

    Args:
      images: uint8 [rows * columns, height, width, channels].
    Returns:
      uint8 [rows * height, columns * width, channels].
    """
    count, height, width, channels = images.shape
    if count != rows * columns:
        raise ValueError(f"{count} images do not fill a grid of {rows} x {columns}")
    tiled = images.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return tiled.reshape(rows * height, columns * width, channels)


def labelled_grid(
    images: Sequence[np.ndarray], captions: Sequence[str], *, columns: int
) -> np.ndarray:
    """Images with a caption below each, row by row, on white.

    Small images are enlarged, pixel by pixel, so that the captions can be read; long captions are
    cut.

    Args:
      images: uint8 [size, size, 3] each.
      captions: one for each image.
      columns: images in a row.
    Returns:
      uint8 [height, width, 3].
    """
    # Lay out the cells.
    side = _enlarged(len(images[0]), _CAPTION_WIDTH)
    width = side + 2 * _MARGIN
    height = side + _CAPTION_HEIGHT + 2 * _MARGIN
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)

    # Fill them.
    canvas = Image.new("RGB", (columns * width, rows * height), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (image, caption) in enumerate(zip(images, captions)):
        row, column = divmod(i, columns)
        x = column * width + _MARGIN
        y = row * height + _MARGIN
        canvas.paste(enlarge(image, side), (x, y))
        caption = _cut(caption, side)
        draw.text((x, y + side), caption, "black", _font(caption))
    return np.asarray(canvas)


def labelled_sheet(
    images: np.ndarray, row_names: Sequence[str], *, column_names: Sequence[str]
) -> np.ndarray:
    """Images row by row, with a name left of each row and above each column, on white.

    Small images are enlarged, pixel by pixel; long names are cut.

    Args:
      images: uint8 [rows * columns, size, size, 3].
      row_names, column_names: one for each row and column; column names may all be empty.
    Returns:
      uint8 [height, width, 3].
    """
    # Lay out the sheet.
    side = _enlarged(images.shape[1], _SHEET_SIDE)
    step = side + 2
    left = min(_NAME_WIDTH, 8 + math.ceil(max(map(_length, row_names))))
    top = _CAPTION_HEIGHT + 2 if any(column_names) else 0
    size = (left + step * len(column_names), top + step * len(row_names))

    # Write the names.
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for row, name in enumerate(row_names):
        middle = top + row * step + side / 2
        name = _cut(name, left - 8)
        draw.text((left - 4, middle), name, "black", _font(name), "rm")
    for column, name in enumerate(column_names):
        middle = left + column * step + side / 2
        name = _cut(name, side)
        draw.text((middle, 1), name, "black", _font(name), "ma")

    # Put in the images.
    for i, image in enumerate(images):
        row, column = divmod(i, len(column_names))
        canvas.paste(enlarge(image, side), (left + column * step, top + row * step))
    return np.asarray(canvas)


def titled(picture: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
    """A picture below sentences, each on lines of its own, broken where the picture ends.

    Args:
      picture: uint8 [height, width, 3].
      sentences: what to write above it.
    Returns:
      uint8 [height + that of the lines, width, 3].
    """
    # Break the sentences into lines.
    height, width, _ = picture.shape
    lines: list[str] = []
    for sentence in sentences:
        line = ""
        for word in sentence.split():
            longer = f"{line} {word}".strip()
            if line and _length(longer) > width - 2 * _MARGIN:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)

    # Write them above the picture.
    top = _CAPTION_HEIGHT * len(lines) + 2 * _MARGIN
    canvas = Image.new("RGB", (width, top + height), "white")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        place = (_MARGIN, _MARGIN + number * _CAPTION_HEIGHT)
        draw.text(place, line, "black", _font(line))
    canvas.paste(Image.fromarray(picture), (0, top))
    return np.asarray(canvas)


def tiled(rows: Sequence[Sequence[np.ndarray]], gap: int = 16) -> np.ndarray:
    """Pictures of any sizes in rows, on white, each column as wide as its widest picture.

    Args:
      rows: uint8 [height, width, 3] each; at least one row, and one picture in each.
      gap: pixels between pictures.
    Returns:
      uint8 [height, width, 3].
    """
    # Find the width of each column.
    widths = [0] * max(map(len, rows))
    for row in rows:
        for column, picture in enumerate(row):
            widths[column] = max(widths[column], picture.shape[1])
    width = sum(widths) + gap * (len(widths) - 1)

    # Put in the pictures.
    lines = []
    for row in rows:
        height = max(map(len, row))
        line = np.full((height + gap, width, 3), 255, np.uint8)
        left = 0
        for column, picture in enumerate(row):
            right = left + picture.shape[1]
            line[: len(picture), left:right] = picture
            left += widths[column] + gap
        lines.append(line)
    return np.concatenate(lines)[:-gap]


def enlarge(image: np.ndarray, side: int) -> Image.Image:
    """uint8 [size, size, 3] as a picture of side x side pixels, pixel by pixel."""
    return Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)


def _enlarged(size: int, at_least: int) -> int:
    """The smallest multiple of `size` that is not below `at_least`."""
    return size * math.ceil(at_least / size)


def _font(text: str) -> ImageFont.FreeTypeFont:
    return fonts.font_for(text, _CAPTION_HEIGHT - 5)


def _length(text: str) -> float:
    """Pixels that a text takes on one line, on which its line ends are spaces."""
    line = " ".join(text.split())
    return _font(line).getlength(line)


def _cut(text: str, width: int) -> str:
    """A text on one line, as much of it as fits."""
    text = " ".join(text.split())
    while text and _length(text) > width:
        shorter = text[:-2].rstrip()
        text = f"{shorter}…" if len(text) > 2 else ""
    return text


def animation_gif(frames: Sequence[np.ndarray], seconds: float) -> bytes:
    """A GIF that goes on for ever.

    Args:
      frames: uint8 [height, width, 3] each.
      seconds: that each frame stays.
    """
    # One palette for each frame, and no dither, which would move from frame to frame.
    pictures = [
        Image.fromarray(frame).quantize(_GIF_COLOURS, dither=Image.Dither.NONE) for frame in frames
    ]

    # Encode them.
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 * seconds),
        loop=0,
    )
    return buffer.getvalue()


def grid_of(samples: np.ndarray) -> np.ndarray:
    """float [rows, columns, size, size, 3] in [-1, 1] -> uint8 [rows * size, columns * size, 3]."""
    rows, columns, *image = samples.shape
    images = pixels.to_uint8(samples.reshape(-1, *image))
    return grid(images, rows, columns=columns)
