"""Owns expectations about the set of different values of a column."""

from typing import Any

import polars as pl

from quality.suites.conditions import number
from quality.suites.folds import union_of
from quality.suites.needs import FEW, Judged, Outcome, Smallest, Unsettled
from quality.suites.request import Request
from quality.suites.rows import is_in, member
from quality.suites.source import Column


def distinct_values(request: Request, *, none_else: bool, all_of: bool) -> Judged:
    """The different values are no others than some, hold all of those, or both."""
    column = request.column(kinds=("int", "float", "str"))
    expected = request["value_set"]
    if column.single or not isinstance(expected, list) or not expected or not all(map(_plain, expected)):
        raise Unsettled("a set of values of other types")
    known = [value for value in expected if member(column, value)]
    within = is_in(column, known)
    outside = request.counted(("outside", column.name, tuple(map(repr, known))), ~within)
    present = _inside(request, column, within)
    inside = request.scalar(("inside", column.name, tuple(map(repr, known))), present, fold=union_of(present))
    values = yield [*([outside] if none_else else []), *([inside] if all_of else [])]
    result: dict[str, Any] = {"observed_value": None}
    met, lists = True, dict[str, Any]()
    if none_else:
        count, few = 0, list[Any]()
        if values[outside]:
            need = Smallest(
                (request.domain, "beyond", column.name, tuple(map(repr, known))), column.value, request.within(~within)
            )
            count, few = (yield [need])[need]
        met, result["unexpected_count"], lists["partial_unexpected_list"] = count == 0, count, few
    if all_of:
        seen = set(values[inside])
        lacking = [value for value in set(expected) if value not in seen]
        met = met and not lacking
        result["missing_count"], lists["partial_missing_list"] = len(lacking), lacking[:FEW]
    if request.format.name == "BOOLEAN_ONLY":
        return Outcome(success=met, result={})
    return Outcome(success=met, result=result | (lists if request.format.few else {}))


def _inside(request: Request, column: Column, within: pl.Expr) -> pl.Expr:
    return column.value.filter(request.within(within)).unique().implode()


def _plain(value: object) -> bool:
    return isinstance(value, str) or number(value)  # in a set, True is 1
