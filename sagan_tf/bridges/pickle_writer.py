"""The pickle of a `.pth` file, written without PyTorch.

Python's pickler asks the classes that it names to be there, and PyTorch's are not. This one writes
the operations for tensors, text, numbers and containers, in protocol 2 as `torch.save` does.

Source: PyTorch's `torch/_tensor.py` (`_reduce_ex_internal`) and `torch/serialization.py`
(`persistent_id`).
"""

import pickle
from collections.abc import Iterable

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import torch_objects

_PROTOCOL = 2
_START = pickle.PROTO + b"\x02"
_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
# The call of OrderedDict without arguments.
_NO_HOOKS = b"ccollections\nOrderedDict\n)R"
# What Python's own pickler writes as it is asked for.
_PLAIN = (type(None), str, bool, int, float)
# Type of numbers -> type of a storage.
_STORAGES = {dtype.name: kind for kind, dtype in torch_objects.TYPES.items()}
# Here uint16 stands for the bits of a bfloat16.
del _STORAGES["uint16"]


def pickled(state: object) -> tuple[bytes, list[np.ndarray]]:
    """The pickle of a state dict, and its arrays in the order of the keys "0", "1", ...

    Raises:
      errors.UserError: PyTorch cannot have something in it; the message names where it is.
    """
    arrays: list[np.ndarray] = []
    body = _object(state, arrays, where="the state")
    return _START + body + pickle.STOP, arrays


def _object(value: object, arrays: list[np.ndarray], *, where: str) -> bytes:
    """The operations that make an object; its arrays are added to `arrays`."""
    # Arrays, and NumPy's scalars as Python's numbers.
    if isinstance(value, np.ndarray):
        return _tensor(value, arrays, where=where)
    if isinstance(value, np.generic):
        value = value.item()

    # Containers.
    if isinstance(value, dict):
        return _dictionary(value, arrays, where=where)
    if isinstance(value, (list, tuple)):
        items = []
        for i, item in enumerate(value):
            items.append(_object(item, arrays, where=f"{where}[{i}]"))
        return _list(items) if isinstance(value, list) else _tuple(items)

    # Text and numbers.
    if type(value) in _PLAIN:
        return _plain(value)
    raise errors.UserError(
        f"{where} is a {type(value).__name__}, which a .pth file cannot have; "
        "give arrays, text, numbers, or containers of these"
    )


def _plain(value: object) -> bytes:
    """The operations of Python's pickler for text or a number, without start and end."""
    content = pickle.dumps(value, _PROTOCOL)
    return content.removeprefix(_START).removesuffix(pickle.STOP)


def _dictionary(values: dict, arrays: list[np.ndarray], *, where: str) -> bytes:
    parts = []
    for key, value in values.items():
        if type(key) not in (str, int):
            raise errors.UserError(f"{where} has the key {key!r}; give text or a whole number")
        parts.append(_plain(key))
        parts.append(_object(value, arrays, where=str(key)))
    return pickle.EMPTY_DICT + pickle.MARK + b"".join(parts) + pickle.SETITEMS


def _tensor(array: np.ndarray, arrays: list[np.ndarray], *, where: str) -> bytes:
    """The call that makes a tensor of a storage of its own, in the order of its axes."""
    # Give the numbers a storage.
    kind = _STORAGES.get(array.dtype.name)
    if kind is None:
        raise errors.UserError(
            f"{where} has the type {array.dtype}, which is not written; convert it to float32"
        )
    key = str(len(arrays))
    arrays.append(array)

    # Refer to it by a persistent id.
    reference = [
        _plain("storage"),
        f"ctorch\n{kind}\n".encode(),
        _plain(key),
        _plain("cpu"),
        _plain(array.size),
    ]
    arguments = [
        _tuple(reference) + pickle.BINPERSID,
        _plain(0),
        _counts(array.shape),
        _counts(_strides(array.shape)),
        _plain(False),
        _NO_HOOKS,
    ]
    return _TENSOR + _tuple(arguments) + pickle.REDUCE


def _strides(shape: tuple[int, ...]) -> list[int]:
    """How many numbers lie from one index of an axis to the next: the product of those behind."""
    strides = []
    behind = 1
    for size in reversed(shape):
        strides.append(behind)
        behind *= max(size, 1)
    return strides[::-1]


def _counts(counts: Iterable[int]) -> bytes:
    return _tuple(map(_plain, counts))


def _tuple(parts: Iterable[bytes]) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def _list(parts: Iterable[bytes]) -> bytes:
    return pickle.EMPTY_LIST + pickle.MARK + b"".join(parts) + pickle.APPENDS
