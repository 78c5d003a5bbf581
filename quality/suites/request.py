"""Owns one expectation on its way: its arguments, the rows it is about, and what it may ask of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar, cast

import polars as pl

from quality.suites.conditions import number, row_mask
from quality.suites.folds import added
from quality.suites.format import Format
from quality.suites.needs import Fold, Rows, Scalar, Unsettled
from quality.suites.source import Assured, Column, Kind, Source
from quality.wording import type_name
from resources.canonical import canonical_json

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An expectation that is about to be judged.

    Attributes:
        source: The rows.
        format: Result format.
        arguments: Arguments of the expectation; those that are None are left out.
        mask: Rows that meet the row condition; None for all.
        domain: Key of that condition.
    """

    source: Source
    format: Format
    arguments: Mapping[str, Any]  # Any: JSON values
    mask: pl.Expr | None
    domain: str

    @classmethod
    def of(cls, source: Source, format_: Format, kwargs: Mapping[str, Any]) -> "Request":
        """Return the request that the arguments of an expectation make.

        Raises:
            Unsettled: If they hold what only the pandas engine understands.
        """
        arguments = {name: value for name, value in kwargs.items() if value is not None}
        if any(isinstance(value, Mapping) and "$PARAMETER" in value for value in arguments.values()):
            raise Unsettled("a suite parameter")
        for name, fits in _SHAPES.items():
            if name in arguments and not fits(arguments[name]):
                raise Unsettled(f"{name} of another form")
        mostly = arguments.get("mostly", 1)
        if not isinstance(mostly, (int, float)) or not 0 <= mostly <= 1:
            raise Unsettled(f"mostly {mostly!r}")
        if not _ordered(arguments.get("min_value"), arguments.get("max_value")):
            raise Unsettled("limits that exclude each other")
        condition = arguments.get("row_condition")
        mask = row_mask(source, condition, arguments.get("condition_parser"))
        domain = "" if mask is None else canonical_json(condition).decode()
        return cls(source=source, format=format_, arguments=arguments, mask=mask, domain=domain)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument, or `default` where it is not given."""
        return self.arguments.get(name, default)

    @property
    def mostly(self) -> float:
        """Share of the judged rows that must not fail."""
        return float(self.get("mostly", 1))

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an argument that is true or false.

        Raises:
            Unsettled: If it is neither.
        """
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise Unsettled(f"{name} {value!r}")
        return value

    @property
    def strict(self) -> tuple[bool, bool]:
        """Whether the lower and the upper limit are themselves outside the range."""
        return self.flag("strict_min"), self.flag("strict_max")

    def column(self, name: str = "column", *, kinds: tuple[Kind, ...] | None = None) -> Column:
        """Return the column that the argument `name` names.

        Raises:
            Unsettled: If there is none, or it is of another kind.
        """
        return self.named(self[name], kinds=kinds)

    def named(self, name: str, *, kinds: tuple[Kind, ...] | None = None) -> Column:
        """Return the column `name`; raises as `column` does."""
        if not isinstance(name, str) or name not in self.source.schema:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise Unsettled(f"{name!r}, which is no column")
        column = self.source.column(name)
        if kinds is not None and column.kind not in kinds:
            raise Unsettled(f"a column of the type {type_name(column.polars)}")
        return column

    def scalar(
        self, key: object, expression: pl.Expr, known: Any = None, *, apart: bool = False, fold: Fold | None = None
    ) -> Scalar:
        """Return the need of one value of these rows; `apart` if it looks at neighbouring rows."""
        return Scalar((self.domain, key), expression, known, apart, fold)

    def rows(self) -> Scalar:
        """Return the need of the number of rows."""
        if self.mask is None:
            return self.scalar("rows", pl.len(), self.source.rows)
        return self.count("rows", self.mask)

    def count(self, key: object, mask: pl.Expr, known: int | None = None, *, examples: Rows | None = None) -> Scalar:
        """Return the need of how many rows of all a mask selects; nulls of the mask count as no."""
        return Scalar((self.domain, key), mask.sum(), known, False, added(mask.sum()), examples)

    def counted(self, key: object, mask: pl.Expr, known: int | None = None, *, examples: Rows | None = None) -> Scalar:
        """Return the need of how many of these rows a mask selects."""
        return self.count(("count", key), self.within(mask), known, examples=examples)

    def missing(self, column: Column, *, examples: Rows | None = None) -> Scalar:
        """Return the need of how many values of a column are missing."""
        known = self.source.nulls.get(column.name) if self.mask is None else None
        if column.polars.is_float() and column.name not in self.source.assured:
            known = None
        return self.counted(("missing", column.name), column.value.is_null(), known, examples=examples)

    def failing(
        self,
        key: object,
        values: tuple[pl.Expr, ...],
        mask: pl.Expr,
        among: pl.Expr | None = None,
        *,
        decides: str | None = None,
    ) -> Rows:
        """Return the need of the first rows that a mask selects, and their values; `decides` as in `Rows`."""
        return Rows(
            (self.domain, key),
            values,
            mask,
            among=among,
            limit=self.format.limit,
            all_positions=self.format.all_positions,
            decides=decides if self.mask is None else None,
        )

    def values(self, column: Column) -> pl.Expr:
        """Return the values of a column in these rows, nulls included."""
        return column.value if self.mask is None else column.value.filter(self.mask)

    def within(self, mask: pl.Expr) -> pl.Expr:
        """Return `mask` for these rows only."""
        return mask if self.mask is None else mask & self.mask

    def assured(self, column: Column) -> Assured:
        """Return what is certain of the values of a column."""
        return self.source.assured.get(column.name) or Assured()

    def bounds(self, column: Column) -> tuple[float, float] | None:
        """Return the bounds of a column of numbers where the footers settle them."""
        if self.mask is not None or self.source.footers is None or column.kind not in ("int", "float"):
            return None
        return self.source.footers.bounds(column.name)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple, set))


def _is_ranges(value: Any) -> bool:
    if not isinstance(value, Mapping) or not {"quantiles", "value_ranges"} <= set(cast("Mapping[str, Any]", value)):
        return False
    shares, ranges = value["quantiles"], value["value_ranges"]
    if not (isinstance(shares, list) and isinstance(ranges, list) and len(shares) == len(ranges)):
        return False
    ends = [end for limits in ranges for end in (limits if _is_list(limits) and len(limits) == 2 else ["none"])]
    return all(end is None or number(end) for end in ends)


_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("column_list", "column_set", "type_list"), _is_list),
    "column_index": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "quantile_ranges": _is_ranges,
    "value_pairs_set": lambda value: isinstance(value, list) and all(map(_is_list, value)),
}
"""Argument to whether it has the form that is compiled; the library says what is wrong with another one."""


def _ordered(low: Any, high: Any) -> bool:
    try:
        return low is None or high is None or bool(low <= high)
    except TypeError:
        return False


def limits(request: Request, column: Column) -> tuple[Any, Any]:
    """Return the lower and the upper limit, as values that compare with those of the column; None is no limit.

    Raises:
        Unsettled: If the pandas engine would compare values of different types, or lose digits.
    """
    return tuple(_limit(request.get(name), column) for name in ("min_value", "max_value"))  # pyright: ignore[reportReturnType]


def _limit(value: Any, column: Column) -> Any:
    if value is None:
        return None
    if column.kind in ("int", "float", "bool"):
        value = _number(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53:
            return int(value) if float(value).is_integer() and column.kind == "int" else float(value)
        if isinstance(value, float) and not math.isnan(value):
            return value
    if column.kind == "date" and (found := _date(value)) is not None:
        return found
    if column.kind == "time" and (moment := _moment(value)) is not None:
        zone = getattr(column.polars, "time_zone", None)
        if (moment.tzinfo is None) == (zone is None):
            return moment
    raise Unsettled(f"a limit of type {type(value).__name__} for a column of the type {type_name(column.polars)}")


def _number(value: Any) -> Any:
    """Return the number that a text stands for, which Great Expectations reads it as, or `value`."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _date(value: Any) -> date | None:
    if isinstance(value, datetime):
        return None
    if isinstance(value, date):
        return value
    return _parsed(value, date.fromisoformat, length=10)


def _moment(value: Any) -> datetime | None:
    found = value if isinstance(value, datetime) else _parsed(value, datetime.fromisoformat, length=None)
    return found if found is None or found.tzinfo is None else found.astimezone(UTC)


def _parsed(value: Any, parse: Callable[[str], _T], *, length: int | None) -> _T | None:
    if not isinstance(value, str) or (len(value) != length if length else len(value) < len("2020-01-01T00:00")):
        return None
    try:
        return parse(value)
    except ValueError:
        return None
