"""Sets of images in files, as a source of images to score: as they are, or prepared as the records.

Pictures of other sizes, not square or with transparency become images as `prepare_data` makes them,
the same way and in the same size as the real ones.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Protocol

import numpy as np

from sagan_tf import errors
from sagan_tf.config import ScoreImagesConfig
from sagan_tf.data import dataset, dataset_info, order, preprocessing, records
from sagan_tf.evaluation import features
from sagan_tf.evaluation.devices import Devices
from sagan_tf.images import picture_folder, sets

_NAMED = 3  # Pictures that an error names.


class _Images(Protocol):
    """Images in files, as `sets.Images` has them."""

    count: int
    size: tuple[int, int]
    labels: Optional[np.ndarray]

    def batches(self, batch_size: int, numbers: Optional[np.ndarray] = None) -> Iterator:
        """uint8 [up to batch_size, height, width, 3], in order."""


class PreparedPictures:
    """Pictures of a folder, prepared as the records of real images were.

    Args:
      names: of the files.
      info: says how the records were made.
      labels: int32 [files]; None where they are unknown.

    Attributes:
      count, size, labels, batches: as `sets.Images`.
    """

    def __init__(
        self, names: Sequence[str], info: dataset_info.DatasetInfo, labels: Optional[np.ndarray]
    ):
        self.count = len(names)
        self.size = (info.image_size, info.image_size)
        self.labels = labels
        self._names = names
        self._resize = info.resize

    def batches(
        self, batch_size: int, numbers: Optional[np.ndarray] = None
    ) -> Iterator[np.ndarray]:
        """uint8 [up to batch_size, size, size, 3], in order; constant memory."""
        chosen = np.arange(self.count) if numbers is None else numbers
        images = (self._image(self._names[number]) for number in chosen)
        while batch := list(itertools.islice(images, batch_size)):
            yield np.stack(batch)

    def damaged(self) -> list[str]:
        """What is wrong with the pictures that cannot be prepared."""
        found = []
        for name in self._names:
            try:
                self._image(name)
            except errors.UserError as error:
                found.append(str(error))
        return found

    def _image(self, name: str) -> np.ndarray:
        source = preprocessing.ByteSource(name)
        try:
            return preprocessing.image_of(source, self._resize, size=self.size[0])
        except preprocessing.Damaged as damage:
            raise errors.UserError(f"{name}: {damage}") from damage


class ImageSet:
    """Images in an .npz file or in a directory.

    Args:
      config: which images, how many, which ones.
      found: the images.
      note: what was done with them; "" for images as they are.
      devices: that will classify them.

    Attributes:
      name, count, work: as `features.Source`.
      image_size: their side in pixels.
      note: as given.
    Raises:
      errors.UserError: there are too few.
    """

    work = "classify"

    def __init__(self, config: ScoreImagesConfig, found: _Images, *, note: str, devices: Devices):
        self._set = found
        self.name = os.path.basename(config.images.rstrip("/"))
        self.count = config.eval_sample_size or found.count
        self.image_size = found.size[0]
        self.note = note
        self._config = config
        self._devices = devices

        # See whether there are enough.
        if found.count < self.count:
            raise errors.UserError(
                f"--eval_sample_size={self.count}: {config.images} holds {found.count} images; "
                "give at most that many"
            )
        if self.count < 2 * config.is_splits:
            raise errors.UserError(
                f"--images={config.images}: holds {self.count} images; expected at least "
                f"{2 * config.is_splits} for --is_splits={config.is_splits}"
            )

    def describe(self) -> dict[str, Any]:
        """What the images are, for the protocol."""
        size = self.image_size
        prepared = f", {self.note}" if self.note else ""
        return {"images": f"{self._config.images}, uint8 of {size} x {size} px{prepared}"}

    def batches(self) -> Iterator[features.Batch]:
        """The images that the seed chooses, in the order in which they lie."""
        chosen = order.choose(self._set.count, self.count, self._config.seed)
        labels: Optional[np.ndarray] = None
        if self._set.labels is not None:
            labels = self._set.labels[chosen]

        start = 0
        for batch in self._set.batches(self._devices.global_batch, chosen):
            end = start + len(batch)
            (images,) = self._devices.share_out(records.to_float(batch).numpy())
            yield images, None if labels is None else labels[start:end], len(batch)
            start = end


def open_set(
    config: ScoreImagesConfig, directory: Optional[dataset.Directory], *, devices: Devices
) -> ImageSet:
    """Opens the images of `config.images`, and reads every picture of a folder before any work.

    Args:
      config: which images.
      directory: of the real images; None without one.
      devices: that will classify them.
    Raises:
      errors.UserError: they are missing or damaged, there are too few, or they have to be prepared
        and no dataset.json says how.
    """
    info = directory.info if directory is not None else None
    class_names = info.class_names if info is not None else ()
    names = picture_folder.pictures_in(config.images)
    unfit, damaged = picture_folder.check(names)
    _refuse_damaged(config, damaged, count=len(names))

    # Take images as they are.
    if not unfit:
        found = sets.open_images(config.images, class_names)
        return ImageSet(config, found, note="", devices=devices)

    # Prepare others as the records were.
    if info is None or info.resize not in preprocessing.RESIZES:
        raise errors.UserError(
            f"--images={config.images}: {len(unfit)} of {len(names)} pictures have to be prepared "
            f"({_listed(unfit)}), and the real images do not say how they were "
            f"({dataset_info.FILENAME} is missing); make the pictures alike first"
        )
    labels = picture_folder.labels_of(config.images, names, class_names=class_names)
    prepared = PreparedPictures(names, info, labels)
    _refuse_damaged(config, prepared.damaged(), count=len(names))
    note = f"prepared as the real images: {info.resize}, {info.image_size} px"
    return ImageSet(config, prepared, note=note, devices=devices)


def _refuse_damaged(config: ScoreImagesConfig, damaged: Sequence[str], *, count: int) -> None:
    if damaged:
        raise errors.UserError(
            f"--images={config.images}: {len(damaged)} of {count} pictures are damaged "
            f"({_listed(damaged)}); remove them"
        )


def _listed(faults: Sequence[str]) -> str:
    more = len(faults) - _NAMED
    return "; ".join(faults[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
