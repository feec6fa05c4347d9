"""Kernels of a compiled program, and the bytes that they read and write."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from sagan_tf.benchmarks.ahead import convolution_cost, hlo

CONVOLUTIONS = "convolutions"
PRODUCTS = "products"
FUSIONS = "fusions"
COPIES = "copies"
LINKS = "links"
OTHERS = "others"
KINDS = (CONVOLUTIONS, PRODUCTS, FUSIONS, COPIES, LINKS, OTHERS)
# These move nothing.
_FREE = (
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
)
_LINKS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
# These read a part of their first operand.
_PARTS = ("slice", "dynamic-slice", "gather")
_COPIES = ("copy", "transpose", "copy-start", "copy-done", "slice-start", "slice-done")


class Kernel(NamedTuple):
    """What a device runs at a time.

    Attributes:
      name: the instruction's name.
      kind: one of `KINDS`.
      read: bytes of its operands in the device's large memory, each counted once, or of the parts
        that it reads of them.
      written: bytes of its results there.
      reduced: bytes of its operands, wherever they are, if it sends them to other devices.
      flop: operations of convolutions and products.
      dtype: HLO's type of what is multiplied; empty where nothing is.
      changes_layout: whether it moves numbers to another order of dimensions.
      operation: the operation of ours that it comes from.
      cycles: the compiler's estimate; 0 where there is none.
      ends: whether it is the end of what another kernel has begun; the two are one in counts.
    """

    name: str
    kind: str
    read: int = 0
    written: int = 0
    reduced: int = 0
    flop: int = 0
    dtype: str = ""
    changes_layout: bool = False
    operation: str = ""
    cycles: int = 0
    ends: bool = False

    @property
    def moved(self) -> int:
        """Bytes read and written."""
        return self.read + self.written


def kernels(program: hlo.Program) -> list[Kernel]:
    """All kernels of a program in order; those of a loop as often as it runs."""
    return list(_kernels(program, program.entry))


def _kernels(program: hlo.Program, computation: str) -> Iterator[Kernel]:
    instructions = program.computations.get(computation, {})
    for instruction in instructions.values():
        # A loop, a call or a branch is what it runs.
        if instruction.opcode in ("while", "call", "conditional"):
            inner = list(_kernels(program, instruction.called))
            for _ in range(instruction.trips):
                yield from inner
        elif instruction.opcode not in _FREE:
            yield _kernel(program, instruction, surroundings=instructions)


def _kernel(
    program: hlo.Program,
    instruction: hlo.Instruction,
    *,
    surroundings: dict[str, hlo.Instruction],
) -> Kernel:
    # Count what is multiplied, in the instruction or in what it calls.
    parts = [(instruction, surroundings), *program.inside(instruction)]
    multiplied = [(part, near) for part, near in parts if convolution_cost.flop(part, near)]
    dtypes = [convolution_cost.operand_shapes(part, near)[0].dtype for part, near in multiplied]

    # An operation that begins and ends in two instructions reads first, and writes last.
    begins = instruction.opcode.endswith("-start")
    ends = instruction.opcode.endswith("-done")
    kind = _kind(instruction, parts, multiplied)
    taken = [] if ends else _taken(program, instruction, surroundings=surroundings)
    given = () if begins else instruction.shapes
    return Kernel(
        name=instruction.name,
        kind=kind,
        read=_size(taken, space=0),
        written=_size(given, space=0),
        reduced=_size(taken) if kind == LINKS else 0,
        flop=sum(convolution_cost.flop(part, near) for part, near in multiplied),
        dtype=dtypes[0] if dtypes else "",
        changes_layout=any(_changes_layout(part, near) for part, near in parts),
        operation=instruction.operation,
        cycles=int(instruction.attribute(r'"estimated_cycles":"(\d+)"') or 0),
        ends=ends,
    )


def _taken(
    program: hlo.Program,
    instruction: hlo.Instruction,
    *,
    surroundings: dict[str, hlo.Instruction],
) -> list[hlo.Shape]:
    """All that an instruction takes, each operand once; the parts of one that it reads in parts."""
    found: list[hlo.Shape] = []
    for name in set(instruction.operands) & set(surroundings):
        whole = surroundings[name].shapes
        parts = _parts(program, instruction, name)
        space = whole[0].space if whole else 0
        parts = [part._replace(space=space) for part in parts]
        in_parts = parts and _size(parts) < _size(whole)
        found += parts if in_parts else whole
    return found


def _parts(program: hlo.Program, instruction: hlo.Instruction, name: str) -> list[hlo.Shape]:
    """The parts of an operand that an instruction reads; empty where it may read all of it."""
    # A slice, or a fusion, whose parameters the operand is.
    if instruction.opcode in _PARTS and instruction.operands[0] == name:
        return list(instruction.shapes)
    if instruction.opcode != "fusion":
        return []
    called = program.called_by(instruction)
    places = enumerate(instruction.operands)
    numbers = [str(place) for place, operand in places if operand == name]

    # Follow the parameters to what reads them.
    parameters = [one for one in called.values() if one.opcode == "parameter"]
    names = [one.name for one in parameters if one.operands[0] in numbers]
    parts: list[hlo.Shape] = []
    while names:
        followed = names.pop()
        for reader in called.values():
            if followed not in reader.operands:
                continue
            if reader.opcode == "bitcast":
                names.append(reader.name)
            elif reader.opcode in _PARTS and reader.operands[0] == followed:
                parts += reader.shapes
            else:
                return []
    return parts


def _size(shapes: Iterable[hlo.Shape], space: Optional[int] = None) -> int:
    """Bytes of arrays, of those in one memory alone if it is given."""
    return sum(shape.size for shape in shapes if space in (None, shape.space))


def _kind(instruction: hlo.Instruction, parts: list, multiplied: list) -> str:
    """One of `KINDS`."""
    # What multiplies; a convolution without a window is a product.
    for part, _ in multiplied:
        is_product = part.opcode == "dot" or "__cublas$" in part.attributes
        if not is_product and "window={" in part.attributes:
            return CONVOLUTIONS
    if multiplied:
        return PRODUCTS

    # What moves or computes.
    opcodes = {part.opcode for part, _ in parts}
    for name in _LINKS:
        if any(opcode.startswith(name) for opcode in opcodes):
            return LINKS
    if instruction.opcode in _COPIES:
        return COPIES
    return FUSIONS if instruction.opcode == "fusion" else OTHERS


def _changes_layout(instruction: hlo.Instruction, surroundings: dict[str, hlo.Instruction]) -> bool:
    """Whether it is a transposition, or a copy into another order of dimensions."""
    if instruction.opcode == "transpose":
        return True
    operands = convolution_cost.operand_shapes(instruction, surroundings)
    if instruction.opcode != "copy" or not operands:
        return False
    return operands[0].order != instruction.shapes[0].order


def number(found: Iterable[Kernel]) -> int:
    """How many there are; what begins in one and ends in another counts once."""
    return sum(not kernel.ends for kernel in found)


def by_kind(found: list[Kernel]) -> dict[str, dict[str, int]]:
    """Number of kernels, bytes and operations of each kind that is there."""
    table = {}
    for kind in KINDS:
        of_kind = [kernel for kernel in found if kernel.kind == kind]
        if of_kind:
            table[kind] = {
                "kernels": number(of_kind),
                "bytes": sum(kernel.moved for kernel in of_kind),
                "flop": sum(kernel.flop for kernel in of_kind),
            }
    return table


def largest(found: list[Kernel], count: int) -> list[tuple[str, int]]:
    """The operations of ours whose kernels move most bytes, with these bytes."""
    moved: dict[str, int] = {}
    for kernel in found:
        moved[kernel.operation] = moved.get(kernel.operation, 0) + kernel.moved
    return sorted(moved.items(), key=lambda pair: -pair[1])[:count]
