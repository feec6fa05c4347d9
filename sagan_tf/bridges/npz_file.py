"""Arrays in NumPy's archives (`.npz`), read without pickles."""

import os
import zipfile

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import pickle_machine

# An archive of this many bytes, times this, may hold so many bytes of arrays. Weights hardly
# compress.
_MOST_RATIO = 20
_SMALL = 1 << 20
_NUMBERS = "biuf"  # Kinds of NumPy's types.


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of numbers in an archive, by name.

    Nothing in it is executed, and its size bounds the memory.

    Args:
      path: of the file, which exists.
    Raises:
      errors.UserError: it is no such archive, is damaged, or holds anything but numbers.
    """
    # Ask for sizes before memory, then read.
    try:
        with zipfile.ZipFile(path) as archive:
            found_bytes = sum(member.file_size for member in archive.infolist())
        most_bytes = max(_SMALL, _MOST_RATIO * os.path.getsize(path))
        if found_bytes > most_bytes:
            raise errors.UserError(
                f"--path={path}: its arrays are said to have {found_bytes:,} bytes; a file of "
                f"this size can have {most_bytes:,}; fetch it again"
            )
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except errors.UserError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds.
        reason = pickle_machine.shown(str(error).split("\n")[0]) or type(error).__name__
        raise errors.UserError(
            f"--path={path}: expected an .npz file of NumPy, without pickles ({reason})"
        ) from error

    # Only numbers are weights.
    for name, values in found.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in _NUMBERS:
            raise errors.UserError(
                f"--path={path}: {pickle_machine.shown(name)} holds no array of numbers"
            )
    return found
