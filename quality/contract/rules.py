"""Owns the rules a typed column is held to: presence, limits, allowed values, pattern.

Whole columns are judged first (null counts, minimum and maximum); single rows are looked at only where that fails.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from quality.contract.arrow import array_of, compute, float_ends, scalar_of
from quality.contract.findings import Findings, Reason, cut, merge, rows_where, shown, texts_of
from quality.contract.limits import Plain, allowed_value
from quality.contract.patterns import whole_match
from quality.contract.spec import Column
from quality.contract.types import FLOATS, polars_type

if TYPE_CHECKING:
    import pyarrow as pa

    Array: TypeAlias = pa.Array

_MOST_LISTED = 20
"""Allowed values that a reason lists."""


def violations(values: "Array", name: str, column: Column) -> Findings:
    """Return the reasons of the rows of the stored column `values` that break a rule of `column`."""
    found: Findings = {}
    for rule in (_nulls, _limits, _allowed, _pattern):
        merge(found, rule(values, name, column))
    return found


def _nulls(values: "Array", name: str, column: Column) -> Findings:
    pc = compute()
    if column.nullable or not values.null_count:
        return {}
    reason = Reason(f"{name}: null", f"{name}: null")
    return {row: [reason] for row in rows_where(pc.is_null(values))}


def _limits(values: "Array", name: str, column: Column) -> Findings:
    pc = compute()
    lowest, highest = column.lowest, column.highest
    if lowest is None and highest is None:
        return {}
    least, most = _ends(values)
    found: Findings = {}
    if lowest is not None:
        limit = _limit(lowest, column.stored, values.type)
        if least < limit.as_py() if isinstance(least, float) else pc.less(least, limit).as_py():
            merge(found, _reasons(values, pc.less(values, limit), name, f"below minimum {cut(str(column.minimum))}"))
    if highest is not None:
        limit = _limit(highest, column.stored, values.type)
        if most > limit.as_py() if isinstance(most, float) else pc.greater(most, limit).as_py():
            merge(found, _reasons(values, pc.greater(values, limit), name, f"above maximum {cut(str(column.maximum))}"))
    return found


@lru_cache(maxsize=1024, typed=True)
def _limit(value: object, stored: str, target: "pa.DataType") -> "pa.Scalar[Any]":  # Any: of any type
    """Return a declared limit as an Arrow scalar; remembered, since every block of a file is asked about it."""
    return scalar_of(value, polars_type(stored), target)


@lru_cache(maxsize=128, typed=True)
def _value_set(allowed: tuple[Plain, ...], stored: str, target: "pa.DataType") -> "pa.Array":
    """Return the allowed values as an Arrow array, to which -0.0 is another value than 0.0; remembered likewise."""
    held = [allowed_value(value, stored) for value in allowed]
    zeros = [0.0, -0.0] if stored in FLOATS and 0 in held else []
    return array_of([*held, *zeros], polars_type(stored)).cast(target)


def _ends(values: "Array") -> tuple[Any, Any]:  # Any: floats, or Arrow scalars of the column's type
    """Return the smallest and the largest value."""
    ends = float_ends(values)
    if ends is not None:
        return ends
    found = compute().min_max(values)
    return found["min"], found["max"]


def _allowed(values: "Array", name: str, column: Column) -> Findings:
    pc = compute()
    if column.allowed is None:
        return {}
    known = pc.is_in(values, value_set=_value_set(column.allowed, column.stored, values.type))
    if known.true_count + values.null_count == len(values):
        return {}
    listed = ", ".join(cut(str(value)) for value in column.allowed[:_MOST_LISTED])
    rest = len(column.allowed) - _MOST_LISTED
    what = f"not one of {listed}" + (f" and {rest:,} more" if rest > 0 else "")
    return _reasons(values, pc.and_not(pc.is_valid(values), known), name, what)


def _pattern(values: "Array", name: str, column: Column) -> Findings:
    pc = compute()
    if column.pattern is None:
        return {}
    matches = pc.match_substring_regex(values, whole_match(column.pattern))
    if matches.true_count + values.null_count == len(values):
        return {}
    return _reasons(values, pc.invert(matches), name, f"not of the form {cut(column.pattern)}")


def _reasons(values: "Array", broken: "Array", name: str, what: str) -> Findings:
    rows = rows_where(broken)
    texts = texts_of(values.take(array_of(rows, pl.Int64())))
    import pyarrow as pa

    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    show: Callable[[str | None], str] = shown if is_text else str
    rule = f"{name}: {what}"
    return {row: [Reason(rule, f"{name}: {show(text)} is {what}")] for row, text in zip(rows, texts, strict=True)}
