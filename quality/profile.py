"""Owns profiles: what a table holds, column by column, as a small value that merges and is kept as JSON.

It compares nothing (`quality.drift` does), and what a column's profile is made of is `quality.profiles`'s. A profile is
a function of the rows alone: neither threads nor the pieces that a frame lies in show in it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl

from quality.profiles.columns import QUANTILES, ColumnProfile, column_profile
from quality.profiles.merging import merge_columns
from quality.profiles.quantiles import POINTS
from quality.profiles.stored import FORMAT, read_column
from quality.readable import damage_told, require_plain
from resources.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["QUANTILES", "ColumnProfile", "Profile", "merge", "profile", "profile_batches"]

ROWS = 1 << 20
"""Rows profiled at once: the profile of more is the merge of those of such stretches, in bounded memory."""
_HELD = 64
"""Profiles of stretches that are merged at once: a merge of merges adds up their errors."""


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
        return cls(rows=value["rows"], columns={name: read_column(item) for name, item in value["columns"].items()})


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
        return merge(_stretches([frame], points), points=points)
    with damage_told(frame):
        batches = frame.collect_batches(maintain_order=True, chunk_size=ROWS // 8)
        parts = _stretches(batches, points)
        first = next(parts, None)
        if first is None:
            return profile(pl.DataFrame(schema=frame.collect_schema()))
        return merge(chain([first], parts), points=points)


def profile_batches(batches: "Iterable[pa.RecordBatch | pa.Table | pl.DataFrame]") -> Profile:
    """Return the profile of rows that come in batches of any size, holding about a million rows at a time.

    Raises:
        ContractError: If there is no batch: its columns are unknown.
    """
    return merge(_stretches((_frame(batch) for batch in batches), POINTS))


def merge(profiles: Iterable[Profile], *, points: int = POINTS) -> Profile:
    """Return the profile of all rows that `profiles` describe, the same in whatever order they come.

    Counts, ranges and histograms are exact, moments too to 9 digits (Pébay, 2008). Quantiles and frequent values state
    their error; the number of distinct values its standard error.

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


def _stretches(frames: Iterable[pl.DataFrame], points: int) -> Iterator[Profile]:
    """Yield the profiles of stretches of `ROWS` rows, however the frames are cut; of an empty one if that is all."""
    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers, thread_name_prefix="profile") as pool:
        for rows in _pieces(frames):
            columns = pool.map(lambda values: column_profile(values, points=points), rows.get_columns())
            found = Profile(rows=rows.height, columns=dict(zip(rows.columns, columns, strict=True)))
            del rows, columns  # or they would be held while the next rows are read
            yield found


def _pieces(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    held: list[pl.DataFrame] = []
    empty: pl.DataFrame | None = None
    count, yielded = 0, False
    for frame in frames:
        require_plain("the table", frame.schema, objects=True)
        empty = frame.clear() if empty is None else empty
        start = 0
        while count + frame.height - start >= ROWS:
            end = start + ROWS - count
            piece, held = pl.concat([*held, frame[start:end]]), []
            count, start, yielded = 0, end, True
            yield piece
            del piece
        if start < frame.height:
            held.append(frame[start:])
            count += frame.height - start
    if held:
        yield pl.concat(held)
    elif empty is not None and not yielded:
        yield empty


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
