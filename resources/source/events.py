"""Owns when rows happened: the declared event time, checked against the contract, and its value per row, in UTC.

Expressions must be row-wise: a row's time may not depend on other rows, of which a block holds only some.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.contract import Contract
from quality.contract.arrow import to_arrow
from quality.contract.calendar import clock_within_calendar
from quality.contract.convert import localize, localize_reason
from quality.contract.findings import Findings, Reason
from quality.contract.types import UTC_CLOCK, arrow_type, clock_parts
from resources.errors import DeclarationError
from resources.source.spec import EventTime

if TYPE_CHECKING:
    import pyarrow as pa

_CLOCK = pl.Datetime("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENGINE_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """Rows with their event times.

    Attributes:
        table: The rows; the event time is among the columns.
        times_us: Microseconds since 1970 UTC, 0 where there is no time.
        known: Which rows have a time.
        findings: Why the others have none.
    """

    table: "pa.Table"
    times_us: NDArray[np.int64]
    known: NDArray[np.bool_]
    findings: Findings


def clocked_contract(contract: Contract, event_time: EventTime | None) -> Contract:
    """Return `contract` with the zone of the event time in it.

    Raises:
        DeclarationError: If a clock has no zone, or the event time does not fit the contract.
    """
    if event_time is not None:
        contract = _with_zone(contract, event_time)
    for name, column in contract.columns.items():
        if column.is_naive_clock:
            raise DeclarationError(
                f"contract.columns.{name}: {column.type} is a clock without a zone: set its timezone, such as "
                "'UTC' or 'America/New_York'"
            )
    if event_time is not None and event_time.expression is not None:
        _check_expression(contract, event_time, event_time.expression)
    return contract


def stored_schema(contract: Contract, event_time: EventTime | None) -> "pa.Schema":
    """Return the schema of the snapshot: the contract's columns, and the event time where it is computed."""
    import pyarrow as pa

    schema = clocked_contract(contract, event_time).schema()
    if event_time is None or event_time.expression is None:
        return schema
    return schema.append(pa.field(event_time.column, arrow_type(UTC_CLOCK), nullable=False))


def event_times(table: "pa.Table", event_time: EventTime) -> Clocked:
    """Return the event time of each row of the typed rows `table`."""
    if event_time.expression is None:
        clock = _as_clock(_column(table, event_time.column))
        findings: Findings = {}
    else:
        clock, findings = _computed(table, event_time, event_time.expression)
        table = table.append_column(event_time.column, to_arrow(clock))
    known = clock.is_not_null().to_numpy()
    times = clock.to_physical().fill_null(0).to_numpy()
    for row in np.flatnonzero(~known).tolist():
        findings.setdefault(row, [Reason(f"{event_time.column}: no event time", f"{event_time.column}: no event time")])
    return Clocked(table=table, times_us=times, known=known, findings=findings)


def microseconds(instant: datetime) -> int:
    """Return the microseconds from 1970 UTC to the zone-aware `instant`."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def instant_of(time_us: int) -> datetime:
    """Return the instant, in UTC, that lies `time_us` microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=time_us)


def _with_zone(contract: Contract, event_time: EventTime) -> Contract:
    name = event_time.column
    column = contract.columns.get(name)
    if event_time.expression is not None:
        if column is not None:
            raise DeclarationError(f"event_time.column {name!r} is in the contract already: name a new column")
        return contract
    if column is None:
        listed = ", ".join(contract.columns)
        raise DeclarationError(
            f"event_time.column {name!r} is not in the contract: name one of {listed}, or give event_time.expression"
        )
    if clock_parts(column.type) is None and column.type != "date32":
        raise DeclarationError(f"event_time.column {name!r} is {column.type}: it must be a timestamp or date32")
    if event_time.timezone is None or column.timezone == event_time.timezone or column.type == "date32":
        return contract
    if not column.is_naive_clock:
        raise DeclarationError(
            f"event_time.timezone {event_time.timezone!r}: {name!r} has its own zone already, "
            f"{column.timezone or column.type}: remove event_time.timezone"
        )
    zoned = column.model_copy(update={"timezone": event_time.timezone})
    return contract.model_copy(update={"columns": {**contract.columns, name: zoned}})


def _check_expression(contract: Contract, event_time: EventTime, text: str) -> None:
    from resources.transform.expressions import check_expression, compile_expression
    from resources.transform.sql_text import is_row_wise

    field = "event_time.expression"
    check_expression(field, text, contract.columns)
    if not is_row_wise(text):
        raise DeclarationError(f"{field} {text!r} looks at other rows: a row's time must follow from that row alone")
    try:
        found = pl.DataFrame(schema=contract.polars_schema()).select(compile_expression(text)).dtypes[0]
    except _ENGINE_ERRORS as error:
        brief = str(error).partition("\n")[0]
        raise DeclarationError(f"{field} {text!r} does not fit the contract's types: {brief}") from None
    if not isinstance(found, pl.Date | pl.Datetime):
        raise DeclarationError(f"{field} {text!r} gives {found}: it must give a date or a clock")
    if (isinstance(found, pl.Date) or found.time_zone is None) and event_time.timezone is None:
        raise DeclarationError(f"{field} {text!r} gives a clock without a zone: set event_time.timezone, such as 'UTC'")


def _computed(table: "pa.Table", event_time: EventTime, text: str) -> tuple[pl.Series, Findings]:
    from resources.transform.expressions import compile_expression

    expression = compile_expression(text)
    frame = pl.DataFrame({name: _column(table, name) for name in expression.meta.root_names()})
    named = expression.alias(event_time.column)
    kind = frame.clear().select(named).dtypes[0]
    return _in_utc(_evaluated(frame, named, len(table), kind), event_time)


def _in_utc(found: pl.Series, event_time: EventTime) -> tuple[pl.Series, Findings]:
    """Return the computed times in UTC, and the reasons of those that their zone does not have exactly once."""
    if isinstance(found.dtype, pl.Datetime) and found.dtype.time_zone is not None:
        return _as_clock(found), {}
    zone = event_time.timezone or "UTC"
    local = clock_within_calendar(found.cast(pl.Datetime("us")))
    clock = localize(local, zone)
    findings: Findings = {}
    for row in (clock.is_null() & local.is_not_null()).arg_true().to_list():
        why = localize_reason(str(local[row]), local.slice(row, 1), zone)
        findings[row] = [Reason(f"{event_time.column}: {why.rule}", f"{event_time.column}: {why.text}")]
    return clock, findings


def _evaluated(frame: pl.DataFrame, expression: pl.Expr, rows: int, kind: pl.DataType) -> pl.Series:
    """Return the expression's values, null in the rows for which it fails; `kind` is its type."""
    try:
        found = frame.select(expression).to_series()
        return found if found.dtype == kind else found.cast(kind)
    except _ENGINE_ERRORS:
        if rows == 1:
            return pl.Series(expression.meta.output_name(), [None], kind)
    half = rows // 2
    first = _evaluated(frame[:half], expression, half, kind)
    return first.append(_evaluated(frame[half:], expression, rows - half, kind))


def _as_clock(series: pl.Series) -> pl.Series:
    if isinstance(series.dtype, pl.Datetime):
        return clock_within_calendar(series.dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
    return series.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _column(table: "pa.Table", name: str) -> pl.Series:
    found = pl.from_arrow(table.column(name))
    if not isinstance(found, pl.Series):
        raise TypeError(f"column {name!r} gave {type(found).__name__}")
    return found.alias(name)
