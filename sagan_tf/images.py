"""Pictures: from [-1, 1] to uint8, grids, PNG. NumPy and Pillow only."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CAPTION_WIDTH = 96  # Pixels that a caption has at least, and its height.
_CAPTION_HEIGHT = 16


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float in [-1, 1] to uint8 in 0..255, rounded to nearest; the inverse of x * 2/255 - 1.

    Values outside are clipped.
    """
    return np.clip(np.rint((np.asarray(images, np.float64) + 1.0) * 127.5), 0, 255).astype(np.uint8)


def squarest_grid(count: int) -> tuple[int, int]:
    """(rows, columns) with rows * columns = count, columns the largest divisor up to sqrt(count).

    Source: reference `utils_ori.py:339-358`.
    """
    columns = max(d for d in range(1, int(count**0.5) + 1) if count % d == 0)
    return count // columns, columns


def grid(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
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


def labelled_grid(images: Sequence[np.ndarray], captions: Sequence[str],
                  columns: int) -> np.ndarray:
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
    enlarge = -(-_CAPTION_WIDTH // len(images[0]))
    side, font = len(images[0]) * enlarge, ImageFont.load_default(_CAPTION_HEIGHT - 4)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (side + 4), rows * (side + _CAPTION_HEIGHT + 4)), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (image, caption) in enumerate(zip(images, captions)):
        x, y = i % columns * (side + 4) + 2, i // columns * (side + _CAPTION_HEIGHT + 4) + 2
        canvas.paste(Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST), (x, y))
        text = " ".join(caption.split())
        while text and draw.textlength(text, font) > side:
            text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
        draw.text((x, y + side), text, "black", font)
    return np.asarray(canvas)


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [height, width, 3] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """The bytes of a PNG file as uint8 [height, width, 3]."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encode(image: np.ndarray, encoding: str, quality: int = 95) -> bytes:
    """uint8 [height, width, 3] as its bytes ("raw"), or those of a "png" or "jpeg" file.

    JPEG keeps the full resolution of the colours (4:4:4): at the size of a network's images, halved
    chroma is visible.

    Args:
      image: the pixels.
      encoding: "raw", "png" or "jpeg".
      quality: JPEG's, 1 .. 100.
    """
    if encoding == "raw":
        return image.tobytes()
    if encoding == "png":
        return encode_png(image)
    if encoding != "jpeg":
        raise ValueError(f"expected raw, png or jpeg, got {encoding}")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
