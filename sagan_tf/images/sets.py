"""Sets of images in files, to write and to read: an .npz, or a directory of pictures."""

import contextlib
import itertools
import math
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.images import picture_folder, pixels
from sagan_tf.runtime import files

# The names that a set of images has in an .npz: ours and guided-diffusion's, NumPy's own, and
# BigGAN-PyTorch's, whose images are [n, 3, height, width].
_IMAGES = ("arr_0", "images", "x")
_LABELS = ("arr_1", "labels", "y")
_EXPECTED = (
    "expected a directory of pictures, or an .npz with one uint8 array "
    "[n, height, width, 3], arr_0 or images"
)


class Writer:
    """Writes uint8 images as they come: into an .npz, or as PNG files.

    An .npz has `arr_0` (uint8 [n, size, size, 3]) and `arr_1` (int32 [n], labels), as the
    evaluator of guided-diffusion reads them. It has `seeds` (int64 [n]) too where these are given.
    A directory, new or empty, gets one folder for each class, named by its number. The files in it
    are named by the images' seeds, or else numbered. Either gets its name when it is whole.

    Args:
      path: an .npz file, or else a directory.
      count: images that will come.
      size: their side in pixels.
      flag: the one that named the path.
    Raises (entering, adding and leaving):
      errors.UserError: the path cannot be written, or something is there that is in the way.
    """

    def __init__(self, path: str, count: int, *, size: int, flag: str = "save_samples"):
        self._path = path
        self._shape = (count, size, size, 3)
        self._flag = flag
        self._labels: list[int] = []
        self._seeds: list[int] = []
        self._stack = contextlib.ExitStack()
        self._written = ""
        self._zip: Optional[zipfile.ZipFile] = None
        self._entry: Optional[BinaryIO] = None

    def __enter__(self) -> "Writer":
        with self._finishing(), self._writing():
            self._refuse_what_is_in_the_way()
            os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
            self._written = self._stack.enter_context(files.replaced(self._path))
            if self._path.endswith(".npz"):
                self._open_npz()
            else:
                os.mkdir(self._written)
        return self

    def add(self, images: np.ndarray, labels: np.ndarray, *, seeds: Sequence[int] = ()) -> None:
        """The next images, uint8 [n, size, size, 3], their labels, int [n], and seeds, if any."""
        # Write the images.
        with self._writing():
            if self._entry is not None:
                self._entry.write(np.ascontiguousarray(images).tobytes())
            else:
                first = len(self._labels)
                numbers = seeds if len(seeds) else range(first, first + len(images))
                self._write_pictures(images, labels, numbers)

        # Keep what an .npz gets at its end.
        self._labels.extend(np.asarray(labels).tolist())
        self._seeds.extend(seeds)

    def __exit__(self, kind, *error) -> None:
        # Discard what was written.
        if kind is not None:
            with contextlib.suppress(OSError):
                self._stack.__exit__(kind, *error)
            return

        # Give it its name.
        with self._finishing(), self._writing():
            if self._entry is not None:
                self._end_npz()
            self._stack.close()

    def _writing(self) -> contextlib.AbstractContextManager:
        return files.writing(f"--{self._flag}={self._path}")

    @contextlib.contextmanager
    def _finishing(self) -> Iterator[None]:
        """Discards what was written when something goes wrong inside."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self._stack.__exit__(*sys.exc_info())
            raise

    def _refuse_what_is_in_the_way(self) -> None:
        # A file takes the place of a file.
        if self._path.endswith(".npz"):
            if os.path.isdir(self._path):
                raise errors.UserError(
                    f"--{self._flag}={self._path}: there is a directory of this name; expected the "
                    "name of a file, or of a directory without .npz"
                )
            return

        # A directory takes the place of an empty one.
        found = len(os.listdir(self._path)) if os.path.lexists(self._path) else 0
        if found:
            raise errors.UserError(
                f"--{self._flag}={self._path}: it is not empty ({found} inside); expected a new "
                "or empty directory"
            )

    def _open_npz(self) -> None:
        self._zip = self._stack.enter_context(zipfile.ZipFile(self._written, "w"))
        self._entry = self._stack.enter_context(self._zip.open("arr_0.npy", "w", force_zip64=True))
        header = {"descr": "|u1", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._entry, header)

    def _write_pictures(self, images: np.ndarray, labels: np.ndarray, numbers) -> None:
        for number, image, label in zip(numbers, images, labels):
            folder = os.path.join(self._written, f"{label:04}")
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, f"{number:06}.png"), "wb") as file:
                file.write(pixels.encode_png(image))

    def _end_npz(self) -> None:
        self._entry.close()
        with self._zip.open("arr_1.npy", "w") as file:
            np.lib.format.write_array(file, np.array(self._labels, np.int32))
        if self._seeds:
            with self._zip.open("seeds.npy", "w") as file:
                np.lib.format.write_array(file, np.array(self._seeds, np.int64))


class Images(NamedTuple):
    """A set of images in files.

    Attributes:
      path: of the .npz or directory.
      count: images in it.
      size: height and width in pixels.
      labels: int32 [count]; None where they are unknown.
      files: names of the pictures; None for an .npz.
    """

    path: str
    count: int
    size: tuple[int, int]
    labels: Optional[np.ndarray]
    files: Optional[Sequence[str]]

    def batches(
        self, batch_size: int, numbers: Optional[np.ndarray] = None
    ) -> Iterator[np.ndarray]:
        """uint8 [up to batch_size, height, width, 3], in order; constant memory.

        Args:
          batch_size: images in each, but for the last.
          numbers: int [n], ascending, which images; None: all. Of pictures no others are read.
        Raises:
          errors.UserError: a picture cannot be read, or has another size; an .npz is damaged, be
            it where other images are.
        """
        # Open them one by one.
        if numbers is None:
            numbers = np.arange(self.count)
        if self.files is None:
            images = _images_of_npz(self, numbers)
        else:
            images = (picture_folder.read(self.files[number], self.size) for number in numbers)

        # Put them into batches.
        while batch := list(itertools.islice(images, batch_size)):
            yield np.stack(batch)


def open_images(path: str, class_names: Sequence[str] = ()) -> Images:
    """Looks at a set of images.

    Args:
      path: an .npz, or a directory that is searched with all below it; files in order of names.
      class_names: names that folders may have, as `picture_folder.labels_of` takes them.
    Raises:
      errors.UserError: there is none, it holds no images, or something else.
    """
    return _open_directory(path, class_names) if os.path.isdir(path) else _open_npz(path)


def _open_npz(path: str) -> Images:
    # Read shape, type and labels.
    try:
        with zipfile.ZipFile(path) as archive:
            name = _entry_of(archive, _IMAGES)
            with archive.open(name) as file:
                shape, dtype = _header(file)
            labels = _labels_of(archive)
    except files.NPZ_ERRORS as error:
        raise errors.UserError(
            f"--images={path}: {_EXPECTED} ({files.first_line(error)})"
        ) from error

    # Check them.
    if dtype != np.uint8 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or not shape[0]:
        raise errors.UserError(
            f"--images={path}: {_EXPECTED}; got {dtype} {list(shape)} as {name[:-4]}"
        )
    count = shape[0]
    size = picture_folder.require_square(path, shape[1:3] if shape[3] == 3 else shape[2:4])
    return Images(path, count, size, _checked_labels(path, labels, count), None)


def _open_directory(path: str, class_names: Sequence[str]) -> Images:
    # List the pictures.
    names = picture_folder.pictures_in(path)
    if not names:
        raise errors.UserError(f"--images={path}: {_EXPECTED}; there is none in it")

    # Take the size of the first, and the labels of the folders.
    size = picture_folder.require_square(names[0], picture_folder.read(names[0]).shape[:2])
    labels = picture_folder.labels_of(path, names, class_names=class_names)
    return Images(path, len(names), size, labels, names)


def _entry_of(archive: zipfile.ZipFile, names: Sequence[str], required: bool = True):
    there = [f"{name}.npy" for name in names if f"{name}.npy" in archive.namelist()]
    if not there and required:
        raise KeyError(f"it holds {', '.join(archive.namelist()) or 'nothing'}")
    return there[0] if there else None


def _labels_of(archive: zipfile.ZipFile) -> Optional[np.ndarray]:
    name = _entry_of(archive, _LABELS, required=False)
    if name is None:
        return None
    with archive.open(name) as file:
        return np.lib.format.read_array(file).reshape(-1)


def _checked_labels(path: str, labels: Optional[np.ndarray], count: int) -> Optional[np.ndarray]:
    """The labels of an .npz as int32; refuses what are no class numbers."""
    # One for each image.
    if labels is None:
        return None
    if len(labels) != count:
        raise errors.UserError(
            f"--images={path}: {len(labels)} labels for {count} images; expected one each"
        )

    # Whole numbers that are not too large.
    fits = np.zeros(count, bool)
    if labels.dtype.kind in "biuf":
        fits = (
            (labels >= 0)
            & (labels < 10**picture_folder.LABEL_DIGITS)
            & (labels == np.floor(labels))
        )
    if not fits.all():
        raise errors.UserError(
            f"--images={path}: a label is {labels[~fits][0]}; expected class numbers from 0 on, "
            f"of up to {picture_folder.LABEL_DIGITS} digits"
        )
    return labels.astype(np.int32)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array whose data follow; those are in C order."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    if fortran:
        raise ValueError("it is in Fortran order")
    return shape, dtype


def _images_of_npz(images: Images, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Some images, uint8 [height, width, 3].

    Reads to the end of the file, where the checksum of all is compared.
    """
    wanted = set(np.asarray(numbers).tolist())
    number = 0
    try:
        with contextlib.ExitStack() as stack:
            # Open the array.
            archive = stack.enter_context(zipfile.ZipFile(images.path))
            file = stack.enter_context(archive.open(_entry_of(archive, _IMAGES)))
            shape = _header(file)[0][1:]

            # Read one image after the other; channels go last.
            for number in range(images.count):
                content = np.frombuffer(file.read(math.prod(shape)), np.uint8).reshape(shape)
                if number in wanted:
                    yield content if shape[2] == 3 else content.transpose(1, 2, 0)
    except files.NPZ_ERRORS as error:
        raise errors.UserError(
            f"--images={images.path}: damaged after image {number} "
            f"({files.first_line(error)}); fetch it again"
        ) from error
