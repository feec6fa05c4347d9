"""Picture files by class: in a folder of class folders, or in a tar of tars, which stays packed."""

import os
import pathlib
import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Optional, Union

from sagan_tf import errors
from sagan_tf.data import preprocessing

# Left behind by file managers; never a picture.
_LITTER = ("Thumbs.db", "desktop.ini")
_TAR = ".tar"
# The class of pictures that lie in no class folder. Not the folder's name: the same pictures stay
# the same data where they are moved.
ONE_CLASS = "pictures"


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


def in_folders(source: str) -> Classes:
    """The files of a folder of class folders, or of pictures without classes, which are one class.

    Raises:
      errors.UserError: it holds neither, or cannot be read.
    """
    # List the files. Those beside class folders are of no class.
    try:
        found = _folders(source)
        if not found:
            found = _flat(source)
    except OSError as error:
        raise errors.UserError(
            f"--source={source}: {error.filename} cannot be read ({error.strerror})"
        ) from error

    # Refuse an empty folder.
    if not found:
        raise errors.UserError(
            f"--source={source}: it holds no folders; expected one for each class, with its "
            "pictures inside, or pictures without folders, which are one class"
        )
    return found


def _flat(source: str) -> Classes:
    """The pictures of a folder without folders, as one class; {} where there are none."""
    files = list(_files_below(source, source, frozenset()))
    return {ONE_CLASS: files} if files else {}


def _folders(source: str) -> Classes:
    # Links to these folders lead back up.
    folder = pathlib.Path(source).resolve()
    above = frozenset(_identity(parent) for parent in (folder, *folder.parents))

    # Look below each class folder.
    found = {}
    for entry in os.scandir(source):
        if _is_folder(entry) and not entry.name.startswith("."):
            found[entry.name] = list(_files_below(entry.path, entry.path, above))
    return found


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
        if _is_litter(entry.name):
            continue
        if _is_folder(entry):
            yield from _files_below(entry.path, top, above | {identity})
        else:
            name = os.path.relpath(entry.path, top)
            yield PictureFile(name, preprocessing.ByteSource(entry.path), _size(entry))


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


def in_tar(source: str) -> Classes:
    """The files of a tar of class tars (ImageNet's), or of class folders; nothing is unpacked.

    Raises:
      errors.UserError: it is no tar, or a damaged one, or holds no classes.
    """
    # List the tar and those inside it.
    found: Classes = {}
    loose: list[PictureFile] = []
    try:
        with open(source, "rb") as file:
            for member in _members(file, source):
                if member.name.endswith(_TAR):
                    name = os.path.basename(member.name).removesuffix(_TAR)
                    within = _members(file, source, member.source.offset, member.size)
                    found.setdefault(name, []).extend(within)
                elif "/" in member.name:
                    loose.append(member)
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

    if not found:
        raise errors.UserError(
            f"--source={source}: it holds no classes; expected one tar, or one folder, for each"
        )
    return found


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
            if member.isfile() and not _is_litter(os.path.basename(member.name)):
                source = preprocessing.ByteSource(path, member.offset_data, member.size)
                yield PictureFile(posixpath.normpath(member.name), source, member.size)

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
