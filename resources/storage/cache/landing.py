"""Owns reading from a download that is under way: what has landed in the part is there for all before the rest is.

Nothing here is verified: who reads parts of files has their digests.
"""

import fcntl
import os
import time
from contextlib import ExitStack, suppress

from resources.storage.cache.download import CONCURRENT_RANGES, RANGE_CHUNKS
from resources.storage.cache.layout import Layout
from resources.storage.content import CHUNK_BYTES

AHEAD_RANGES = 2 * CONCURRENT_RANGES
"""A range that is fetched this soon after the first one that is missing is waited for; one further on is not."""
STILL_S = 1.0
"""Seconds without a finished range, after which nobody waits any longer."""
_PAUSE_S = 0.005


def landed(layout: Layout, name: str, size_bytes: int, start: int, end: int) -> bytes | None:
    """Return the bytes of `name` from `start` to before `end` out of its download, waiting where they come soon.

    Args:
        layout: The folder of the cache.
        name: The entry.
        size_bytes: Bytes of the whole.
        start: First byte.
        end: Behind the last byte; there is at least one.

    Returns:
        Unverified bytes, or None where nobody downloads, or these would be waited for too long.
    """
    try:
        journal = os.open(layout.journal(name), os.O_RDONLY)
    except FileNotFoundError:
        return None
    with ExitStack() as opened:
        opened.callback(os.close, journal)
        try:
            part = os.open(layout.part(name, size_bytes), os.O_RDONLY)
        except FileNotFoundError:
            return None
        opened.callback(os.close, part)
        range_bytes = RANGE_CHUNKS * CHUNK_BYTES
        if not _wait(layout, name, journal, start // range_bytes, (end - 1) // range_bytes):
            return None
        data = os.pread(part, end - start, start)
        return data if len(data) == end - start else None


def _wait(layout: Layout, name: str, journal: int, first: int, last: int) -> bool:
    """Wait for ranges to land; return whether they did."""
    seen, deadline = b"", time.monotonic() + STILL_S
    while True:
        marks = os.pread(journal, last + 1, 0).ljust(last + 1, b"\0")
        missing = marks.find(b"\0")
        if missing < 0 or b"\0" not in marks[first:]:
            return True
        if last > missing + AHEAD_RANGES:
            return False
        if marks != seen:
            seen, deadline = marks, time.monotonic() + STILL_S
        if time.monotonic() > deadline or not _is_under_way(layout, name):
            return False
        time.sleep(_PAUSE_S)


def _is_under_way(layout: Layout, name: str) -> bool:
    """Return whether a living process holds the lock of the entry."""
    with suppress(FileNotFoundError):
        lock = os.open(layout.lock(name), os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False
