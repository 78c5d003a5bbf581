"""Owns the reading of stored column profiles, of this format and of the one before it.

Format 1 had no sketch, at most ten frequent values without an error, and no lengths. Format 2 counted distinct values
by other hashes, which do not merge with those of today. What they told is still read; what needs the rest says so.
"""

from collections.abc import Mapping
from typing import Any

from quality.histogram import Histogram
from quality.profiles.columns import ColumnProfile, Kind
from quality.profiles.quantiles import Quantiles

FORMAT = 3
_HASHED = 3
"""Format of the first registers that are of today's hashes."""


def read_column(value: Mapping[str, Any], written: int = FORMAT) -> ColumnProfile:  # Any: JSON values
    """Return the profile of a column from its JSON value, written in this format."""
    fields: dict[str, Any] = {name: item for name, item in value.items() if name in ColumnProfile.__slots__}
    fields["top"] = tuple((text, count) for text, count in value["top"])
    if "kind" not in value:
        fields |= {"kind": _kind(value["type"]), "top_error": fields["top"][-1][1] if fields["top"] else 0}
    if value["histogram"] is not None:
        bins = value["histogram"]
        fields["histogram"] = Histogram(exponent=bins["exponent"], first=bins["first"], counts=tuple(bins["counts"]))
    if value.get("sketch") is not None:
        kept = value["sketch"]
        parts = {name: tuple(kept[name]) for name in ("points", "gaps", "masses")}
        fields["sketch"] = Quantiles(**parts, error=kept["error"])
    if value.get("lengths") is not None:
        fields["lengths"] = read_column(value["lengths"], written)
    if written < _HASHED:
        fields["registers"] = None
    return ColumnProfile(**fields)


def _kind(name: str) -> Kind:
    """Return the kind of a column of format 1 from the name of its type."""
    for starts, kind in _KINDS:
        if name.startswith(starts):
            return kind
    return "other"


_KINDS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("Int", "UInt", "Float", "Decimal", "Duration"), "number"),
    (("Date", "Time"), "time"),
    (("Boolean",), "boolean"),
    (("String",), "text"),
    (("Categorical", "Enum"), "category"),
)
