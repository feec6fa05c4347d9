"""Age and memory of this process, against what the system tells by other means."""

import os
import subprocess
import time

import numpy as np
import psutil
import pytest

from sagan_tf.runtime import memory

needs_clear_refs = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK),
    reason="Linux does not let this process forget its peak",
)


@pytest.mark.process
def test_age_counts_seconds():
    before = memory.age()
    time.sleep(0.2)
    assert memory.age() - before == pytest.approx(0.2, abs=0.15)
    elapsed = subprocess.run(  # In whole seconds, by another program.
        ["ps", "-o", "etimes=", "-p", str(psutil.Process().pid)], capture_output=True, check=True
    )
    assert memory.age() == pytest.approx(int(elapsed.stdout), abs=2)


@needs_clear_refs
def test_memory_and_its_peak():
    memory.forget_peak()
    before = memory.memory_mb()
    assert before == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.1)
    block = np.ones(200_000_000, np.uint8)
    assert memory.memory_mb() - before == pytest.approx(200, abs=50)
    del block
    memory.give_back_freed_memory()
    assert memory.memory_mb() - before < 100
    assert memory.memory_mb(peak=True) - before == pytest.approx(200, abs=50)


@needs_clear_refs
def test_peak_begins_anew():
    block = np.ones(300_000_000, np.uint8)
    peak = memory.memory_mb(peak=True)
    del block
    memory.give_back_freed_memory()
    memory.forget_peak()
    assert peak - memory.memory_mb(peak=True) > 200
