"""A saved program that JAX runs here, on the CPU."""

import dataclasses
import os
import statistics
import subprocess
import sys

import pytest

from sagan_tf import errors
from sagan_tf.benchmarks.ahead import compilation, run_saved, saved
from tests.conftest import ROOT

# It doubles what it is given, and counts.
TEXT = """module @tiny attributes {mhlo.input_output_alias = [{alias = {kind = "may_alias", \
parameter_index = array<i64>, parameter_number = 1 : i64}, output_index = array<i64: 1>}]} {
  func.func @main(%arg0: tensor<4xf32>, %arg1: tensor<i64>) -> (tensor<4xf32>, tensor<i64>) {
    %0 = stablehlo.constant dense<1> : tensor<i64>
    %1 = stablehlo.add %arg1, %0 : tensor<i64>
    %2 = stablehlo.add %arg0, %arg0 : tensor<4xf32>
    return %2, %1 : tensor<4xf32>, tensor<i64>
  }
}
"""
PROGRAM = saved.Program(
    text=TEXT,
    arguments=[
        saved.Argument("z", "float32", (4,), 0, 0.0, 1.0),
        saved.Argument("global_step", "int64", (), 0, 40.0, 0.0),
    ],
    fed_back={1: 1},
    predicted={
        "device": "h100",
        "what": "iteration",
        "setting": "optimizations=auto",
        "batch": 256,
        "roofline_seconds": {"kernels": 0.08},
    },
)
WITH_JAX = pytest.mark.skipif(
    not compilation.is_installed("jax"), reason='JAX is not installed: pip install -e ".[ahead]"'
)
# A process of its own: this one holds TensorFlow, and that one must not.
CALL = """
import sys
from sagan_tf.benchmarks.ahead import run_saved, saved
program = saved.read(sys.argv[1])
jax = run_saved.with_64_bits()
device = jax.devices()[0]
executable = run_saved.executable(program, device)
held = run_saved.arguments(program, jax)
run_saved.times(executable, program, held, rounds=2, iterations=3)
print(int(held[1]))
found = run_saved.run(sys.argv[1], rounds=3, iterations=2, json_file=sys.argv[2])
print(len(found["seconds"]), "tensorflow" in sys.modules)
"""


@WITH_JAX
@pytest.mark.slow
@pytest.mark.process
def test_a_program_runs_without_tensorflow_and_is_fed_back(tmp_path):
    path, json_file = str(tmp_path / "x.mlir"), tmp_path / "x.json"
    saved.write(path, PROGRAM)
    done = subprocess.run(
        [sys.executable, "-c", CALL, path, str(json_file)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    counted, measured, predicted, last = done.stdout.splitlines()
    assert counted == str(40 + 2 + 2 * 3)  # two before those that count
    assert measured.startswith("measured on cpu: ")
    assert predicted.startswith(
        "predicted for h100: iteration, optimizations=auto, batch 256: 80 ms; measured is "
    )
    assert last == "3 False"
    assert '"device": "cpu"' in json_file.read_text()


@WITH_JAX
@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": TEXT[:250]}, "is damaged, or of another version (Unable to parse"),
        ({"fed_back": {9: 1}}, "is damaged, or of another version (list index out of range)"),
        (
            {"arguments": [PROGRAM.arguments[0]._replace(dtype="none"), PROGRAM.arguments[1]]},
            "is damaged, or of another version (data type 'none' not understood)",
        ),
        ({"arguments": PROGRAM.arguments[:1]}, "cpu cannot run it (INVALID_ARGUMENT"),
    ],
)
def test_a_damaged_program_is_one_line(changes, message, tmp_path):
    path = str(tmp_path / "x.mlir")
    saved.write(path, dataclasses.replace(PROGRAM, **changes))
    done = subprocess.run(
        [sys.executable, "-m", "sagan_tf.benchmarks.ahead.run_saved", path],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: --run={path}: {message}")
    assert last.endswith("; write it again with compile_ahead --save")


def test_a_file_that_cannot_be_written_is_known_before_the_run(tmp_path):
    path = str(tmp_path / "x.mlir")
    saved.write(path, PROGRAM)
    with pytest.raises(errors.UserError, match="--json=.*: cannot be written"):
        run_saved.run(path, json_file=str(tmp_path))


def test_measured_beside_predicted():
    found = {
        "device": "NVIDIA H100",
        "compile_seconds": 30.0,
        "seconds": [0.1, 0.12, 0.2],
        "peak_bytes": 9_930_000_000,
        "predicted": PROGRAM.predicted,
    }
    assert statistics.median(found["seconds"]) == 0.12
    assert run_saved.describe(found).splitlines() == [
        "measured on NVIDIA H100: 120 ms (median of 3; 100 to 200), 8.33 a second; "
        "compiled in 30 s",
        "  peak memory 9.93 GB",
        "predicted for h100: iteration, optimizations=auto, batch 256: 80 ms; measured is 1.5 "
        "times that",
    ]


def test_without_jax_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(errors.UserError, match=r'pip install "jax\[cuda12\]"'):
        run_saved.with_64_bits()


def test_the_module_is_a_command_of_its_own(tmp_path):
    """For a machine that has not even absl."""
    with pytest.raises(SystemExit, match="error: --run=.*: cannot be read"):
        run_saved.main([str(tmp_path / "none.mlir")])
