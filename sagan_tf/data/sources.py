"""Sources of labelled pictures: class folders, a tar of tars, TensorFlow Datasets."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np

from sagan_tf import errors
from sagan_tf.data import order, picture_files, tfds_directory
from sagan_tf.data.preprocessing import ByteSource, LabelledPicture

_NAMED = 10  # Classes that an error names.


@dataclasses.dataclass(frozen=True)
class FileSource:
    """A source of picture files, which can be listed, and read in any order.

    Attributes:
      kind: "folders" or "tar".
      class_names: in the order of the labels.
      pictures: all, by label and then by name.
      sizes: bytes of each picture.
    """

    kind: str
    class_names: tuple[str, ...]
    pictures: Sequence[LabelledPicture]
    sizes: Sequence[int]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all names, labels and sizes."""
        digest = hashlib.sha256()
        for picture, size in zip(self.pictures, self.sizes):
            line = f"{picture.label} {size} {picture.key}\n"
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def shard(self, number: int, of: int, *, seed: int) -> list[LabelledPicture]:
        """The pictures of one of `of` shards, in their order: a random permutation of all, cut."""
        first, last = _cut(len(self.pictures), number, of)
        chosen = _permutation(len(self.pictures), seed)[first:last]
        return [self.pictures[i] for i in chosen]


# Every shard is cut out of the same one; of a million pictures it takes some time.
_permutation = functools.lru_cache(maxsize=1)(order.permutation)


def _cut(count: int, number: int, of: int) -> tuple[int, int]:
    """The first of part `number` of `count` things, and the first of the next part."""
    return count * number // of, count * (number + 1) // of


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A data set that TensorFlow Datasets prepared, read in its own order, slice by slice.

    Attributes:
      builder: of the data set.
      image, label: names of the two features.
      class_names: in the order of our labels.
      label_of: our label for each of its labels; -1: not taken.
      chosen: int64, numbers of the examples that are taken; None: all.
      kind: "tfds".
    """

    builder: Any
    image: str
    label: str
    class_names: tuple[str, ...]
    label_of: tuple[int, ...]
    chosen: Optional[np.ndarray]
    kind: str = "tfds"

    def __len__(self) -> int:
        if self.chosen is not None:
            return len(self.chosen)
        return self._split.num_examples

    @property
    def _split(self) -> Any:
        return self.builder.info.splits[tfds_directory.SPLIT]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the data set's name, version and shards, and of what is taken."""
        content = (
            f"{self.builder.info.full_name} {self._split.shard_lengths} {self._split.num_bytes} "
            f"{self.label_of}"
        )
        digest = hashlib.sha256(content.encode())
        if self.chosen is not None:
            digest.update(self.chosen.astype("<i8").tobytes())
        return digest.hexdigest()

    def shard(self, number: int, of: int, *, seed: int) -> list[LabelledPicture]:
        """The pictures of one of `of` shards: a slice of the data set, in random order."""
        # Choose the examples.
        first, last = _cut(len(self), number, of)
        wanted = np.arange(first, last) if self.chosen is None else self.chosen[first:last]
        if not len(wanted):
            return []

        # Read the slice that holds them.
        begin = int(wanted[0])
        taken = set(wanted.tolist())
        pictures = []
        examples = self.examples(begin, int(wanted[-1]) + 1)
        for example_number, example in enumerate(examples, begin):
            if example_number in taken:
                pictures.append(self._picture(example_number, example))

        # Shuffle it.
        return [pictures[i] for i in order.permutation(len(pictures), seed, number)]

    def _picture(self, number: int, example: dict[str, Any]) -> LabelledPicture:
        key = f"{tfds_directory.SPLIT}[{number}]"
        label = int(example[self.label])
        if not 0 <= label < len(self.label_of):
            raise errors.UserError(
                f"--source={self.builder.info.full_name}: the label of {key} is {label}; expected "
                f"0 to {len(self.label_of) - 1}"
            )
        data = ByteSource(data=bytes(example[self.image]))
        return LabelledPicture(key, self.label_of[label], data)

    def examples(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Examples of the split, in its order, pictures as the bytes of their files."""
        import tensorflow_datasets as tfds

        skip = {self.image: tfds.decode.SkipDecoding()}
        with tfds_directory.errors_of(f"--source={self.builder.info.full_name}"):
            # Array records can be read by number.
            if self.builder.info.file_format.value == "array_record":
                found = self.builder.as_data_source(tfds_directory.SPLIT, decoders=skip)
                yield from (found[i] for i in range(first, last))
                return

            # One file after the other: the order is the data set's own.
            config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
            found = self.builder.as_dataset(
                split=f"{tfds_directory.SPLIT}[{first}:{last}]",
                shuffle_files=False,
                read_config=config,
                decoders=skip,
            )
            yield from tfds.as_numpy(found)


Source = Union[FileSource, TfdsSource]


def open_source(
    source: str, classes: Optional[Sequence[str]] = None, *, limit_per_class: int = 0
) -> Source:
    """Opens a source.

    Args:
      source: a folder of class folders, or of pictures, which are one class; a tar, `tfds:NAME`, or
        a directory that TensorFlow Datasets prepared.
      classes: names of the classes to take, in the order of their labels; None: all, sorted.
      limit_per_class: pictures of each class, the first by name; 0: all.
    Raises:
      errors.UserError: there is no such source, or none of a known kind, or it lacks a class.
    """
    if source.startswith("tfds:") or tfds_directory.is_one(source):
        return _open_tfds(source, classes, limit_per_class)

    # List the files.
    if os.path.isdir(source):
        kind = "folders"
        found = picture_files.in_folders(source)
    elif os.path.isfile(source):
        kind = "tar"
        found = picture_files.in_tar(source)
    else:
        raise errors.UserError(
            f"--source={source}: there is no such file or directory; expected a folder of class "
            "folders, a tar of tars, tfds:NAME, or a directory that TensorFlow Datasets prepared"
        )

    # Choose the classes.
    names = tuple(sorted(found)) if classes is None else tuple(classes)
    _require_classes(source, names, found)

    # Label their pictures.
    pictures = []
    sizes = []
    for label, name in enumerate(names):
        files = sorted(found[name], key=lambda file: file.name)
        for file in files[: limit_per_class or None]:
            key = f"{name}/{file.name}"
            pictures.append(LabelledPicture(key, label, file.source))
            sizes.append(file.size)
    return FileSource(kind, names, pictures, sizes)


def _require_classes(source: str, names: Sequence[str], found: dict[str, Any]) -> None:
    """Raises errors.UserError if a class is not there, or is empty."""
    # Refuse names that are not there.
    absent = [name for name in names if name not in found]
    if absent:
        more = ", ..." if len(found) > _NAMED else ""
        raise errors.UserError(
            f"--classes: {absent[0]!r} is not in --source={source}, which has {len(found)} "
            "classes: " + ", ".join(sorted(found)[:_NAMED]) + more
        )

    # Refuse classes without files.
    empty = [name for name in names if not found[name]]
    if empty:
        raise errors.UserError(
            f"--source={source}: class {empty[0]!r} holds no files ({len(empty)} such classes); "
            "remove its folder, or name the others with --classes"
        )


def _open_tfds(source: str, classes: Optional[Sequence[str]], limit_per_class: int) -> TfdsSource:
    # Open the data set.
    builder = tfds_directory.builder_of(source)
    image, label = tfds_directory.image_and_label(builder)
    names = tuple(builder.info.features[label].names)

    # Choose the classes.
    wanted = names if classes is None else tuple(classes)
    _require_classes(source, wanted, dict.fromkeys(names, True))
    label_of = tuple(wanted.index(name) if name in wanted else -1 for name in names)

    # Choose the examples.
    found = TfdsSource(builder, image, label, wanted, label_of, None)
    if classes is None and not limit_per_class:
        return found
    return dataclasses.replace(found, chosen=_choose(found, limit_per_class))


def _choose(source: TfdsSource, limit_per_class: int) -> np.ndarray:
    """Numbers of the examples of the classes that are taken, the first of each."""
    left = [limit_per_class or len(source)] * len(source.class_names)
    chosen = []
    for number, example in enumerate(source.examples(0, len(source))):
        theirs = int(example[source.label])
        is_known = 0 <= theirs < len(source.label_of)
        label = source.label_of[theirs] if is_known else -1
        if label >= 0 and left[label]:
            left[label] -= 1
            chosen.append(number)
    return np.array(chosen, np.int64)
