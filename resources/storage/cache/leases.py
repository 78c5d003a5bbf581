"""Owns leases: what a living process uses is not evicted, and the kernel ends the leases of one that dies.

A lease is a shared lock on one byte of the file `leases`, at an offset that the entry's digest gives; eviction needs
the exclusive lock on that byte. So there is nothing to clean up, one descriptor serves any number of leases, and a
path that was looked up under a lease stays. POSIX drops all such locks of a process when it closes *any* descriptor of
the file: there is one per process and folder, and it is never closed.
"""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from resources.errors import StoreError
from resources.storage.cache.layout import number_of

_PAUSE_S = 0.001
_LONGEST_S = 60.0  # an eviction unlinks one file
_opened: dict[str, "Leases"] = {}
_opening = Lock()


def leases_in(file: Path) -> "Leases":
    """Return the leases of this process on what `file` stands for."""
    with _opening:
        found = _opened.get(name := os.path.realpath(file))
        if found is None:
            found = _opened[name] = Leases(file)
        return found


class Leases:
    """The leases of one process; get them from `leases_in`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # the locks stayed with the parent

    def take(self, name: str) -> None:
        """Lease `name` once more; a lease may be taken before there is anything under the name.

        Raises:
            StoreError: If an eviction holds it for a minute.
        """
        with self._mutex:
            if not self._held[name]:
                self._share(name)
            self._held[name] += 1

    def release(self, name: str) -> None:
        """Give back one lease of `name`; without one, do nothing."""
        with self._mutex:
            if not self._held[name]:
                return
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
                self._lock(fcntl.LOCK_UN, name)

    def names(self) -> frozenset[str]:
        """Return what this process leases."""
        with self._mutex:
            return frozenset(self._held)

    def has_others(self, name: str) -> bool:
        """Return whether another process leases `name` beside this one."""
        with self._mutex:
            if not self._exclude(name):
                return True
            self._lock(fcntl.LOCK_SH if name in self._held else fcntl.LOCK_UN, name)
            return False

    @contextmanager
    def idle(self, name: str) -> Generator[bool]:
        """Yield whether nobody leases `name`; if so nobody can begin to, until the end of the block."""
        with self._mutex:
            free = name not in self._held and self._exclude(name)
            try:
                yield free
            finally:
                if free:
                    self._lock(fcntl.LOCK_UN, name)

    def _begin(self) -> None:
        self._mutex = Lock()
        self._held: Counter[str] = Counter()

    def _share(self, name: str) -> None:
        self._reopen_if_removed()
        deadline = time.monotonic() + _LONGEST_S
        while not self._attempt(fcntl.LOCK_SH, name):
            if time.monotonic() > deadline:
                raise StoreError(
                    f"cannot use {name} in the cache {self._file.parent}: another process has been evicting it for "
                    f"{_LONGEST_S:.0f} s; end that process (it may be stopped), then run again"
                )
            time.sleep(_PAUSE_S)

    def _exclude(self, name: str) -> bool:
        return self._attempt(fcntl.LOCK_EX, name)

    def _attempt(self, kind: int, name: str) -> bool:
        try:
            self._lock(kind | fcntl.LOCK_NB, name)
        except (BlockingIOError, PermissionError):  # POSIX allows either for a lock that is taken
            return False
        return True

    def _reopen_if_removed(self) -> None:
        try:
            if self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), self._file.stat()):
                return
        except FileNotFoundError:
            pass
        if self._descriptor >= 0:  # somebody cleared the folder: with the files their leases are gone
            os.close(self._descriptor)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR, 0o666)

    def _lock(self, kind: int, name: str) -> None:
        if self._descriptor < 0:
            self._reopen_if_removed()
        fcntl.lockf(self._descriptor, kind, 1, number_of(name))
