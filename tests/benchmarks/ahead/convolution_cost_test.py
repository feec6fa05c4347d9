"""Operations of convolutions and products, against counts by hand."""

import pytest

from sagan_tf.benchmarks.ahead import convolution_cost, hlo
from sagan_tf.benchmarks.ahead.convolution_cost import Dimension


def flop(*lines):
    """Operations of the last of some instructions."""
    program = hlo.Program("\n".join(["ENTRY %main () -> f32[] {", *(f"  {x}" for x in lines), "}"]))
    (instructions,) = program.computations.values()
    *_, last = instructions.values()
    return convolution_cost.flop(last, instructions)


@pytest.mark.parametrize(
    ("side", "count"),
    [
        (Dimension(image=5, kernel=1, result=5), 5),
        # 3 numbers at each of 5 places, but for one at both ends.
        (Dimension(image=5, kernel=3, result=5, before=1), 13),
        (Dimension(image=6, kernel=2, result=3, stride=2), 6),
        # Zeros between the numbers of the input: a transposed convolution of stride 2.
        (Dimension(image=3, kernel=2, result=6, before=1, spread=2), 6),
        (Dimension(image=5, kernel=2, result=3, dilation=2), 6),
    ],
)
def test_pairs_of_one_dimension(side, count):
    assert convolution_cost.pairs(side) == count


def test_convolution():
    found = flop(
        "%x = bf16[2,5,5,3]{3,2,1,0} parameter(0)",
        "%w = bf16[3,3,3,7]{3,2,1,0} parameter(1)",
        "%y = bf16[2,5,5,7]{3,2,1,0} convolution(%x, %w), window={size=3x3 pad=1_1x1_1}, "
        "dim_labels=b01f_01io->b01f",
    )
    assert found == 2 * 2 * 13 * 13 * 3 * 7


def test_convolution_in_groups():
    found = flop(
        "%x = f32[2,5,5,6]{3,2,1,0} parameter(0)",
        "%w = f32[1,1,3,8]{3,2,1,0} parameter(1)",
        "%y = f32[2,5,5,8]{3,2,1,0} convolution(%x, %w), window={size=1x1}, "
        "dim_labels=b01f_01io->b01f, feature_group_count=2",
    )
    assert found == 2 * 2 * 25 * 3 * 8


# A convolution from 6x6 with 3 channels to 3x3 with 4, a kernel of 2x2 and stride 2.
IMAGE = "bf16[2,6,6,3]{3,2,1,0}"
KERNEL = "bf16[4,2,2,3]{3,2,1,0}"
RESULT = "bf16[2,3,3,4]{3,2,1,0}"


@pytest.mark.parametrize(
    ("kind", "first", "second", "third"),
    [
        ("BiasActivationForward", IMAGE, KERNEL, RESULT),
        ("Forward", IMAGE, KERNEL, RESULT),
        ("BackwardInput", RESULT, KERNEL, IMAGE),
        ("BackwardFilter", IMAGE, RESULT, KERNEL),
    ],
)
def test_cudnn_does_as_many_operations_backwards(kind, first, second, third):
    found = flop(
        f"%x = {first} parameter(0)",
        f"%w = {second} parameter(1)",
        f"%y = ({third}, u8[0]{{0}}) custom-call(%x, %w), window={{size=2x2 stride=2x2}}, "
        f'dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$conv{kind}"',
    )
    assert found == 2 * 2 * 9 * 4 * 3 * 4


def test_products():
    operands = ("%a = f32[5,7]{1,0} parameter(0)", "%b = f32[7,11]{1,0} parameter(1)")
    dot = "%c = f32[5,11]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    assert flop(*operands, dot) == 2 * 5 * 7 * 11
    gemm = (
        '%c = (f32[5,11]{1,0}, s8[64]{0}) custom-call(%a, %b), custom_call_target="__cublas$gemm", '
        'backend_config={"gemm_backend_config":{"dot_dimension_numbers":'
        '{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]}}}'
    )
    assert flop(*operands, gemm) == 2 * 5 * 7 * 11


def test_anything_else_has_none():
    assert flop("%a = f32[5]{0} parameter(0)", "%b = f32[5]{0} add(%a, %a)") == 0
