"""Age and memory of this process, and how its C library treats freed memory."""

import contextlib
import ctypes
import time

import psutil


def keep_freed_memory() -> None:
    """Tells glibc's allocator to reuse freed memory instead of handing it back to the system.

    A step on a CPU allocates and frees hundreds of megabytes, and so does reading raw records. By
    default glibc maps and unmaps large blocks every time, and the page faults take about half of
    the time. Does nothing where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # Numbers of malloc.h.
        m_trim_threshold = -1
        m_mmap_max = -4
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Hands freed memory back to the system now; does nothing without glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def age() -> float:
    """Seconds since this process began; 0 where the system is not Linux."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_after_boot(psutil.Process())


def start_after_boot(process: psutil.Process) -> float:
    """Seconds from the start of the machine to that of a process.

    psutil gives a time of day, from a boot time in whole seconds that moves with the clock. The
    difference is what the system recorded, to a hundredth of a second.
    """
    return process.create_time() - psutil.boot_time()


def memory_mb(peak: bool = False) -> float:
    """Megabytes of memory that this process holds now, or has held at most since `forget_peak`.

    Args:
      peak: the most; 0 where the system is not Linux. Neither psutil nor `resource.getrusage`
        has it: the latter's also holds the peak of the process that started this one.
    """
    if not peak:
        return psutil.Process().memory_info().rss / 1e6
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                kibibytes = int(line.split()[1])
                return kibibytes * 1024 / 1e6
    return 0.0


def forget_peak() -> None:
    """Begins the peak of `memory_mb` anew; does nothing where the system does not allow it."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
