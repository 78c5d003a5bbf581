"""Owns the memory of when each copy in the cache was last hashed by a scrub: records of 40 bytes in one small file.

Nothing but the order of the next scrub depends on it, so it is never flushed, and one that is lost, torn or wrong costs
reading, not trust. Only the process that holds the lock of the scrub writes it.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from os import O_CREAT, O_WRONLY, close, open, pwrite
from pathlib import Path

_FORMAT = struct.Struct("<32sd")


class Verifications:
    """What is remembered in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1
        self._count = 0

    def read(self) -> dict[str, float]:
        """Return the name of each copy that was hashed, and when, in seconds since 1970."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return {}
        whole = len(data) // _FORMAT.size * _FORMAT.size
        return {name.hex(): at for name, at in _FORMAT.iter_unpack(data[:whole])}

    def begin(self, known: Mapping[str, float]) -> None:
        """Remember `known` and nothing else, and be ready for more; a full disk loses it."""
        aside = self._file.with_name(f".{self._file.name}")
        with suppress(OSError):
            aside.write_bytes(b"".join(_FORMAT.pack(bytes.fromhex(name), at) for name, at in known.items()))
            aside.replace(self._file)
            self._descriptor, self._count = open(self._file, O_CREAT | O_WRONLY, 0o666), len(known)

    def add(self, name: str, at: float) -> None:
        """Remember that `name` was hashed; what is remembered last of a name counts."""
        with suppress(OSError):
            # In its own place, not at the end: a record that was written in part is written over by the next.
            if (
                self._descriptor >= 0
                and pwrite(self._descriptor, _FORMAT.pack(bytes.fromhex(name), at), self._count * _FORMAT.size)
                == _FORMAT.size
            ):
                self._count += 1

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            close(self._descriptor)
            self._descriptor = -1
