"""Owns the screening of whole columns: which rows may break a rule, told by null counts, ends and distinct values.

Single rows are looked at only where such a fact says that a rule is broken. No row that breaks one escapes; which rule
it breaks, and in which words, is `quality.contract.rows`'s to say.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from quality.contract.arrow import to_arrow
from quality.contract.calendar import physical, physical_ends, physical_span
from quality.contract.membership import Allowed, Rows, rows_of
from quality.contract.spec import Column, Contract
from quality.contract.types import TEXTS, arrow_type, polars_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What the values of a column are held to that is stored as it is found.

    Attributes:
        nullable: Whether a value may be missing.
        lowest: Smallest allowed value, of dates and times in days or ticks since 1970, or None.
        highest: Largest one likewise.
        allowed: The only allowed values, or None.
    """

    nullable: bool
    lowest: float | None
    highest: float | None
    allowed: Allowed | None

    def suspects(self, values: pl.Series) -> Rows:
        """Return the numbers of rows that may break a rule, in order; NaN must be null in `values`."""
        rows = [rows_of(mask) for mask in (*self._missing(values), *self._beyond(values))]
        if self.allowed is not None:
            rows.append(self.allowed.strangers(values))
        return rows[0] if len(rows) == 1 else np.unique(np.concatenate([np.empty(0, np.int64), *rows]))

    def _missing(self, values: pl.Series) -> list[pl.Series]:
        return [values.is_null()] if values.null_count() and not self.nullable else []

    def _beyond(self, values: pl.Series) -> list[pl.Series]:
        masks: list[pl.Series] = []
        if (self.lowest is None and self.highest is None) or values.null_count() == len(values):
            return masks
        least, most = physical_ends(values)
        if self.lowest is not None and least < self.lowest:
            masks.append(physical(values) < self.lowest)
        if self.highest is not None and most > self.highest:
            masks.append(physical(values) > self.highest)
        return masks


def screens(contract: Contract, found: Mapping[str, pl.DataType]) -> dict[str, Screen]:
    """Return how to screen those columns of `contract` that can be.

    Left out are columns that are converted, patterns, and limits of decimals.

    Args:
        contract: What rows must be.
        found: Column to its type in the source.
    """
    return {name: _screen(column) for name, column in contract.columns.items() if _can_be(column, found[name])}


def without_nan(values: pl.Series) -> pl.Series:
    """Return floats with null for NaN, and anything else as it is."""
    if not values.dtype.is_float() or not math.isnan(values.sum()):
        return values
    return values.fill_nan(None) if values.is_nan().any() else values  # infinities of both signs add up to NaN too


def _screen(column: Column) -> Screen:
    dtype = polars_type(column.stored)
    lowest, highest = _physical(column.lowest, dtype), _physical(column.highest, dtype)
    span = physical_span(dtype)
    if span is not None:  # declared limits lie within it
        lowest = span[0] if lowest is None else lowest
        highest = span[1] if highest is None else highest
    allowed = None if column.members is None else Allowed.of(column.members, dtype)
    return Screen(nullable=column.nullable, lowest=lowest, highest=highest, allowed=allowed)


def _physical(limit: object, dtype: pl.DataType) -> float | None:
    """Return a limit of the column's type as days, ticks or a number."""
    return None if limit is None else pl.Series([limit], dtype=dtype).to_physical()[0]


def _can_be(column: Column, found: pl.DataType) -> bool:
    if column.stored != column.type or found != polars_type(column.type) or column.pattern is not None:
        return False
    if found.is_decimal():
        return column.lowest is None and column.highest is None
    return column.type in TEXTS or to_arrow(pl.Series(dtype=found)).type == arrow_type(column.type)
