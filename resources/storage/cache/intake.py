"""Owns the taking in of files whose bytes are in memory already: written behind, past the page cache, and published.

The bytes are in use where they are; a second copy of them in the page cache would cost more than the way over the
network. Who holds a place holds the lock of the file: others wait for what is written, and fetch nothing.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from threading import Condition

from resources.errors import StoreError
from resources.storage.buffers import Buffer, whole_pages
from resources.storage.cache.fetch import publish
from resources.storage.cache.layout import Layout
from resources.storage.cache.room import Room
from resources.storage.verified import trust

MOST_BEHIND_BYTES = 128 * 2**20
"""Most bytes that wait to be written; beyond that whoever brings more waits."""
_WRITE_BYTES = 16 * 2**20
_REFUSED = (errno.EINVAL, errno.EOPNOTSUPP)
_DIRECT = getattr(os, "O_DIRECT", 0)  # not on macOS


class Place:
    """The reserved place of one file; exactly one of `write` and `leave` is to be called.

    Args:
        layout: The folder of the cache.
        room: Its budget.
        name: Digest of the bytes.
        size_bytes: How many they are.
        held: Lock and lease.
    """

    def __init__(self, layout: Layout, room: Room, name: str, size_bytes: int, held: ExitStack) -> None:
        self._layout = layout
        self._room = room
        self._name = name
        self._size_bytes = size_bytes
        self._held = held

    def write(self, data: Buffer) -> None:
        """Write the verified bytes and give them their name.

        Raises:
            OSError: If the disk fails; the place is free again then.
        """
        part, path = self._layout.part(self._name, self._size_bytes), self._layout.final(self._name)
        with self._held:
            try:
                write_past_cache(part, data, self._size_bytes)
                publish(part, path)
            except OSError:
                self._room.forget(self._name)
                raise
            trust(path, self._name)

    def leave(self) -> None:
        """Give the place back."""
        with self._held:
            self._room.forget(self._name)


class Behind:
    """Writes in a thread of its own, which Python waits for before it ends."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="penstock-behind")
        self._waiting_bytes = 0
        self._changed = Condition()

    def write(self, place: Place, data: Buffer, size_bytes: int, failed: Callable[[Exception], None]) -> None:
        """Write `data` to its place soon; return once no more than `MOST_BEHIND_BYTES` wait.

        Args:
            place: Where it goes.
            data: Verified bytes.
            size_bytes: How many.
            failed: Is told why it was not written.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_bytes or self._fits(size_bytes))
            self._waiting_bytes += size_bytes
        self._pool.submit(self._written, place, data, size_bytes, failed)

    def flush(self) -> None:
        """Return once all is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_bytes)

    def _fits(self, size_bytes: int) -> bool:
        return self._waiting_bytes + size_bytes <= MOST_BEHIND_BYTES

    def _written(self, place: Place, data: Buffer, size_bytes: int, failed: Callable[[Exception], None]) -> None:
        try:
            place.write(data)
        except (OSError, StoreError) as error:
            failed(error)
        finally:
            with self._changed:
                self._waiting_bytes -= size_bytes
                self._changed.notify_all()


@cache
def _behind_of(process_id: int) -> Behind:
    return Behind()


def behind() -> Behind:
    """Return the writer of this process; a fork has one of its own."""
    return _behind_of(os.getpid())


def write_past_cache(path: Path, data: Buffer, size_bytes: int) -> None:
    """Fill the file with the first bytes of `data`, without the page cache where the file system can do that."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        if size_bytes and hasattr(os, "posix_fallocate"):  # a full disk shows before the first byte
            os.posix_fallocate(descriptor, 0, size_bytes)
        if not (_goes_direct(descriptor) and _written_direct(descriptor, data, size_bytes)):
            _goes_direct(descriptor, on=False)
            _write(descriptor, data.view[:size_bytes])
        os.ftruncate(descriptor, size_bytes)
    finally:
        os.close(descriptor)


def read_past_cache(descriptor: int, data: Buffer, size_bytes: int) -> bool:
    """Fill the first bytes of `data` from a file; return whether it has exactly so many."""
    if os.fstat(descriptor).st_size != size_bytes:
        return False
    if _goes_direct(descriptor):
        with suppress(OSError):
            if _read(descriptor, data.view[: whole_pages(size_bytes)], size_bytes):
                return True
        _goes_direct(descriptor, on=False)
    return _read(descriptor, data.view[:size_bytes], size_bytes)


def _goes_direct(descriptor: int, *, on: bool = True) -> bool:
    if not _DIRECT:
        return False
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | _DIRECT if on else flags & ~_DIRECT)
    except OSError:  # a file system in memory
        return False
    return True


def _written_direct(descriptor: int, data: Buffer, size_bytes: int) -> bool:
    try:
        _write(descriptor, data.view[: whole_pages(size_bytes)])
    except OSError as error:
        if error.errno in _REFUSED:
            return False
        raise
    return True


def _write(descriptor: int, data: memoryview) -> None:
    start = 0
    while start < len(data):
        start += os.pwrite(descriptor, data[start : start + _WRITE_BYTES], start)


def _read(descriptor: int, data: memoryview, size_bytes: int) -> bool:
    start = 0
    while start < size_bytes:
        count = os.preadv(descriptor, [data[start : start + _WRITE_BYTES]], start)
        if not count:
            return False
        start += count
    return True
