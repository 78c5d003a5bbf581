"""Owns the progress line of a loader: how far the epoch is, how fast, and how much of the time was spent waiting.

It is written between two batches, a few times a second, so a loader that waits shows what it knew before.
"""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TextIO, TypeAlias, TypeVar

from resources.errors import LoaderError
from resources.loader.stats import LoaderStats
from resources.wording import count

Progress: TypeAlias = bool | TextIO
EVERY_S = 0.25
EVERY_PLAIN_S = 10.0
"""Seconds between two lines where none can take the place of the last: in a file or pipe."""
_CLEAR = "\x1b[K"
_NARROW = 80
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a loader is.

    Attributes:
        epoch: Number of the epoch.
        rows: Samples of it that all ranks have had.
        total: Samples that it has.
        stats: What this loader did so far.
    """

    epoch: int
    rows: int
    total: int
    stats: LoaderStats


def stream_of(progress: object) -> TextIO | None:
    """Return where the line goes; None if there is to be none.

    Args:
        progress: True for stderr if that is a terminal, a text stream for that one, False for none.

    Raises:
        LoaderError: If it is none of these.
    """
    if progress is True:
        return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None  # pyright: ignore[reportUnnecessaryComparison]
    if progress is False:
        return None
    if not callable(getattr(progress, "write", None)) or not callable(getattr(progress, "flush", None)):
        raise LoaderError(f"progress is {progress!r}: give True, False, or a text stream such as sys.stderr")
    return progress  # pyright: ignore[reportReturnType]


def followed(batches: Generator[_T], where: Callable[[], Position], stream: TextIO) -> Generator[_T]:
    """Yield the batches, and write to `stream` how far they are."""
    with closing(batches), closing(_Line(stream, where())) as line:
        for batch in batches:
            if time.perf_counter() >= line.due:
                line.write(where())
            yield batch
        line.finish(where())


class _Line:
    """A line that is written again and again; a stream that cannot be written is left alone."""

    def __init__(self, stream: TextIO, start: Position) -> None:
        self._stream = stream
        self._start = start
        self._live = _is_terminal(stream)
        self._every_s = EVERY_S if self._live else EVERY_PLAIN_S
        self._open = False
        self.due = time.perf_counter() + self._every_s

    def write(self, now: Position) -> None:
        self._put(text_of(self._start, now))
        self.due = time.perf_counter() + self._every_s

    def finish(self, now: Position) -> None:
        self._put(text_of(self._start, now, is_over=True))

    def close(self) -> None:
        if self._open:
            self._send("\n")
            self._open = False

    def _put(self, text: str) -> None:
        if self._live:
            self._send(f"\r{text[: _width(self._stream) - 1]}{_CLEAR}")
            self._open = True
        else:
            self._send(f"{text}\n")

    def _send(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a terminal that was closed must not end the training
            self.due = float("inf")
            self._every_s = float("inf")


def text_of(start: Position, now: Position, *, is_over: bool = False) -> str:
    """Return the line.

    Args:
        start: Where the loop began; rates count from there.
        now: Where it is.
        is_over: Whether the epoch is through.
    """
    elapsed_s = now.stats.elapsed_s - start.stats.elapsed_s
    per_s = 1 / elapsed_s if elapsed_s > 0 else 0.0
    gone = (now.rows if not is_over else now.total) - start.rows
    rest_s = (now.total - now.rows) / (gone * per_s) if gone and per_s else None
    parts = [
        f"epoch {start.epoch}",
        f"{_share(now.total if is_over else now.rows, now.total)} of {now.total:,} rows",
        f"{count((now.stats.rows - start.stats.rows) * per_s)} rows/s",
        f"{(now.stats.size_bytes - start.stats.size_bytes) * per_s / 1e9:.3g} GB/s",
        f"{(now.stats.waited_s - start.stats.waited_s) * per_s:.0%} stalled",
        f"took {_duration(elapsed_s)}" if is_over else f"{_duration(rest_s)} left",
    ]
    return "  ".join(parts)


def _share(done: int, total: int) -> str:
    return f"{done / total:.0%}" if total else "100%"


def _duration(value_s: float | None) -> str:
    """Return hours, minutes and seconds.

    >>> _duration(7), _duration(3725), _duration(None)
    ('0:07', '1:02:05', '?')
    """
    if value_s is None:
        return "?"
    minutes, seconds = divmod(round(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _NARROW
    except (OSError, ValueError, AttributeError):
        return _NARROW
