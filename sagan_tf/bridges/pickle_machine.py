"""Pickles of tensors, read by a small machine that runs none of what they name.

A pickle is a program for a stack machine. Python's own machine imports the functions and classes
that a pickle names, and calls them. The one here knows only the operations that numbers, text and
containers need. It imports nothing: a name stays a name. A name that is called must stand in the
caller's table; every other call is refused. An object of an unknown class becomes a `Record` of
what the file says of it.

Source: the operations' meaning is in the documentation of Python's `pickletools`, which decodes
them here.
"""

import dataclasses
import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, Optional

from sagan_tf import errors

# A network of a thousand tensors with its optimizer has some 200,000 operations. Each makes at most
# one small object, so that this bounds memory and time.
_MOST_OPERATIONS = 1_000_000
# PyTorch's own largest number has 77 bits.
_LARGEST_NUMBER = 1 << 128
_ADVICE = "nothing of it was run; save the state dict alone, or take the file from its publisher"
# What a dictionary may have as keys: their hash takes no time that a file could choose.
_KEYS = (str, bytes, int, float, type(None))


@dataclasses.dataclass(frozen=True)
class Name:
    """A function or class that a pickle names; it is never looked up.

    Attributes:
      name: module and name, with a point between.
    """

    name: str


class Record(dict):
    """What a pickle says of an object whose class is unknown: plain data, never that class.

    Its items are those of an object that is a dictionary; others have none.

    Attributes:
      name: module and name of the class.
      state: what the object's attributes were, most often a dictionary.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.state = None

    def build(self, state: object) -> None:
        """Takes what the pickle gives as the object's state."""
        self.state = state


def shown(text: str) -> str:
    """A text of a file in a message: one line of at most 100 printable characters."""
    return ascii(text)[1:-1][:100]


def kind_of(value: object) -> str:
    """The type of a value in a message."""
    return type(value).__name__


def dictionary(pairs: Iterable[tuple[object, object]]) -> dict:
    """A dictionary of keys and values, whose keys are text or numbers.

    Raises:
      errors.UserError: a key is something else.
    """
    made = {}
    for key, value in pairs:
        if not isinstance(key, _KEYS):
            raise errors.UserError(f"a dictionary in it has a {kind_of(key)} as key; {_ADVICE}")
        made[key] = value
    return made


def load(
    stream: BinaryIO,
    *,
    calls: Mapping[str, Optional[Callable[..., object]]],
    persistent: Callable[[object], object],
) -> object:
    """The object of a pickle; the stream stands behind the pickle's end afterwards.

    Args:
      stream: bytes in memory (`io.BytesIO`), so that a length which lies takes no memory.
      calls: for every name that the pickle may use, what to call in its place. None stands for
        a name that is not called, as a type of numbers.
      persistent: gives the object for a persistent id, PyTorch's reference to a storage.

    Raises:
      errors.UserError: the pickle calls something else, or has operations that tensors do not need.
      ValueError, TypeError, IndexError, KeyError, ...: the pickle is damaged.
    """
    machine = _Machine(calls, persistent)
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count == _MOST_OPERATIONS:
            raise errors.UserError(f"its pickle has over {count:,} operations; {_ADVICE}")
        machine.step(operation.name, argument)
    return machine.result()


class _Machine:
    """The state of a pickle's program: a stack, the marks in it, and a memo."""

    def __init__(self, calls: Mapping[str, Optional[Callable]], persistent: Callable):
        self._calls = calls
        self._persistent = persistent
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        self._unexplained: set[str] = set()

    def result(self) -> object:
        """The object that the program has made."""
        # An unknown name must have been the class of an object, which is a record now.
        for name in sorted(self._unexplained):
            raise errors.UserError(f"its pickle names {shown(name)}; {_ADVICE}")
        return self._stack.pop()

    def step(self, name: str, argument: object) -> None:
        """Does one operation that makes or fills numbers, text and containers."""
        stack = self._stack
        match name:
            # What the program's text has as it is.
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "INT" | "LONG" | "LONG1" | "LONG4":
                stack.append(_number(argument))
            case "BINFLOAT" | "FLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8" | "UNICODE":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING" | "STRING":
                stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8":
                stack.append(argument)

            # Containers.
            case "MARK":
                self._marks.append(len(stack))
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(self._last(int(name[-1])))
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(self._since_mark())
            case "APPEND":
                self._extend(self._last(1))
            case "APPENDS":
                self._extend(self._since_mark())
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                stack.append(_pairs(self._since_mark()))
            case "SETITEM":
                self._update(self._last(2))
            case "SETITEMS":
                self._update(self._since_mark())

            # The memo.
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case _:
                self._step_of_object(name, argument)

    def _step_of_object(self, operation: str, argument: object) -> None:
        """Does one operation that Python's own machine would import or call something for."""
        match operation:
            case "GLOBAL":
                self._stack.append(self._named(str(argument).replace(" ", ".")))
            case "STACK_GLOBAL":
                module, name = self._last(2)
                self._stack.append(self._named(f"{module}.{name}"))
            case "BINPERSID":
                self._stack.append(self._persistent(self._stack.pop()))
            case "REDUCE":
                function, arguments = self._last(2)
                self._stack.append(self._call(function, arguments))
            case "NEWOBJ":
                made_of, arguments = self._last(2)
                self._stack.append(self._record(made_of, arguments))
            case "BUILD":
                state = self._stack.pop()
                _build(self._stack[-1], state)
            case _:
                raise errors.UserError(f"its pickle has the operation {operation}; {_ADVICE}")

    def _last(self, count: int) -> tuple:
        """Takes so many objects off the stack."""
        if len(self._stack) < count:
            raise IndexError("the pickle's stack is empty")
        taken = tuple(self._stack[-count:])
        del self._stack[-count:]
        return taken

    def _since_mark(self) -> list:
        """Takes all objects off the stack that lie above the last mark."""
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _extend(self, items: Iterable) -> None:
        """Appends to the list on top of the stack."""
        target = self._stack[-1]
        if not isinstance(target, list):
            raise errors.UserError(f"it appends to a {kind_of(target)}; {_ADVICE}")
        target.extend(items)

    def _update(self, items: Iterable) -> None:
        """Adds keys and values, in turn, to the dictionary on top of the stack."""
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise errors.UserError(f"it sets items of a {kind_of(target)}; {_ADVICE}")
        target.update(_pairs(list(items)))

    def _named(self, name: str) -> Name:
        """Notes a name. Nothing is imported."""
        if name not in self._calls:
            self._unexplained.add(name)
        return Name(name)

    def _call(self, function: object, arguments: object) -> object:
        """What the caller's table has in the place of this function."""
        # Only a name of the table is called.
        name = function.name if isinstance(function, Name) else kind_of(function)
        stand_in = self._calls.get(name) if isinstance(function, Name) else None
        if stand_in is None:
            raise errors.UserError(f"its pickle calls {shown(name)}; {_ADVICE}")

        # Arguments in any other form would be taken apart by Python.
        if not isinstance(arguments, tuple):
            raise TypeError("the arguments of a call are no tuple")
        return stand_in(*arguments)

    def _record(self, made_of: object, arguments: object) -> Record:
        """An empty record in the place of an object that its class makes from nothing."""
        if not isinstance(made_of, Name) or arguments != ():
            name = made_of.name if isinstance(made_of, Name) else kind_of(made_of)
            raise errors.UserError(f"its pickle makes a {shown(name)} of values; {_ADVICE}")
        self._unexplained.discard(made_of.name)
        return Record(made_of.name)


def _number(argument: object) -> object:
    if abs(argument) >= _LARGEST_NUMBER:
        raise ValueError("a number of more than 128 bits")
    return argument


def _pairs(items: list) -> dict:
    """A dictionary of keys and values that stand in turn."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    return dictionary(zip(items[::2], items[1::2]))


def _build(target: object, state: object) -> None:
    """Gives an object its state."""
    # A stand-in knows what its state means. The attributes of a dictionary (PyTorch's `_metadata`)
    # are left out.
    if hasattr(target, "build"):
        target.build(state)
    elif not isinstance(target, dict):
        raise errors.UserError(f"it sets the state of a {kind_of(target)}; {_ADVICE}")
