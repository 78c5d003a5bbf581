"""Owns memory for whole files that are fetched one after the other: pages that were touched once are used again.

A buffer that nobody refers to any more goes back to its pool. What a process has not used yet, the kernel has to find
and to clear first, which in a virtual machine may take longer than the network takes to fill it. Huge pages are not
asked for: those a virtual machine has given back to its host meanwhile, which made the first use thrice as slow.
"""

import mmap
import weakref
from collections import deque

PAGE = mmap.PAGESIZE
_STEP = 4 * 2**20


def whole_pages(size_bytes: int) -> int:
    """Return the bytes of the whole pages that hold so many."""
    return -(-size_bytes // PAGE) * PAGE


class Buffer:
    """Page-aligned memory.

    Args:
        memory: The memory.
        pool: Where it goes when nobody refers to this any more.

    Attributes:
        view: All of it.
    """

    __slots__ = ("__weakref__", "view")

    def __init__(self, memory: memoryview, pool: "deque[memoryview]") -> None:
        self.view = memory
        weakref.finalize(self, pool.append, memory).atexit = False


class Buffers:
    """A pool of buffers of about the same size; threads may share it.

    Attributes:
        made_bytes: Bytes of all that were made and not given up.
    """

    def __init__(self) -> None:
        self._idle: deque[memoryview] = deque()  # appended to by finalizers, which may run anywhere: no lock
        self.made_bytes = 0

    def take(self, size_bytes: int) -> Buffer:
        """Return memory for so many bytes; idle memory that is too small is given up."""
        while self._idle:
            try:
                found = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if len(found) >= size_bytes:
                return Buffer(found, self._idle)
            self.made_bytes -= len(found)
        return Buffer(self._made(size_bytes), self._idle)

    def _made(self, size_bytes: int) -> memoryview:
        memory = mmap.mmap(-1, max(-(-size_bytes // _STEP), 1) * _STEP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.made_bytes += len(memory)
        return memoryview(memory)
