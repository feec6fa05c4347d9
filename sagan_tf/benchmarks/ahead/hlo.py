"""Programs of XLA's compilers, read from their text. Standard library only."""

import functools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_BITS = re.compile(r"\d+")
_COMMENT = re.compile(r"/\*.*?\*/")
_SHAPE = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_TILE = re.compile(r"T\(([\d,*]+)\)")
_LINE = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = ")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_OPERAND = re.compile(r"%([\w.\-]+)")
_HEADER = re.compile(r"(ENTRY )?%?([\w.\-]+) .*\{$")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|called_computation)=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"?(\d+)')


class Shape(NamedTuple):
    """An array, and where it lies.

    Attributes:
      dtype: HLO's name of the type, as "bf16".
      dims: its sides.
      order: dimensions from the one that lies closest together to the one farthest apart.
      tile: sides that the compiler rounds the closest dimensions up to; () where it does not.
      space: number of the memory; 0 is the device's large one, others are on the chip or the host.
    """

    dtype: str
    dims: tuple[int, ...]
    order: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    space: int = 0

    @property
    def size(self) -> int:
        """Bytes that it takes up, padding of the tiles included."""
        # Round up the dimensions that the tile covers.
        sides = [self.dims[d] for d in reversed(self.order or range(len(self.dims))[::-1])]
        for back, multiple in enumerate(reversed(self.tile), start=1):
            if back <= len(sides):
                sides[-back] = -(-sides[-back] // multiple) * multiple
        return math.prod(sides) * bits(self.dtype) // 8


class Instruction(NamedTuple):
    """One operation of a program.

    Attributes:
      name: its name.
      opcode: as "fusion".
      shapes: of its results.
      operands: names of what it takes; of a parameter, its number.
      attributes: the rest of the line.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    attributes: str

    @property
    def called(self) -> str:
        """Name of the computation that it runs; empty if there is none."""
        found = _CALLED.search(self.attributes)
        return found[1] if found else ""

    @property
    def trips(self) -> int:
        """How often a loop runs; 1 where the compiler does not say."""
        found = _TRIPS.search(self.attributes)
        return int(found[1]) if found else 1

    def attribute(self, pattern: str) -> str:
        """The first group of a pattern in the attributes; empty if it is not there."""
        found = re.search(pattern, self.attributes)
        return found[1] if found else ""

    @property
    def operation(self) -> str:
        """The operation of ours that it comes from."""
        return self.attribute(r'op_name="([^"]*)"')


class Program:
    """A compiled program.

    Args:
      text: as the compiler prints it.

    Attributes:
      computations: instructions by name of the computation, each by its own name, in order.
      entry: name of the computation that the program begins with.
    """

    def __init__(self, text: str):
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.entry = ""

        # A computation begins with a line that ends with a brace, and has indented lines.
        current: dict[str, Instruction] = {}
        for line in text.splitlines():
            header = _HEADER.match(line)
            if header and not line.startswith("HloModule"):
                current = self.computations.setdefault(header[2], {})
                self.entry = header[2] if header[1] else self.entry
            elif found := _LINE.match(line):
                current[found[1]] = _instruction(found[1], line[found.end() :])

    def called_by(self, instruction: Instruction) -> dict[str, Instruction]:
        """The computation that an instruction runs; empty if there is none."""
        return self.computations.get(instruction.called, {})

    def inside(self, instruction: Instruction) -> Iterator[tuple[Instruction, dict]]:
        """All that an instruction computes, itself or in what it calls, with its surroundings."""
        called = self.called_by(instruction)
        for inner in called.values():
            yield inner, called
            yield from self.inside(inner)


def _instruction(name: str, text: str) -> Instruction:
    text = _COMMENT.sub("", text)

    # The results, then the opcode, then the operands in parentheses.
    end = _end_of_parentheses(text) if text.startswith("(") else text.index(" ")
    opcode = _OPCODE.match(text, end)
    begin = opcode.end() - 1
    close = begin + _end_of_parentheses(text[begin:])
    inner = text[begin:close]
    operands = _OPERAND.findall(inner)
    if opcode[1] in ("parameter", "constant"):
        operands = [inner[1:-1]] if opcode[1] == "parameter" else []
    return Instruction(
        name=name,
        opcode=opcode[1],
        shapes=shapes(text[:end]),
        operands=tuple(operands),
        attributes=text[close:],
    )


def _end_of_parentheses(text: str) -> int:
    """Where the parenthesis that a text begins with has been closed."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return position + 1
    return len(text)


@functools.cache
def shapes(text: str) -> tuple[Shape, ...]:
    """All arrays in a type such as "(bf16[8,4]{1,0:T(8,128)(2,1)S(1)}, f32[])"."""
    return tuple(_shape(*found) for found in _SHAPE.findall(text))


def _shape(dtype: str, sides: str, layout: str) -> Shape:
    order, _, tiles = layout.partition(":")
    space = _SPACE.search(tiles)
    tile = _TILE.search(tiles)
    return Shape(
        dtype=dtype,
        dims=_numbers(sides),
        order=_numbers(order),
        tile=_numbers(tile[1]) if tile and "*" not in tile[1] else (),
        space=int(space[1]) if space else 0,
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number.lstrip("<=")) for number in text.split(",") if number)


def bits(dtype: str) -> int:
    """Bits of a number of a type."""
    if dtype == "pred":
        return 8
    found = _BITS.search(dtype)
    return int(found[0]) if found else 0
