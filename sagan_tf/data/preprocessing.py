"""Preprocessing of pictures: from a file of any kind to the pixels that a network is trained on.

NumPy and Pillow only: the worker processes of a preparation start with this module alone.
"""

import dataclasses
import io
import os
import stat
import warnings
from typing import Optional

import numpy as np
from PIL import Image

from sagan_tf import errors
from sagan_tf.images import pixels


class Damaged(Exception):
    """A picture that cannot be used; the message says why, in a few words."""


@dataclasses.dataclass(frozen=True)
class ByteSource:
    """Where the bytes of a picture are: a file, a part of a file (in a tar), or here.

    Attributes:
      path: of the file.
      offset, length: the part of it, bytes; None: to its end.
      data: the bytes themselves; None: they are in the file.
    """

    path: str = ""
    offset: int = 0
    length: Optional[int] = None
    data: Optional[bytes] = None

    def read(self) -> bytes:
        """The bytes.

        Raises:
          Damaged: they cannot be read.
        """
        if self.data is not None:
            return self.data
        try:
            # A pipe or a device would be waited for without an end.
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise Damaged("not a regular file")

            # Read the file, or a part of it.
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                return file.read(-1 if self.length is None else self.length)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Damaged(f"unreadable: {reason}") from error


@dataclasses.dataclass(frozen=True)
class LabelledPicture:
    """A picture to prepare: a name for reports, its label, and its bytes."""

    key: str
    label: int
    source: ByteSource


def is_known_format(source: ByteSource) -> bool:
    """Whether a file begins as a picture does; also true of one that cannot be read."""
    try:
        # Of a file of its own only the beginning is read.
        if source.data is None and source.length is None and os.path.isfile(source.path):
            Image.open(source.path).close()
        else:
            Image.open(io.BytesIO(source.read())).close()
    except Image.UnidentifiedImageError:
        return False
    except Exception:  # What it is will be said when it is prepared.
        return True
    return True


def load(data: bytes) -> Image.Image:
    """Decodes the first image of a file, whatever its name says it is.

    Raises:
      Damaged: it is empty, no picture, truncated, or too large.
    """
    if not data:
        raise Damaged("empty file")

    # Decode it.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Odd EXIF data, pictures of above 89 megapixels.
            image = Image.open(io.BytesIO(data))
            image.load()
    except Image.UnidentifiedImageError as error:
        raise Damaged("not an image of a known format") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise what they please on damaged files.
        words = " ".join(str(error).split()) or type(error).__name__
        raise Damaged(f"cannot be decoded: {words}") from error
    return image


def clean(data: bytes, size: int) -> np.ndarray:
    """Upright, in RGB, its centre square, resized by Lanczos-3 with antialiasing; nothing else.

    EXIF rotation is applied; alpha is laid on white; 16 bits become 8 by dividing by 257; the first
    frame of several is taken. Colour profiles are not applied.

    Args:
      data: bytes of a picture file.
      size: side of the result.
    Returns:
      uint8 [size, size, 3].
    Raises:
      Damaged: it cannot be decoded.
    """
    # Decode.
    image = _upright(load(data))

    # Crop.
    side = min(image.size)
    left = (image.width - side) // 2
    top = (image.height - side) // 2
    square = to_rgb(image.crop((left, top, left + side, top + side)))

    # Resize.
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


_ORIENTATION = 0x0112  # The EXIF tag.
# What sets each orientation upright; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; other tags, which may be damaged, are not looked at."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # Damaged EXIF data make Pillow raise of every kind.
        return image
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB as an eye would see it, where `Image.convert` clips or drops."""
    # 16-bit grey, which `convert` would clip at 255.
    if image.mode.startswith("I"):
        values = np.asarray(image, np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Damaged(f"pixel values from {values.min()} to {values.max()}; expected 16 bits")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")

    # Floating point.
    if image.mode == "F":
        raise Damaged("floating-point pixels, whose range is unknown")

    # Transparency, laid on white.
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")

    return image.convert("RGB")


# From 8 bits to [-1, 1] and back, truncated: 20 of the 256 levels come out one lower.
_THERE_AND_BACK = ((np.arange(256) / 127.5 - 1.0 + 1.0) * 127.5).astype(np.uint8)


def legacy(data: bytes, size: int) -> np.ndarray:
    """Bit for bit what the converter behind the reference's records makes.

    Centre square, stretched from its min..max to 0..255, bilinear with antialiasing, to [-1, 1] and
    back with truncation. Whatever the converter did not think of is kept: CMYK is taken for RGBA,
    alpha shares the stretch and is cut, EXIF is ignored.

    Args:
      data: bytes of a picture file.
      size: side of the result.
    Returns:
      uint8 [size, size, 3].
    Raises:
      Damaged: it is no picture, or one that stopped the converter.

    Source: openai/improved-gan, `imagenet/convert_imagenet_to_records.py` and `imagenet/utils.py`
      under Python 2.7, with SciPy 0.19 to 1.2 (`imread`, `bytescale`, `toimage`, `imresize`) and
      Pillow 3.3 or later.
    """
    # Read, crop and stretch.
    image = _centre(load(data))
    square = _channels_last(_stretch(_as_read_by_scipy(image)))
    if square.shape[2] == 1:
        square = square.squeeze(2)

    # Resize.
    picture = Image.fromarray(square)
    resized = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))

    # Make it three channels of the levels that the converter kept.
    if resized.ndim == 2:
        resized = np.repeat(resized[..., None], 3, axis=2)
    return _THERE_AND_BACK[resized[..., :3]]


def _as_read_by_scipy(image: Image.Image) -> np.ndarray:
    """[height, width, channels] of the numbers that the file holds."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image)
    return values.reshape(*values.shape[:2], -1)


def _centre(image: Image.Image) -> Image.Image:
    """The centre square; halves are rounded up, as Python 2 did."""
    side = min(image.size)
    left = (image.width - side + 1) // 2
    top = (image.height - side + 1) // 2
    return image.crop((left, top, left + side, top + side))


def _stretch(values: np.ndarray) -> np.ndarray:
    """min..max over all channels to 0..255, uint8; constant images become 0."""
    low = float(values.min())
    high = float(values.max())
    scale = 255.0 / ((high - low) or 1.0)

    # Of 8-bit values only 256 are to be computed, whatever the size of the picture.
    is_8_bits = values.dtype == np.uint8
    scaled = ((np.arange(256) if is_8_bits else values) - low) * scale
    stretched = (np.clip(scaled, 0, 255) + 0.5).astype(np.uint8)
    return stretched[values] if is_8_bits else stretched


def _channels_last(values: np.ndarray) -> np.ndarray:
    """SciPy takes the first axis of length 3, or else 4, for the channels: so do we."""
    if values.shape[2] == 1:
        return values
    if not {3, 4} & set(values.shape):
        raise Damaged(f"{values.shape[2]} channels, which the legacy preparation cannot use")
    axis = values.shape.index(3 if 3 in values.shape else 4)
    return np.ascontiguousarray(np.moveaxis(values, axis, 2))


_RESIZE = {"legacy": legacy, "clean": clean}
RESIZES = tuple(_RESIZE)


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """How a picture becomes the image of a record.

    Attributes:
      resize: "legacy" or "clean".
      size: side of the image, pixels.
      encoding: "raw", "png" or "jpeg".
      quality: JPEG's, 1 .. 100; None for the others.
    """

    resize: str
    size: int
    encoding: str
    quality: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class PreparedImage:
    """The image of a record, or why there is none.

    Attributes:
      data: as `pixels.encode` made it; None: the picture is damaged.
      sum, sum_of_squares: over its pixel values 0..255, R, G, B.
      reason: why it is damaged.
    """

    data: Optional[bytes]
    sum: tuple[int, int, int] = (0, 0, 0)
    sum_of_squares: tuple[int, int, int] = (0, 0, 0)
    reason: str = ""


def image_of(source: ByteSource, resize: str, *, size: int) -> np.ndarray:
    """The image of a record, uint8 [size, size, 3]: a picture read, decoded, cropped and resized.

    Args:
      source: of its bytes.
      resize: one of `RESIZES`.
      size: side of the image, pixels.
    Raises:
      Damaged: the picture cannot be used.
      errors.UserError: there is too little memory for it.
    """
    try:
        return _RESIZE[resize](source.read(), size)
    except Damaged:
        raise
    except MemoryError as error:
        raise errors.UserError(
            f"--workers: {source.path}: a picture there (byte {source.offset}) needs more memory "
            f"than is left ({error}); fewer workers leave more for each"
        ) from error
    except Exception as error:  # One picture in a million may surprise; it must not stop the rest.
        words = " ".join(str(error).split())
        raise Damaged(f"cannot be used: {type(error).__name__}: {words}") from error


def prepare(source: ByteSource, settings: ImageSettings) -> PreparedImage:
    """Makes the image of one picture, and encodes it.

    Raises:
      errors.UserError: there is too little memory for it.
    """
    # Make the image.
    try:
        image = image_of(source, settings.resize, size=settings.size)
    except Damaged as damage:
        return PreparedImage(None, reason=str(damage))

    # Encode it and sum its values.
    values = image.reshape(-1, 3).astype(np.int64)
    return PreparedImage(
        data=pixels.encode(image, settings.encoding, quality=settings.quality),
        sum=tuple(values.sum(0).tolist()),
        sum_of_squares=tuple((values**2).sum(0).tolist()),
    )


def prepare_all(sources: list[ByteSource], settings: ImageSettings) -> list[PreparedImage]:
    """`prepare` for each picture: the work of one call to a worker process."""
    return [prepare(source, settings) for source in sources]
