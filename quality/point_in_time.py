"""Owns point-in-time joins: the features of a row as they were known when it was decided upon.

A feature row counts only if it happened at or before the row's event time and had arrived by its decision time. Of
those that count, the one that happened last is taken; of equal ones the one that arrived last, then the last in the
table.

How both times are met: one asof join by event time finds the newest row that happened. Where that one had not arrived
yet, a tree of the earliest arrivals leads back to the newest row that had, in O(log n) steps whatever is late.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.matching import Frame, Schema, cast_to, clock_type, key_type, plain_casts, require, schema_of
from quality.readable import damage_told, require_plain, require_years
from resources.errors import ContractError, DeclarationError

Ints = NDArray[np.int64]

_TABLES = ("entities", "features")
_ROW, _AT, _DECIDED, _HAPPENED, _ARRIVED, _PLACE = (
    f"penstock {name}" for name in ("row", "at", "decided", "happened", "arrived", "place")
)
_NUMBER = pl.get_index_type()


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """Which columns name, place and date the rows of a point-in-time join.

    Attributes:
        keys: Columns that name the entity, in both tables.
        at: Event time of an entity row.
        decided: When its features had to be known; None takes the event time.
        happened: Event time of a feature row.
        arrived: When a feature row was there to be read; None takes its event time.
        max_age: Largest age of a feature at the event time, both ends included; None takes any.
    """

    keys: tuple[str, ...]
    at: str
    happened: str
    decided: str | None = None
    arrived: str | None = None
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise DeclarationError("keys is empty: name the columns that say which entity a row is about")
        if self.max_age is not None and self.max_age < timedelta(0):
            raise DeclarationError(
                f"max_age {self.max_age} is negative: give the largest age, such as timedelta(days=1)"
            )


def point_in_time(
    entities: Frame, features: Frame, rule: AsOf, *, columns: Sequence[str] | None = None, prefix: str = ""
) -> pl.DataFrame:
    """Return `entities`, rows in their order, with the features of each row beside them; null where none counts.

    A null key, event time or decision time has no features, and a feature row with a null among them counts nowhere.

    Args:
        entities: Rows that ask for features, shape ``(n, ...)``.
        features: Feature rows, any number per entity, in any order.
        rule: Which columns name and date the rows.
        columns: Feature columns to take; None takes all but keys and times.
        prefix: Put before the name of each feature column.

    Returns:
        Shape ``(n, entity columns + feature columns)``.

    Raises:
        ContractError: If a column is missing or of a type that cannot be matched, its name is a pattern, or two columns
            would share a name.
        SourceError: If a lazy frame cannot be read.
    """
    with damage_told(entities, features):
        return _joined(entities, features, rule, columns=columns, prefix=prefix)


def _joined(
    entities: Frame, features: Frame, rule: AsOf, *, columns: Sequence[str] | None, prefix: str
) -> pl.DataFrame:
    kinds = schema_of(entities), schema_of(features)
    taken = _taken(rule, kinds[0], kinds[1], columns, prefix)
    with plain_casts("keys and times"):
        sides = _prepared(entities, features, rule, *kinds)
    left = entities.lazy().collect()
    rows = _matching_rows(sides, rule, left.height)
    right = features.lazy().select(taken).collect()
    found = right.select(pl.all().gather(rows)) if right.height else right.clear(left.height)
    found.columns = [f"{prefix}{name}" for name in taken]
    return left.hstack(found)


def point_in_time_parts(
    entities: pl.LazyFrame,
    features: pl.LazyFrame,
    rule: AsOf,
    *,
    parts: int,
    columns: Sequence[str] | None = None,
    prefix: str = "",
) -> Iterator[pl.DataFrame]:
    """Yield the join in `parts` pieces, each of its own entities, so that one piece is in memory at a time.

    Rows of a piece keep their order; both tables are scanned once per piece.

    Raises:
        ContractError: As `point_in_time` does.
    """
    if parts < 1:
        raise DeclarationError(f"parts is {parts}: give at least 1")
    kinds = schema_of(entities), schema_of(features)
    _taken(rule, kinds[0], kinds[1], columns, prefix)
    types = [key_type(name, (kinds[0][name], kinds[1][name]), _TABLES) for name in rule.keys]
    code = pl.struct(cast_to(kind, name) for name, kind in zip(rule.keys, types, strict=True)).hash(seed=0)
    for part in range(parts):
        here = code % parts == part
        yield point_in_time(entities.filter(here), features.filter(here), rule, columns=columns, prefix=prefix)


def _taken(rule: AsOf, left: Schema, right: Schema, columns: Sequence[str] | None, prefix: str) -> list[str]:
    for table, schema in zip(_TABLES, (left, right), strict=True):
        require_plain(table, schema, objects=True)
    require("entities", [name for name in (*rule.keys, rule.at, rule.decided) if name], left)
    require("features", [name for name in (*rule.keys, rule.happened, rule.arrived) if name], right)
    require("features", columns or (), right)
    known = (*rule.keys, rule.happened, rule.arrived)
    taken = list(columns) if columns is not None else [name for name in right if name not in known]
    for name in taken:
        if f"{prefix}{name}" in left:
            raise ContractError(
                f"entities has a column {prefix + name!r} already: give a prefix, or name other feature columns"
            )
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Row numbers, keys and times of both sides as one type each, sorted by event time, without nulls."""

    asking: pl.DataFrame
    known: pl.DataFrame
    clock: pl.Datetime


def _prepared(entities: Frame, features: Frame, rule: AsOf, left: Schema, right: Schema) -> _Sides:
    at, decided = (rule.at, rule.decided or rule.at)
    happened, arrived = (rule.happened, rule.arrived or rule.happened)
    named = [(f"entities.{name}", left[name]) for name in (at, decided)]
    clock = clock_type([*named, *((f"features.{name}", right[name]) for name in (happened, arrived))])
    for table, frame, schema, names in zip(
        _TABLES, (entities, features), (left, right), ((at, decided), (happened, arrived)), strict=True
    ):
        require_years(table, frame, (name for name in (*rule.keys, *names) if schema[name] != clock))
    keys = [cast_to(key_type(name, (left[name], right[name]), _TABLES), name) for name in rule.keys]

    def numbered(frame: Frame, **times: str) -> pl.LazyFrame:
        clocks = [cast_to(clock, name).to_physical().alias(f"penstock {alias}") for alias, name in times.items()]
        return frame.lazy().select(*keys, *clocks).with_row_index(_ROW).drop_nulls()

    asking = numbered(entities, at=at, decided=decided).sort(_AT, maintain_order=True)
    order = (_HAPPENED, _ARRIVED) if rule.arrived else (_HAPPENED,)
    known = numbered(features, happened=happened, arrived=arrived).sort(order, maintain_order=True)
    return _Sides(asking=asking.collect(), known=known.with_row_index(_PLACE).collect(), clock=clock)


def _matching_rows(sides: _Sides, rule: AsOf, rows: int) -> pl.Series:
    """Return for each entity row the number of its feature row, or null."""
    known = sides.known
    found = sides.asking.join_asof(
        known.select(*rule.keys, _HAPPENED, _PLACE),
        left_on=_AT,
        right_on=_HAPPENED,
        by=list(rule.keys),
        check_sortedness=False,
    )
    numbers = pl.Series([None] * rows, dtype=_NUMBER)
    if known.is_empty() or found.is_empty():
        return numbers
    place = found[_PLACE].cast(pl.Int64).fill_null(-1).to_numpy().copy()
    decided, arrived = found[_DECIDED].to_numpy(), known[_ARRIVED].to_numpy()
    early = np.flatnonzero((place >= 0) & (arrived[place] > decided))
    if len(early):
        place[early] = _arrived_before(known, rule.keys, place[early], decided[early])
    if rule.max_age is not None:
        age = found[_AT].to_numpy() - known[_HAPPENED].to_numpy()[place]
        place[age > _ticks(rule.max_age, sides.clock)] = -1
    hit = place >= 0
    return numbers.scatter(found[_ROW].filter(pl.Series(hit)), known[_ROW].gather(place[hit]))


def _arrived_before(known: pl.DataFrame, keys: Sequence[str], place: Ints, decided: Ints) -> Ints:
    """Return the last place at or before `place`, of the same key, that had arrived when it was decided, or -1."""
    # The first place of a key stands for it: no key is compared again, as a rank would.
    codes = known.select(pl.col(_PLACE).min().over(keys)).to_series().to_numpy().astype(np.int64)
    asked = np.zeros(len(codes), np.bool_)
    asked[codes[place]] = True
    own = np.flatnonzero(asked[codes])  # late rows are few, as a rule: only keys that are asked for are put in order
    grouped = own[np.argsort(codes[own], kind="stable")]  # places, key by key, in the order of time within
    rank = np.empty_like(codes)
    rank[grouped] = np.arange(len(grouped))
    codes = codes[grouped]
    first = np.searchsorted(codes, codes[rank[place]])
    back = _last_at_most(known[_ARRIVED].to_numpy()[grouped], rank[place], decided)
    return np.where(back >= first, grouped[back], -1)


def _last_at_most(values: Ints, start: Ints, limits: Ints) -> Ints:
    """Return for each query the last index at or before `start` whose value is at most its limit, or -1.

    Level `h` of the tree holds the least value of each run of ``2**h``. A query goes up while no run before it has a
    value that is small enough, then down into the last one that has: ``2 log2(n)`` steps for all queries together.
    """
    levels = [values]
    while len(levels[-1]) > 1:
        below = levels[-1]
        even = np.minimum(below[: len(below) // 2 * 2 : 2], below[1::2])
        levels.append(np.append(even, below[len(even) * 2 :]))
    node, height = start.copy(), np.zeros(len(start), np.int64)
    for level, least in enumerate(levels):
        seeking = (height == level) & (node >= 0)
        seeking[seeking] = least[node[seeking]] > limits[seeking]
        # The run before this one: its left neighbour where it is a right child, else the run before its parent.
        right = seeking & (node % 2 == 1)
        node[right] -= 1
        again = right.copy()
        again[again] = least[node[again]] > limits[again]
        up = (seeking & ~right) | again
        node[up] = node[up] // 2 - 1
        height[up] += 1
    return _down(levels, node, height, limits)


def _down(levels: Sequence[Ints], node: Ints, height: Ints, limits: Ints) -> Ints:
    """Return the last index below each node whose value is at most the limit; the node's own value is, or it is -1."""
    for level in range(len(levels) - 1, 0, -1):
        inside = (height == level) & (node >= 0)
        child = np.minimum(node[inside] * 2 + 1, len(levels[level - 1]) - 1)
        node[inside] = child - (levels[level - 1][child] > limits[inside])
        height[inside] -= 1
    return node


def _ticks(age: timedelta, clock: pl.Datetime) -> int:
    microseconds = age // timedelta(microseconds=1)
    return {"ns": microseconds * 1000, "us": microseconds, "ms": microseconds // 1000}[clock.time_unit]
