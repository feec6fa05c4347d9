"""Picture files by class: in a folder of class folders, or in a tar of tars, which stays packed."""

import os
import pathlib
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, Optional, Union

from sagan_tf import errors
from sagan_tf.data import preprocessing
from sagan_tf.images import picture_folder

# Left behind by file managers; never a picture.
_LITTER = ("Thumbs.db", "desktop.ini")
_TAR = ".tar"


class PictureFile(NamedTuple):
    """A file of a class.

    Attributes:
      name: within the class.
      source: of its bytes.
      size: bytes.
    """

    name: str
    source: preprocessing.ByteSource
    size: int


# Class -> its files.
Classes = dict[str, list[PictureFile]]


class Listing(NamedTuple):
    """The files of a source.

    Attributes:
      classes: files by class, pictures and others.
      beside: files that lie beside the classes, and in none.
    """

    classes: Classes
    beside: list[PictureFile]


def in_folders(source: str) -> Listing:
    """The files of a folder of class folders; a folder without folders is one class.

    Raises:
      errors.UserError: it holds no files, or cannot be read.
    """
    # List the files.
    try:
        found = _folders(source)
    except OSError as error:
        raise errors.UserError(
            f"--source={source}: {error.filename} cannot be read ({error.strerror})"
        ) from error
    if found.classes:
        return found

    # A flat folder is one class, and gives it its name.
    if not any(map(is_picture, found.beside)):
        raise errors.UserError(
            f"--source={source}: it holds no folders and no pictures; expected a folder for each "
            "class, with its pictures inside"
        )
    return Listing({pathlib.Path(source).resolve().name or "pictures": found.beside}, [])


def _folders(source: str) -> Listing:
    # Links to these folders lead back up.
    folder = pathlib.Path(source).resolve()
    above = frozenset(_identity(parent) for parent in (folder, *folder.parents))

    # Look below each class folder.
    found: Classes = {}
    beside = []
    for entry in os.scandir(source):
        if not _is_folder(entry):
            beside.append(_file_of(entry, source))
        elif not entry.name.startswith("."):
            found[entry.name] = list(_files_below(entry.path, entry.path, above))
    return Listing(found, beside)


def _file_of(entry: os.DirEntry, top: str) -> PictureFile:
    name = os.path.relpath(entry.path, top)
    return PictureFile(name, preprocessing.ByteSource(entry.path), _size(entry))


def is_picture(file: PictureFile) -> bool:
    """Whether a file is a picture by its name or, where the name does not say, by its content.

    A file whose name promises a picture counts as one, however damaged it is.
    """
    if _is_litter(os.path.basename(file.name)):
        return False
    ending = os.path.splitext(file.name)[1].lower()
    return ending in picture_folder.ENDINGS or preprocessing.is_known_format(file.source)


def pictures_among(
    files: Iterable[PictureFile], limit: int = 0
) -> tuple[list[PictureFile], list[PictureFile]]:
    """The pictures among some files, and the other files that were met, both by name.

    Args:
      files: to look at.
      limit: of the pictures, the first by name; 0: all.
    """
    pictures: list[PictureFile] = []
    others: list[PictureFile] = []
    for file in sorted(files, key=lambda file: file.name):
        if limit and len(pictures) == limit:
            break
        (pictures if is_picture(file) else others).append(file)
    return pictures, others


def _files_below(folder: str, top: str, above: frozenset) -> Iterator[PictureFile]:
    """Files in a folder and below it; a link that leads back up is not followed.

    Args:
      folder: where to look.
      top: of the class: names begin there.
      above: identities of the folders that `folder` lies in.
    """
    identity = _identity(folder)
    if identity in above:
        return
    for entry in os.scandir(folder):
        if not _is_folder(entry):
            yield _file_of(entry, top)
        elif not entry.name.startswith("."):
            yield from _files_below(entry.path, top, above | {identity})


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


def _identity(folder: Union[str, pathlib.Path]) -> tuple[int, int]:
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


def in_tar(source: str) -> Listing:
    """The files of a tar of class tars (ImageNet's), or of class folders; nothing is unpacked.

    A tar that holds pictures and neither tars nor folders is one class.

    Raises:
      errors.UserError: it is no tar, or a damaged one, or holds no classes.
    """
    # List the tar and those inside it.
    found: Classes = {}
    loose: list[PictureFile] = []
    beside: list[PictureFile] = []
    try:
        with open(source, "rb") as file:
            for member in _members(file, source):
                if member.name.endswith(_TAR):
                    name = os.path.basename(member.name).removesuffix(_TAR)
                    within = _members(file, source, member.source.offset, member.size)
                    found.setdefault(name, []).extend(within)
                else:
                    (loose if "/" in member.name else beside).append(member)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise errors.UserError(
            f"--source={source}: not a tar, or a damaged one ({error}); expected an uncompressed "
            "tar of one tar, or one folder, for each class"
        ) from error

    # Files that lie in folders: the folder is the class.
    start = _common_folder(loose) if loose else 0
    for member in loose:
        folder, _, inner = member.name[start:].partition("/")
        found.setdefault(folder, []).append(member._replace(name=inner))

    # A flat tar is one class, and gives it its name.
    if not found and any(map(is_picture, beside)):
        return Listing({os.path.basename(source).removesuffix(_TAR): beside}, [])
    if not found:
        raise errors.UserError(
            f"--source={source}: it holds no classes; expected one tar, or one folder, for each"
        )
    return Listing(found, beside)


def _common_folder(members: list[PictureFile]) -> int:
    """Length of the folder, as in "train/", that all classes lie in."""
    folders = {os.path.dirname(member.name) for member in members}
    common = os.path.commonpath(folders)
    if common in folders:  # It holds pictures: it is a class.
        common = os.path.dirname(common)
    return len(common) + 1 if common else 0


def _members(
    file: BinaryIO, path: str, begin: int = 0, size: Optional[int] = None
) -> Iterator[PictureFile]:
    """Each file in the tar that begins at `begin` in another file.

    Args:
      file: the other file, open.
      path: its name.
      begin: bytes.
      size: of the tar, bytes; None: to the end.
    """
    if size == 0:
        return
    end = None if size is None else begin + size
    file.seek(begin)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        # List its files.
        while archive.offset != end and (member := archive.next()) is not None:
            archive.members.clear()  # A million of them would fill the memory.
            _refuse_unusable(member, end)
            if member.isfile():
                # Absolute and relative names may stand side by side.
                name = posixpath.normpath(member.name).lstrip("/")
                source = preprocessing.ByteSource(path, member.offset_data, member.size)
                yield PictureFile(name, source, member.size)

        # A whole tar ends with a block of zeros. One that was cut does not, and neither does
        # something that is no tar; tarfile itself takes both for the end.
        file.seek(archive.offset)
        if archive.offset != end and file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"cut off or damaged at byte {archive.offset}")


def _refuse_unusable(member: tarfile.TarInfo, end: Optional[int]) -> None:
    """Raises tarfile.ReadError for a member that is cut off, or whose bytes are elsewhere."""
    if end is not None and member.offset_data + member.size > end:
        raise tarfile.ReadError(f"{member.name} reaches past the end of its tar")
    if member.issym() or member.islnk() or member.issparse():
        raise tarfile.ReadError(
            f"{member.name} is a link or sparse; pack the files "
            "themselves: --dereference --hard-dereference"
        )
