"""Owns how the needs of a suite are met: all scalars of a round are one lazy query on the streaming engine.

Ranks, distinct counts and repeated values join that query while they fit in memory. Of more rows, ranks are bracketed
by a sample first (Floyd and Rivest, 1975) and many distinct values are counted in passes, each over one part of the
hash space: slower, bounded, and exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from quality.suites.needs import Distinct, Found, Modes, Need, Order, Repeated, Rows, Scalar, Smallest
from quality.suites.passes import distinct as distinct_in_passes
from quality.suites.passes import modes, repeated, smallest, spread_widely
from quality.suites.ranks import Bracket, bracket, complete
from quality.suites.source import Source

POSITION = "position of the row"
_EXPRESSIONS = 1_000
"""Most expressions of one query: planning takes longer than linearly."""


def answer(source: Source, needs: Iterable[Need]) -> dict[Need, Any]:
    """Return the value of each need."""
    wanted = list(dict.fromkeys(needs))
    answers: dict[Need, Any] = {
        need: need.known for need in wanted if isinstance(need, Scalar) and need.known is not None
    }
    open_ = [need for need in wanted if need not in answers]
    orders = [need for need in open_ if isinstance(need, Order)]
    counts = [need for need in open_ if isinstance(need, Distinct)]
    brackets, in_passes = _looked_ahead(source, orders, counts)
    columns: dict[Need, dict[str, pl.Expr]] = {
        need: {"": need.expression} for need in open_ if isinstance(need, Scalar)
    }
    columns |= {need: brackets[need].columns(need.value) for need in orders}
    columns |= {need: {"": need.value.drop_nulls().n_unique()} for need in counts if need not in in_passes}
    together = [need for need in open_ if isinstance(need, Rows) and need.among is None]
    columns |= {need: _rows_columns(need) for need in together}
    found = _one_query(source.frame.with_row_index(POSITION) if together else source.frame, columns)
    for need, values in found.items():
        answers[need] = _taken(source, need, values, brackets)
    for need in open_:
        if need not in answers:
            answers[need] = _alone(source, need)
    return answers


def _looked_ahead(
    source: Source, orders: Sequence[Order], counts: Sequence[Distinct]
) -> tuple[dict[Order, Bracket], set[Distinct]]:
    """Return the brackets of ranks and the distinct counts that need passes, from one sample of a large source."""
    if not source.large or not (orders or counts):
        return {need: Bracket.everything() for need in orders}, set()
    expressions = [need.value.implode().alias(str(place)) for place, need in enumerate((*orders, *counts))]
    parts = source.sample(expressions)
    columns = [[part.to_series(place).explode().drop_nulls() for part in parts] for place in range(len(expressions))]
    brackets = {need: bracket(columns[place], need.quantiles) for place, need in enumerate(orders)}
    many = {need for need, runs in zip(counts, columns[len(orders) :], strict=True) if spread_widely(runs, source.rows)}
    return brackets, many


def _rows_columns(need: Rows) -> dict[str, pl.Expr]:
    """Return positions and values of failing rows as lists, so that rows of many needs fit in one query."""
    head = pl.col(POSITION).filter(need.failing)
    columns = {"at": (head if need.all_positions else head.head(need.limit)).implode()}
    for place, value in enumerate(need.values):
        columns[str(place)] = value.filter(need.failing).head(need.limit).implode()
    return columns


def _one_query(frame: pl.LazyFrame, columns: Mapping[Need, Mapping[str, pl.Expr]]) -> dict[Need, dict[str, Any]]:
    named = [
        (need, part, expression.alias(f"{number} {part}"))
        for number, (need, parts) in enumerate(columns.items())
        for part, expression in parts.items()
    ]
    found: dict[Need, dict[str, Any]] = {}
    for start in range(0, len(named), _EXPRESSIONS):
        some = named[start : start + _EXPRESSIONS]
        values = frame.select(expression for _, _, expression in some).collect(engine="streaming")
        for place, (need, part, _) in enumerate(some):
            column = values.to_series(place)
            found.setdefault(need, {})[part] = (
                column[0] if column.dtype != pl.List else column.explode(empty_as_null=False)
            )
    return found


def _taken(source: Source, need: Need, values: Mapping[str, Any], brackets: Mapping[Order, Bracket]) -> Any:
    if isinstance(need, Order):
        return complete(source, need, brackets[need], values)
    if isinstance(need, Rows):
        return Found(
            rows=list(zip(*(values[str(place)].to_list() for place in range(len(need.values))), strict=True)),
            positions=values["at"].to_list(),
        )
    return values[""]


def _alone(source: Source, need: Need) -> Any:
    match need:
        case Rows():
            return _neighbours(source, need)
        case Distinct():
            return distinct_in_passes(source, need)
        case Smallest():
            return smallest(source, need)
        case Repeated():
            return repeated(source, need, POSITION)
        case Modes():
            return modes(source, need)
        case _:
            raise TypeError(f"{need!r} is met by the one query")


def _neighbours(source: Source, need: Rows) -> Found:
    """Return failing rows of a mask that looks at the row before, among some of the rows only."""
    values = [value.alias(str(place)) for place, value in enumerate(need.values)]
    rows = source.frame.with_row_index(POSITION)
    rows = rows if need.among is None else rows.filter(need.among)
    failing = rows.select(pl.col(POSITION), *values, need.failing.alias("failing")).filter("failing").drop("failing")
    first = failing.head(need.limit).collect(engine="streaming")
    at = failing.select(POSITION).collect(engine="streaming") if need.all_positions else first
    return Found(
        rows=first.drop(POSITION).rows(),
        positions=at[POSITION].to_list(),
    )
