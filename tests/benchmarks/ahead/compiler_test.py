"""What is said of a compiler's error."""

import subprocess
import sys

from sagan_tf.benchmarks.ahead import compiler
from tests.conftest import ROOT

PROGRAM = """#loc4 = loc("block/tanh")
#loc5 = loc(fused[#loc4, #loc4])
module @x {
  func.func @main(%arg0: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.custom_call @nothing(%arg0) : (tensor<4xf32>) -> tensor<4xf32> loc(#loc5)
    %1 = stablehlo.sine %0 : tensor<4xf32> loc("block/sine")
  }
}
"""


def test_an_operation_in_the_error_is_named():
    text = 'RESOURCE_EXHAUSTED: too much\n\n  1. Size: 16G Operator: op_name="g/conv" shape=...'
    assert compiler.failure(text) == {
        "error": "RESOURCE_EXHAUSTED: too much",
        "operation": "g/conv",
    }
    text = 'INVALID: failed;\n\nDetailed:\n<unknown>:0: error: loc("g/copy"): failed to legalize'
    assert compiler.failure(text) == {
        "error": 'INVALID: failed; <unknown>:0: error: loc("g/copy"): failed to legalize',
        "operation": "g/copy",
    }


def test_a_line_or_a_call_in_the_error_leads_to_the_operation():
    by_line = compiler.failure('error: "-":6:10: custom op is unknown', PROGRAM)
    assert by_line["operation"] == "block/sine"
    by_call = compiler.failure("Custom emitter for nothing not found", PROGRAM)
    assert by_call["operation"] == "block/tanh"
    assert compiler.failure("something else", PROGRAM)["operation"] == ""


def test_calls_that_count_as_minus_a_second():
    """Of a program with two such calls and another one."""
    text = """
  %a = u64[] custom-call(%low, %high), custom_call_target="X64Combine"
  %b = u32[] custom-call(%a), custom_call_target="X64SplitLow"
  %c = f32[8]{0} custom-call(%x), custom_call_target="tpu_custom_call"
"""
    assert compiler.seconds_left_out(text) == 2
    assert compiler.seconds_left_out("") == 0


def test_the_compiler_ends_with_the_process_that_asked():
    """The parent starts one for its own number, and ends at once."""
    child = "from sagan_tf.benchmarks.ahead import compiler; compiler.end_with({})"
    parent = (
        "import os, subprocess, sys\n"
        f"code = {child!r}.format(os.getpid())\n"
        "subprocess.Popen([sys.executable, '-c', code])"
    )
    command = [sys.executable, "-c", parent]
    # Standard output closes when both have ended.
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=True
    )
    assert done.stdout == b""
