"""What TensorFlow logs at its start is held back, shown when a command fails, and never lost."""

import os
import subprocess
import sys

import pytest

from sagan_tf import tensorflow_log
from tests.conftest import ROOT
from tests.processes import environment

# As TensorFlow 2.21 writes them on a machine without GPU.
REMARKS = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1764017839.123456   12345 cpu_feature_guard.cc:227] This TensorFlow binary is "
    b"optimized to use available CPU instructions in performance-critical operations.\n",
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with "
    b"the appropriate compiler flags.\n",
    b"2026-11-24 20:57:19.123456: W tensorflow/core/x.cc:12] Skipping registering GPU devices...\n",
    b"W0000 00:00:1764017839.123456   12345 computation_placer.cc:177] computation placer already "
    b"registered. Please check linkage and avoid linking the same target more than once.\n",
    b"E0000 00:00:1764017839.123456   12345 cuda_dnn.cc:8579] Unable to register cuDNN factory: "
    b"Attempting to register factory for plugin cuDNN when one has already been registered\n",
    b"E0000 00:00:1764017839.123456   12345 cuda_platform.cc:52] failed call to cuInit: INTERNAL: "
    b"CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)\n",
    b"E0000 00:00:1764017839.123456   12345 node_def_util.cc:682] NodeDef mentions attribute "
    b"use_unbounded_threadpool which is not in the op definition: Op<name=MapDataset>\n",
)
REMARK = REMARKS[-2].decode().rstrip()
HEADING = "TensorFlow's log, held back until here"
OTHER_LINES = (
    b"E0000 00:00:1764017839.123456   12345 rpc.cc:1] the other worker does not answer\n",
    b"2026-11-24 20:57:19.123456: E tensorflow/core/x.cc:12] CUDA_ERROR_ILLEGAL_ADDRESS\n",
    b"F0000 00:00:1764017839.123456   12345 tensor.cc:1] Check failed: dtype() == expected\n",
    b"Traceback (most recent call last):\n",
    b"I am a line of somebody else's\n",
    b"2026-11-24 20:57:19 INFO another program's log\n",
)
SCRIPT = """
import faulthandler, os, sys
from absl import logging
from sagan_tf import tensorflow_log

faulthandler.enable()  # as absl's `app.run` does
logging.use_absl_handler()
try:
    with tensorflow_log.held_back("take less", LookupError, explained_by_log=KeyError):
        os.write(2, {remark!r})
        os.write(2, b"another line\\n")
        print(sys.stderr.isatty(), flush=True)
        {body}
except LookupError as error:
    print("error: what the user can mend", file=sys.stderr)
"""


@pytest.mark.parametrize("line", REMARKS)
def test_remarks_of_the_start_are_held_back(line, monkeypatch):
    monkeypatch.setattr(tensorflow_log, "has_gpu", lambda: False)
    assert tensorflow_log.is_remark(line)


@pytest.mark.parametrize(
    ("file", "visible", "is_remark"),
    [("nvidia0", "0", False), ("nvidia0", "-1", True), ("null", "0", True)],
)
def test_gpu_that_does_not_start_is_not_kept_quiet(
    tmp_path, monkeypatch, *, file, visible, is_remark
):
    (tmp_path / file).write_text("")
    monkeypatch.setattr(tensorflow_log, "_GPU_FILES", str(tmp_path / "nvidia*"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for line in (REMARKS[3], REMARKS[6]):
        assert tensorflow_log.is_remark(line) == is_remark


@pytest.mark.parametrize("line", OTHER_LINES)
def test_everything_else_passes(line):
    assert not tensorflow_log.is_remark(line)


def run(body, **variables):
    """Exit code and standard error, without the frames of a traceback."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(remark=REMARK.encode() + b"\n", body=body)],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in result.stderr.splitlines() if not line.startswith(" ")]
    return result.returncode, lines


@pytest.mark.process
@pytest.mark.parametrize(
    ("body", "code", "last"),
    [
        ("pass", 0, "another line"),
        ("sys.exit(1)", 1, "another line"),
        ("raise LookupError", 0, "error: what the user can mend"),
        ("os.kill(os.getpid(), 9)", -9, "another line"),
    ],
)
def test_nothing_is_shown_of_a_command_that_ends_in_a_known_way(body, code, last):
    found, lines = run(body)
    assert found == code
    assert lines == list(dict.fromkeys(["another line", last]))


@pytest.mark.process
def test_warning_of_python_is_not_held_back():
    """It looks as a line of TensorFlow's C++ code does."""
    code, lines = run("logging.warning('a library of Python warns')")
    assert code == 0
    assert any(line.endswith("] a library of Python warns") for line in lines)


@pytest.mark.process
def test_traceback_comes_last_behind_the_log():
    code, lines = run("raise ValueError('unforeseen')")
    assert code == 1
    assert lines[0] == "another line"
    assert lines[1].startswith(HEADING)
    assert lines[2:4] == [REMARK, "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: unforeseen"


@pytest.mark.process
def test_line_about_the_machine_comes_last_behind_the_log():
    code, lines = run("raise KeyError")
    assert code == 0
    assert lines[1].startswith(HEADING)
    assert lines[2:] == [REMARK, "error: what the user can mend"]


@pytest.mark.process
def test_last_words_of_a_crash_are_not_lost():
    fatal = OTHER_LINES[2].decode()
    code, lines = run(f"os.write(2, {fatal!r}.encode()); os.abort()")
    assert code == -6
    assert lines[1].startswith(HEADING)
    assert lines[2:5] == [REMARK, fatal.rstrip(), "Fatal Python error: Aborted"]


@pytest.mark.process
@pytest.mark.parametrize(
    "variables", [{"SAGAN_SHOW_TENSORFLOW_LOG": "1"}, {"TF_CPP_MIN_LOG_LEVEL": "0"}]
)
def test_variable_shows_all(variables):
    assert run("pass", **variables) == (0, [REMARK, "another line"])


@pytest.fixture(name="lines")
def fixture_lines():
    """A filter, and a function that reads what it has printed."""
    reading_end, writing_end = os.pipe()
    lines = tensorflow_log.Filter(writing_end)
    yield lines, lambda: os.read(reading_end, 65536)
    os.close(reading_end)
    os.close(writing_end)


def test_line_without_an_end_does_not_wait(lines):
    taken, printed = lines
    taken.add(b"loading ... ")
    taken.pause()
    assert printed() == b"loading ... "
    taken.add(b"done\n")
    assert printed() == b"done\n"


def test_line_in_two_parts_is_one_line(lines):
    taken, printed = lines
    taken.add(REMARKS[1][:50])
    taken.pause()
    taken.add(REMARKS[1][50:] + b"mine\n")
    assert printed() == b"mine\n"


@pytest.mark.parametrize(("count", "what"), [(1, "a process"), (3, "3 processes")])
def test_process_that_the_system_may_have_killed_for_memory(lines, count, what):
    """Other processes of the machine count too."""
    taken, printed = lines
    taken.add(REMARKS[0])
    taken.end(count, hint="take less")
    line = f"error: memory may have run out (the system killed {what} for it just now); take less\n"
    assert printed().decode() == line


def test_crash_for_memory_gets_its_line(lines):
    taken, printed = lines
    taken.add(b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    taken.end(0, hint="take less")
    assert printed().endswith(b"error: memory ran out; take less\n")


def test_kills_for_memory_are_counted(tmp_path, monkeypatch):
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 5\noom_kill 3\noom_group_kill 1\n")
    other = tmp_path / "vmstat"
    other.write_text("nr_free_pages 9\noom_kill 3\n")
    paths = (str(events), str(tmp_path / "absent"), str(other))
    monkeypatch.setattr(tensorflow_log, "_OOM_COUNTERS", paths)
    assert tensorflow_log.processes_killed_for_memory() == 3
