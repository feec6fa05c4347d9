"""What the few names in a pickle of tensors stand for: storages, tensors, NumPy's scalars.

A storage is a line of numbers in a file of its own; a tensor is a view of one, with an offset, a
shape and strides. Each function here takes the place of the one that a pickle names, checks its
arguments, and makes an array.

Source: PyTorch's `torch/_utils.py` (`_rebuild_tensor_v2`, `_rebuild_parameter`) and
`torch/serialization.py` (`persistent_id`).
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import pickle_machine

# Type of a storage -> the type of its numbers. NumPy has no bfloat16: it is read as float32.
BFLOAT16 = "BFloat16Storage"
TYPES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    BFLOAT16: np.dtype(np.uint16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
    "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
}
# A tensor that repeats numbers (stride 0) may be larger than its file, up to this many bytes.
_SMALL = 1 << 20
_MOST_AXES = 32
# A NumPy scalar has up to 16. A pickle may ask for the same bytes again and again.
_MOST_CODED_BYTES = 256


@dataclasses.dataclass(frozen=True)
class Storage:
    """The numbers of one or several tensors.

    Attributes:
      kind: its type, a key of `TYPES`.
      numbers: [count], as the tensors have them.
    """

    kind: str
    numbers: np.ndarray

    def byte_count(self) -> int:
        """How many bytes it takes in the file."""
        return len(self.numbers) * TYPES[self.kind].itemsize

    def fill(self, content: bytes, *, big_endian: bool = False) -> None:
        """Takes the numbers from the file's bytes.

        Raises:
          ValueError: there are more or fewer bytes than numbers.
        """
        # Read in the byte order of the file.
        if len(content) != self.byte_count():
            raise ValueError(f"a storage of {self.byte_count()} bytes has {len(content)}")
        order = ">" if big_endian else "<"
        numbers = np.frombuffer(content, TYPES[self.kind].newbyteorder(order))

        # A bfloat16 is the upper half of a float32.
        if self.kind == BFLOAT16:
            self.numbers.view(np.uint32)[:] = numbers.astype(np.uint32) << 16
        else:
            self.numbers[:] = numbers


class Storages:
    """The storages that a pickle refers to, in memory that the file's size bounds.

    Attributes:
      table: key -> storage.
    """

    def __init__(self, most_bytes: int, on_new: Optional[Callable[[str, Storage], None]] = None):
        """Starts without storages.

        Args:
          most_bytes: of the file; its storages cannot have more.
          on_new: called with key and storage when the pickle first refers to one.
        """
        self.table: dict[str, Storage] = {}
        self._on_new = on_new
        self._most_bytes = most_bytes
        self._bytes = 0

    def find(self, reference: object) -> Storage:
        """The storage of a persistent id: ("storage", type, key, device, count), made at need.

        Raises:
          errors.UserError: the reference is to something else, or larger than the file.
        """
        # Take the reference apart. The old format has a sixth part, for storages within storages.
        if not isinstance(reference, tuple) or len(reference) not in (5, 6):
            raise errors.UserError("it refers to something that is no storage of a tensor")
        what, kind, key, _, count = reference[:5]
        if what != "storage":
            raise errors.UserError("it holds a whole network, and so code; save its state dict")
        if reference[5:] not in ((), (None,)):
            raise errors.UserError("a storage lies within a storage; save it with a newer PyTorch")

        # Check it.
        if not isinstance(kind, pickle_machine.Name):
            raise ValueError("a storage without a type")
        module, _, name = kind.name.rpartition(".")
        if module not in ("torch", "torch.cuda") or name not in TYPES:
            raise errors.UserError(
                f"numbers of the type {pickle_machine.shown(kind.name)} are not read; "
                "convert them to float32 in PyTorch"
            )
        if not isinstance(key, str) or not _is_count(count):
            raise ValueError("a storage without a key or a count")
        return self._known(key, name, count=count)

    def _known(self, key: str, kind: str, *, count: int) -> Storage:
        """The storage of a key; the first time, an array of zeros to fill."""
        if key not in self.table:
            # Ask the file's size before memory.
            self._bytes += count * TYPES[kind].itemsize
            if self._bytes > self._most_bytes:
                raise errors.UserError(
                    f"its storages are said to have {self._bytes:,} bytes, "
                    f"but the file has {self._most_bytes:,}; fetch it again"
                )
            here = np.dtype(np.float32) if kind == BFLOAT16 else TYPES[kind]
            self.table[key] = Storage(kind, np.zeros(count, here))
            if self._on_new is not None:
                self._on_new(key, self.table[key])

        # Every reference must say the same.
        known = self.table[key]
        if (known.kind, len(known.numbers)) != (kind, count):
            raise ValueError(f"storage {pickle_machine.shown(key)} has two types or sizes")
        return known

    def tensor(
        self, storage: object, offset: object, shape: object, strides: object, *_: object
    ) -> np.ndarray:
        """A tensor: a view of a storage. Offset and strides count numbers.

        Raises:
          errors.UserError: it reaches outside of its storage, or is larger than the file.
        """
        # Types first: nothing else may be taken for a number.
        if not isinstance(storage, Storage) or not _is_count(offset):
            raise ValueError("a tensor without a storage or an offset")
        for axes in (shape, strides):
            if not isinstance(axes, tuple) or not all(map(_is_count, axes)):
                raise errors.UserError("a tensor's shape or stride is no count; fetch it again")
        if len(shape) != len(strides) or len(shape) > _MOST_AXES:
            raise ValueError("a tensor's shape and strides differ in length")

        # Its last number must lie within the storage.
        numbers = storage.numbers
        steps = sum((size - 1) * stride for size, stride in zip(shape, strides))
        empty = 0 in shape
        if not empty and offset + steps >= len(numbers):
            raise errors.UserError(
                f"a tensor ends at number {offset + steps + 1:,} of its storage, "
                f"which has {len(numbers):,}; fetch it again"
            )

        # Repeated numbers take no memory here, but they would in a copy.
        width = numbers.itemsize
        if math.prod(max(size, 1) for size in shape) * width > max(self._most_bytes * 2, _SMALL):
            raise errors.UserError("a tensor is larger than the file; fetch it again")
        if empty:
            return np.zeros(shape, numbers.dtype)
        in_bytes = tuple(stride * width for stride in strides)
        return np.ndarray(shape, numbers.dtype, numbers, offset * width, in_bytes)

    def calls(self) -> Mapping[str, Optional[Callable[..., object]]]:
        """For each name that a pickle of tensors may use: what takes its place."""
        types = {f"{module}.{name}": None for module in ("torch", "torch.cuda") for name in TYPES}
        return {
            **types,
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": _parameter,
            "torch._utils._rebuild_parameter_with_state": _parameter,
            "torch.Size": _size,
            "torch.device": _device,
            "collections.OrderedDict": _ordered,
            "_codecs.encode": _encode,
            "numpy.dtype": NumberType,
            "numpy.core.multiarray.scalar": _scalar,
            "numpy._core.multiarray.scalar": _scalar,
        }


class NumberType:
    """Stands for `numpy.dtype`: the type of a NumPy scalar in a pickle."""

    def __init__(self, code: object, *_: object):
        """Takes NumPy's code.

        Args:
          code: a letter and a number of bytes, as "f8".
        """
        if not isinstance(code, str) or not re.fullmatch("b1|[iu][1248]|f[248]|c8|c16", code):
            raise errors.UserError("a NumPy scalar is no number; save the state dict alone")
        self._code = code
        self._order = "<"

    def build(self, state: object) -> None:
        """Takes the byte order; the rest of a dtype's state says nothing of plain numbers."""
        if not isinstance(state, tuple) or len(state) < 2:
            raise ValueError("a NumPy type without a byte order")
        self._order = ">" if state[1] == ">" else "<"

    def value(self, content: bytes) -> np.generic:
        """A scalar from its bytes."""
        there = np.dtype(self._order + self._code)
        if len(content) != there.itemsize:
            raise ValueError(f"a NumPy scalar of {there.itemsize} bytes has {len(content)}")
        return np.frombuffer(content, there).astype(there.newbyteorder("="))[0]


def _scalar(number_type: object, content: object) -> np.generic:
    # Python 2 wrote bytes as text.
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(number_type, NumberType) or not isinstance(content, bytes):
        raise ValueError("a NumPy scalar without type or bytes")
    return number_type.value(content)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """What protocol 2 writes for bytes."""
    if not isinstance(text, str) or encoding != "latin1" or len(text) > _MOST_CODED_BYTES:
        raise ValueError("bytes that are not those of a number")
    return text.encode("latin-1")


def _parameter(data: object, *_: object) -> np.ndarray:
    if not isinstance(data, np.ndarray):
        raise ValueError("a parameter without a tensor")
    return data


def _size(sizes: object = ()) -> tuple:
    if not isinstance(sizes, (tuple, list)) or len(sizes) > _MOST_AXES:
        raise ValueError("a shape that is no sequence of sizes")
    return tuple(sizes)


def _device(kind: object, index: object = None) -> str:
    """The name of a device, "cpu" or "cuda:0"."""
    if not isinstance(kind, str) or not (index is None or _is_count(index)):
        raise ValueError("a device without a name")
    return kind if index is None else f"{kind}:{index}"


def _ordered(*pairs: object) -> dict:
    """A plain dictionary, which keeps the order too."""
    if pairs:
        raise errors.UserError("Python 2 wrote its dictionaries; save it again with Python 3")
    return {}


def _is_count(value: object) -> bool:
    """Whether a value is a whole number from 0 on that fits into 63 bits."""
    return type(value) is int and 0 <= value < 1 << 63
