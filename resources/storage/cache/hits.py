"""Owns how often entries were read lately: one byte an entry, raised without any lock whenever there is a hit.

Processes may lose a hit to each other and two entries may share a byte: it is a hint for eviction, nothing else.
"""

import os
from pathlib import Path

from resources.storage.cache.layout import number_of

MOST = 3  # S3-FIFO counts no further, so that what was hot cools down soon
_SLOTS = 2**16


class Hits:
    """The counts in `file`, which grows to 64 KiB."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1

    def add(self, name: str) -> None:
        """Count a hit; a full or read-only disk loses it."""
        try:
            if (count := self.get(name)) < MOST:
                self.set(name, count + 1)
        except OSError:
            pass

    def get(self, name: str) -> int:
        """Return the hits since the entry came or was last spared, at most `MOST`."""
        found = os.pread(self._open(), 1, number_of(name) % _SLOTS)
        return min(found[0], MOST) if found else 0

    def set(self, name: str, count: int) -> None:
        """Write the count."""
        os.pwrite(self._open(), bytes((count,)), number_of(name) % _SLOTS)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR, 0o666)
        return self._descriptor

    def __del__(self) -> None:
        if os is not None:  # pyright: ignore[reportUnnecessaryComparison]; at the end of Python modules are gone
            self.close()
