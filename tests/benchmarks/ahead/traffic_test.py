"""Kernels of short programs: their kinds and their bytes, counted by hand."""

from sagan_tf.benchmarks.ahead import hlo, traffic

TEXT = """HloModule tiny

%body (p: f32[10]) -> f32[10] {
  %p = f32[10]{0} parameter(0)
  ROOT %n = f32[10]{0} negate(%p)
}

%turn (p: f32[4,8]) -> f32[8,4] {
  %p.1 = f32[4,8]{1,0} parameter(0)
  ROOT %turned = f32[8,4]{1,0} transpose(%p.1), dimensions={1,0}
}

ENTRY %main (x: f32[4,8]) -> f32[8,4] {
  %x = f32[4,8]{1,0} parameter(0)
  %v = f32[10]{0} parameter(1)
  %f = f32[8,4]{1,0} fusion(%x), kind=kLoop, calls=%turn, metadata={op_name="g/turn"}
  %b = f32[32]{0} bitcast(%f)
  %s = f32[32]{0} add(%b, %b)
  %c = f32[4,8]{0,1} copy(%x)
  %w = f32[10]{0} while(%v), body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %r = f32[10]{0} all-reduce(%w), to_apply=%body
  %g = (f32[4,4]{1,0}, s8[0]{0}) custom-call(%x, %x), custom_call_target="__cublas$gemm", \
backend_config={"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}
}
"""


def by_name(text):
    return {kernel.name: kernel for kernel in traffic.kernels(hlo.Program(text))}


def test_bytes_and_kinds_of_kernels():
    found = by_name(TEXT)
    assert {name: (one.kind, one.read, one.written) for name, one in found.items()} == {
        "f": ("fusions", 128, 128),
        "s": ("others", 128, 128),  # an operand counts once
        "c": ("copies", 128, 128),
        "n": ("others", 40, 40),
        "r": ("links", 40, 40),
        "g": ("products", 128, 64),
    }
    assert found["g"].flop == 2 * 4 * 4 * 8
    assert found["g"].dtype == "f32"
    assert found["f"].operation == "g/turn"
    assert [name for name, one in found.items() if one.reduced] == ["r"]


def test_a_loop_counts_as_often_as_it_runs():
    found = traffic.kernels(hlo.Program(TEXT))
    assert sum(kernel.name == "n" for kernel in found) == 3
    assert traffic.by_kind(found)["others"] == {"kernels": 4, "bytes": 256 + 3 * 80, "flop": 0}


def test_layout_changes_are_transpositions_and_copies_into_another_order():
    found = by_name(TEXT)
    assert [name for name, one in found.items() if one.changes_layout] == ["f", "c"]
    same = by_name(TEXT.replace("%c = f32[4,8]{0,1}", "%c = f32[4,8]{1,0}"))
    assert [name for name, one in same.items() if one.changes_layout] == ["f"]


def test_what_lies_on_the_chip_is_not_moved():
    """A copy into it reads when it starts."""
    found = by_name(
        """
ENTRY %main (x: f32[8,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %begin = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %near = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%begin)
  ROOT %y = f32[8,128]{1,0:T(8,128)} negate(%near)
}
"""
    )
    assert {name: (one.read, one.written) for name, one in found.items()} == {
        "begin": (4096, 0),
        "near": (0, 0),
        "y": (0, 4096),
    }
    # Its begin and its end are one copy.
    assert traffic.by_kind(list(found.values()))["copies"] == {
        "kernels": 1,
        "bytes": 4096,
        "flop": 0,
    }


def test_of_what_is_sliced_the_slice_is_read():
    """One fusion takes slices of x alone, the other takes all of it as well."""
    found = by_name(
        """
%sliced (p: f32[100], q: f32[4]) -> f32[4] {
  %q = f32[4]{0} parameter(1)
  %p = f32[100]{0} parameter(0)
  %again = f32[10,10]{1,0} bitcast(%p)
  %row = f32[1,10]{1,0} slice(%again), slice={[2:3], [0:10]}
  %four = f32[4]{0} slice(%p), slice={[8:12]}
  ROOT %sum = f32[4]{0} add(%four, %q)
}

%all (p.1: f32[100]) -> f32[100] {
  %p.1 = f32[100]{0} parameter(0)
  %first = f32[1]{0} slice(%p.1), slice={[0:1]}
  %wide = f32[100]{0} broadcast(%first), dimensions={}
  ROOT %less = f32[100]{0} subtract(%p.1, %wide)
}

ENTRY %main (x: f32[100], y: f32[4]) -> f32[100] {
  %x = f32[100]{0} parameter(0)
  %y = f32[4]{0} parameter(1)
  %a = f32[4]{0} fusion(%x, %y), kind=kLoop, calls=%sliced
  %b = f32[20]{0} slice(%x), slice={[0:20]}
  ROOT %c = f32[100]{0} fusion(%x), kind=kLoop, calls=%all
}
"""
    )
    assert {name: (one.read, one.written) for name, one in found.items()} == {
        "a": (4 * (10 + 4 + 4), 16),
        "b": (80, 80),
        "c": (400, 400),
    }


def test_convolutions_are_found_in_fusions():
    """A product without a window is none, though a TPU calls it so."""
    text = """
%conv (a: bf16[2,4,4,3], b: bf16[1,1,3,5]) -> bf16[2,4,4,5] {
  %a = bf16[2,4,4,3]{3,2,1,0} parameter(0)
  %b = bf16[1,1,3,5]{3,2,1,0} parameter(1)
  ROOT %y = bf16[2,4,4,5]{3,2,1,0} convolution(%a, %b), window={size=1x1}, \
dim_labels=b01f_01io->b01f
}

ENTRY %main (x: bf16[2,4,4,3], w: bf16[1,1,3,5]) -> bf16[2,4,4,5] {
  %x = bf16[2,4,4,3]{3,2,1,0} parameter(0)
  %w = bf16[1,1,3,5]{3,2,1,0} parameter(1)
  %z = bf16[2,3]{1,0} parameter(2)
  %m = bf16[3,5]{1,0} parameter(3)
  %p = bf16[2,5]{1,0} convolution(%z, %m), dim_labels=bf_io->bf
  ROOT %f = bf16[2,4,4,5]{3,2,1,0} fusion(%x, %w), kind=kOutput, calls=%conv
}
"""
    found = by_name(text)
    assert {name: (one.kind, one.flop, one.dtype) for name, one in found.items()} == {
        "p": ("products", 2 * 2 * 3 * 5, "bf16"),
        "f": ("convolutions", 2 * 2 * 16 * 3 * 5, "bf16"),
    }


def test_largest_adds_up_by_operation():
    kernels = [
        traffic.Kernel("a", "fusions", read=5, operation="x"),
        traffic.Kernel("b", "fusions", read=4, operation="y"),
        traffic.Kernel("c", "fusions", written=3, operation="y"),
    ]
    assert traffic.largest(kernels, 1) == [("y", 7)]
