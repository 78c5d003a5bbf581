"""Owns expectations about the table: its rows, its columns, their types."""

from itertools import zip_longest
from typing import Any

import numpy as np

from quality.suites.format import aggregate
from quality.suites.needs import Judged, Outcome, Unsettled
from quality.suites.request import Request
from quality.suites.source import Column
from quality.wording import type_name

_NATIVE = {"bool": bool, "int": int, "long": int, "float": float, "bytes": bytes, "complex": complex, "str": str,
           "string_types": str, "list": list, "dict": dict}  # fmt: skip


def row_count(request: Request) -> Judged:
    """There are so many rows."""
    need = request.rows()
    rows = (yield [need])[need]
    return _count(request, int(rows))


def column_count(request: Request) -> Judged:
    """There are so many columns."""
    yield []
    return _count(request, len(request.source.schema))


def _count(request: Request, count: int) -> Outcome:
    if "value" in request.arguments:
        wanted = request["value"]
        if not isinstance(wanted, int):
            raise Unsettled(f"a count of {wanted!r}")
        return aggregate(request.format, count == wanted, count)
    low, high = request.get("min_value"), request.get("max_value")
    if not all(end is None or isinstance(end, (int, float)) for end in (low, high)):
        raise Unsettled("limits of a count that are no numbers")
    strict = request.strict
    above = low is None or (count > low if strict[0] else count >= low)
    below = high is None or (count < high if strict[1] else count <= high)
    return aggregate(request.format, above and below, count)


def ordered_columns(request: Request) -> Judged:
    """The columns are these, in this order."""
    yield []
    names, wanted = list(request.source.schema), request.get("column_list")
    if wanted is None or names == list(wanted):
        return aggregate(request.format, True, names)
    beside = enumerate(zip_longest(wanted, names))
    differ = [{"Expected Column Position": at, "Expected": a, "Found": b} for at, (a, b) in beside if a != b]
    return aggregate(request.format, False, names, details={"mismatched": differ})


def column_set(request: Request) -> Judged:
    """The columns are these, in any order, or these and others."""
    yield []
    names, wanted = set(request.source.schema), set(request.get("column_set") or ())
    mismatched = {"unexpected": sorted(names - wanted), "missing": sorted(wanted - names)}
    mismatched = {key: found for key, found in mismatched.items() if found}
    exact = request.flag("exact_match", True)
    if not mismatched:
        return aggregate(request.format, True, sorted(names))
    met = not exact and "missing" not in mismatched
    return aggregate(request.format, met, sorted(names), details={"mismatched": mismatched})


def column_exists(request: Request) -> Judged:
    """There is such a column, at such a place."""
    yield []
    names, index = list(request.source.schema), request.get("column_index")
    if index:
        met = -len(names) <= index < len(names) and names[index] == request["column"]
    else:
        met = request["column"] in names
    return Outcome(success=met, result={})


def column_type(request: Request) -> Judged:
    """The column has this pandas type."""
    yield []
    column = request.column()
    actual, wanted = _dtype(column), str(request["type_"])
    if wanted == actual:
        return aggregate(request.format, True, actual)
    if wanted in ("str", "string", "object", "category"):
        return aggregate(request.format, False, actual)
    parsed = _numpy(wanted)
    if parsed is None:
        raise Unsettled(f"the type {wanted!r}")
    if parsed.kind in "mM" and np.datetime_data(parsed)[0] == "generic":
        met = parsed.kind == "M" and column.kind == "time" and getattr(column.polars, "time_zone", None) is None
        return aggregate(request.format, met, actual)
    return aggregate(request.format, actual == str(parsed), actual)


def values_of_type(request: Request) -> Judged:
    """The values have this type, or one of these."""
    yield []
    column = request.column()
    if _dtype(column) == "object":
        raise Unsettled("a column of Python objects")
    own = _scalar_type(column)
    shown = own if isinstance(own, str) else own.__name__
    if "type_list" in request.arguments:
        types = [kind for name in request["type_list"] for kind in _types(str(name), dtypes=True)]
        whole = None if column.kind == "str" or isinstance(own, str) else np.dtype(column.dtype)
        return aggregate(request.format, whole is not None and whole in types, shown)
    types = _types(str(request["type_"]), dtypes=False) if "type_" in request.arguments else [own]
    return aggregate(request.format, own in types, shown)


def _dtype(column: Column) -> str:
    """Return the name of the pandas type of a column.

    Raises:
        Unsettled: If only pandas knows.
    """
    if column.kind == "other":
        raise Unsettled(f"a column of the type {type_name(column.polars)}")
    return column.dtype


def _scalar_type(column: Column) -> Any:
    """Return the type of single values of a column in pandas, or the name of one that only pandas has."""
    if column.kind == "str":
        return str
    if column.kind == "time":
        return "Timestamp" if getattr(column.polars, "time_zone", None) else np.datetime64
    return np.dtype(column.dtype).type


def _types(name: str, *, dtypes: bool) -> list[Any]:
    """Return the types that a name stands for; raises `Unsettled` for those of pandas."""
    found = list[Any]()
    parsed = _numpy(name)
    if parsed is not None:
        found += [parsed.type, parsed] if dtypes else [parsed.type]
    elif name.lower() not in _NATIVE and name.lower() not in ("none", "unicode"):
        raise Unsettled(f"the type {name!r}")
    return [*found, *([_NATIVE[name.lower()]] if name.lower() in _NATIVE else [])]


def _numpy(name: str) -> Any:
    try:
        return np.dtype(name)
    except TypeError:
        return None
