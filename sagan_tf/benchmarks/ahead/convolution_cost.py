"""Operations of convolutions and products, counted from their text in a compiled program.

A multiply-add counts as two operations. Factors that padding or a stride leaves out do not count.
"""

import functools
import math
import re
from typing import NamedTuple, Optional

from sagan_tf.benchmarks.ahead import hlo

# Which of (input, kernel, result) of the forward convolution cuDNN's two operands and result are.
_CUDNN = {
    "Forward": (0, 1, 2),
    "BackwardInput": (2, 1, 0),
    "BackwardFilter": (0, 2, 1),
}
_CUDNN_TARGET = re.compile(
    r'custom_call_target="__cudnn\$conv(?:\w*)(Forward|BackwardInput|BackwardFilter)'
)


class Dimension(NamedTuple):
    """One dimension that a kernel moves along.

    Attributes:
      image: numbers of the input.
      kernel: numbers of the kernel.
      result: numbers of the result.
      stride: steps of the kernel.
      before: zeros in front of the input; negative: numbers of it that are left out.
      spread: distance of the input's numbers, with zeros between them.
      dilation: distance of the kernel's numbers.
    """

    image: int
    kernel: int
    result: int
    stride: int = 1
    before: int = 0
    spread: int = 1
    dilation: int = 1


@functools.cache
def pairs(side: Dimension) -> int:
    """How often a number of the kernel meets one of the input, along one dimension."""
    last = (side.image - 1) * side.spread
    count = 0
    for result in range(side.result):
        begin = result * side.stride - side.before
        for number in range(side.kernel):
            place = begin + number * side.dilation
            count += 0 <= place <= last and place % side.spread == 0
    return count


def flop(instruction: hlo.Instruction, surroundings: dict[str, hlo.Instruction]) -> int:
    """Operations of one convolution or product; 0 of anything else.

    Args:
      instruction: it.
      surroundings: the instructions of its computation, by name.
    """
    operands = operand_shapes(instruction, surroundings)
    if len(operands) < 2:
        return 0

    # Tell a convolution of XLA's, one of cuDNN's, and a product.
    given = (*operands[:2], instruction.shapes[0])
    if instruction.opcode == "convolution":
        return _convolution(instruction, given)
    if found := _CUDNN_TARGET.search(instruction.attributes):
        places = _CUDNN[found[1]]
        forward = tuple(given[places.index(role)] for role in range(3))
        return _convolution(instruction, forward)
    if instruction.opcode == "dot" or "__cublas$" in instruction.attributes:
        return _product(instruction, operands[0])
    return 0


def operand_shapes(
    instruction: hlo.Instruction, surroundings: dict[str, hlo.Instruction]
) -> list[hlo.Shape]:
    """The first result of each operand that is there."""
    found = [surroundings.get(name) for name in instruction.operands]
    return [one.shapes[0] for one in found if one is not None and one.shapes]


def _convolution(instruction: hlo.Instruction, given: tuple[hlo.Shape, ...]) -> int:
    # Name the dimensions: "b01f_01io->b01f".
    labels = instruction.attribute(r"dim_labels=([^\s,]+)")
    found = re.fullmatch(r"(\w+)_(\w+)->(\w+)", labels)
    if not found:
        return 0
    image, kernel, result = (
        dict(zip(names, shape.dims)) for names, shape in zip(found.groups(), given)
    )

    # Count along each dimension.
    spatial = sorted(name for name in image if name.isdecimal())
    met = 1
    for name, settings in zip(spatial, _window(instruction, len(spatial))):
        side = Dimension(image[name], kernel[name], result[name], *settings)
        met *= pairs(side)

    # Count over images and channels.
    groups = int(instruction.attribute(r"feature_group_count=(\d+)") or 1)
    batches = int(instruction.attribute(r"batch_group_count=(\d+)") or 1)
    images = image["b"] // batches
    channels = image["f"] // groups
    return 2 * met * images * channels * result["f"]


def _window(instruction: hlo.Instruction, count: int) -> list[tuple[int, int, int, int]]:
    """Stride, padding in front, and both dilations of each dimension."""
    text = instruction.attribute(r"window=\{([^}]*)\}")
    words = dict(word.split("=") for word in text.split() if "=" in word)

    # What is not given is 1, and 0 for the padding.
    def of_each(name: str, usual: str) -> list[str]:
        return words[name].split("x") if name in words else [usual] * count

    strides, spreads, dilations = (
        [int(number) for number in of_each(name, "1")]
        for name in ("stride", "lhs_dilate", "rhs_dilate")
    )
    before = [int(pair.partition("_")[0]) for pair in of_each("pad", "0_0")]
    return list(zip(strides, before, spreads, dilations))


def _product(instruction: hlo.Instruction, left: hlo.Shape) -> int:
    contracted: Optional[str] = instruction.attribute(
        r'lhs_contracting_dim(?:ension)?s"?[=:][\[{]([\d,"]*)[\]}]'
    )
    sides = [left.dims[int(number)] for number in re.findall(r"\d+", contracted)]
    return 2 * math.prod(instruction.shapes[0].dims) * math.prod(sides)
