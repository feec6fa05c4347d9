"""Folder of pictures that are images already: listed, labelled by its folders, read and checked."""

import os
from collections.abc import Sequence
from typing import Optional

import numpy as np
from PIL import Image

from sagan_tf import errors
from sagan_tf.runtime import files

LABEL_DIGITS = 6  # Of a class number, at most.
# Endings that promise a picture: such a file is a picture, or a damaged one.
_JPEG_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k")
_OTHER_ENDINGS = (".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".avif")
_RARE_ENDINGS = (".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".psd")
ENDINGS = (*_JPEG_ENDINGS, *_OTHER_ENDINGS, *_RARE_ENDINGS)
# Pillow's modes whose conversion to RGB keeps every value; in the others a channel has more than
# eight bits.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


class Unfit(errors.UserError):
    """A picture that can be read, and is no image as it is."""


def pictures_in(path: str) -> list[str]:
    """Names of the pictures in a folder and below it, sorted."""
    names = []
    for folder, _, found in os.walk(path):
        for name in found:
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                names.append(os.path.join(folder, name))
    return sorted(names)


def labels_of(
    path: str, names: Sequence[str], *, class_names: Sequence[str] = ()
) -> Optional[np.ndarray]:
    """Labels of pictures by the names of their folders, int32; None where these say none.

    Each picture is in a folder with the name of a class, or in one with a number of up to six
    digits. A class has all that lies below its folder, as in a preparation.

    Args:
      path: the folder.
      names: of the pictures in it, with `path`.
      class_names: of all classes, in the order of their labels.
    """
    inner = [os.path.relpath(name, path).split(os.sep)[:-1] for name in names]
    if not all(inner):
        return None

    # Take the names of classes.
    label_of = {name: label for label, name in enumerate(class_names)}
    if all(folders[0] in label_of for folders in inner):
        return np.array([label_of[folders[0]] for folders in inner], np.int32)

    # Take numbers.
    if all(_is_label(folders[-1]) for folders in inner):
        return np.array([int(folders[-1]) for folders in inner], np.int32)
    return None


def _is_label(name: str) -> bool:
    """Whether the name of a folder is the number of a class."""
    return name.isascii() and name.isdecimal() and len(name) <= LABEL_DIGITS


def require_square(path: str, size: tuple[int, int]) -> tuple[int, int]:
    """The size of an image, height and width; raises `Unfit` where these differ."""
    if size[0] != size[1]:
        raise Unfit(
            f"--images={path}: images of {size[0]} x {size[1]} pixels; expected square ones"
        )
    return tuple(size)


def read(name: str, size: Optional[tuple[int, int]] = None) -> np.ndarray:
    """The pixels of a picture, uint8 [height, width, 3], as they are.

    Args:
      name: of the file.
      size: height and width that it must have; None: any.
    Raises:
      Unfit: it has another size, transparent pixels, or more than eight bits a channel.
      errors.UserError: it cannot be read.
    """
    # Decode it.
    try:
        with Image.open(name) as image:
            fault = _fault_of(image)
            mode = "RGBA" if image.has_transparency_data else "RGB"
            content = None if fault else np.asarray(image.convert(mode))[..., :3]
    except Exception as error:  # Pillow raises of every kind for what it cannot read.
        raise errors.UserError(f"{name}: expected a picture ({files.first_line(error)})") from error

    # Check it.
    if fault:
        raise Unfit(f"{name}: {fault}")
    if size is not None and content.shape[:2] != size:
        raise Unfit(
            f"{name}: it has {content.shape[0]} x {content.shape[1]} pixels, and the first picture "
            f"{size[0]} x {size[1]}; expected one size for all"
        )
    return content


def _fault_of(image: Image.Image) -> Optional[str]:
    """Why a picture is not uint8 RGB without loss, or None."""
    # A PNG of 16 bits a channel has mode RGB too; how it is stored tells.
    modes = [str(tile[3]) for tile in image.tile]
    stored = next((mode for mode in modes if ";16" in mode), image.mode)
    if stored not in _MODES:
        return f"it has mode {stored}; expected 8 bits a channel"
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
        return f"it has mode {image.mode} and transparent pixels; expected opaque ones"
    return None


def check(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Reads every picture; all are to be square and of one size.

    Returns:
      What is wrong with those that are unfit, and with those that are damaged.
    """
    unfit = []
    damaged = []
    size = None
    for name in names:
        try:
            found = read(name, size).shape[:2]
            size = size or require_square(name, found)
        except Unfit as error:
            unfit.append(str(error))
        except errors.UserError as error:
            damaged.append(str(error))
    return unfit, damaged
