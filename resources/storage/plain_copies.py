"""Owns the plain bytes of encrypted files while somebody reads them: in memory, with a path, never on a disk.

Each is a sealed memory file of this process (`memfd_create`), which libraries open by its path below `/proc`. It goes
with the last lease, or with the process, whatever ends that. Memory may be swapped out: encrypt the swap.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from resources.errors import StoreError

_LOCKS = 64
_SEALS = ("F_SEAL_WRITE", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL")


@dataclass(slots=True)
class _Copy:
    descriptor: int
    leases: int


class PlainCopies:
    """The plain copies that this process holds, one for each file however often it is leased."""

    def __init__(self) -> None:
        self._copies: dict[str, _Copy] = {}
        self._making = [Lock() for _ in range(_LOCKS)]
        self._lock = Lock()

    def lease(self, name: str, size_bytes: int, read: Callable[[], Iterable[bytes]]) -> Path:
        """Return the path of the copy called `name`, made of what `read` yields if there is none.

        Raises:
            StoreError: If there is no memory for it, or the system has no memory files.
        """
        with self._making[hash(name) % _LOCKS]:  # one of several threads that want the same makes it
            with self._lock:
                if (copy := self._copies.get(name)) is not None:
                    copy.leases += 1
                    return _path(copy.descriptor)
            descriptor = _written(name, size_bytes, read())
            with self._lock:
                self._copies[name] = _Copy(descriptor, 1)
            return _path(descriptor)

    def opened(self, name: str) -> int | None:
        """Return a new descriptor of the copy called `name`, for the caller to close; None where there is none."""
        with self._lock:
            copy = self._copies.get(name)
            return os.dup(copy.descriptor) if copy is not None else None

    def release(self, name: str) -> None:
        """Give back one lease; with the last the memory is freed once nobody has it open or mapped."""
        with self._lock:
            copy = self._copies.get(name)
            if copy is None:
                return
            copy.leases -= 1
            if copy.leases == 0:
                os.close(self._copies.pop(name).descriptor)


def _path(descriptor: int) -> Path:
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")


def _written(name: str, size_bytes: int, parts: Iterable[bytes]) -> int:
    if not hasattr(os, "memfd_create"):
        raise StoreError("encrypted stores are read through memory files, which only Linux has: use Linux")
    descriptor = os.memfd_create(f"penstock-{name[:12]}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, sum(getattr(fcntl, seal) for seal in _SEALS))
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"cannot hold the {size_bytes:,} plain bytes of file {name[:12]} in memory: {error.strerror}; read fewer "
            "files at once, or give this process more memory"
        ) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
