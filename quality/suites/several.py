"""Owns expectations about several columns, row by row."""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import combinations
from typing import Any

import polars as pl

from quality.suites.conditions import number
from quality.suites.format import about_rows, shown, to_show
from quality.suites.needs import Found, Judged, Outcome, Repeated, Scalar, Unsettled
from quality.suites.request import Request
from quality.suites.rows import NOTHING
from quality.suites.source import Column

_NUMBERS = ("int", "float")
_FEW_PAIRS = 1_000
_FEW_TERMS = 7
"""Up to so many columns, numpy adds the values of a row one after the other."""


def pair_greater(request: Request) -> Judged:
    """The first value is greater than the second, or as great; a missing one fails."""
    first, second = _pair(request)
    if not (_alike(first, second) and first.kind in (*_NUMBERS, "time", "date")):
        raise Unsettled("columns that do not compare")
    left, right = _same(first, second)
    or_equal = request.flag("or_equal")
    met = left >= right if or_equal else left > right
    return (yield from _judged(request, (first, second), ("greater", or_equal), ~met.fill_null(False)))


def pair_equal(request: Request) -> Judged:
    """Both values are equal; missing ones are equal to nothing."""
    first, second = _pair(request)
    if not (_alike(first, second) and first.kind in (*_NUMBERS, "str", "bool", "time")):
        raise Unsettled("columns that do not compare")
    if "object" in (first.dtype, second.dtype):
        raise Unsettled("booleans with nulls")
    left, right = _same(first, second)
    return (yield from _judged(request, (first, second), "equal", ~(left == right).fill_null(False)))


def pair_in_set(request: Request) -> Judged:
    """Both values together are one of some pairs; None stands for a missing one."""
    first, second = _pair(request)
    pairs = request["value_pairs_set"]
    if first.single or second.single or not isinstance(pairs, list) or len(pairs) > _FEW_PAIRS:
        raise Unsettled("pairs of other types")
    if not all(len(pair) == 2 and _fits(first, pair[0]) and _fits(second, pair[1]) for pair in pairs):
        raise Unsettled("pairs of other types")
    met = [_is(first, pair[0]) & _is(second, pair[1]) for pair in pairs]
    failing = ~reduce(lambda left, right: left | right, met, pl.lit(False))
    return (yield from _judged(request, (first, second), ("pairs", repr(pairs)), failing))


def unique_together(request: Request) -> Judged:
    """No two rows have the same values in all the columns; missing values are equal to each other."""
    columns = _columns(request, kinds=("int", "float", "str", "bool", "time", "date"))
    rows, considered, among = _considered(request, columns)
    need = Repeated(
        (request.domain, "together", request.get("ignore_row_if"), *(column.name for column in columns)),
        tuple(to_show(column) for column in columns),
        among,
        max(1, request.format.limit),
        request.format.all_positions,
    )
    values = yield [rows, considered, need]
    count, found = values[need]
    return _outcome(request, columns, (values[rows], int(values[considered]), count), found)


def sum_equal(request: Request) -> Judged:
    """The values of a row add up to a number; a missing one fails."""
    columns = _columns(request, kinds=_NUMBERS)
    whole = all(column.kind == "int" and column.dtype != "uint64" for column in columns)
    wanted = request["sum_total"]
    if any(column.single for column in columns) or (not whole and len(columns) > _FEW_TERMS) or not number(wanted):
        raise Unsettled("sums that depend on the order of adding")
    terms = [column.value.cast(pl.Int64 if whole else pl.Float64) for column in columns]
    total = reduce(lambda left, right: left + right, terms)
    failing = ~(total == wanted).fill_null(False)
    return (yield from _judged(request, columns, ("sum", wanted), failing))


def equal_together(request: Request) -> Judged:
    """All values of a row are equal; missing ones are equal to each other."""
    columns = _columns(request, kinds=(*_NUMBERS, "str", "bool", "time", "date"))
    if not all(_alike(columns[0], column) for column in columns):
        raise Unsettled("columns that do not compare")
    numbers = columns[0].kind in _NUMBERS and len({column.polars for column in columns}) > 1
    values = [column.as_float if numbers else column.value for column in columns]
    met = reduce(lambda left, right: left & right, (values[0].eq_missing(value) for value in values[1:]))
    return (yield from _judged(request, columns, "equal", ~met))


def unique_within(request: Request) -> Judged:
    """All values of a row are different; missing ones are equal to each other."""
    columns = _columns(request, kinds=(*_NUMBERS, "str", "bool", "date"))
    if not all(_alike(columns[0], column) for column in columns) or any(column.single for column in columns):
        raise Unsettled("columns that do not compare")
    numbers = columns[0].kind in _NUMBERS and len({column.polars for column in columns}) > 1
    values = [column.as_float if numbers else column.value for column in columns]
    failing = reduce(lambda a, b: a | b, (left.eq_missing(right) for left, right in combinations(values, 2)))
    return (yield from _judged(request, columns, "unique", failing))


def _pair(request: Request) -> tuple[Column, Column]:
    if request["column_A"] == request["column_B"]:
        raise Unsettled("a column beside itself")
    return request.column("column_A"), request.column("column_B")


def _columns(request: Request, *, kinds: tuple[Any, ...]) -> tuple[Column, ...]:
    names = request["column_list"]
    if not isinstance(names, list) or len(names) < 2 or len(set(names)) < len(names):
        raise Unsettled("a list of columns that is too short or names one twice")
    return tuple(request.named(str(name), kinds=kinds) for name in names)


def _alike(first: Column, second: Column) -> bool:
    if first.kind in _NUMBERS and second.kind in _NUMBERS:
        return "uint64" not in (first.dtype, second.dtype)
    return first.kind == second.kind and first.dtype == second.dtype


def _same(first: Column, second: Column) -> tuple[pl.Expr, pl.Expr]:
    """Return both values in the type in which numpy compares them."""
    if first.kind in _NUMBERS and first.dtype != second.dtype and "float" in (first.kind, second.kind):
        return first.as_float, second.as_float
    return first.value, second.value


def _fits(column: Column, value: object) -> bool:
    if value is None:
        return column.kind in (*_NUMBERS, "str")
    return (column.kind in _NUMBERS and number(value)) or (column.kind == "str" and isinstance(value, str))


def _is(column: Column, value: Any) -> pl.Expr:
    return column.value.is_null() if value is None else (column.value == value).fill_null(False)


def _considered(request: Request, columns: Sequence[Column]) -> tuple[Scalar, Scalar, pl.Expr]:
    """Return the needs of all rows and of those judged, and the mask of the latter."""
    pair = "column_A" in request.arguments
    ignored = request.get("ignore_row_if", "both_values_are_missing" if pair else "all_values_are_missing")
    missing = [column.value.is_null() for column in columns]
    if ignored in ("neither", "never"):
        among = pl.lit(True) if request.mask is None else request.mask
        return request.rows(), request.rows(), among
    if ignored not in _ANY and ignored not in _ALL:
        raise Unsettled(f"ignore_row_if {ignored!r}")
    together: Callable[[list[pl.Expr]], pl.Expr] = pl.any_horizontal if ignored in _ANY else pl.all_horizontal
    left_out = together(missing)
    names = tuple(column.name for column in columns)
    known = None
    if request.mask is None and any(
        request.source.nulls.get(column.name) == 0 and not column.polars.is_float() for column in columns
    ):
        known = request.source.rows if ignored in _ALL else None
    return request.rows(), request.counted(("considered", ignored, names), ~left_out, known), request.within(~left_out)


_ANY = ("either_value_is_missing", "any_value_is_missing")
_ALL = ("both_values_are_missing", "all_values_are_missing")


def _judged(request: Request, columns: Sequence[Column], key: object, failing: pl.Expr) -> Judged:
    rows, considered, among = _considered(request, columns)
    names = (request.get("ignore_row_if"), *(column.name for column in columns))
    shown_values = tuple(to_show(column) for column in columns)
    examples = request.failing((key, names), shown_values, failing & among)
    count = request.count(("several", key, names), failing & among, examples=examples)
    values = yield [rows, considered, count]
    found = NOTHING
    if values[count] and request.format.rows:
        found = (yield [examples])[examples]
    return _outcome(request, columns, (values[rows], int(values[considered]), int(values[count])), found)


def _outcome(request: Request, columns: Sequence[Column], counts: tuple[int, int, int], found: Found) -> Outcome:
    """Return the outcome of counts of all rows, of those judged and of failing ones."""
    total, considered, unexpected = counts
    pair = "column_A" in request.arguments
    rows = [
        tuple(shown(column, value, raw=pair) for column, value in zip(columns, row, strict=True)) for row in found.rows
    ]
    names = [column.name for column in columns]
    return about_rows(
        request.format,
        total=total,
        considered=considered,
        unexpected=unexpected,
        mostly=request.mostly,
        found=found,
        values=rows if pair else [dict(zip(names, row, strict=True)) for row in rows],
    )
