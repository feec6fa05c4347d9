"""The watchdog kills a process that is stuck, and leaves one alone that is in time."""

import os
import signal
import subprocess
import sys

import pytest

from sagan_tf.runtime import watchdog

# `re` holds the interpreter lock while it searches this for hours: threads and handlers wait.
STUCK = """
import re
from sagan_tf.runtime import watchdog
with watchdog.limited({seconds}, "too late"):
    {body}
print("in time")
"""


def run(seconds, body):
    command = [sys.executable, "-c", STUCK.format(seconds=seconds, body=body)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.process
def test_process_that_is_stuck_outside_python_is_killed_after_a_line():
    result = run(0.5, "re.match('(a+)+b', 'a' * 60)")
    assert result.returncode == -signal.SIGKILL
    assert result.stderr == "too late\n"
    assert result.stdout == ""


@pytest.mark.process
def test_process_that_is_in_time_goes_on():
    result = run(60, "pass")
    assert (result.returncode, result.stdout, result.stderr) == (0, "in time\n", "")


def test_watchdog_of_a_process_that_has_ended_ends_without_a_word(capsys):
    watchdog.watch(parent=os.getpid(), seconds=0, line="too late")  # It is not its own parent.
    assert capsys.readouterr().err == ""
