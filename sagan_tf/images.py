"""Pictures: from [-1, 1] to uint8, grids, PNG. NumPy and Pillow only."""

import io

import numpy as np
from PIL import Image


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


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [height, width, 3] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
