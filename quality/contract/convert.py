"""Owns the way from the values a source has to the types a contract demands, cell by cell.

A cell that cannot be converted without loss becomes null and gets a reason. Text is understood exactly as pyarrow's CSV
reader understands it (tests hold this), so a row's fate does not depend on which of the two read it.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from quality.contract.arrow import array_of, compute, float_ends, null_of, plain, to_arrow, to_series
from quality.contract.calendar import clock_within_calendar, span_text, within_span
from quality.contract.findings import Findings, Reason, rows_where, shown, texts_of
from quality.contract.spec import Column
from quality.contract.types import FLOATS, TEXTS, UTC_CLOCK, arrow_type, clock_parts

if TYPE_CHECKING:
    import pyarrow as pa

    Array: TypeAlias = pa.Array

TRUE_TEXTS = ("1", "true", "True", "TRUE")
FALSE_TEXTS = ("0", "false", "False", "FALSE")
_PADDING = " \t"
_PRECISE_TIME = r"^\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"


def convert(values: "Array", name: str, column: Column) -> "tuple[Array, Findings]":
    """Return `values` in the stored type of `column`, and the reasons of the cells that do not fit it."""
    given = plain(values)
    parsed = _typed(given, column)
    typed = within_span(parsed)
    findings = _lost(given, parsed, name, f"not {column.type}")
    findings.update(_lost(parsed, typed, name, span_text(parsed.type)))
    if column.timezone is not None and clock_parts(column.type):
        typed, more = _localized(typed, name, column.timezone)
        findings.update(more)
    return _stored(typed, column), findings


def cast_leniently(values: "Array", cast: "Callable[[Array], Array]") -> "Array":
    """Return `cast(values)`, with null for each value that `cast` refuses; it is asked about distinct values only."""
    import pyarrow as pa

    pc = compute()

    try:
        return cast(values)
    except pa.ArrowInvalid:
        encoded = values.dictionary_encode()
        accepted = array_of(_accepted(encoded.dictionary, cast), pl.Boolean())
        known = pc.if_else(accepted, encoded.dictionary, null_of(values.type))
        return cast(known).take(encoded.indices)


def localize(clock: pl.Series, zone: str) -> pl.Series:
    """Return naive `clock` as UTC; null where `zone` skips that local time or has it twice, or the calendar ends."""
    return _in_utc(_local(clock).dt.replace_time_zone(zone, ambiguous="null", non_existent="null"))


def localize_reason(text: str, clock: pl.Series, zone: str) -> Reason:
    """Return why `localize` gave null for the one-row series `clock`."""
    earliest = _local(clock).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if earliest.null_count():
        what = f"does not exist in {zone}"
    elif _in_utc(earliest).null_count():
        what = f"in {zone} is beyond the years 1 to 9999 of UTC"
    else:
        what = f"is ambiguous in {zone}"
    return Reason(what, f"{text} {what}")


def _local(clock: pl.Series) -> pl.Series:
    return clock.dt.cast_time_unit("us")  # near the ends of 64-bit nanoseconds, the way to UTC would wrap


def _in_utc(clock: pl.Series) -> pl.Series:
    return clock_within_calendar(clock.dt.convert_time_zone("UTC"))


def _typed(values: "Array", column: Column) -> "Array":
    import pyarrow as pa

    target = arrow_type(column.type)
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if values.type == target:
        typed = values
    elif is_text and column.type not in TEXTS:
        typed = _parsed(values, column, target)
    else:
        numbers = _before_decimal(values) if pa.types.is_decimal(target) else values
        typed = _without_overflow(values, cast_leniently(numbers, lambda cells: cells.cast(target)))
    return _without_nan(typed) if column.type in FLOATS else typed


def _before_decimal(values: "Array") -> "Array":
    """Return numbers in a type that Arrow casts to a narrow decimal value by value, not refusing all for their type."""
    import pyarrow as pa

    if pa.types.is_integer(values.type):
        return values.cast(pa.decimal128(20, 0))
    return values.cast(pa.float32()) if pa.types.is_float16(values.type) else values


def _parsed(values: "Array", column: Column, target: "pa.DataType") -> "Array":
    """Return what the text says, null where it says nothing of type `target`."""
    import pyarrow as pa

    pc = compute()

    if column.format is not None:
        return _by_format(values, column.format, target)
    if column.type == "bool":
        known = pc.is_in(values, value_set=_texts(TRUE_TEXTS + FALSE_TEXTS, values.type))
        truth = pc.is_in(values, value_set=_texts(TRUE_TEXTS, values.type))
        return pc.if_else(known, truth, null_of(pa.bool_()))
    if column.type.startswith("time") and not clock_parts(column.type):
        return cast_leniently(values, lambda cells: _times(cells, target))
    if column.type.startswith("duration"):
        return cast_leniently(pc.ascii_trim(values, _PADDING), lambda cells: cells.cast(pa.int64()).cast(target))
    if clock_parts(column.type) or column.type == "binary":
        return cast_leniently(values, lambda cells: cells.cast(target))
    return cast_leniently(pc.ascii_trim(values, _PADDING), lambda cells: cells.cast(target))


def _texts(texts: tuple[str, ...], kind: "pa.DataType") -> "Array":
    return array_of(texts, pl.String()).cast(kind)


def _by_format(values: "Array", form: str, target: "pa.DataType") -> "Array":
    import pyarrow as pa

    kind: pl.DataType = pl.Date() if pa.types.is_date(target) else pl.Datetime("us")
    parsed = to_series(values).str.strptime(kind, form, strict=False)
    if isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone is not None and target.tz is None:
        parsed = parsed.dt.replace_time_zone(None)
    elif isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone is None and target.tz is not None:
        parsed = pl.Series(parsed.name, [None] * len(parsed), pl.Datetime("us"))  # text without zone, type with one
    return cast_leniently(to_arrow(parsed), lambda cells: cells.cast(target))


def _times(values: "Array", target: "pa.DataType") -> "Array":
    import pyarrow as pa

    pc = compute()

    if not pc.all(pc.match_substring_regex(values, _PRECISE_TIME), min_count=0).as_py():
        raise pa.ArrowInvalid("not a time of day")
    texts = values.cast(pa.string())  # text with 64-bit offsets joins with none
    clocks = pc.binary_join_element_wise("1970-01-01 ", texts, "", null_handling="emit_null")
    return clocks.cast(pa.timestamp(target.unit)).cast(target)


def _without_nan(values: "Array") -> "Array":
    ends = float_ends(values)
    if ends is not None and not math.isnan(ends[0]):
        return values
    pc = compute()
    missing = pc.is_nan(values)
    if not missing.true_count:
        return values
    return pc.if_else(missing, null_of(values.type), values)


def _without_overflow(values: "Array", narrowed: "Array") -> "Array":
    """Return float32 from float64 without the infinities that were finite; pyarrow makes them without a word."""
    import pyarrow as pa

    if (values.type, narrowed.type) != (pa.float64(), pa.float32()):
        return narrowed
    pc = compute()
    grown = pc.and_(pc.is_inf(narrowed), pc.is_finite(values))
    return pc.if_else(grown, null_of(narrowed.type), narrowed)


def _localized(values: "Array", name: str, zone: str) -> "tuple[Array, Findings]":
    clock = to_series(values)
    moved = localize(clock, zone)
    findings: Findings = {}
    if moved.null_count() > clock.null_count():
        for row in (moved.is_null() & clock.is_not_null()).arg_true().to_list():
            one = clock.slice(row, 1)
            why = localize_reason(str(one[0]), one, zone)
            findings[row] = [Reason(f"{name}: {why.rule}", f"{name}: {why.text}")]
    return to_arrow(moved), findings


def _stored(values: "Array", column: Column) -> "Array":
    """Return typed values in the stored type; clocks become UTC microseconds, finer parts are cut off."""
    if column.stored != UTC_CLOCK or values.type == arrow_type(UTC_CLOCK):
        return values
    if values.type.unit == "ns":  # Arrow's cast cuts off towards 1970, which is later before it
        values = to_arrow(to_series(values).dt.cast_time_unit("us"))
    return values.cast(arrow_type(UTC_CLOCK), safe=False)


def _lost(before: "Array", after: "Array", name: str, what: str) -> Findings:
    """Return a reason for each cell that had a value and lost it; NaN is none."""
    import pyarrow as pa

    pc = compute()

    if after.null_count == before.null_count:
        return {}
    gone = pc.and_(pc.is_valid(before), pc.is_null(after))
    if pa.types.is_floating(before.type):
        gone = pc.and_(gone, pc.fill_null(pc.invert(pc.is_nan(before)), False))
    rows = rows_where(gone)
    texts = texts_of(before.take(array_of(rows, pl.Int64())))
    if pa.types.is_string(before.type) or pa.types.is_large_string(before.type):
        found = [(row, text) for row, text in zip(rows, texts, strict=True) if not _says_nan(text, after.type)]
    else:
        found = list(zip(rows, texts, strict=True))
    return {row: [Reason(f"{name}: {what}", f"{name}: {shown(text)} is {what}")] for row, text in found}


def _says_nan(text: str | None, target: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_floating(target) and (text or "").strip(_PADDING).lstrip("+-").lower() == "nan"


def _accepted(values: "Array", cast: "Callable[[Array], Array]") -> list[bool]:
    """Return for each value whether `cast` takes it: halve what fails until single values are left."""
    import pyarrow as pa

    accepted = [True] * len(values)
    spans = [(0, len(values))]
    while spans:
        low, high = spans.pop()
        try:
            cast(values.slice(low, high - low))
        except pa.ArrowInvalid:
            if high - low == 1:
                accepted[low] = False
            else:
                middle = (low + high) // 2
                spans += [(low, middle), (middle, high)]
    return accepted
