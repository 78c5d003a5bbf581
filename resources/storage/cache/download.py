"""Owns the way of one object from the store into a part file: in ranges, resumable, hashed in order on the way.

Nothing here gives the file its final name. The journal says which ranges a killed process had finished; they are read
back and hashed like all others, so a journal that lies costs time, never a wrong byte.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from resources.errors import StoreError
from resources.storage.verified import new_hasher

RANGE_BYTES = 8 * 2**20
CONCURRENT_RANGES = 4
_AHEAD = 5  # ranges in memory at a time: those being fetched, and those that wait to be hashed
_FLUSH_RANGES = 4


class Remote(Protocol):
    """An object in a remote store."""

    @property
    def name(self) -> str:
        """Key and store, for people."""
        ...

    def size_bytes(self) -> int:
        """Return how large it is; raise `ObjectMissing` where there is none."""
        ...

    def read(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to before `end`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a download came to.

    Attributes:
        digest: BLAKE3 digest of all bytes of the part file.
        fetched_bytes: Bytes that came from the store, less than the file's where it was resumed.
    """

    digest: str
    fetched_bytes: int


def download(remote: Remote, part: Path, journal: Path, size_bytes: int) -> Download:
    """Fill `part` with the object, flush it to the disk, and return its digest.

    Args:
        remote: The object.
        part: File to fill; it is allocated whole before the first byte is fetched.
        journal: File that tells which ranges of `part` are finished.
        size_bytes: Bytes of the object.

    Raises:
        StoreError: If the store fails, or answers with too few bytes.
        OSError: If the disk does, for instance because it is full.
    """
    hasher, fetched = new_hasher(size_bytes), 0
    with _opened(part) as target, _opened(journal) as log:
        _allocate(target, size_bytes)
        ranges = _Ranges(remote, target, log, size_bytes)
        for data, is_new in _in_order(ranges.finish, range(ranges.count), flush=lambda: os.fsync(target)):
            hasher.update(data)
            fetched += len(data) if is_new else 0
        os.fsync(target)
    return Download(digest=hasher.hexdigest(), fetched_bytes=fetched)


class _Ranges:
    """The ranges of one object and the two files that they go into."""

    def __init__(self, remote: Remote, target: int, log: int, size_bytes: int) -> None:
        self._remote = remote
        self._target = target
        self._log = log
        self._size_bytes = size_bytes
        self.count = -(-size_bytes // RANGE_BYTES)
        self._finished = os.pread(log, self.count, 0).ljust(self.count, b"\0")

    def finish(self, number: int) -> tuple[memoryview, bool]:
        """Return the bytes of one range, and whether they had to be fetched."""
        start = number * RANGE_BYTES
        end = min(start + RANGE_BYTES, self._size_bytes)
        if self._finished[number]:
            data = os.pread(self._target, end - start, start)
            if len(data) == end - start:
                return memoryview(data), False
        fetched = self._remote.read(start, end)
        if len(fetched) != end - start:
            raise StoreError(
                f"cannot fetch {self._remote.name}: got {len(fetched):,} bytes at {start:,}, expected "
                f"{end - start:,}; check the server and what lies before it, then run again"
            )
        _write(self._target, fetched, start)
        os.pwrite(self._log, b"\1", number)
        return fetched, True


def _in_order(
    finish: Callable[[int], tuple[memoryview, bool]], numbers: Iterable[int], *, flush: Callable[[], None]
) -> Generator[tuple[memoryview, bool]]:
    """Yield the results of `finish` in order, while those ahead are worked on by threads."""
    waiting: deque[Future[tuple[memoryview, bool]]] = deque()
    flusher, flushed = ThreadPoolExecutor(1), deque[Future[None]]()
    pool = ThreadPoolExecutor(CONCURRENT_RANGES)
    try:
        for number in numbers:
            waiting.append(pool.submit(finish, number))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
            if number % _FLUSH_RANGES == _FLUSH_RANGES - 1 and all(item.done() for item in flushed):
                flushed.append(flusher.submit(flush))  # the disk begins early, so that the last flush is short
        while waiting:
            yield waiting.popleft().result()
        for item in flushed:
            item.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        flusher.shutdown(wait=True, cancel_futures=True)


def _allocate(descriptor: int, size_bytes: int) -> None:
    os.ftruncate(descriptor, size_bytes)
    if size_bytes and hasattr(os, "posix_fallocate"):  # not on macOS: there a full disk shows later
        os.posix_fallocate(descriptor, 0, size_bytes)


def _write(descriptor: int, data: memoryview, start: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, start)
        data, start = data[written:], start + written


@contextmanager
def _opened(file: Path) -> Generator[int]:
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
