"""Owns the form of results: Great Expectations' four result formats, and values as it shows them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from quality.suites.needs import FEW, MANY, Found, Outcome, Unsettled
from quality.suites.source import Column
from quality.wording import type_name
from resources.errors import DeclarationError
from resources.names import choose

FORMATS = ("BOOLEAN_ONLY", "BASIC", "SUMMARY", "COMPLETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How much of a failure is told.

    Attributes:
        name: Result format.
        few: Values shown of a failure.
        plain: Whether nothing else is asked of the format; otherwise the pandas engine runs them all.
    """

    name: str
    few: int = FEW
    plain: bool = True

    @classmethod
    def of(cls, given: str | Mapping[str, Any]) -> Self:
        """Return the format that Great Expectations' `result_format` stands for.

        Raises:
            DeclarationError: If it is none.
        """
        if not isinstance(given, (str, Mapping)):  # pyright: ignore[reportUnnecessaryIsInstance] (given by the user)
            raise DeclarationError(f"result_format is {given!r}: expected one of {', '.join(FORMATS)}, or an object")
        if isinstance(given, str):
            return cls(name=choose("result_format", given, FORMATS))
        name = choose("result_format", str(given.get("result_format", "SUMMARY")), FORMATS)
        few = given.get("partial_unexpected_count", FEW)
        if not isinstance(few, int) or few < 0:
            raise DeclarationError(f"partial_unexpected_count: expected a whole number from 0 on, got {few!r}")
        asked = {
            key for key, value in given.items() if value and key not in ("result_format", "partial_unexpected_count")
        }
        return cls(name=name, few=few, plain=not asked)

    @property
    def limit(self) -> int:
        """Failing rows whose values are fetched."""
        return MANY if self.name == "COMPLETE" else min(self.few, MANY)

    @property
    def rows(self) -> bool:
        """Whether failing rows are shown at all."""
        return self.name != "BOOLEAN_ONLY" and self.limit > 0

    @property
    def all_positions(self) -> bool:
        """Whether the positions of all failing rows are told."""
        return self.name == "COMPLETE"


def aggregate(format_: Format, success: object, observed: object, **details: object) -> Outcome:
    """Return the outcome of an expectation about one observed value."""
    result = {} if format_.name == "BOOLEAN_ONLY" else {"observed_value": observed, **details}
    return Outcome(success=bool(success), result=result)


def about_rows(
    format_: Format,
    *,
    total: int,
    considered: int | None,
    unexpected: int,
    mostly: float,
    found: Found,
    values: Sequence[Any],
) -> Outcome:
    """Return the outcome of an expectation about rows.

    Args:
        format_: Result format.
        total: Rows that meet the row condition.
        considered: Rows among them that are judged; None where the expectation is about being null.
        unexpected: Rows that fail.
        mostly: Share of the judged rows that must not fail.
        found: The first rows that fail.
        values: Their values, as shown.
    """
    judged = total if considered is None else considered
    success = judged == 0 or total == 0 or (float(judged) - float(unexpected)) / float(judged) >= mostly
    if format_.name == "BOOLEAN_ONLY":
        return Outcome(success=success, result={})
    share = None if not judged or not total else unexpected / judged * 100
    shown = list(values[: format_.few])
    result: dict[str, Any] = {
        "element_count": total,
        "unexpected_count": unexpected,
        "unexpected_percent": share,
        "partial_unexpected_list": shown,
    }
    if considered is not None:
        result["missing_count"] = total - considered
        result["missing_percent"] = (total - considered) / total * 100 if total else None
        result["unexpected_percent_total"] = unexpected / total * 100 if total else None
        result["unexpected_percent_nonmissing"] = share
    if format_.name == "BASIC":
        return Outcome(success=success, result=result)
    if format_.few:
        counts = _counts(values, format_.few)
        result |= {} if counts is None else {"partial_unexpected_counts": counts}
        result["partial_unexpected_index_list"] = list(found.positions[: format_.few])
    if format_.name == "COMPLETE":
        result["unexpected_list"] = list(values)
        result["unexpected_index_list"] = list(found.positions)
        result["unexpected_index_query"] = f"df.filter(items={list(found.positions)}, axis=0)"
    return Outcome(success=success, result=result)


def _counts(values: Sequence[Any], few: int) -> list[dict[str, Any]] | None:
    """Return the most frequent of the shown values, or None where they do not compare."""
    hashable = [tuple(value.values()) if isinstance(value, dict) else value for value in values]
    try:
        most = sorted(Counter(hashable).most_common(few), key=lambda pair: (-pair[1], pair[0]))
    except TypeError:
        return None
    return [{"value": value, "count": count} for value, count in most]


class _NoTime:
    """A time that is missing, as pandas compares and writes it: in no order with any other value."""

    def __lt__(self, _: object) -> bool:
        return False

    def __gt__(self, _: object) -> bool:
        return False

    def __str__(self) -> str:
        return "NaT"


_MISSING = float("nan")
_NO_TIME = _NoTime()


def to_show(column: Column) -> pl.Expr:
    """Return the expression whose values `shown` takes."""
    if column.kind == "other":
        raise Unsettled(f"values of the type {type_name(column.polars)}")
    # As numbers: Polars panics where it is to give Python a year that Python does not know.
    return column.value.to_physical() if column.kind in ("time", "date") else column.value


def shown(column: Column, value: Any, *, raw: bool = False) -> Any:
    """Return a value of `to_show` as the pandas engine gives it; `raw` is for pairs, of which it shows numpy's clocks.

    Raises:
        Unsettled: If Python has no such year.
    """
    unit: Any = getattr(column.polars, "time_unit", None)
    if column.kind == "time" and raw:
        return np.datetime64("NaT") if value is None else np.datetime64(value, unit)
    if value is None:
        missing = {"float": float("nan"), "str": _MISSING, "time": _NO_TIME}  # the first is another one each time
        return missing.get(column.kind)
    return clock(value, column.polars) if column.kind in ("time", "date") else value


def clock(value: int, kind: Any) -> Any:  # Any: polars' classes do not tell unit and zone of each other
    """Return the date or time, or the text of nanoseconds, that a physical value of a column stands for.

    Raises:
        Unsettled: If Python has no such year.
    """
    try:
        if isinstance(kind, pl.Date):
            return date(1970, 1, 1) + timedelta(days=value)
        scale = {"ms": 10**6, "us": 10**3, "ns": 1}[kind.time_unit]
        seconds, rest = divmod(value * scale, 10**9)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=rest // 1000)
        local = moment.astimezone(ZoneInfo(kind.time_zone)) if kind.time_zone else moment.replace(tzinfo=None)
    except OverflowError as error:
        raise Unsettled("a year beyond 1 to 9999") from error
    if kind.time_unit != "ns":
        return local
    if rest % 1000 == 0:
        return local.isoformat()
    text = local.isoformat(timespec="microseconds")
    return f"{text[:26]}{rest % 1000:03d}{text[26:]}"
