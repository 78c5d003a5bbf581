"""Owns exclusive locks between processes on a file: waiting is bounded, and a dead holder's are freed."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.errors import StoreError
from resources.storage.background import in_background

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.001
"""A lock that is not free after some pauses is waited for in the kernel: many wait for one, and each look, some 0.1 ms
after a sleep, would take processor time from what they wait for."""
_LOOK_S = 1.0
"""Between two looks whether the holder gets on."""


@contextmanager
def locked(
    file: Path,
    *,
    patience_s: float,
    done: Callable[[], bool] = lambda: False,
    progress: Callable[[], object] = lambda: None,
) -> Generator[bool]:
    """Hold the lock `file` and yield True, or yield False without it once `done` says that there is no need.

    Args:
        file: The file to lock; it is removed at the end, so that locks leave nothing behind.
        patience_s: Longest wait in seconds during which the holder makes no progress.
        done: Whether the holder has done what the lock is wanted for.
        progress: A value that changes while the holder gets on.

    Raises:
        StoreError: If the holder makes no progress for that long, naming its process.
    """
    descriptor = _acquired(file, patience_s, done, progress)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # a lock that is not given back would stop everybody until this process ends
            file.unlink(missing_ok=True)
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # for children, too, that were forked meanwhile
        os.close(descriptor)


def _acquired(file: Path, patience_s: float, done: Callable[[], bool], progress: Callable[[], object]) -> int | None:
    pause_s, seen, deadline = _FIRST_PAUSE_S, progress(), time.monotonic() + patience_s
    freed: Future[None] | None = None
    while (descriptor := _attempt(file)) is None:
        if freed is None and pause_s <= _LONGEST_PAUSE_S:
            time.sleep(pause_s)
            pause_s *= 2
        else:
            freed = freed or in_background(lambda: _await_free(file))
            if wait([freed], timeout=min(_LOOK_S, patience_s / 4)).done:
                freed, pause_s = None, _FIRST_PAUSE_S  # others wake at the same moment
        if done():
            return None
        if (now := progress()) != seen:
            seen, deadline = now, time.monotonic() + patience_s
        if time.monotonic() > deadline:
            raise StoreError(
                f"process {_holder(file)} has held {file} for {patience_s:g} s without progress: "
                "end that process (it may be stopped or hang), then run again"
            )
    return descriptor


def _await_free(file: Path) -> None:
    """Return once nobody holds the lock; all who wait are woken together, for who sleeps among them delays nobody."""
    with suppress(FileNotFoundError):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # for children, too, that were forked meanwhile
        finally:
            os.close(descriptor)


def _attempt(file: Path) -> int | None:
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before may have removed the file between the two calls: then this lock excludes nobody.
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            with suppress(OSError):  # on a full disk, too, there must be a way to make room
                os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _holder(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip() or "(unknown)"
    except (OSError, ValueError):
        return "(unknown)"
