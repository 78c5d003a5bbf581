"""Owns what a piece of work costs the process that does it: wall time, processor time, memory."""

import mmap
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

READY_BYTES = 5 * 10**9
"""Memory that the full runs have at hand."""
_STATUS = Path("/proc/self/status")


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Do `work` and return its wall and CPU seconds."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu}


def peak_rss_bytes() -> int:
    """Return the largest resident size of this process; `ru_maxrss` would begin with that of its parent."""
    if _STATUS.exists():
        return status_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def status_bytes(name: str) -> int:
    """Return a size that Linux tells of this process, such as `VmRSS`, what is resident now."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024


def ready_memory(size_bytes: int) -> None:
    """Have the kernel find so much memory, or half of what is free, write back what it owes the disk, and leave both.

    In a virtual machine, pages that were not used lately come from its host, which takes several microseconds each: a
    run that met many took twice as long as the next.
    """
    os.sync()
    if size_bytes and hasattr(mmap, "MAP_POPULATE"):
        free_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        mmap.mmap(-1, min(size_bytes, free_bytes // 2), flags=flags).close()
