"""Owns how needs are met whose columns fit in memory: some columns are held at a time, and asked in one query.

Polars plans the whole schema of a table in each query, so that a query for each of many columns costs their square.
A block of columns is read once; queries over it name no others, and run as they are written, without a plan.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from quality.suites.narrowing import ranks_of
from quality.suites.needs import Distinct, Found, Modes, Need, Order, Repeated, Rows, Scalar, Smallest
from quality.suites.ranks import OrderStatistics
from quality.suites.source import LARGE_ROWS, Source

POSITION = "penstock: position of the row"
_TEXT_BYTES = 64 * 2**20
"""Most bytes that the texts of a block may take."""
_NEEDS, _VALUES = 200, 4 * LARGE_ROWS
"""Most needs of one query, and most values that they look at."""
_COLUMNS = 1_000
"""Most columns whose texts are measured in one query."""


@dataclass(frozen=True, slots=True)
class Block:
    """Columns that are held, and what is asked of them."""

    frame: pl.DataFrame
    needs: list[Need]


def columns_of(need: Need) -> frozenset[str]:
    """Return the columns that a need names."""
    return frozenset(name for expression in _expressions(need) for name in expression.meta.root_names())


def blocks(source: Source, needs: Sequence[Need]) -> Iterator[Block]:
    """Yield blocks for those of the needs whose columns can be held; the caller meets the others."""
    place = {name: at for at, name in enumerate(source.schema)}
    named = {need: sorted(columns_of(need), key=place.__getitem__) for need in needs}
    shares = _shares(source, sorted({name for names in named.values() for name in names}, key=place.__getitem__))
    held = [need for need, names in named.items() if names and sum(shares[name] for name in names) <= 1]
    columns, asked, room = dict[str, None](), list[Need](), 1.0
    for need in sorted(held, key=lambda need: place[named[need][0]]):
        new = [name for name in named[need] if name not in columns]
        if asked and sum(shares[name] for name in new) > room:
            yield _read(source, columns, asked)
            columns, asked, room, new = {}, [], 1.0, named[need]
        columns |= dict.fromkeys(new)
        asked.append(need)
        room -= sum(shares[name] for name in new)
    if asked:
        yield _read(source, columns, asked)


def met(source: Source, block: Block) -> dict[Need, Any]:
    """Return the values of what is asked of a block of `source`."""
    answers: dict[Need, Any] = {}
    for need in block.needs:
        if isinstance(need, Rows) and need.among is not None:
            among = block.frame.select(sorted(columns_of(need))).with_row_index(POSITION).filter(need.among)
            answers |= _asked(source, among, [need], pl.col(POSITION))
    rest = [need for need in block.needs if need not in answers]
    position = pl.int_range(pl.len())
    size = max(1, min(_NEEDS, _VALUES // max(1, source.rows)))
    for start in range(0, len(rest), size):
        answers |= _asked(source, block.frame, rest[start : start + size], position)
    return answers


def _shares(source: Source, names: Sequence[str]) -> dict[str, float]:
    """Return the share of a block that each column takes; how much nested values take is not known."""
    shares = dict.fromkeys(names, source.rows / LARGE_ROWS)
    if source.held is not None:
        return shares
    texts = [name for name in names if isinstance(source.schema[name], (pl.String, pl.Binary))]
    for start in range(0, len(texts), _COLUMNS):
        some = texts[start : start + _COLUMNS]
        sizes = [pl.col(name).cast(pl.Binary).bin.size().sum() for name in some]
        told = source.frame.select(sizes).collect(engine="streaming").row(0)
        shares |= {name: max(shares[name], size / _TEXT_BYTES) for name, size in zip(some, told, strict=True)}
    return shares | {name: math.inf for name in names if source.schema[name].is_nested()}


def _read(source: Source, names: Mapping[str, None], needs: list[Need]) -> Block:
    if source.held is not None:
        return Block(pl.DataFrame({name: source.held.get_column(name) for name in names}), needs)
    return Block(source.frame.select(list(names)).collect(engine="streaming"), needs)


def _asked(source: Source, frame: pl.DataFrame, needs: Sequence[Need], position: pl.Expr) -> dict[Need, Any]:
    parts = [_parts(need, position) for need in needs]
    row = frame.select(
        part.alias(f"{place} {number}") for place, some in enumerate(parts) for number, part in enumerate(some)
    )
    values = (column[0] for column in row)  # a list as a series
    return {need: _met(source, need, [next(values) for _ in some]) for need, some in zip(needs, parts, strict=True)}


def _parts(need: Need, position: pl.Expr) -> list[pl.Expr]:
    """Return the expressions of which `_met` makes the value of a need."""
    match need:
        case Scalar():
            return [need.expression]
        case Rows():
            return _rows(need, [need.failing], position)
        case Order():
            return [need.value.drop_nulls().sort().implode()]
        case Distinct():
            return [need.value.drop_nulls().n_unique()]
        case Smallest():
            different = need.value.filter(need.mask).drop_nulls().unique()
            return [different.len(), different.bottom_k(need.limit).implode()]
        case Repeated():
            values = need.values[0] if len(need.values) == 1 else pl.struct(_numbered(need.values))
            again = values.filter(need.mask).is_duplicated()
            return [again.sum(), *_rows(need, [need.mask, again], position)]
        case Modes():
            return [need.value.drop_nulls().mode().implode()]


def _rows(need: Rows | Repeated, masks: Sequence[pl.Expr], position: pl.Expr) -> list[pl.Expr]:
    """Return the expressions of the first rows that pass all masks, each aligned with what the one before leaves."""
    shown, positions = pl.struct(position.alias(POSITION), *_numbered(need.values)), position
    for mask in masks:
        shown, positions = shown.filter(mask), positions.filter(mask)
    return [shown.head(need.limit).implode(), *([positions.implode()] if need.all_positions else [])]


def _numbered(values: Sequence[pl.Expr]) -> list[pl.Expr]:
    return [value.alias(str(place)) for place, value in enumerate(values)]


def _met(source: Source, need: Need, parts: Sequence[Any]) -> Any:
    match need:
        case Scalar() | Distinct():
            return parts[0]
        case Rows():
            return _found(*parts)
        case Order():
            return _Near(source, need, parts[0])
        case Smallest():
            return parts[0], sorted(parts[1].to_list())
        case Repeated():
            return int(parts[0]), _found(*parts[1:])
        case Modes():
            return sorted(parts[0].to_list())


def _found(shown: pl.Series, positions: pl.Series | None = None) -> Found:
    rows = [tuple(row.values()) for row in shown.to_list()]
    places = [row[0] for row in rows] if positions is None else positions.to_list()
    return Found(rows=[row[1:] for row in rows], positions=places)


class _Near(OrderStatistics):
    """Values by rank that holds only those that are asked for: around the quantiles. Others are found by passes."""

    def __init__(self, source: Source, need: Order, ascending: pl.Series) -> None:
        super().__init__(source, need, len(ascending), [])
        ranks = ranks_of(need.quantiles, self.count)
        self._values = dict(zip(ranks, ascending.gather(ranks).to_list(), strict=True))

    def at(self, rank: int) -> Any:
        return self._values[rank] if rank in self._values else super().at(rank)


def _expressions(need: Need) -> tuple[pl.Expr, ...]:
    match need:
        case Scalar():
            return (need.expression,)
        case Rows():
            return (*need.values, need.failing, *(() if need.among is None else (need.among,)))
        case Order() | Distinct() | Modes():
            return (need.value,)
        case Smallest():
            return need.value, need.mask
        case Repeated():
            return *need.values, need.mask
