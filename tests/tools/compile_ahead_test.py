"""The command compile_ahead, as a user starts it."""

import os
import subprocess
import sys

import pytest

from sagan_tf.benchmarks.ahead import compilation
from tests.conftest import ROOT
from tests.processes import error_line, run

COMMAND = ("-m", "sagan_tf.tools.compile_ahead")


@pytest.mark.process
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--device=h200"], "--device=h200: expected one of h100, a100, v4, v5e, v5p, v6e"),
        (["--compute_share=2"], "--compute_share=2.0: expected a share, up to 1"),
        (
            ["--replicas=8", "--save=x.mlir"],
            "--save=x.mlir: expected none with --replicas=8: one device cannot run that program",
        ),
        (["--replicas=2"], "--replicas=2: expected one of 1, 8"),
    ],
)
def test_a_wrong_flag_is_one_line(flags, message):
    assert error_line(run(*COMMAND, *flags)) == f"error: {message}"


@pytest.mark.slow
@pytest.mark.process
def test_words_after_compare_are_settings_too():
    done = run(*COMMAND, "--what=iteration", "--compare", "batch_size=1", "colour=3")
    assert error_line(done) == (
        "error: --compare=colour=3: expected name=value of training's flags, got colour=3"
    )


@pytest.mark.slow
@pytest.mark.process
def test_run_needs_no_tensorflow(tmp_path):
    """A TensorFlow that cannot be imported stands in for one that is not there."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('it is not installed')\n")
    done = subprocess.run(
        [sys.executable, *COMMAND, f"--run={tmp_path / 'none.mlir'}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --run={tmp_path / 'none.mlir'}: cannot be read")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(
    not compilation.is_installed("jax_plugins.xla_cuda12"),
    reason='the compilers are not installed: pip install -e ".[ahead]"',
)
def test_generation_is_compiled_for_an_h100(tmp_path):
    path = tmp_path / "x.mlir"
    flags = "image_size=32 z_dim=8 gf_dim=4 df_dim=4 number_classes=3 batch_size=2 num_towers=2"
    types = ["--generator_type=baseline", "--discriminator_type=baseline"]
    code, out, err = run(
        *COMMAND,
        "--what=generation",
        f"--save={path}",
        *types,
        *(f"--{flag}" for flag in flags.split()),
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
    )
    assert code == 0, err
    first, *lines = out.splitlines()
    assert first.startswith("generation, optimizations=auto float32, batch 4, H100 SXM: compiled")
    assert any(line.startswith("  roofline: ") for line in lines)
    assert path.read_text().startswith("// sagan-tf program: ")
