"""Owns declared limits and allowed values as a column's type holds them.

Where a limit lies between two values of the type it is moved inwards, so that it means what it says: a minimum of 0.005
is 0.01 where there are two decimal places. Floats are rounded as the values are, so that 0.1 is 0.1 in 32 bits too.
"""

import re
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from quality.contract.findings import cut
from quality.contract.types import FLOATS, INTEGERS, TEXTS, clock_parts, decimal_parts
from resources.errors import DeclarationError

Plain: TypeAlias = bool | int | float | str
End = Literal["minimum", "maximum"]

_FINER_THAN_MICROSECONDS = re.compile(r"[.,]\d{6}\d*[1-9]")
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}
"""Microseconds of a tick, in which limits are told; nanoseconds have a tick for each too."""
_FIRST_OF_NS = datetime(1677, 9, 21, 0, 12, 43, 145225, tzinfo=UTC)
_LAST_OF_NS = datetime(2262, 4, 11, 23, 47, 16, 854775, tzinfo=UTC)
"""Microseconds that 64 bits of nanoseconds hold."""


@lru_cache(maxsize=4096, typed=True)
def limit(end: End, value: Plain, type_text: str, stored: str) -> Any:  # Any: int, float, Decimal, date or datetime
    """Return a declared limit as the smallest stored value that is not below it, or the largest that is not above.

    Args:
        end: Which of both it is.
        value: The number, or ISO 8601 text of dates and clocks.
        type_text: Type of the column.
        stored: Type with which it is stored.

    Raises:
        DeclarationError: If columns of this type have no limits, or no such value.

    >>> limit("minimum", 0.005, "decimal128(4, 2)", "decimal128(4, 2)")
    Decimal('0.01')
    """
    if type_text in INTEGERS:
        return _integer(end, value, type_text)
    if type_text in FLOATS:
        return _float(end, value, type_text)
    if parts := decimal_parts(type_text):
        return _decimal(end, value, type_text, *parts)
    if type_text == "date32":
        return _date(end, value)
    if clock := clock_parts(stored):
        return _clock(end, value, type_text, clock[0])
    raise DeclarationError(f"{end} has no meaning for a {type_text} column: remove it")


def allowed_value(value: Plain, type_text: str) -> Plain:
    """Return an allowed value as a column of type `type_text` holds it.

    Raises:
        DeclarationError: If it holds no such value, or there is no list of allowed ones for this type.
    """
    if type_text in INTEGERS:
        return _integer("allowed value", value, type_text)
    if type_text in FLOATS:
        return _float("allowed value", value, type_text)
    if type_text not in TEXTS and type_text != "bool":
        raise DeclarationError(
            f"allowed has no meaning for a {type_text} column: it is for numbers, texts and booleans; remove it"
        )
    if type(value) is not (bool if type_text == "bool" else str):
        raise DeclarationError(f"allowed value {cut(repr(value))} is no {type_text}")
    if isinstance(value, str) and not is_unicode(value):
        raise DeclarationError(
            f"allowed value {cut(repr(value))} is no text: half of a surrogate pair cannot be stored as UTF-8"
        )
    return value


def is_unicode(text: str) -> bool:
    """Return whether UTF-8 has `text`; it lacks single halves of surrogate pairs.

    >>> is_unicode("\\ud83d"), is_unicode("x")
    (False, True)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(what: str, value: Plain, type_text: str) -> int:
    low, high = INTEGERS[type_text]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise DeclarationError(
            f"{what} of a {type_text} column must be an integer from {low} to {high}, got {cut(repr(value))}"
        )
    return value


def _float(what: str, value: Plain, type_text: str) -> float:
    if isinstance(value, str | bool):
        raise DeclarationError(f"{what} of a {type_text} column must be a number, got {cut(repr(value))}")
    try:
        number = float(value)
        held: float = struct.unpack("f", struct.pack("f", number))[0] if type_text == "float32" else number
    except OverflowError:
        held = float("inf")
    if held - held != 0:  # NaN and infinities, which JSON lacks
        bits = type_text.removeprefix("float")
        raise DeclarationError(
            f"{what} of a {type_text} column must be a finite number that {bits} bits hold, got {cut(repr(value))}; "
            "remove it if it limits nothing (NaN counts as missing: nullable)"
        )
    return held


def _decimal(end: End, value: Plain, type_text: str, precision: int, scale: int) -> Decimal:
    try:
        number = Decimal(value if isinstance(value, int) else str(value))  # of a float, the digits that people write
    except InvalidOperation:
        number = Decimal("nan")
    most = Decimal(10**precision - 1).scaleb(-scale, Context(prec=precision))
    least = most.copy_negate()  # unary minus rounds to 28 digits
    if not number.is_finite() or not least <= number <= most:
        raise DeclarationError(
            f"{end} of a {type_text} column must be a number from {least} to {most}, got {cut(repr(value))}"
        )
    rounding = ROUND_CEILING if end == "minimum" else ROUND_FLOOR
    return number.quantize(Decimal(1).scaleb(-scale), context=Context(prec=precision, rounding=rounding))


def _date(end: End, value: Plain) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise _not_iso(end, value, "date32") from error


def _clock(end: End, value: Plain, type_text: str, unit: str) -> datetime:
    try:
        given = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _not_iso(end, value, type_text) from error
    if _FINER_THAN_MICROSECONDS.search(str(value)):
        raise DeclarationError(
            f"{end} of a {type_text} column is told to the microsecond, got {cut(repr(value))}: drop digits"
        )
    try:
        held = _on_tick(given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC), unit, end)
    except OverflowError as error:
        raise DeclarationError(
            f"{end} of a {type_text} column must lie within the years 1 to 9999 of UTC, got {cut(repr(value))}"
        ) from error
    if unit == "ns" and not _FIRST_OF_NS <= held <= _LAST_OF_NS:
        first, last = (end_of_ns.replace(tzinfo=None).isoformat() for end_of_ns in (_FIRST_OF_NS, _LAST_OF_NS))
        raise DeclarationError(
            f"{end} of a {type_text} column must lie from {first} to {last}, all that 64 bits of nanoseconds hold, "
            f"got {cut(repr(value))}: remove it, or declare timestamp[us]"
        )
    return held


def _on_tick(instant: datetime, unit: str, end: End) -> datetime:
    tick = _MICROSECONDS[unit]
    past = instant.microsecond % tick
    if not past:
        return instant
    return instant + timedelta(microseconds=tick - past if end == "minimum" else -past)


def _not_iso(end: End, value: Plain, type_text: str) -> DeclarationError:
    return DeclarationError(f"{end} of a {type_text} column is ISO 8601 text, got {cut(repr(value))}")
