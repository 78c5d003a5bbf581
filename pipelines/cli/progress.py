"""Owns how long work shows where it is: a live line on a terminal, one plain line per finished step elsewhere.

Everything goes to stderr; stdout is for results.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol


class Shown(Protocol):
    """Where progress is told to."""

    def doing(self, partition: str, what: str) -> None:
        """Tell what is being worked on now."""
        ...

    def done(self, line: str) -> None:
        """Tell that one of the steps is finished, and how."""
        ...


@contextmanager
def progress(total: int, *, quiet: bool) -> Generator[Shown]:
    """Show the progress of `total` steps meanwhile."""
    if quiet:
        yield _Nothing()
    elif sys.stderr.isatty():
        with _live(total) as shown:
            yield shown
    else:
        yield _Lines(total)


class _Nothing:
    def doing(self, partition: str, what: str) -> None:
        pass

    def done(self, line: str) -> None:
        pass


class _Lines:
    def __init__(self, total: int) -> None:
        self._total = total
        self._finished = 0

    def doing(self, partition: str, what: str) -> None:
        pass

    def done(self, line: str) -> None:
        self._finished += 1
        print(f"[{self._finished}/{self._total}] {line}", file=sys.stderr, flush=True)


class _Live:
    def __init__(self, describe: Callable[[str], None], advance: Callable[[str], None]) -> None:
        self._describe = describe
        self._advance = advance

    def doing(self, partition: str, what: str) -> None:
        self._describe(f"{partition} {what}".strip())

    def done(self, line: str) -> None:
        self._advance(line)


@contextmanager
def _live(total: int) -> Generator[Shown]:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from pipelines.cli.console import console

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<32}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def advance(line: str) -> None:
            bar.console.print(escape(line))
            bar.advance(task)

        yield _Live(lambda text: bar.update(task, description=escape(text)), advance)


class Stopwatch:
    """Measures wall time from its making."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._start
