"""Owns values of columns as plain JSON, as Great Expectations writes them."""

import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

LONGEST = 10_000
"""Most characters of a text that a result holds whole."""
_KEPT = 200


def plain(value: Any) -> Any:
    """Return `value` as JSON with finite numbers.

    Clocks are ISO texts, decimals are floats, sets are sorted, what is missing or not finite is null.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted((plain(item) for item in value), key=str)
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case np.datetime64():
            return str(np.datetime_as_string(value))
        case date() | time():
            text = value.isoformat()
            return None if text == "NaT" else text
        case timedelta():
            return value.total_seconds()
        case _ if hasattr(value, "item") and getattr(value, "shape", None) == ():
            return plain(value.item())
        case _:
            return None if str(value) in ("NaT", "<NA>") else str(value)


def cut(value: Any) -> Any:
    """Return a JSON value in which texts longer than `LONGEST` are their beginning and how long they are."""
    match value:
        case str():
            return brief(value) if len(value) > LONGEST else value
        case dict():
            return {key: cut(item) for key, item in value.items()}
        case list():
            return [cut(item) for item in value]
        case _:
            return value


def brief(value: object) -> str:
    """Return a value as text of at most about 200 characters."""
    text = str(value)
    return text if len(text) <= _KEPT else f"{text[:_KEPT]}… ({len(text):,} characters)"
