"""What the operating system knows of this process: age and memory. Linux; elsewhere 0."""

import contextlib
import ctypes
import os
import time


def keep_freed_memory() -> None:
    """Tells glibc's allocator to reuse freed memory instead of handing it back to the system.

    A step on a CPU allocates and frees hundreds of megabytes, and so does reading raw records. By
    default glibc maps and unmaps large blocks every time, and the page faults take about half of
    the time. Does nothing where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Hands freed memory back to the system now; does nothing without glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def age() -> float:
    """Seconds since this process began."""
    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            began = int(file.read().rsplit(")", 1)[1].split()[19])  # proc(5): starttime, in ticks
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def memory_mb(peak: bool = False) -> float:
    """Megabytes of memory that this process holds now, or has held at most."""
    name = "VmHWM:" if peak else "VmRSS:"
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(
                float(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith(name)
            )
    except (OSError, StopIteration):
        return 0.0


def forget_peak() -> None:
    """Lets the peak that `memory_mb` tells begin anew; does nothing where Linux does not allow it."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
