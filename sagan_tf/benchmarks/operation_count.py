"""Costs of a step, counted from its graph: operations of convolutions and products, and bytes."""

import math
from collections import Counter
from typing import NamedTuple

import tensorflow as tf


class Cost(NamedTuple):
    """Cost of a graph.

    Attributes:
      flop: TensorFlow's operation type -> floating point operations, a multiply-add as two.
      bytes_moved: of what all operations read and write, variables included, as if nothing were
        fused or stayed in a cache: an upper bound.
    """

    flop: dict[str, int]
    bytes_moved: int

    @property
    def total_flop(self) -> int:
        """Operations of all types."""
        return sum(self.flop.values())


def cost_of(graph) -> Cost:
    """The cost of a function's graph whose shapes are all known, without functions that it calls.

    What neither a result nor a stored variable needs is not counted: TensorFlow does not run it.

    Raises:
      ValueError: something has an unknown shape.
    """
    flop = Counter()
    moved = 0
    for op in _needed(graph):
        if op.type in _FLOP:
            flop[op.type] += _FLOP[op.type](op)
        if op.type not in _FREE:
            moved += sum(_bytes(x, op) for x in (*op.inputs, *op.outputs))
            moved += _PASSES.get(op.type, 0) * _bytes(op.inputs[-1], op)
    return Cost(dict(flop), moved)


def _needed(graph) -> set[tf.Operation]:
    waiting = [x.op for x in graph.outputs]
    waiting += [
        op for op in graph.get_operations() if op.type.startswith(("Assign", "ResourceApply"))
    ]
    needed = set()
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [x.op for x in op.inputs] + list(op.control_inputs)
    return needed


# These hand on what they are given, or stand for numbers that are there already.
_FREE = {
    "Const",
    "Identity",
    "IdentityN",
    "NoOp",
    "Placeholder",
    "Reshape",
    "Shape",
    "Squeeze",
    "ExpandDims",
    "StopGradient",
    "VarHandleOp",
    "ReadVariableOp",
}
# How often an operation reads or writes variables of the size of its last input: Adam w, m and v.
_PASSES = {
    "ResourceApplyAdam": 6,
    "AssignVariableOp": 1,
    "AssignAddVariableOp": 2,
    "AssignSubVariableOp": 2,
}


def _bytes(tensor: tf.Tensor, what: tf.Operation) -> int:
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    return math.prod(_shape(tensor, what)) * tensor.dtype.size


def _shape(tensor: tf.Tensor, what: tf.Operation) -> list[int]:
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"{what.name}: a shape is not known, {tensor.shape}")
    return tensor.shape.as_list()


def _conv(out: tf.Tensor, kernel: list[int], op: tf.Operation) -> int:
    """A convolution and both of its gradients: each place of `out` meets a whole kernel but for the
    output channels."""
    return 2 * math.prod(_shape(out, op)) * math.prod(kernel[:-1])


def _static(op: tf.Operation, number: int) -> list[int]:
    value = tf.get_static_value(op.inputs[number])
    return value.tolist() if value is not None else _shape(op.outputs[0], op)


def _matmul(op: tf.Operation) -> int:
    inner = _shape(op.inputs[0], op)
    transposed = op.get_attr("transpose_a") if op.type == "MatMul" else op.get_attr("adj_x")
    return 2 * math.prod(_shape(op.outputs[0], op)) * inner[-2 if transposed else -1]


def _einsum(op: tf.Operation) -> int:
    """Every combination of all indices is one product for each factor but one, and one sum."""
    words = op.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {}
    for word, factor in zip(words, op.inputs):
        sizes.update(zip(word, _shape(factor, op)))
    return 2 * max(len(words) - 1, 1) * math.prod(sizes.values())


_FLOP = {
    "Conv2D": lambda op: _conv(op.outputs[0], _shape(op.inputs[1], op), op),
    "Conv2DBackpropInput": lambda op: _conv(op.inputs[2], _shape(op.inputs[1], op), op),
    "Conv2DBackpropFilter": lambda op: _conv(op.inputs[2], _static(op, 1), op),
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Einsum": _einsum,
}
