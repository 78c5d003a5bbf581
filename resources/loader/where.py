"""Owns the predicate of a loader: comparisons of columns with values, in the form that pyarrow's readers take.

A list of `(column, operator, value)` holds where all of them hold; a list of such lists where any of these does. As in
SQL, a row without a value in a compared column never matches. It reads no file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.packing import column_of
from resources.loader.scalars import comparable, scalar_of
from resources.names import unknown_name
from resources.storage.matrices import named_schema

Comparison: TypeAlias = tuple[str, str, Any]  # Any: what the column holds, or a collection of such
Filters: TypeAlias = Sequence[Comparison] | Sequence[Sequence[Comparison]]
_SPELLINGS = {"=": "==", "not in": "not in", "in": "in", **{name: name for name in ("==", "!=", "<", "<=", ">", ">=")}}
_FUNCTIONS = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
_FORM = "give a list of (column, operator, value), or a list of such lists, of which one must hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is known of the values of one column in some rows.

    Attributes:
        low: No value is smaller.
        high: No value is larger.
        has_nulls: Whether a row may be without a value.
    """

    low: pa.Scalar
    high: pa.Scalar
    has_nulls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    """One comparison.

    Attributes:
        column: Name of the column.
        operator: `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in`.
        values: What it is compared with, of the type of the column; several for `in` and `not in` only.
    """

    column: str
    operator: str
    values: tuple[pa.Scalar, ...]

    def mask(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Return which rows of `batch` match, null where there is no value."""
        from pyarrow.compute import call_function

        array = column_of(batch, self.column)
        if self.operator in _FUNCTIONS:
            return call_function(_FUNCTIONS[self.operator], [array, self.values[0]])
        found = _reduced("or", [call_function("equal", [array, value]) for value in self.values])
        return call_function("invert", [found]) if self.operator == "not in" else found

    def decided(self, known: Range) -> bool | None:
        """Return whether all rows match, or none; None where `known` does not tell."""
        low, high = comparable(known.low), comparable(known.high)
        # NaN lies in no range, and differs from every value.
        holds_nan = pa.types.is_floating(known.low.type)
        found = _DECIDED[self.operator](low, high, [comparable(value) for value in self.values])
        if found is True and (known.has_nulls or holds_nan):
            return None
        if found is False and holds_nan and self.operator in ("!=", "not in"):
            return None
        return found


_Decided = Callable[[Any, Any, list[Any]], bool | None]  # Any: values of one type that have an order


def _either(all_match: bool, none_matches: bool) -> bool | None:
    return True if all_match else False if none_matches else None


def _inside(low: Any, high: Any, values: list[Any]) -> bool | None:  # Any: as above
    return _either(low == high and low in values, all(value < low or value > high for value in values))


def _outside(low: Any, high: Any, values: list[Any]) -> bool | None:  # Any: as above
    found = _inside(low, high, values)
    return None if found is None else not found


_DECIDED: Mapping[str, _Decided] = {
    "==": _inside,
    "in": _inside,
    "!=": _outside,
    "not in": _outside,
    "<": lambda low, high, values: _either(high < values[0], low >= values[0]),
    "<=": lambda low, high, values: _either(high <= values[0], low > values[0]),
    ">": lambda low, high, values: _either(low > values[0], high <= values[0]),
    ">=": lambda low, high, values: _either(low >= values[0], high < values[0]),
}


@dataclass(frozen=True, slots=True)
class Where:
    """Which rows of a dataset are wanted.

    Attributes:
        any_of: Tests of which all must hold; of these groups, one.
    """

    any_of: tuple[tuple[_Test, ...], ...]

    @classmethod
    def of(cls, filters: Filters, schema: pa.Schema) -> "Where":
        """Return the predicate that `filters` say, over columns of `schema` or columns packed in them.

        Raises:
            LoaderError: If they have another form, or name a column that is not there, an operator that is none, or a
                value that does not fit the column.
        """
        if not isinstance(filters, list | tuple) or not filters:
            raise LoaderError(f"where is {filters!r}: {_FORM}")
        groups = [filters] if _is_test(filters[0]) else filters
        kinds = _kinds(schema)
        return cls(tuple(tuple(_test(one, kinds) for one in _group(group)) for group in groups))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it compares, each once."""
        return tuple(dict.fromkeys(test.column for group in self.any_of for test in group))

    def to_json(self) -> object:
        """Return what tells it from others, as JSON values."""
        return [
            [[test.column, test.operator, [str(comparable(value)) for value in test.values]] for test in group]
            for group in self.any_of
        ]

    def mask(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Return which rows of `batch` match, without nulls."""
        from pyarrow.compute import call_function

        groups = [_reduced("and_kleene", [test.mask(batch) for test in group]) for group in self.any_of]
        return call_function("coalesce", [_reduced("or_kleene", groups), scalar_of(False, pa.bool_())])

    def decided(self, known: Mapping[str, Range]) -> bool | None:
        """Return whether all rows match, or none, by what is known of their columns; None where that does not tell."""
        groups = [[self._decided(test, known) for test in group] for group in self.any_of]
        found = [False if False in group else None if None in group else True for group in groups]
        return True if True in found else None if None in found else False

    def _decided(self, test: _Test, known: Mapping[str, Range]) -> bool | None:
        return test.decided(known[test.column]) if test.column in known else None


def _reduced(function: str, masks: Sequence[pa.BooleanArray]) -> pa.BooleanArray:
    from pyarrow.compute import call_function

    return reduce(lambda one, other: call_function(function, [one, other]), masks)


def _is_test(item: object) -> bool:
    return isinstance(item, tuple | list) and len(item) == 3 and isinstance(item[0], str)


def _group(group: Any) -> Sequence[Any]:  # Any: what the caller gave
    if not isinstance(group, list | tuple) or not group:
        raise LoaderError(f"where holds {group!r}: {_FORM}")
    return group


def _kinds(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return name to type of the columns, those in matrices too."""
    return {field.name: field.type for field in named_schema(schema)}


def _test(given: Any, kinds: Mapping[str, pa.DataType]) -> _Test:  # Any: what the caller gave
    if not _is_test(given):
        raise LoaderError(f"where holds {given!r}: {_FORM}")
    column, spelling, value = given
    if column not in kinds:
        raise LoaderError(f"where: {unknown_name('column', column, kinds)}")
    operator = _SPELLINGS.get(spelling)
    if operator is None:
        raise LoaderError(f"where: {unknown_name('operator', str(spelling), _SPELLINGS)}")
    several = operator in ("in", "not in")
    if several and (isinstance(value, str | bytes) or not isinstance(value, list | tuple | set | frozenset)):
        raise LoaderError(f"where: {column} {operator} {value!r}: give a list of values")
    if several and not value:
        raise LoaderError(f"where: {column} {operator} nothing: give at least one value")
    values = value if several else (value,)
    return _Test(column=column, operator=operator, values=tuple(_scalar(column, one, kinds[column]) for one in values))


def _scalar(column: str, value: Any, kind: pa.DataType) -> pa.Scalar:  # Any: what the caller gave
    if value is None:
        raise LoaderError(f"where: {column} is compared with None: a row without a value never matches; leave it out")
    if kind.num_fields or pa.types.is_dictionary(kind):
        raise LoaderError(f"where: column {column!r} of type {kind} has no order: compare plain columns")
    try:
        return scalar_of(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise LoaderError(
            f"where: {column!r} holds {kind}, with which {value!r} cannot be compared ({_first_line(error)}): give a "
            "value of that type; times as texts like 2026-01-31T12:00:00"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
