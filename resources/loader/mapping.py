"""Owns the mapping of files by calls of the C library: at a chosen address, and without an open file for each.

`mmap` of the standard library can do neither: it keeps a descriptor for every map, of which a process has 1,024.
"""

import ctypes
import mmap
import os
import weakref
from functools import cache
from pathlib import Path

import pyarrow as pa

PAGE = mmap.PAGESIZE
_FIXED, _NONE = 0x10, 0  # MAP_FIXED and PROT_NONE, of Linux and macOS alike
_FAILED = ctypes.c_void_p(-1).value
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0)


class Mapped:
    """A file in memory, read-only, as long as anything refers to it.

    Args:
        path: Of the file.

    Attributes:
        path: Of the file.
        address: Where it begins in memory.
        size_bytes: How long it was when it was mapped.
        buffer: Its bytes, which keep it mapped.

    Raises:
        OSError: If it cannot be opened or mapped.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.path = path
            self.size_bytes = os.fstat(descriptor).st_size
            self.address = 0
            if self.size_bytes:
                flags = mmap.MAP_SHARED
                self.address = _checked(_libc().mmap(None, self.size_bytes, mmap.PROT_READ, flags, descriptor, 0))
                weakref.finalize(self, _libc().munmap, self.address, self.size_bytes)
        finally:
            os.close(descriptor)

    def resident_share(self) -> float:
        """Return which share of it the page cache holds, from 0 to 1."""
        pages = -(-self.size_bytes // PAGE)
        seen = (ctypes.c_ubyte * pages)()
        if not pages or _libc().mincore(self.address, self.size_bytes, seen):
            return 0.0
        return sum(page & 1 for page in bytes(seen)) / pages

    @property
    def buffer(self) -> pa.Buffer:
        """Its bytes, which keep it mapped."""
        return pa.foreign_buffer(self.address, self.size_bytes, self) if self.size_bytes else pa.py_buffer(b"")


class Reserved:
    """A stretch of addresses with nothing behind them, for files to be put there.

    Args:
        size_bytes: How long it is.

    Attributes:
        address: Where it begins.

    Raises:
        OSError: If so many addresses are not to be had.
    """

    def __init__(self, size_bytes: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
        self.address = _checked(_libc().mmap(None, size_bytes, _NONE, flags, -1, 0))
        weakref.finalize(self, _libc().munmap, self.address, size_bytes)

    def put(self, start: int, path: Path, offset: int, size_bytes: int) -> None:
        """Put a part of a file at `start`, a multiple of `PAGE` like `offset`, counted from the address.

        Raises:
            OSError: If it cannot be mapped.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            flags = mmap.MAP_SHARED | _FIXED
            _checked(_libc().mmap(self.address + start, size_bytes, mmap.PROT_READ, flags, descriptor, offset))
        finally:
            os.close(descriptor)


def _checked(address: int) -> int:
    if address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return address


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    ]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc
