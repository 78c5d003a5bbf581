"""Owns profiles: what a table holds, column by column, as a small value that merges and is kept as JSON.

It compares nothing (`quality.drift` does), and what a column's profile is made of is `quality.profiles`'s. A profile is
a function of the rows alone: neither threads nor the pieces that a frame lies in show in it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl

from quality.profiles.columns import QUANTILES, ColumnProfile, column_profile
from quality.profiles.merging import merge_columns
from quality.profiles.quantiles import POINTS
from quality.profiles.running import Running, running
from quality.profiles.sample import Choice, Sample
from quality.profiles.stored import FORMAT, read_column
from quality.readable import damage_told, require_plain
from resources.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["QUANTILES", "ColumnProfile", "Profile", "merge", "profile", "profile_batches"]

ROWS = 1 << 20
"""Rows that are held and profiled together; of more, columns of many distinct values are sampled."""
_SAMPLED_SHARE = 2
"""Of more rows, one in so many of these is sampled at most, and half as many at least.

A rank is right within 0.32 % with 99 % confidence then, less than what lies between two cut points that are stored.
"""
_CELLS, _LEAST = 1 << 27, 1 << 14
"""Fewer rows are held where there are more columns, but never fewer than these."""
_PIECE, _SLICE = 1 << 15, 1 << 18
"""Rows that are worth the handing on, and the most that are worked on at once."""
_TASKS = 64
"""Parts that the columns are handed on in at most."""
_HELD = 64
"""Profiles that are merged at once: a merge of merges adds up their errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a table holds: its rows, and each column."""

    rows: int
    columns: Mapping[str, ColumnProfile]

    @property
    def types(self) -> dict[str, str]:
        """Column to the name of its Polars type."""
        return {name: column.type for name, column in self.columns.items()}

    @property
    def comparable(self) -> bool:
        """Whether every column of numbers or times has its ranks: profiles of format 1 have none."""
        return all(column.sketch is not None for column in self.columns.values() if column.kind in ("number", "time"))

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the profile as a JSON value with finite numbers only."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Profile":  # Any: JSON values
        """Return the profile that `to_json` wrote, in this version or an earlier one.

        Raises:
            ContractError: If a newer version wrote it, or it is no profile.
        """
        written = value.get("format", 1)
        if "columns" not in value or written > FORMAT:
            raise ContractError(f"profile of format {written}: this version reads up to {FORMAT}; upgrade Penstock")
        return cls(
            rows=value["rows"], columns={name: read_column(item, written) for name, item in value["columns"].items()}
        )


def profile(frame: pl.DataFrame | pl.LazyFrame, *, points: int = POINTS) -> Profile:
    """Return the profile of `frame`; of a lazy one that does not fit in memory too.

    Args:
        frame: The rows.
        points: Cut points of the quantile sketches: a rank is right within 1 in so many.

    Raises:
        ContractError: If the name of a column is a pattern.
        SourceError: If a lazy frame cannot be read.
    """
    if isinstance(frame, pl.DataFrame):
        return _profiled([frame], points)
    with damage_told(frame):
        batches = iter(frame.collect_batches(maintain_order=True, lazy=True))
        return _profiled(chain([pl.DataFrame(schema=frame.collect_schema())], batches), points)


def profile_batches(batches: "Iterable[pa.RecordBatch | pa.Table | pl.DataFrame]") -> Profile:
    """Return the profile of rows that come in batches of any size, holding about a million rows at a time.

    Raises:
        ContractError: If there is no batch: its columns are unknown.
    """
    return _profiled((_frame(batch) for batch in batches), POINTS)


def merge(profiles: Iterable[Profile], *, points: int = POINTS) -> Profile:
    """Return the profile of all rows that `profiles` describe, the same in whatever order they come.

    Counts and ranges are exact, histograms of columns that were not sampled, and moments to 9 digits (Pébay, 2008).
    Quantiles and frequent values state their error; the number of distinct values its standard error.

    Args:
        profiles: Profiles of tables of one schema.
        points: Cut points that the quantile sketches keep.

    Raises:
        ContractError: If the profiles do not hold the same columns with the same types, or there are none.
    """
    held: list[Profile] = []
    for part in profiles:
        held.append(part)
        if len(held) == _HELD:
            held = [_merged(held, points)]
    if not held:
        raise ContractError("no profiles to merge: give at least one")
    return _merged(held, points)


def _profiled(frames: Iterable[pl.DataFrame], points: int) -> Profile:
    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers, thread_name_prefix="profile") as pool:
        passing: _Passing | None = None
        for frame in frames:
            require_plain("the table", frame.schema, objects=True)
            passing = passing or _Passing(frame.clear(), pool)
            passing.add(frame)
            del frame
        if passing is None:
            raise ContractError("no batches to profile: give at least one, it may be empty")
        return passing.profile(points)


class _Passing:
    """The profile of rows while they pass: the first of them are held, and profiled together if no more come.

    Columns are worked on while the next rows are made; one column by one thread at a time.
    """

    def __init__(self, empty: pl.DataFrame, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._empty = empty
        self._most = max(_LEAST, min(ROWS, _CELLS // max(1, empty.width)))
        self._columns: dict[str, Running] = {}
        self._sample = Sample({}, self._most)
        self._held: list[pl.DataFrame] = []
        self._work: list[Future[None]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        self._held.append(frame)
        rows = sum(frame.height for frame in self._held)
        if self._columns:
            if rows >= _PIECE:
                self._pass_on()
        elif rows > self._most:
            self._columns = {name: running(dtype) for name, dtype in self._empty.schema.items()}
            self._sample = Sample(self._empty.schema, self._most // _SAMPLED_SHARE)
            self._pass_on()

    def profile(self, points: int) -> Profile:
        """Return the profile of all rows."""
        if not self._columns:
            rows = pl.concat([self._empty, *self._held])
            self._held.clear()
            columns = self._pool.map(lambda values: column_profile(values, points=points), rows.get_columns())
            return Profile(rows=rows.height, columns=dict(zip(rows.columns, columns, strict=True)))
        self._pass_on()
        self._wait()
        columns = self._pool.map(
            lambda name: self._columns[name].profile(self._sample.values(name), points), self._empty.columns
        )
        return Profile(rows=self._sample.rows, columns=dict(zip(self._empty.columns, columns, strict=True)))

    def _pass_on(self) -> None:
        """Let all columns take the rows that are held."""
        self._wait()
        held, self._held = self._held, []
        if sum(frame.height for frame in held) < _PIECE * len(held):
            held = [pl.concat(held)] if held else []
        held = [piece for frame in held for piece in frame.iter_slices(_SLICE)]
        choice = self._sample.choose(frame.height for frame in held)
        names = self._empty.columns
        share = -(-len(names) // _TASKS)
        self._work = [
            self._pool.submit(self._take, names[start : start + share], held, choice)
            for start in range(0, len(names), share)
        ]

    def _take(self, names: Sequence[str], frames: Sequence[pl.DataFrame], choice: Choice) -> None:
        for name in names:
            columns = [frame.get_column(name) for frame in frames]
            if self._empty.schema[name] != pl.String:  # numpy needs numbers in one piece, and twice
                columns = [values.rechunk() for values in columns]
            for values in columns:
                self._columns[name].add(values)
            self._sample.take(name, columns, choice)

    def _wait(self) -> None:
        work, self._work = self._work, []
        for done in work:
            done.result()


def _frame(batch: "pa.RecordBatch | pa.Table | pl.DataFrame") -> pl.DataFrame:
    if isinstance(batch, pl.DataFrame):
        return batch
    found = pl.from_arrow(batch)
    return found if isinstance(found, pl.DataFrame) else found.to_frame()


def _merged(parts: Sequence[Profile], points: int) -> Profile:
    if len(parts) == 1:
        return parts[0]
    kinds = [part.types for part in parts]
    for kind in kinds[1:]:
        odd = sorted(set(kinds[0].items()) ^ set(kind.items()))
        if odd:
            raise ContractError(f"profiles differ in {odd[0][0]!r} ({odd[0][1]}): merge profiles of one schema")
    columns = {name: merge_columns([part.columns[name] for part in parts], points) for name in parts[0].columns}
    return Profile(rows=sum(part.rows for part in parts), columns=columns)
