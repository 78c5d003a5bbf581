"""Owns the headers of encrypted files that this host has seen: a file of which it has a copy is opened without network.

A header is sealed: one that was altered or torn does not open and is fetched again. They are few bytes each and not
counted in the cache's budget.
"""

import secrets
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import Lock

from resources.canonical import digest_bytes

_MOST = 4096


class HeaderCache:
    """Headers in memory, and in `folder` where there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str) -> bytes | None:
        """Return the header called `name`, or None."""
        with self._lock:
            if (found := self._known.get(name)) is not None:
                self._known.move_to_end(name)
                return found
        with suppress(OSError):
            if self._folder is not None:
                return self._path(self._folder, name).read_bytes()
        return None

    def add(self, name: str, header: bytes) -> None:
        """Remember a header; a disk that does not take it costs a request later."""
        with self._lock:
            self._known[name] = header
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        if self._folder is None:
            return
        path = self._path(self._folder, name)
        aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        with suppress(OSError):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(header)
                aside.replace(path)

    def drop(self, name: str) -> None:
        """Forget a header."""
        with self._lock:
            self._known.pop(name, None)
        if self._folder is not None:
            with suppress(OSError):
                self._path(self._folder, name).unlink()

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        digest = digest_bytes(name.encode())
        return folder / digest[:2] / digest
