"""Directories that TensorFlow Datasets prepared: images are cropped and resized on the fly."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import tensorflow as tf

from sagan_tf import errors, plurals
from sagan_tf.data import dataset_info
from sagan_tf.data.records import Records, check_label, open_files
from sagan_tf.runtime.files import first_line

SPLIT = "train"
_NAMED = "tfds:"


@contextlib.contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Turns what TensorFlow Datasets raises, of many kinds, into an `errors.UserError`."""
    try:
        yield
    except errors.UserError:
        raise
    except Exception as error:  # Its builders raise whatever their authors chose.
        raise errors.UserError(
            f"{name}: TensorFlow Datasets cannot use it ({type(error).__name__}: "
            f"{first_line(error)})"
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
      errors.UserError: there is no such data set, or it has not been prepared.
    """
    import tensorflow_datasets as tfds  # seconds to import, and many runs do without

    with errors_of(source):
        # Open a directory.
        if not source.startswith(_NAMED):
            return tfds.builder_from_directory(source)

        # Open a data set by its name.
        name = source.removeprefix(_NAMED)
        builder = tfds.builder(name)
        if not builder.info.splits:
            raise errors.UserError(
                f"{source}: it has not been prepared in {builder.data_dir}; run: tfds build {name}"
            )
        return builder


def image_and_label(builder: Any) -> tuple[str, str]:
    """Names of the image and of the label among a builder's features.

    Raises:
      errors.UserError: it has no split `train`, or not one image and one class label.
    """
    import tensorflow_datasets as tfds

    # Find the split.
    name = builder.info.full_name
    if SPLIT not in builder.info.splits:
        raise errors.UserError(
            f"{name}: it has splits {', '.join(builder.info.splits)}; expected one named {SPLIT}"
        )

    # Find the two features.
    features = builder.info.features
    image_key, label_key = builder.info.supervised_keys or (None, None)
    images = [key for key, value in features.items() if isinstance(value, tfds.features.Image)]
    labels = [key for key, value in features.items() if isinstance(value, tfds.features.ClassLabel)]
    image = _choose_feature(images, image_key)
    label = _choose_feature(labels, label_key)
    if image is None or label is None:
        raise errors.UserError(
            f"{name}: it has features {', '.join(features)}; expected one Image and one ClassLabel"
        )
    return image, label


def _choose_feature(names: Sequence[str], supervised: Optional[str]) -> Optional[str]:
    """The feature that the data set names for supervised training, or the only one; else None."""
    if supervised in names:
        return supervised
    return names[0] if len(names) == 1 else None


@dataclasses.dataclass(frozen=True)
class TfdsParser:
    """The `records.Parser` of records that TensorFlow Datasets wrote.

    Attributes:
      image_size: side of the results, pixels.
      number_classes: labels are below it.
      features: a `tfds.features.FeaturesDict`.
      image, label: names of the two features.
    """

    image_size: int
    number_classes: int
    features: Any
    image: str
    label: str

    def parse(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One record, string []: image uint8 [size, size, 3], label int32 []."""
        import tensorflow_datasets as tfds

        # Decode the example, crop and resize its picture.
        skip = {self.image: tfds.decode.SkipDecoding()}
        example = self.features.deserialize_example(serialized, decoders=skip)
        pixels = tf.io.decode_image(example[self.image], channels=3, expand_animations=False)
        image = crop_and_resize(pixels, self.image_size)

        # Check the label.
        label = tf.cast(example[self.label], tf.int32)
        fits = check_label(label, self.number_classes)
        with tf.control_dependencies([fits]):
            return tf.identity(image), label

    def batches(
        self, serialized: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Parsed batches of serialised records, in their order."""
        parsed = serialized.map(self.parse, num_parallel_calls=tf.data.AUTOTUNE)
        return parsed.batch(batch_size, drop_remainder)


@dataclasses.dataclass(frozen=True)
class TfdsDirectory:
    """A prepared directory.

    Attributes:
      path: as the user gave it.
      builder: a `tfds.core.DatasetBuilder`.
      image, label: names of the two features.
      files: names of the record files.
    """

    path: str
    builder: Any
    image: str
    label: str
    files: tuple[str, ...]

    @property
    def number_classes(self) -> int:
        """Number of classes."""
        return self.builder.info.features[self.label].num_classes

    @property
    def settings(self) -> dict[str, int]:
        """What the directory says of itself, by flag."""
        return {"number_classes": self.number_classes}

    def check(self, number_classes: int) -> None:
        """Raises errors.UserError if it has another number of classes."""
        if self.number_classes != number_classes:
            raise errors.UserError(
                f"--number_classes={number_classes}: {self.path} has "
                f"{plurals.counted(self.number_classes, 'class', 'classes')}; "
                + dataset_info.FOR_OTHERS
            )

    def records(self, image_size: int, *, number_classes: int) -> Records:
        """Its records, as images of `image_size` pixels.

        Raises:
          errors.UserError: it has another number of classes.
        """
        self.check(number_classes)
        features = self.builder.info.features
        parser = TfdsParser(image_size, number_classes, features, self.image, self.label)
        return open_files(self.files, parser)


def open_directory(directory: str) -> TfdsDirectory:
    """Opens a prepared directory for training.

    Raises:
      errors.UserError: it cannot be read, or its records are of another format.
    """
    # Open it.
    builder = builder_of(directory)
    image, label = image_and_label(builder)
    paths = builder.info.splits[SPLIT].filepaths

    # Refuse other formats.
    file_format = builder.info.file_format.value
    if file_format != "tfrecord":
        raise errors.UserError(
            f"--data_dir={directory}: its files are of format {file_format}; "
            "training reads tfrecord; prepare_data reads either and makes records of it"
        )
    return TfdsDirectory(directory, builder, image, label, tuple(map(str, paths)))


def crop_and_resize(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Centre crop to a square and Lanczos-3 with antialiasing, as in `preprocessing.clean`.

    As in Pillow: rows first, rounded and clipped to 8 bits, then columns. What is left is Pillow's
    fixed-point arithmetic, which rounds one of 255 differently here and there.

    Args:
      pixels: uint8 [height, width, 3].
      size: side of the result.
    Returns:
      uint8 [size, size, 3].
    """
    # Crop.
    height = tf.shape(pixels)[0]
    width = tf.shape(pixels)[1]
    side = tf.minimum(height, width)
    top = (height - side) // 2
    left = (width - side) // 2
    square = tf.image.crop_to_bounding_box(pixels, top, left, side, side)

    # Resize.
    for shape in ([side, size], [size, size]):
        resized = tf.image.resize(square, shape, tf.image.ResizeMethod.LANCZOS3, antialias=True)
        square = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return square
