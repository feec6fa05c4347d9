"""Directories that TensorFlow Datasets prepared: full-size images, cropped and resized on the fly."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.runtime import files as runtime_files

SPLIT = "train"


@contextlib.contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Turns what TensorFlow Datasets raises, of many kinds, into a `config.UserError`."""
    try:
        yield
    except errors.UserError:
        raise
    except Exception as error:  # Its builders raise whatever their authors chose.
        raise errors.UserError(
            f"{name}: TensorFlow Datasets cannot use it ({type(error).__name__}: "
            f"{runtime_files.first_line(error)})"
        ) from error


def is_one(directory: str) -> bool:
    """Whether TensorFlow Datasets prepared this directory."""
    return all(
        tf.io.gfile.exists(os.path.join(directory, name))
        for name in ("dataset_info.json", "features.json")
    )


def builder_of(source: str) -> Any:
    """A `tfds.core.DatasetBuilder` of a directory, or of `tfds:NAME`, whose data must be there.

    Raises:
      config.UserError: there is no such data set, or it has not been prepared.
    """
    import tensorflow_datasets as tfds  # seconds to import, and many runs do without

    with errors_of(source):
        if not source.startswith("tfds:"):
            return tfds.builder_from_directory(source)
        builder = tfds.builder(source[len("tfds:") :])
        if not builder.info.splits:
            raise errors.UserError(
                f"{source}: it has not been prepared in {builder.data_dir}; run: "
                f"tfds build {source[len('tfds:') :]}"
            )
        return builder


def image_and_label(builder: Any) -> tuple[str, str]:
    """Names of the image and of the label among a builder's features.

    Raises:
      config.UserError: it has no split `train`, or not one image and one class label.
    """
    import tensorflow_datasets as tfds

    name, features = builder.info.full_name, builder.info.features
    if SPLIT not in builder.info.splits:
        raise errors.UserError(
            f"{name}: it has splits {', '.join(builder.info.splits)}; expected one named {SPLIT}"
        )
    found = [
        [key for key, feature in features.items() if isinstance(feature, kind)]
        for kind in (tfds.features.Image, tfds.features.ClassLabel)
    ]
    supervised = builder.info.supervised_keys or (None, None)
    chosen = [
        supervised[i] if supervised[i] in keys else keys[0] if len(keys) == 1 else None
        for i, keys in enumerate(found)
    ]
    if None in chosen:
        raise errors.UserError(
            f"{name}: it has features {', '.join(features)}; expected one Image and one ClassLabel"
        )
    return tuple(chosen)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A prepared directory: its record files, classes, and how to read a record."""

    builder: Any
    image: str
    label: str
    files: tuple[str, ...]

    @property
    def number_classes(self) -> int:
        """Number of classes."""
        return self.builder.info.features[self.label].num_classes

    def parser(self, image_size: int) -> Callable:
        """string [] -> (uint8 [size, size, 3], int32 [])."""
        import tensorflow_datasets as tfds

        features = self.builder.info.features
        skip = {self.image: tfds.decode.SkipDecoding()}

        def parse(serialized):
            example = features.deserialize_example(serialized, decoders=skip)
            pixels = tf.io.decode_image(example[self.image], channels=3, expand_animations=False)
            return crop_and_resize(pixels, image_size), tf.cast(example[self.label], tf.int32)

        return parse


def open_directory(directory: str) -> Prepared:
    """Opens a prepared directory for training.

    Raises:
      config.UserError: it cannot be read, or its records are of another format.
    """
    builder = builder_of(directory)
    image, label = image_and_label(builder)
    files = tuple(str(path) for path in builder.info.splits[SPLIT].filepaths)
    if builder.info.file_format.value != "tfrecord":
        raise errors.UserError(
            f"--data_dir={directory}: its files are of format {builder.info.file_format.value}; "
            "training reads tfrecord; prepare_data reads either and makes records of it"
        )
    return Prepared(builder, image, label, files)


def crop_and_resize(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Centre crop to a square and Lanczos-3 with antialiasing, as `pictures.clean` does it.

    As in Pillow: rows first, rounded and clipped to 8 bits, then columns. What is left is Pillow's
    fixed-point arithmetic, which rounds one of 255 differently here and there.

    Args:
      pixels: uint8 [height, width, 3].
      size: side of the result.
    Returns:
      uint8 [size, size, 3].
    """
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    side = tf.minimum(height, width)
    square = tf.image.crop_to_bounding_box(
        pixels, (height - side) // 2, (width - side) // 2, side, side
    )
    for shape in ([side, size], [size, size]):
        resized = tf.image.resize(square, shape, tf.image.ResizeMethod.LANCZOS3, antialias=True)
        square = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return square
