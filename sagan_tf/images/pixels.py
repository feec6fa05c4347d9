"""Arrays of pixels as bytes, and back: uint8, PNG, JPEG."""

import io

import numpy as np
from PIL import Image


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float in [-1, 1] to uint8 in 0..255, rounded to nearest; the inverse of x * 2/255 - 1.

    Values outside are clipped.
    """
    return np.clip(np.rint((np.asarray(images, np.float64) + 1.0) * 127.5), 0, 255).astype(np.uint8)


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [height, width, 3] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """The bytes of a PNG file as uint8 [height, width, 3]."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encode(image: np.ndarray, encoding: str, *, quality: int = 95) -> bytes:
    """uint8 [height, width, 3] as its bytes ("raw"), or those of a "png" or "jpeg" file.

    JPEG keeps the full resolution of the colours (4:4:4): at the size of a network's images, halved
    chroma is visible.

    Args:
      image: the pixels.
      encoding: "raw", "png" or "jpeg".
      quality: JPEG's, 1 .. 100.
    """
    # Raw and PNG.
    if encoding == "raw":
        return image.tobytes()
    if encoding == "png":
        return encode_png(image)
    if encoding != "jpeg":
        raise ValueError(f"expected raw, png or jpeg, got {encoding}")

    # JPEG.
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
