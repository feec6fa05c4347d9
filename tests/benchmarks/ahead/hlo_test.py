"""HLO text: sizes of arrays, and the parts of a line."""

import pytest

from sagan_tf.benchmarks.ahead import hlo

TEXT = """HloModule tiny, is_scheduled=true

%fused (p0: f32[4,8]) -> f32[4,8] {
  %p0 = f32[4,8]{1,0} parameter(0)
  ROOT %double = f32[4,8]{1,0} add(%p0, %p0), metadata={op_name="g/double"}
}

ENTRY %main (x: f32[4,8]) -> (f32[4,8], s64[]) {
  %x = f32[4,8]{1,0} parameter(0)
  %one = s64[] constant(1)
  %f = f32[4,8]{1,0} fusion(%x), kind=kLoop, calls=%fused, metadata={op_name="g/add"}
  %w = f32[4,8]{1,0} while(%f), body=%fused, backend_config={"known_trip_count":{"n":"7"}}
  ROOT %t = (f32[4,8]{1,0}, /*index=1*/s64[]) tuple(%w, %one)
}
"""


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("f32[]", 4),
        ("bf16[2,3,5]{2,1,0}", 60),
        ("pred[9]", 9),
        ("s4[10]{0}", 5),
        # A TPU rounds the two closest dimensions up, here 3 to 128 and 16 to 16.
        ("f32[16,16,16,3]{3,2,1,0:T(8,128)}", 16 * 16 * 16 * 128 * 4),
        # The order says which are closest: images to 128, channels 3 to 8.
        ("bf16[16,32,32,3]{0,3,2,1:T(8,128)(2,1)}", 32 * 32 * 8 * 128 * 2),
        ("f32[100]{0:T(128)}", 512),
    ],
)
def test_size_of_an_array(text, size):
    (shape,) = hlo.shapes(text)
    assert shape.size == size


def test_shapes_of_a_tuple_and_their_memory():
    found = hlo.shapes("(f32[8,128]{1,0:T(8,128)S(1)}, bf16[4]{0}, u32[]{:S(2)})")
    assert [(one.dtype, one.dims, one.space) for one in found] == [
        ("f32", (8, 128), 1),
        ("bf16", (4,), 0),
        ("u32", (), 2),
    ]


def test_program_has_computations_with_their_instructions():
    program = hlo.Program(TEXT)
    assert program.entry == "main"
    assert list(program.computations) == ["fused", "main"]
    main = program.computations["main"]
    assert [one.opcode for one in main.values()] == [
        "parameter",
        "constant",
        "fusion",
        "while",
        "tuple",
    ]
    assert main["f"].operands == ("x",)
    assert main["f"].called == "fused"
    assert main["f"].operation == "g/add"
    assert main["w"].trips == 7
    assert main["f"].trips == 1
    assert [shape.size for shape in main["t"].shapes] == [128, 8]


def test_inside_of_a_fusion():
    program = hlo.Program(TEXT)
    inside = list(program.inside(program.computations["main"]["f"]))
    assert [one.name for one, _ in inside] == ["p0", "double"]
    assert not list(program.inside(program.computations["main"]["x"]))
