"""Owns what needs every different value of a column, in bounded memory: passes, each over one part of the hashes.

Rows with equal values have equal hashes, so each pass sees whole groups and the parts add up exactly.
"""

import heapq
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import polars as pl

from quality.suites.needs import Distinct, Found, Modes, Repeated, Smallest

if TYPE_CHECKING:
    from quality.suites.source import Source

_ROWS_PER_PASS = 1_500_000
_SEED = 20_260_101
_FEW_SHARE = 0.25
_HELD = 500_000
"""Different values that the one query may hold of a column."""


def spread_widely(runs: Sequence[pl.Series], rows: int) -> bool:
    """Return whether a column seems to have too many different values to hold them at once.

    It goes by samples. Values that are not shared between places of a sorted column are scaled up to all rows. A wrong
    guess costs memory or time, never the result.
    """
    together = pl.concat(runs)
    if not len(together):
        return False
    different = together.n_unique()
    apart = sum(run.n_unique() for run in runs) <= 1.5 * different
    return different > _FEW_SHARE * len(together) or (apart and different / len(together) * rows > _HELD)


def distinct(source: "Source", need: Distinct) -> int:
    """Return how many different values there are."""
    parts = (part.select(value.drop_nulls().n_unique()) for part, value in _parts(source, need.value))
    return sum(part.collect(engine="streaming").item() for part in parts)


def smallest(source: "Source", need: Smallest) -> tuple[int, list[Any]]:
    """Return how many different values pass the mask, and the smallest of them."""
    count, kept = 0, list[Any]()
    for part, value in _parts(source, need.value.filter(need.mask)):
        values = part.select(value.drop_nulls().unique()).collect(engine="streaming").to_series()
        count += len(values)
        kept = heapq.nsmallest(need.limit, (*kept, *values.bottom_k(need.limit).to_list()))
    return count, sorted(kept)


def modes(source: "Source", need: Modes) -> list[Any]:
    """Return the most frequent values, smallest first."""
    most, found = 0, list[Any]()
    for part, value in _parts(source, need.value):
        counted = part.select(value.drop_nulls().alias("value")).group_by("value").agg(pl.len().alias("count"))
        best = counted.filter(pl.col("count") == pl.col("count").max()).collect(engine="streaming")
        if best.height and (count := best["count"][0]) >= most:
            found = [*(found if count == most else []), *best["value"].to_list()]
            most = count
    return sorted(found)


def repeated(source: "Source", need: Repeated, position: str) -> tuple[int, Found]:
    """Return how many rows have values that other rows have too, and the first of those rows.

    The first rows belong to the groups that begin first, so no more groups than rows have to be remembered.
    """
    names = [f"value {place}" for place in range(len(need.values))]
    values = [value.alias(name) for value, name in zip(need.values, names, strict=True)]
    rows = source.frame.with_row_index(position).filter(need.mask).select(pl.col(position), *values)
    count, begun = 0, list[pl.DataFrame]()
    positions = list[int]()
    for part in _hash_parts(source, reduce(lambda left, right: left + right, _hashes(names))):
        groups = rows.filter(part).group_by(names).agg(pl.len().alias("count"), pl.col(position).min().alias("first"))
        groups = groups.filter(pl.col("count") > 1).collect(engine="streaming")
        count += int(groups["count"].sum())
        begun.append(groups.bottom_k(need.limit, by="first"))
    first = pl.concat(begun).bottom_k(need.limit, by="first").select(names)
    members = rows.join(first.lazy(), on=names, how="semi", nulls_equal=True, maintain_order="left")
    shown = members.sort(position).head(need.limit).collect(engine="streaming")
    if need.all_positions:
        positions = _all_positions(source, rows, names, position)
    return count, Found(rows=shown.select(names).rows(), positions=positions or shown[position].to_list())


def _all_positions(source: "Source", rows: pl.LazyFrame, names: Sequence[str], position: str) -> list[int]:
    found: list[int] = []
    for part in _hash_parts(source, reduce(lambda left, right: left + right, _hashes(names))):
        groups = rows.filter(part).group_by(names).agg(pl.col(position)).filter(pl.col(position).list.len() > 1)
        found += groups.select(pl.col(position).explode()).collect(engine="streaming").to_series().to_list()
    return sorted(found)


def _parts(source: "Source", value: pl.Expr) -> Iterator[tuple[pl.LazyFrame, pl.Expr]]:
    for part in _hash_parts(source, value.hash(_SEED)):
        yield source.frame, value.filter(part)


def _hash_parts(source: "Source", hashed: pl.Expr) -> Iterator[pl.Expr]:
    count = -(-source.rows // _ROWS_PER_PASS) or 1
    for number in range(count):
        yield pl.lit(True) if count == 1 else hashed % count == number


def _hashes(names: Sequence[str]) -> list[pl.Expr]:
    return [pl.col(name).hash(_SEED + place) for place, name in enumerate(names)]
