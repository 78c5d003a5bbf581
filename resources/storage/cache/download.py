"""Owns the way of one file from the store into a part file: in ranges, resumable, hashed on the way, hedged.

Nothing here gives the file its final name, or flushes it. The journal says which ranges a killed process had finished;
they are read back and hashed like all others, so a journal that lies costs time, never a wrong byte.
"""

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol, runtime_checkable

from resources.errors import StoreError
from resources.storage.background import is_background, is_ending
from resources.storage.content import CHUNK_BYTES, chunk_count, chunk_digest, root_of
from resources.storage.hedging import HEDGED_BYTES, Answer, hedged
from resources.storage.latencies import Policy

RANGE_CHUNKS = 2
CONCURRENT_RANGES = 4


class Remote(Protocol):
    """A file in a remote store."""

    @property
    def name(self) -> str:
        """What it is and where, for people."""
        ...

    @property
    def size_bytes(self) -> int:
        """How large it is, as its manifest says."""
        ...

    def read(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to before `end`; raise `ObjectMissing` where there is no such file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a download came to.

    Attributes:
        digest: Digest of all bytes of the part file.
        fetched_bytes: Bytes that came from the store, less than the file's where it was resumed.
        hedges: Ranges that were asked for a second time, since their answer took unusually long.
        hedges_won: Those of them whose second answer was the first to come.
    """

    digest: str
    fetched_bytes: int
    hedges: int
    hedges_won: int


@runtime_checkable
class Made(Protocol):
    """A file that is made of what a remote store holds."""

    @property
    def name(self) -> str:
        """What it is made of and where that is, for people."""
        ...

    @property
    def size_bytes(self) -> int:
        """How large it is, as its manifest says."""
        ...

    def make(self, part: Path, hedging: Policy) -> Download:
        """Fill `part` with it, anew each time; the digest of what is wrong is that of the result."""
        ...


def download(remote: Remote, part: Path, journal: Path, hedging: Policy) -> Download:
    """Fill `part` with the file, and return its digest.

    Args:
        remote: The file.
        part: File to fill; it is allocated whole before the first byte is fetched.
        journal: File that tells which ranges of `part` are finished.
        hedging: Says when a range is asked for again.

    Raises:
        StoreError: If the store fails, or answers with too few bytes.
        OSError: If the disk does, for instance because it is full.
    """
    with _opened(part) as target, _opened(journal) as log:
        allocate(target, remote.size_bytes)
        ranges = _Ranges(remote, target, log, hedging)
        with ThreadPoolExecutor(CONCURRENT_RANGES) as pool:
            work = [pool.submit(ranges.finish, number) for number in range(ranges.count)]
            try:
                done = [item.result() for item in work]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return Download(
        digest=root_of([digest for item in done for digest in item.value.digests], remote.size_bytes),
        fetched_bytes=sum(item.value.fetched_bytes for item in done),
        hedges=sum(item.hedges for item in done),
        hedges_won=sum(item.hedges_won for item in done),
    )


@dataclass(frozen=True, slots=True)
class _Range:
    digests: list[bytes]
    fetched_bytes: int


class _Ranges:
    """The ranges of one file and the two files that they go into."""

    def __init__(self, remote: Remote, target: int, log: int, hedging: Policy) -> None:
        self._remote = remote
        self._target = target
        self._log = log
        self._hedging = hedging
        self._may_be_cut_off = is_background()
        self.count = -(-chunk_count(remote.size_bytes) // RANGE_CHUNKS)
        self._finished = os.pread(log, self.count, 0).ljust(self.count, b"\0")
        self._written: dict[int, _Range] = {}
        self._writing = [Lock() for _ in range(self.count)]

    def finish(self, number: int) -> Answer[_Range]:
        """Have one range in its place, and return the digests of its chunks."""
        if self._may_be_cut_off and is_ending():  # Python would wait for the pool until all ranges are fetched
            raise StoreError(f"{self._remote.name} is not fetched to the end: the process ends")
        start = number * RANGE_CHUNKS * CHUNK_BYTES
        end = min(start + RANGE_CHUNKS * CHUNK_BYTES, self._remote.size_bytes)
        if self._finished[number]:
            data = os.pread(self._target, end - start, start)
            if len(data) == end - start:
                return Answer(value=_Range(_digests(memoryview(data)), 0))
        if end - start < HEDGED_BYTES:
            return Answer(value=self._fetch(number, start, end))
        # The bytes stay in the thread that fetched them, whose memory the next ones take.
        return hedged(self._hedging, end - start, lambda: self._fetch(number, start, end))

    def _fetch(self, number: int, start: int, end: int) -> _Range:
        fetched = self._remote.read(start, end) if end > start else memoryview(b"")
        if len(fetched) != end - start:
            raise StoreError(
                f"cannot fetch {self._remote.name}: got {len(fetched):,} bytes at {start:,}, expected "
                f"{end - start:,}; check the server and what lies before it, then run again"
            )
        # Of two requests for a range the bytes of one are written, and those are what the digests are of. The other may
        # come when the files are closed.
        with self._writing[number]:
            if number not in self._written:
                digests = _digests(fetched)
                write(self._target, fetched, start)
                os.pwrite(self._log, b"\1", number)
                self._written[number] = _Range(digests, len(fetched))
        return self._written[number]


def _digests(data: memoryview) -> list[bytes]:
    return [chunk_digest(data[start : start + CHUNK_BYTES]) for start in range(0, max(1, len(data)), CHUNK_BYTES)]


def allocate(descriptor: int, size_bytes: int) -> None:
    """Give a file all its bytes on the disk, so that a full one shows before the first is written."""
    os.ftruncate(descriptor, size_bytes)
    if size_bytes and hasattr(os, "posix_fallocate"):  # not on macOS: there a full disk shows later
        os.posix_fallocate(descriptor, 0, size_bytes)


def write(descriptor: int, data: memoryview, start: int) -> None:
    """Write all of `data` from the byte `start` of a file on."""
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
