"""One compilation: what must be installed, how errors come through, what is counted."""

import pytest

from sagan_tf import errors
from sagan_tf.benchmarks.ahead import compilation, report, roofline, saved, traffic

ASSUMED = roofline.Assumed(compute_share=0.6, bandwidth_share=0.8)
CONVOLUTION = """module @tiny {
  func.func @main(%arg0: tensor<8x16x16x128xbf16>, %arg1: tensor<3x3x128x128xbf16>)
      -> tensor<8x16x16x128xbf16> {
    %0 = stablehlo.convolution(%arg0, %arg1)
        dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f],
        window = {stride = [1, 1], pad = [[1, 1], [1, 1]]}
        {batch_group_count = 1 : i64, feature_group_count = 1 : i64}
        : (tensor<8x16x16x128xbf16>, tensor<3x3x128x128xbf16>) -> tensor<8x16x16x128xbf16>
        loc("block/conv")
    %1 = stablehlo.tanh %0 : tensor<8x16x16x128xbf16> loc("block/tanh")
    return %1 : tensor<8x16x16x128xbf16>
  }
}
"""
# 46 = 16 * 3 - 2 pairs along each side.
FLOP = 2 * 8 * 46 * 46 * 128 * 128
ROW = {
    "what": "iteration",
    "device": "h100",
    "setting": "optimizations=auto",
    "batch": 256,
    "replicas": 8,
    "dtype": "bf16",
    "compile_seconds": 20.4,
    "memory": {
        "argument": 2 * 10**9,
        "output": 2 * 10**9,
        "alias": 10**9,
        "temp": 5 * 10**9,
        "generated_code": 0,
    },
    "compiler": {"seconds": -3.0},
}
KERNELS = [
    traffic.Kernel(
        "c",
        "convolutions",
        read=10**9,
        written=10**9,
        flop=59_364_000_000_000,
        dtype="bf16",
        operation="d/conv",
    ),
    traffic.Kernel("t", "copies", read=10**8, written=10**8, changes_layout=True),
    traffic.Kernel("s", "links", read=36 * 10**9, reduced=36 * 10**9),
]


def compilers(device):
    """A mark that skips a test where what compiles for a device is not installed."""
    try:
        compilation.require_compilers(device)
    except errors.UserError as error:
        return pytest.mark.skip(reason=str(error))
    return pytest.mark.slow


COMPILED = [pytest.param(device, marks=compilers(device)) for device in ("h100", "a100", "v5e")]


@pytest.fixture(autouse=True)
def fixture_no_flags_of_the_cpus_compiler(monkeypatch):
    """tests/conftest.py sets flags that a TPU's compiler does not know, and ends at."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)


def test_a_missing_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setattr(compilation, "is_installed", lambda package: package == "jax")
    with pytest.raises(errors.UserError) as caught:
        compilation.require_compilers("v5p")
    assert str(caught.value) == (
        "--device=v5p: its compiler is not installed (libtpu is missing); "
        'pip install -e ".[ahead]" brings it'
    )
    assert not compilation.is_installed("no_such_package.inside")


def test_versions_are_those_of_the_installed_compilers():
    assert set(compilation.versions()) <= {"jax", "jaxlib", "jax-cuda12-plugin", "libtpu"}
    assert ("jax" in compilation.versions()) == compilation.is_installed("jax")


def test_counts_of_a_program():
    row = {**ROW, **compilation.counted(KERNELS, "h100", assumed=ASSUMED, replicas=8)}
    assert row["flop"] == 59_364_000_000_000
    assert row["bytes"] == 38_200_000_000
    assert row["copies"] == {"kernels": 1, "bytes": 2 * 10**8}
    # 59.364 TFLOP at 0.6 * 989.4 TFLOP/s; 2.2 GB at 0.8 * 3,352.32 GB/s.
    least = row["roofline_seconds"]
    assert least["compute"] == pytest.approx(0.1)
    assert least["memory"] == pytest.approx(2.2 / (0.8 * 3352.32))
    assert least["kernels"] == pytest.approx(0.1 + 0.2 / (0.8 * 3352.32))
    # 36 GB * 2 * 7 / 8 at 0.8 * 450 GB/s.
    assert row["link_seconds"] == pytest.approx(63 / 360)
    assert compilation.needed_memory(row) == 8 * 10**9
    assert compilation.estimate(row) is None

    text = report.describe(row, ASSUMED)
    assert text.splitlines()[:5] == [
        "iteration, optimizations=auto, batch 256, H100 SXM: compiled in 20 s, not run",
        "  memory: arguments 2 GB, temporary 5 GB, in all 8 GB of 84.9 GB",
        "  59.4 TFLOP in convolutions and products",
        "  38.2 GB read and written: convolutions 2 GB (1), copies 0.2 GB (1), links 36 GB (1)",
        "  copies: 0.2 GB (1); layout changes: 0.2 GB (1)",
    ]
    assert "multiplying 100 ms at 60% of 989.4 TFLOP/s" in text
    assert "the compiler's own estimate: none" in text
    assert "over the links: 63 GB from each of 8, 175 ms at 80% of 450 GB/s, 63.6% of" in text
    assert text.endswith("   36.2 GB  none is named\n         2 GB  d/conv")


def test_a_table_has_what_could_not_be_compiled_too():
    row = {**ROW, **compilation.counted(KERNELS, "h100", assumed=ASSUMED)}
    row["compiler"] = {"seconds": 0.0866}
    refused = {**ROW, "device": "v5e", "error": "it does not fit"}
    *_, first, second = report.table([row, refused]).splitlines()
    assert first == (
        "| iteration | H100 SXM | optimizations=auto | 256 | 20 | 59.36 | 5 | 38.2 | 100.1 | 86.6 |"
    )
    assert second == (
        "| iteration | TPU v5e | optimizations=auto | 256 | it does not fit |  |  |  |  |  |"
    )


@pytest.mark.parametrize("device", COMPILED)
def test_a_convolution_is_compiled_for_a_device_that_is_not_here(device, tmp_path):
    program = saved.Program(CONVOLUTION, [], {})
    text_file = str(tmp_path / "compiled.txt")
    row = compilation.compiled(program, device, assumed=ASSUMED, text_file=text_file)
    assert row["flop"] == FLOP
    assert row["kinds"]["convolutions"]["kernels"] == 1
    assert row["kinds"]["convolutions"]["flop"] == FLOP
    # Image and kernel, and as much again for the result.
    arguments = 2 * (8 * 16 * 16 * 128 + 9 * 128 * 128)
    assert row["memory"]["argument"] == arguments
    assert row["bytes"] >= 2 * 8 * 16 * 16 * 128
    assert "block/conv" in row["largest"]
    assert (tmp_path / "compiled.txt").read_text().startswith("HloModule")


@pytest.mark.parametrize("device", COMPILED)
def test_a_compilers_error_names_our_operation(device):
    broken = CONVOLUTION.replace("stablehlo.tanh %0 : tensor", "stablehlo.nothing %0 : tensor")
    with pytest.raises(errors.UserError) as caught:
        compilation.compiled(saved.Program(broken, [], {}), device, assumed=ASSUMED)
    line = str(caught.value)
    assert line.startswith(f"--device={device}: its compiler refuses the program (")
    assert line.endswith(", at our operation block/tanh; change the flags of what it names")
    assert "\n" not in line


@pytest.mark.parametrize("device", COMPILED[-1:])
def test_a_tpu_s_compiler_says_that_a_program_does_not_fit(device):
    large = CONVOLUTION.replace("8x16x16x128", "65536x32x32x128")
    with pytest.raises(compilation.DoesNotFit, match="--batch_size"):
        compilation.compiled(saved.Program(large, [], {}), device, assumed=ASSUMED)
