"""Owns scratch folders: each belongs to one process by a lock that its death releases, and is swept after that."""

import fcntl
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = "snapshot-"
_YOUNG_S = 60.0  # between making a folder and locking it, it looks abandoned


class ScratchFolder:
    """A new, locked folder below `parent`; `remove` deletes it.

    Args:
        parent: Where it is made; of those left there by processes that died, the ones of the same prefix are removed.
        prefix: How its name begins.
    """

    def __init__(self, parent: Path, *, prefix: str = _PREFIX) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent, prefix=prefix)
        self.path = parent / f"{prefix}{os.getpid()}-{secrets.token_hex(6)}"
        self.path.mkdir()
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete the folder and what is in it; once is enough."""
        if self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


def sweep(parent: Path, *, prefix: str = _PREFIX) -> None:
    """Delete the scratch folders whose process has died."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _YOUNG_S:
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the owner lives
        shutil.rmtree(folder)
    finally:
        os.close(lock)
