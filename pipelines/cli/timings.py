"""Owns where the wall time of a command goes: a sampler of the main thread's stack, which no other code knows of.

A sample belongs to whoever is found first from the innermost frame outwards: Dagster (with its database), Great
Expectations, the trainer's library, or Penstock. Work of other libraries counts for whoever called them, except
that what Penstock imports of them is shown on its own line. Sampled every few milliseconds, so small shares are rough.
"""

import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.004
OWNERS = {
    "dagster": "dagster",
    "dagster_shared": "dagster",
    "dagster_pipes": "dagster",
    "dagster_graphql": "dagster",
    "sqlalchemy": "dagster",
    "alembic": "dagster",
    "great_expectations": "great_expectations",
    "lightgbm": "trainer",
    "sklearn": "trainer",
    "skops": "trainer",
    "torch": "trainer",
}
PENSTOCK = ("pipelines", "assets", "resources", "quality")
LIBRARIES, OWN, START_UP = "imports of libraries", "penstock", "start-up"
LINES = (START_UP, "dagster", "great_expectations", "trainer", LIBRARIES, OWN)
_ROOT = Path(__file__).resolve().parents[2]
_IMPORTING = "<frozen importlib._bootstrap>"


class Timings:
    """Seconds by owner."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(LINES, 0.0)

    def shares(self) -> dict[str, float]:
        """Return owner to its share of the whole."""
        total = sum(self.seconds.values()) or 1.0
        return {name: self.seconds[name] / total for name in LINES}


@contextmanager
def sampled(timings: Timings, *, start_up_s: float = 0.0) -> Generator[None]:
    """Sample the calling thread meanwhile.

    Args:
        timings: Where seconds are added.
        start_up_s: Seconds that passed in this process before.
    """
    timings.seconds[START_UP] += start_up_s
    stop = threading.Event()
    sampler = threading.Thread(target=_sample, args=(timings, threading.get_ident(), stop), daemon=True)
    sampler.start()
    try:
        yield
    finally:
        stop.set()
        sampler.join()


def process_age_s() -> float:
    """Return how long this process has lived, in seconds; 0 where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0.0
    import os

    return max(0.0, uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def _sample(timings: Timings, thread: int, stop: threading.Event) -> None:
    last = time.perf_counter()
    while not stop.wait(INTERVAL_S):
        frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] (documented, for samplers)
        now = time.perf_counter()
        timings.seconds[_owner(frame)] += now - last
        last = now
    timings.seconds[OWN] += time.perf_counter() - last


def _owner(frame: FrameType | None) -> str:
    """Return who is at work in `frame` and its callers."""
    importing = False
    for name in _files(frame):
        importing = importing or name == _IMPORTING
        package = _package(name)
        if package in OWNERS:
            return OWNERS[package]
        if package in PENSTOCK:
            return LIBRARIES if importing else OWN
    return LIBRARIES if importing else OWN


def _files(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def _package(file: str) -> str:
    """Return the top-level package that `file` belongs to, or an empty text."""
    _, found, inside = file.rpartition("site-packages/")
    if found:
        return inside.partition("/")[0]
    return file.removeprefix(f"{_ROOT}/").partition("/")[0] if file.startswith(str(_ROOT)) else ""
