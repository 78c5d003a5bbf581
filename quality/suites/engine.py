"""Owns how the needs of a suite are met: all that reduces columns to numbers is one query on the streaming engine.

Where the footers say that row groups are large, that query is cut by columns: Polars holds about ten row groups at a
time. Each column is still read once.

What has to hold values (ranks, distinct counts, failing rows) is asked of columns that are held, where they fit in
memory (`quality.suites.held`). Otherwise it has a query of its own beside it: in one query with others, Polars
buffers every column until they have been served. Of many rows, ranks are bracketed by a sample first (Floyd and Rivest,
1975) and many distinct values are counted in passes, each over one part of the hash space: slower, bounded, and exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from quality.suites.held import POSITION, blocks, met
from quality.suites.needs import Distinct, Found, Modes, Need, Order, Repeated, Rows, Scalar, Smallest
from quality.suites.passes import distinct, modes, repeated, smallest, spread_widely
from quality.suites.ranks import Bracket, bracket, ordered
from quality.suites.source import Source

_BUNDLE_BYTES = 12 * 2**20
_EXPRESSIONS = 1_000
"""Most expressions of one query: planning takes longer than linearly."""
_SAMPLED = 64
"""Most columns of which samples are held at a time."""


def answer(source: Source, needs: Iterable[Need]) -> dict[Need, Any]:
    """Return the value of each need."""
    wanted = list(dict.fromkeys(needs))
    scalars = [need for need in wanted if isinstance(need, Scalar)]
    answers: dict[Need, Any] = {need: need.known for need in scalars if need.known is not None}
    for some in bundles(source, [need for need in scalars if need.known is None and not need.apart]):
        answers |= _reduced(source, some)
    for block in () if source.large else blocks(source, [need for need in wanted if need not in answers]):
        answers |= met(source, block)
    left = [need for need in wanted if need not in answers]
    orders = [need for need in left if isinstance(need, Order)]
    counts = [need for need in left if isinstance(need, Distinct)]
    brackets, in_passes = _looked_ahead(source, orders, counts)
    for need in left:
        match need:
            case Scalar():
                answers |= _reduced(source, [need])
            case Order():
                answers[need] = ordered(source, need, brackets[need])
            case Distinct() if need not in in_passes:
                answers[need] = _collected(source, {"": need.value.drop_nulls().n_unique()})[""]
            case _:
                answers[need] = _alone(source, need)
    return answers


def bundles(source: Source, scalars: Sequence[Scalar]) -> list[list[Scalar]]:
    """Return the scalars in bundles whose columns take little memory; those of one column stay together."""
    if source.footers is None:
        return [list(scalars)] if scalars else []
    bundled: list[list[Scalar]] = []
    room = 0
    for names, members in _families(scalars):
        size_bytes = sum(map(source.footers.largest_bytes, names))
        if not bundled or size_bytes > room:
            bundled.append([])
            room = _BUNDLE_BYTES
        bundled[-1] += members
        room -= size_bytes
    return bundled


def _families(scalars: Sequence[Scalar]) -> list[tuple[set[str], list[Scalar]]]:
    """Return sets of columns that no scalar crosses, and the scalars of each."""
    families: dict[int, tuple[set[str], list[Scalar]]] = {}
    of: dict[str, int] = {}
    for place, need in enumerate(scalars):
        names, members = set(need.expression.meta.root_names()), [need]
        for other in sorted({of[name] for name in names if name in of}):
            columns, before = families.pop(other)
            names, members = names | columns, before + members
        families[place] = names, members
        of |= dict.fromkeys(names, place)
    return list(families.values())


def _reduced(source: Source, scalars: Sequence[Scalar]) -> dict[Need, Any]:
    found: dict[Need, Any] = {}
    for start in range(0, len(scalars), _EXPRESSIONS):
        some = scalars[start : start + _EXPRESSIONS]
        values = _collected(source, {str(place): need.expression for place, need in enumerate(some)})
        found |= {need: values[str(place)] for place, need in enumerate(some)}
    return found


def _collected(source: Source, columns: Mapping[str, pl.Expr]) -> dict[str, Any]:
    """Return each expression's value; a list as a series."""
    expressions = [expression.alias(name) for name, expression in columns.items()]
    row = source.frame.select(expressions).collect(engine="streaming")
    return {column.name: column[0] for column in row}


def _looked_ahead(
    source: Source, orders: Sequence[Order], counts: Sequence[Distinct]
) -> tuple[dict[Order, Bracket], set[Distinct]]:
    """Return the brackets of ranks and the distinct counts that need passes, from one sample of a large source."""
    if not source.large or not (orders or counts):
        return {need: Bracket.everything() for need in orders}, set()
    brackets, many = dict[Order, Bracket](), set[Distinct]()
    needs = [*orders, *counts]
    for start in range(0, len(needs), _SAMPLED):
        some = needs[start : start + _SAMPLED]
        parts = source.sample([need.value.implode().alias(str(place)) for place, need in enumerate(some)])
        for place, need in enumerate(some):
            runs = [part.to_series(place).explode().drop_nulls() for part in parts]
            if isinstance(need, Order):
                brackets[need] = bracket(runs, need.quantiles)
            elif spread_widely(runs, source.rows):
                many.add(need)
    return brackets, many


def _alone(source: Source, need: Need) -> Any:
    match need:
        case Rows():
            return _failing(source, need)
        case Smallest():
            return smallest(source, need)
        case Repeated():
            return repeated(source, need, POSITION)
        case Modes():
            return modes(source, need)
        case Distinct():
            return distinct(source, need)
        case _:
            raise TypeError(f"{need!r} is met otherwise")


def _failing(source: Source, need: Rows) -> Found:
    """Return the first failing rows; the scan ends where they are found."""
    values = [value.alias(str(place)) for place, value in enumerate(need.values)]
    rows = source.frame.with_row_index(POSITION)
    rows = rows if need.among is None else rows.filter(need.among)
    failing = rows.filter(need.failing).select(pl.col(POSITION), *values)
    first = failing.head(need.limit).collect(engine="streaming")
    at = failing.select(POSITION).collect(engine="streaming") if need.all_positions else first
    return Found(rows=first.drop(POSITION).rows(), positions=at[POSITION].to_list())
