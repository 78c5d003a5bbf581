"""Owns the names of column types: the text a person writes, its one canonical form, and the Arrow and Polars types.

Flat types only: numbers, text, bytes, booleans, dates, times. It never imports pyarrow before a type is built.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

from resources.errors import DeclarationError
from resources.names import nearest

if TYPE_CHECKING:
    import pyarrow as pa

INTEGERS: dict[str, tuple[int, int]] = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
"""Integer types with their smallest and largest value."""
FLOATS = frozenset({"float32", "float64"})
TEXTS = frozenset({"string", "large_string"})
UTC_CLOCK = "timestamp[us, tz=UTC]"
"""The type in which every clock is stored."""

_PLAIN = (*INTEGERS, *sorted(FLOATS), "bool", *sorted(TEXTS), "binary", "date32")
_ALIASES = {"double": "float64", "boolean": "bool", "utf8": "string", "str": "string", "date32[day]": "date32"}
_ARROW_ONLY = {"float": "float32"}  # what pyarrow prints for float32; a person who writes it may mean float64
_CLOCK = re.compile(r"timestamp\[(s|ms|us|ns)(?:, *tz=([^\]]+))?\]")
_TIME = re.compile(r"(?:time32\[(?:s|ms)\]|time64\[(?:us|ns)\]|duration\[(?:s|ms|us|ns)\])")
_DECIMAL = re.compile(r"decimal128\((\d+), *(\d+)\)")
_EXAMPLES = (*_PLAIN, UTC_CLOCK, "timestamp[us]", "time64[us]", "duration[us]", "decimal128(10, 2)")


def type_text(given: object) -> str:
    """Return the canonical text of a type given as text or as a `pyarrow.DataType`.

    Raises:
        DeclarationError: If no such flat type exists, naming the nearest one.

    >>> type_text("double"), type_text("timestamp[ns,tz=Europe/Berlin]")
    ('float64', 'timestamp[ns, tz=Europe/Berlin]')
    """
    text = str(given).strip()
    if not isinstance(given, str):
        text = _ARROW_ONLY.get(text, text)
    text = _ALIASES.get(text, text)
    if text in _PLAIN or _TIME.fullmatch(text):
        return text
    if clock := _CLOCK.fullmatch(text):
        return _clock_text(clock[1], clock[2])
    if decimal := decimal_parts(text):
        return _decimal_text(*decimal)
    hint = nearest(text, _EXAMPLES) or "."
    raise DeclarationError(f"{text!r} is no column type{hint} Types: {', '.join(_EXAMPLES)}")


def zone_name(name: str) -> str:
    """Return `name` if it is an IANA time zone.

    Raises:
        DeclarationError: If it is none.
    """
    try:
        ZoneInfo(name)
        pl.Series(dtype=pl.Datetime("us")).dt.replace_time_zone(name)  # knows no zone that is a file of this host only
    except (KeyError, ValueError, OSError, pl.exceptions.ComputeError) as error:
        example = "'UTC' or 'America/New_York'"
        hint = nearest(name, available_timezones() - {name})
        raise DeclarationError(f"{name!r} is no IANA time zone such as {example}{hint}") from error
    return name


def clock_parts(text: str) -> tuple[str, str | None] | None:
    """Return unit and zone of a timestamp type, or None for any other type.

    >>> clock_parts("timestamp[us, tz=UTC]"), clock_parts("timestamp[s]"), clock_parts("int64")
    (('us', 'UTC'), ('s', None), None)
    """
    clock = _CLOCK.fullmatch(text)
    return (clock[1], clock[2]) if clock else None


def decimal_parts(text: str) -> tuple[int, int] | None:
    """Return precision and scale of a decimal type, or None for any other type.

    >>> decimal_parts("decimal128(10, 2)"), decimal_parts("int64")
    ((10, 2), None)
    """
    decimal = _DECIMAL.fullmatch(text)
    return (int(decimal[1]), int(decimal[2])) if decimal else None


def arrow_type(text: str) -> "pa.DataType":
    """Return the Arrow type of a canonical type text."""
    import pyarrow as pa

    if clock := clock_parts(text):
        return pa.timestamp(clock[0], tz=clock[1])
    if decimal := decimal_parts(text):
        return pa.decimal128(*decimal)
    return pa.type_for_alias(text)


def polars_type(text: str) -> pl.DataType:
    """Return the Polars type of a canonical type text, without importing pyarrow."""
    if clock := clock_parts(text):
        return pl.Datetime("us" if clock[0] == "s" else _unit(clock[0]), clock[1])
    if decimal := decimal_parts(text):
        return pl.Decimal(*decimal)
    if text.startswith("time"):
        return pl.Time()
    if text.startswith("duration"):
        return pl.Duration(_unit(text[9:-1].replace("s", "ms") if text == "duration[s]" else text[9:-1]))
    return _POLARS[text]()


def _clock_text(unit: str, zone: str | None) -> str:
    return f"timestamp[{unit}]" if zone is None else f"timestamp[{unit}, tz={zone_name(zone.strip())}]"


def _decimal_text(precision: int, scale: int) -> str:
    if not (1 <= precision <= 38 and scale <= precision):
        raise DeclarationError(f"decimal128({precision}, {scale}): precision is 1 to 38, scale 0 to precision")
    return f"decimal128({precision}, {scale})"


def _unit(text: str) -> Any:  # Any: polars' literal type of time units
    return text


_POLARS: dict[str, Callable[[], pl.DataType]] = {
    **{
        name: getattr(
            pl,
            name.replace("uint", "UInt").replace("int", "Int", 1) if name[0] == "i" else name.replace("uint", "UInt"),
        )
        for name in INTEGERS
    },
    "float32": pl.Float32,
    "float64": pl.Float64,
    "bool": pl.Boolean,
    "string": pl.String,
    "large_string": pl.String,
    "binary": pl.Binary,
    "date32": pl.Date,
}
