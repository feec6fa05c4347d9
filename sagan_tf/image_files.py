"""Sets of images in files, to write and to read: an .npz, or a directory of pictures."""

import contextlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Optional

import numpy as np
from PIL import Image

from sagan_tf import config as config_lib
from sagan_tf import files as files_lib
from sagan_tf import images as images_lib

# The names that a set of images has in an .npz: ours and guided-diffusion's, NumPy's own, and
# BigGAN-PyTorch's, whose images are [n, 3, height, width].
_IMAGES, _LABELS = ("arr_0", "images", "x"), ("arr_1", "labels", "y")
_PICTURES = (".png", ".jpg", ".jpeg")
_EXPECTED = ("expected a directory of PNG or JPEG files, or an .npz with one uint8 array "
             "[n, height, width, 3], arr_0 or images")


class Writer:
    """Writes uint8 images as they come: into an .npz, or as PNG files.

    An .npz has `arr_0` (uint8 [n, size, size, 3]) and `arr_1` (int32 [n], labels), as the
    evaluator of guided-diffusion reads them; it gets its name when it is whole. A directory, new or
    empty, gets one folder for each class, named by its number, with files named by the images'
    numbers.

    Args:
      path: an .npz file, or else a directory.
      count: images that will come.
      size: their side in pixels.
    Raises (entering, adding and leaving):
      config.UserError: the path cannot be written, or something is there that is in the way.
    """

    def __init__(self, path: str, count: int, size: int):
        self._path, self._shape = path, (count, size, size, 3)
        self._labels: list[int] = []
        self._stack = contextlib.ExitStack()
        self._zip: Optional[zipfile.ZipFile] = None
        self._entry: Optional[BinaryIO] = None

    def __enter__(self) -> "Writer":
        try:
            with self._writing():
                if self._path.endswith(".npz"):
                    self._open_npz()
                else:
                    self._make_directory()
        except BaseException:
            self._discard()
            raise
        return self

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """The next images, uint8 [n, size, size, 3], and their labels, int [n]."""
        with self._writing():
            if self._entry is not None:
                self._entry.write(np.ascontiguousarray(images).tobytes())
            else:
                self._write_pictures(images, labels)
        self._labels.extend(np.asarray(labels).tolist())

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None and self._entry is not None:
                with self._writing():
                    self._end_npz()
        finally:
            self._discard()

    def _writing(self) -> contextlib.AbstractContextManager:
        return files_lib.writing(f"--save_samples={self._path}")

    def _open_npz(self) -> None:
        if os.path.isdir(self._path):
            raise config_lib.UserError(
                f"--save_samples={self._path}: there is a directory of this name; expected the "
                "name of a file, or of a directory without .npz")
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        self._zip = self._stack.enter_context(zipfile.ZipFile(self._path + ".tmp", "w"))
        self._entry = self._stack.enter_context(
            self._zip.open("arr_0.npy", "w", force_zip64=True))
        np.lib.format.write_array_header_1_0(
            self._entry, {"descr": "|u1", "fortran_order": False, "shape": self._shape})

    def _make_directory(self) -> None:
        os.makedirs(self._path, exist_ok=True)
        found = len(os.listdir(self._path))
        if found:
            raise config_lib.UserError(
                f"--save_samples={self._path}: it holds {found} files or folders; expected a new "
                "or empty directory")

    def _write_pictures(self, images: np.ndarray, labels: np.ndarray) -> None:
        for number, (image, label) in enumerate(zip(images, labels), len(self._labels)):
            folder = os.path.join(self._path, f"{label:04}")
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, f"{number:06}.png"), "wb") as file:
                file.write(images_lib.encode_png(image))

    def _end_npz(self) -> None:
        self._entry.close()
        with self._zip.open("arr_1.npy", "w") as file:
            np.lib.format.write_array(file, np.array(self._labels, np.int32))
        self._zip.close()
        os.replace(self._path + ".tmp", self._path)

    def _discard(self) -> None:
        """Closes what is open, and removes an .npz that has not got its name."""
        with contextlib.suppress(OSError):
            self._stack.close()
        if self._zip is not None:
            with contextlib.suppress(OSError):
                os.remove(self._path + ".tmp")


class Images(NamedTuple):
    """A set of images in files.

    Attributes:
      path: of the .npz or directory.
      count: images in it.
      size: height and width in pixels.
      labels: int32 [count]; None where nobody knows them.
      files: names of the pictures; None for an .npz.
    """

    path: str
    count: int
    size: tuple[int, int]
    labels: Optional[np.ndarray]
    files: Optional[Sequence[str]]

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        """uint8 [up to batch_size, height, width, 3], in order; constant memory.

        Raises:
          config.UserError: a picture cannot be read, or has another size.
        """
        if self.files is None:
            yield from _batches_of_npz(self, batch_size)
            return
        for start in range(0, self.count, batch_size):
            yield np.stack([_read_picture(name, self.size)
                            for name in self.files[start:start + batch_size]])


def open_images(path: str) -> Images:
    """Looks at a set of images.

    The labels of pictures are the names of their folders where all of these are numbers.

    Args:
      path: an .npz, or a directory that is searched with all below it; files in order of names.
    Raises:
      config.UserError: there is none, it holds no images, or something else.
    """
    if os.path.isdir(path):
        return _open_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            name = _entry_of(archive, _IMAGES)
            with archive.open(name) as file:
                shape, dtype = _header(file)
            labels = _entry_of(archive, _LABELS, required=False)
            if labels is not None:
                with archive.open(labels) as file:
                    labels = np.lib.format.read_array(file).reshape(-1).astype(np.int32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise config_lib.UserError(f"--images={path}: {_EXPECTED} ({error})") from error
    if dtype != np.uint8 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or not shape[0]:
        raise config_lib.UserError(
            f"--images={path}: {_EXPECTED}; got {dtype} {list(shape)} as {name[:-4]}")
    if labels is not None and len(labels) != shape[0]:
        raise config_lib.UserError(
            f"--images={path}: {len(labels)} labels for {shape[0]} images; expected one each")
    size = shape[1:3] if shape[3] == 3 else shape[2:4]
    return Images(path, shape[0], tuple(size), labels, None)


def _open_directory(path: str) -> Images:
    names = sorted(os.path.join(folder, name) for folder, _, found in os.walk(path)
                   for name in found if name.lower().endswith(_PICTURES))
    if not names:
        raise config_lib.UserError(f"--images={path}: {_EXPECTED}; there is none in it")
    folders = [os.path.basename(os.path.dirname(name)) for name in names]
    in_folders = all(os.path.dirname(name) != path.rstrip("/") for name in names)
    labels = (np.array(folders, np.int32)
              if in_folders and all(name.isdecimal() for name in folders) else None)
    return Images(path, len(names), _read_picture(names[0]).shape[:2], labels, names)


def _read_picture(name: str, size: Optional[tuple[int, int]] = None) -> np.ndarray:
    try:
        with Image.open(name) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises of every kind for what it cannot read.
        raise config_lib.UserError(f"{name}: expected a picture ({error})") from error
    if size is not None and pixels.shape[:2] != size:
        raise config_lib.UserError(
            f"{name}: it has {pixels.shape[0]} x {pixels.shape[1]} pixels, and the first picture "
            f"{size[0]} x {size[1]}; expected one size for all")
    return pixels


def _entry_of(archive: zipfile.ZipFile, names: Sequence[str], required: bool = True):
    there = [f"{name}.npy" for name in names if f"{name}.npy" in archive.namelist()]
    if not there and required:
        raise KeyError(f"it holds {', '.join(archive.namelist()) or 'nothing'}")
    return there[0] if there else None


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array whose data follow; those are in C order."""
    version = np.lib.format.read_magic(file)
    read = (np.lib.format.read_array_header_1_0 if version == (1, 0)
            else np.lib.format.read_array_header_2_0)
    shape, fortran, dtype = read(file)
    if fortran:
        raise ValueError("it is in Fortran order")
    return shape, dtype


def _batches_of_npz(images: Images, batch_size: int) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(images.path) as archive, archive.open(
            _entry_of(archive, _IMAGES)) as file:
        shape, _ = _header(file)
        for start in range(0, images.count, batch_size):
            count = min(batch_size, images.count - start)
            try:
                content = file.read(count * int(np.prod(shape[1:])))
                batch = np.frombuffer(content, np.uint8).reshape(count, *shape[1:])
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise config_lib.UserError(
                    f"--images={images.path}: damaged after image {start} ({error}); fetch it "
                    "again") from error
            yield batch if shape[3] == 3 else batch.transpose(0, 2, 3, 1)
