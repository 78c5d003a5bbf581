"""Owns what makes a table unreadable, and the errors that say so: names, Python objects, clocks, damaged files.

Every measure that takes tables of unknown origin asks here first. It reads no files and measures nothing.
"""

import os
import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import IO

import polars as pl

from resources.errors import ContractError, SourceError

Frame = pl.DataFrame | pl.LazyFrame
_YEARS_S = (-62_135_596_800, 253_402_300_799)
"""Seconds since 1970 of the first and last moment of the years 1 to 9999."""
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_PANIC = b"\nthread '"


def require_plain(what: str, schema: Mapping[str, pl.DataType], *, objects: bool = False) -> None:
    """Refuse columns that Polars does not read as they stand.

    Args:
        what: Name of the table, for the message.
        schema: Columns to types.
        objects: Whether columns of Python objects are of no harm.

    Raises:
        ContractError: If a name is `*` or lies between `^` and `$`, which stand for other columns wherever columns are
            named, or a column holds Python objects, on which Polars may end the process.
    """
    for name, kind in schema.items():
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise ContractError(f"{what}: column {name!r} is a pattern that stands for other columns too: rename it")
        if not objects and isinstance(kind, pl.Object):
            raise ContractError(f"{what}: column {name!r} holds Python objects: cast it, such as to text, or drop it")


def require_years(what: str, frame: Frame, names: Iterable[str]) -> None:
    """Refuse dates and times past the years 1 to 9999: Polars panics where it is to show or cast one.

    Args:
        what: Name of the table, for the message.
        frame: The table.
        names: Columns to look at; those that are no dates or times with a date are let pass.

    Raises:
        ContractError: Naming the column and its value, which is most often of another unit than it is taken for.
    """
    schema = frame.collect_schema()
    clocks = {name: bounds for name in names if (bounds := _physical_years(schema[name])) is not None}
    if not clocks:
        return
    physical = [pl.col(name).to_physical().cast(pl.Int64) for name in clocks]
    ends = [*(value.min() for value in physical), *(value.max() for value in physical)]
    numbered = [end.alias(str(place)) for place, end in enumerate(ends)]
    row = frame.lazy().select(numbered).collect(engine="streaming").row(0)
    for place, (name, (low, high)) in enumerate(clocks.items()):
        for end in (row[place], row[place + len(clocks)]):
            if end is not None and not low <= end <= high:
                unit = getattr(schema[name], "time_unit", "days")
                raise ContractError(
                    f"{what}: column {name!r} holds {end} {unit} since 1970, past the years 1 to 9999: "
                    "read it in its true unit, or make it null"
                )


def _physical_years(kind: pl.DataType) -> tuple[int, int] | None:
    low, high = _YEARS_S
    if isinstance(kind, pl.Date):
        return low // 86_400, high // 86_400
    if not isinstance(kind, pl.Datetime) or kind.time_unit == "ns":  # ns end in 2262
        return None
    per_second = _PER_SECOND[kind.time_unit]
    return low * per_second, (high + 1) * per_second - 1


@contextmanager
def damage_told(*tables: object) -> Generator[None]:
    """Turn what Polars raises of damaged files or values into a `SourceError`.

    While a table is lazy, a panic is held back from the error output, and told by the error even where Polars itself
    went on with the rows it had. What others write there meanwhile comes out at the end.

    Raises:
        SourceError: With Polars' reason and the remedy.
    """
    lazy = any(isinstance(table, pl.LazyFrame) for table in tables)
    try:
        with _panics_held_back() if lazy else nullcontext():
            yield
    except pl.exceptions.PanicException as error:
        raise unreadable(error) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(error) from error


def unreadable(error: BaseException) -> SourceError:
    """Return the error that says why data cannot be read."""
    told = str(error).strip().splitlines()
    reason = told[0][:300] if told else type(error).__name__
    if "PoisonError" in reason:
        return SourceError("the data cannot be read: Polars gave up this lazy frame before; make it and its files anew")
    return SourceError(f"the data cannot be read: {reason}; write the files anew, or correct what reads them")


@contextmanager
def _panics_held_back() -> Generator[None]:
    """Hold back what is written to file descriptor 2, where Rust tells panics; it is one of the whole process."""
    _output.hold()
    failed = False
    try:
        yield
    except pl.exceptions.PanicException:
        failed = True
        raise
    finally:
        swallowed = _output.release(panicked=failed)
        if swallowed and not failed and sys.exc_info()[0] is None:
            raise unreadable(pl.exceptions.PanicException(swallowed)) from None


class _ErrorOutput:
    """The error output, held in a file as long as anyone asks for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders = 0
        self._shared = False
        self._panicked = False
        self._terminal: int | None = None
        self._file: IO[bytes] | None = None

    def hold(self) -> None:
        """Write to the file from now on; without an error output nothing is done."""
        with self._lock:
            self._holders += 1
            self._shared = self._holders > 1
            if self._shared:
                return
            self._panicked = False
            try:
                sys.stderr.flush()
                self._terminal = os.dup(2)
            except (OSError, ValueError, AttributeError):
                self._terminal = None
                return
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `release`)
            os.dup2(self._file.fileno(), 2)

    def release(self, *, panicked: bool) -> str:
        """Write on what was held, but for panics; return the first line of one that nobody else was there to raise."""
        with self._lock:
            self._holders -= 1
            self._panicked |= panicked
            if self._holders or self._terminal is None or self._file is None:
                return ""
            sys.stderr.flush()
            os.dup2(self._terminal, 2)
            self._file.seek(0)
            text = self._file.read()
            self._file.close()
            alone = b"" if self._shared else text
            _, found, panic = alone.partition(_PANIC)
            if found or self._panicked:
                text = text.partition(_PANIC)[0]
            if text:
                os.write(2, text)
            os.close(self._terminal)
            self._terminal = self._file = None
            lines = panic.decode(errors="replace").splitlines()
            return lines[1] if found and len(lines) > 1 else ""


_output = _ErrorOutput()
