"""Where pictures with labels come from: class folders, a tar of tars, TensorFlow Datasets."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.data import order, preprocessing, tfds_directory

# Left behind by file managers; never a picture.
_LITTER = ("Thumbs.db", "desktop.ini")


@dataclasses.dataclass(frozen=True)
class Item:
    """A picture to prepare: a name for reports, its label, and its bytes."""

    key: str
    label: int
    place: preprocessing.Place


@dataclasses.dataclass(frozen=True)
class Listing:
    """A source whose pictures can be listed, and read in any order.

    Attributes:
      kind: "folders" or "tar".
      class_names: in the order of the labels.
      items: all pictures, by label and then by name.
      sizes: bytes of each picture.
    """

    kind: str
    class_names: tuple[str, ...]
    items: Sequence[Item]
    sizes: Sequence[int]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all names, labels and sizes."""
        digest = hashlib.sha256()
        for item, size in zip(self.items, self.sizes):
            digest.update(f"{item.label} {size} {item.key}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def shard(self, number: int, of: int, *, seed: int) -> list[Item]:
        """The pictures of one of `of` shards, in their order: a random permutation of all, cut."""
        first, last = _cut(len(self.items), number, of)
        return [self.items[i] for i in _permutation(len(self.items), seed)[first:last]]


# Every shard is cut out of the same one; of a million pictures it takes some time.
_permutation = functools.lru_cache(maxsize=1)(order.permutation)


def _cut(count: int, number: int, of: int) -> tuple[int, int]:
    return count * number // of, count * (number + 1) // of


def open_source(
    source: str, classes: Optional[Sequence[str]] = None, *, limit_per_class: int = 0
) -> Any:
    """Opens a source.

    Args:
      source: a folder of class folders, a tar, `tfds:NAME`, or a directory that TensorFlow Datasets
        prepared.
      classes: names of the classes to take, in the order of their labels; None: all, sorted.
      limit_per_class: pictures of each class, the first by name; 0: all.
    Returns:
      A `Listing`, or a `FromTfds`, which has the same methods.
    Raises:
      config.UserError: there is no such source, or none of a known kind, or it lacks a class.
    """
    if source.startswith("tfds:") or tfds_directory.is_one(source):
        return _from_tfds(source, classes, limit_per_class)
    if os.path.isdir(source):
        try:
            kind, found = "folders", _folders(source)
        except OSError as error:
            raise errors.UserError(
                f"--source={source}: {error.filename} cannot be read ({error.strerror})"
            ) from error
    elif os.path.isfile(source):
        kind, found = "tar", _tar(source)
    else:
        raise errors.UserError(
            f"--source={source}: there is no such file or directory; expected a folder of class "
            "folders, a tar of tars, tfds:NAME, or a directory that TensorFlow Datasets prepared"
        )
    names = tuple(sorted(found)) if classes is None else tuple(classes)
    _require_classes(source, names, found)
    entries = [
        (f"{name}/{file}", label, place, size)
        for label, name in enumerate(names)
        for file, place, size in _first(
            sorted(found[name], key=lambda entry: entry[0]), limit_per_class
        )
    ]
    return Listing(
        kind, names, [Item(*entry[:3]) for entry in entries], [entry[3] for entry in entries]
    )


def _first(entries: list, limit: int) -> list:
    return entries[:limit] if limit else entries


def _require_classes(source: str, names: Sequence[str], found: dict[str, Any]) -> None:
    absent = [name for name in names if name not in found]
    if absent:
        raise errors.UserError(
            f"--classes: {absent[0]!r} is not in --source={source}, which has {len(found)} "
            "classes: " + ", ".join(sorted(found)[:10]) + (", ..." if len(found) > 10 else "")
        )
    empty = [name for name in names if not found[name]]
    if empty:
        raise errors.UserError(
            f"--source={source}: class {empty[0]!r} holds no files ({len(empty)} such classes); "
            "remove its folder, or name the others with --classes"
        )


# A file of a class: name within the class, place, bytes.
_Entry = tuple[str, preprocessing.Place, int]


def _folders(source: str) -> dict[str, list[_Entry]]:
    parents = pathlib.Path(source).resolve()
    above = frozenset(_identity(folder) for folder in (parents, *parents.parents))
    found = {}
    for entry in os.scandir(source):
        if _is_folder(entry) and not entry.name.startswith("."):
            found[entry.name] = list(_files_below(entry.path, entry.path, above))
    if not found:
        raise errors.UserError(
            f"--source={source}: it holds no folders; expected one for each class, with its "
            "pictures inside"
        )
    return found


def _files_below(folder: str, top: str, above: frozenset) -> Iterator[_Entry]:
    """Files in a folder and below it; a link that leads back up is not followed."""
    identity = _identity(folder)
    if identity in above:
        return
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or entry.name in _LITTER:
            continue
        if _is_folder(entry):
            yield from _files_below(entry.path, top, above | {identity})
        else:
            yield os.path.relpath(entry.path, top), preprocessing.Place(entry.path), _size(entry)


def _identity(folder: Any) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _size(entry: os.DirEntry) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # A link to nowhere, or to itself: reported when it is read.
        return -1


def _tar(source: str) -> dict[str, list[_Entry]]:
    """Class -> pictures of a tar of class tars (ImageNet's), or of class folders; nothing is
    unpacked."""
    found: dict[str, list[_Entry]] = {}
    loose: list[_Entry] = []
    try:
        with open(source, "rb") as file:
            for name, offset, size in _members(file, 0):
                if name.endswith(".tar"):
                    within = found.setdefault(os.path.basename(name)[: -len(".tar")], [])
                    within += [
                        (inner, preprocessing.Place(source, start, length), length)
                        for inner, start, length in _members(file, offset, size)
                    ]
                elif "/" in name:
                    loose.append((name, preprocessing.Place(source, offset, size), size))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise errors.UserError(
            f"--source={source}: not a tar, or a damaged one ({error}); expected an uncompressed "
            "tar of one tar, or one folder, for each class"
        ) from error
    skip = _common_folder(loose) if loose else 0
    for name, *rest in loose:
        folder, _, inner = name[skip:].partition("/")
        found.setdefault(folder, []).append((inner, *rest))
    if not found:
        raise errors.UserError(
            f"--source={source}: it holds no classes; expected one tar, or one folder, for each"
        )
    return found


def _common_folder(entries: list[_Entry]) -> int:
    """Length of the folder, as in "train/", that all classes lie in."""
    folders = {os.path.dirname(entry[0]) for entry in entries}
    common = os.path.commonpath(folders)
    if common in folders:  # It holds pictures: it is a class.
        common = os.path.dirname(common)
    return len(common) + 1 if common else 0


def _members(file: Any, begin: int, size: Optional[int] = None) -> Iterator[tuple[str, int, int]]:
    """Name, place in the file and size of each file in the tar that begins at `begin`."""
    if size == 0:
        return
    file.seek(begin)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        end = None if size is None else begin + size
        while archive.offset != end and (member := archive.next()) is not None:
            archive.members.clear()  # A million of them would fill the memory.
            name = os.path.basename(member.name)
            if end is not None and member.offset_data + member.size > end:
                raise tarfile.ReadError(f"{member.name} reaches past the end of its tar")
            if member.issym() or member.islnk() or member.issparse():
                raise tarfile.ReadError(
                    f"{member.name} is a link or sparse; pack the files "
                    "themselves: --dereference --hard-dereference"
                )
            if member.isfile() and not name.startswith(".") and name not in _LITTER:
                yield posixpath.normpath(member.name), member.offset_data, member.size
        # A whole tar ends with a block of zeros. One that was cut does not, and neither does
        # something that is no tar; tarfile itself takes both for the end.
        file.seek(archive.offset)
        if archive.offset != end and file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"cut off or damaged at byte {archive.offset}")


@dataclasses.dataclass(frozen=True)
class FromTfds:
    """A data set that TensorFlow Datasets prepared, read in its own order, slice by slice.

    Attributes:
      builder: of the data set.
      image, label: names of the two features.
      class_names: in the order of our labels.
      label_of: our label for each of its labels; -1: not taken.
      chosen: int64, numbers of the examples that are taken; None: all.
    """

    builder: Any
    image: str
    label: str
    class_names: tuple[str, ...]
    label_of: tuple[int, ...]
    chosen: Optional[np.ndarray]
    kind: str = "tfds"

    def __len__(self) -> int:
        return self._total if self.chosen is None else len(self.chosen)

    @property
    def _total(self) -> int:
        return self.builder.info.splits[tfds_directory.SPLIT].num_examples

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the data set's name, version and shards, and of what is taken."""
        split = self.builder.info.splits[tfds_directory.SPLIT]
        digest = hashlib.sha256(
            f"{self.builder.info.full_name} {split.shard_lengths} {split.num_bytes} "
            f"{self.label_of}".encode()
        )
        if self.chosen is not None:
            digest.update(self.chosen.astype("<i8").tobytes())
        return digest.hexdigest()

    def shard(self, number: int, of: int, *, seed: int) -> list[Item]:
        """The pictures of one of `of` shards: a slice of the data set, in random order."""
        first, last = _cut(len(self), number, of)
        wanted = np.arange(first, last) if self.chosen is None else self.chosen[first:last]
        if not len(wanted):
            return []
        taken = set(wanted.tolist())
        items = [
            self._item(i, example)
            for i, example in enumerate(
                _examples(self.builder, self.image, int(wanted[0]), int(wanted[-1]) + 1),
                int(wanted[0]),
            )
            if i in taken
        ]
        return [items[i] for i in order.permutation(len(items), seed, number)]

    def _item(self, number: int, example: dict[str, Any]) -> Item:
        key, label = f"{tfds_directory.SPLIT}[{number}]", int(example[self.label])
        if not 0 <= label < len(self.label_of):
            raise errors.UserError(
                f"--source={self.builder.info.full_name}: the label of {key} is {label}; expected "
                f"0 to {len(self.label_of) - 1}"
            )
        return Item(key, self.label_of[label], preprocessing.Place(data=bytes(example[self.image])))


def _examples(builder: Any, image: str, first: int, last: int) -> Iterator[dict[str, Any]]:
    """Examples of the split, in its order, pictures as the bytes of their files."""
    import tensorflow_datasets as tfds

    split, skip = tfds_directory.SPLIT, {image: tfds.decode.SkipDecoding()}
    with tfds_directory.errors_of(f"--source={builder.info.full_name}"):
        if builder.info.file_format.value == "array_record":
            examples = builder.as_data_source(split, decoders=skip)
            yield from (examples[i] for i in range(first, last))
            return
        # One file after the other: the order is the data set's own.
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        yield from tfds.as_numpy(
            builder.as_dataset(
                split=f"{split}[{first}:{last}]",
                shuffle_files=False,
                read_config=config,
                decoders=skip,
            )
        )


def _from_tfds(source: str, classes: Optional[Sequence[str]], limit_per_class: int) -> FromTfds:
    builder = tfds_directory.builder_of(source)
    image, label = tfds_directory.image_and_label(builder)
    names = tuple(builder.info.features[label].names)
    wanted = names if classes is None else tuple(classes)
    _require_classes(source, wanted, dict.fromkeys(names, True))
    label_of = tuple(wanted.index(name) if name in wanted else -1 for name in names)
    found = FromTfds(builder, image, label, wanted, label_of, None)
    if classes is None and not limit_per_class:
        return found
    return dataclasses.replace(found, chosen=_choose(found, limit_per_class))


def _choose(found: FromTfds, limit_per_class: int) -> np.ndarray:
    """Numbers of the examples of the classes that are taken, the first of each."""
    left = [limit_per_class or len(found)] * len(found.class_names)
    chosen = []
    for number, example in enumerate(_examples(found.builder, found.image, 0, len(found))):
        theirs = int(example[found.label])
        label = found.label_of[theirs] if 0 <= theirs < len(found.label_of) else -1
        if label >= 0 and left[label]:
            left[label] -= 1
            chosen.append(number)
    return np.array(chosen, np.int64)
