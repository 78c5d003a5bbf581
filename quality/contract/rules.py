"""Owns the rules a typed column is held to: presence, limits, allowed values, pattern.

Whole columns are judged first (null counts, minimum and maximum); single rows are looked at only where that fails.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from quality.contract.arrow import array_of, compute, float_ends, scalar_of
from quality.contract.findings import Findings, Reason, merge, rows_where, shown, texts_of
from quality.contract.spec import Column
from quality.contract.types import polars_type

if TYPE_CHECKING:
    import pyarrow as pa

    Array: TypeAlias = pa.Array


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
            merge(found, _reasons(values, pc.less(values, limit), name, f"below minimum {column.minimum}"))
    if highest is not None:
        limit = _limit(highest, column.stored, values.type)
        if most > limit.as_py() if isinstance(most, float) else pc.greater(most, limit).as_py():
            merge(found, _reasons(values, pc.greater(values, limit), name, f"above maximum {column.maximum}"))
    return found


@lru_cache(maxsize=1024, typed=True)
def _limit(value: object, stored: str, target: "pa.DataType") -> "pa.Scalar[Any]":  # Any: of any type
    """Return a declared limit as an Arrow scalar; remembered, since every block of a file is asked about it."""
    return scalar_of(value, polars_type(stored), target)


@lru_cache(maxsize=128, typed=True)
def _value_set(allowed: tuple[object, ...], stored: str, target: "pa.DataType") -> "pa.Array":
    """Return the allowed values as an Arrow array; remembered likewise."""
    return array_of(allowed, polars_type(stored)).cast(target)


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
    listed = ", ".join(str(value) for value in column.allowed)
    return _reasons(values, pc.and_not(pc.is_valid(values), known), name, f"not one of {listed}")


def _pattern(values: "Array", name: str, column: Column) -> Findings:
    pc = compute()
    if column.pattern is None:
        return {}
    matches = pc.match_substring_regex(values, rf"\A(?:{column.pattern})\z")
    if matches.true_count + values.null_count == len(values):
        return {}
    return _reasons(values, pc.invert(matches), name, f"not of the form {column.pattern}")


def _reasons(values: "Array", broken: "Array", name: str, what: str) -> Findings:
    rows = rows_where(broken)
    texts = texts_of(values.take(array_of(rows, pl.Int64())))
    import pyarrow as pa

    show: Callable[[str | None], str] = shown if pa.types.is_string(values.type) else str
    rule = f"{name}: {what}"
    return {row: [Reason(rule, f"{name}: {show(text)} is {what}")] for row, text in zip(rows, texts, strict=True)}
