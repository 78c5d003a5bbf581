"""Owns the merge of column profiles: the profile of all their rows, the same in whatever order they come."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import reduce
from typing import Any

from quality.histogram import Histogram, merge_histograms
from quality.profiles.columns import FREQUENT_FLOATS, QUANTILES, ColumnProfile, Extreme, discrete_fields
from quality.profiles.distinct import Registers, decode, merge_registers, registers
from quality.profiles.frequent import LISTED, hash_listed, merge_frequent
from quality.profiles.moments import merge_moments
from quality.profiles.quantiles import merge_sketches

_COUNTS = ("count", "nulls", "nans", "infinite", "negative_infinite")


def merge_columns(parts: Sequence[ColumnProfile], points: int) -> ColumnProfile:
    """Return the profile of the rows of all `parts`, which have one type, its sketch of so many cut points."""
    filled = [part for part in parts if part.count]
    totals = {name: sum(getattr(part, name) for part in parts) for name in _COUNTS}
    if len(filled) < 2:
        return replace(filled[0] if filled else parts[0], **totals)
    sketches = [part.sketch for part in filled if part.sketch is not None]
    merged = merge_sketches(sketches, points=points) if len(sketches) == len(filled) else None
    numeric = merged is not None and parts[0].kind == "number"
    lengths = [part.lengths for part in filled if part.lengths is not None]
    return ColumnProfile(
        type=parts[0].type,
        kind=parts[0].kind,
        **totals,
        **asdict(merge_moments([(part.count, part.moments) for part in filled])),
        **_merged_values(filled),
        minimum=_extreme(min, [part.minimum for part in filled]),
        maximum=_extreme(max, [part.maximum for part in filled]),
        quantiles={str(p): merged.quantile(p) for p in QUANTILES} if merged is not None and numeric else {},
        sketch=merged,
        histogram=_merged_histogram([part.histogram for part in filled]),
        lengths=merge_columns(lengths, points) if len(lengths) == len(filled) else None,
        approximate=True,
        sampled=_sampled(filled),
    )


def _sampled(parts: Sequence[ColumnProfile]) -> int:
    """Return of how many values a sample tells as much as samples of all parts do, 0 where none is sampled.

    A share of all is the mean of those of the parts, weighted by their sizes, so the variance of its estimate is
    sum(w**2 / n) that of one value at most (Kish, 1965).
    """
    if not any(part.sampled for part in parts):
        return 0
    whole = sum(part.count for part in parts)
    return round(1 / sum((part.count / whole) ** 2 / (part.sampled or part.count) for part in parts))


def _merged_values(parts: Sequence[ColumnProfile]) -> dict[str, Any]:  # Any: values of fields
    if any(part.distinct is None and not part.top_error for part in parts):
        return {}
    fractions = parts[0].type.startswith(("Float", "Decimal"))
    listed = merge_frequent([part.frequent for part in parts], listed=FREQUENT_FLOATS if fractions else LISTED)
    told = [_registers(part) for part in parts] if listed.error else []
    known = [part for part in told if part is not None]
    seen = merge_registers(known) if known and len(known) == len(told) else None
    return discrete_fields(listed, seen, sum(part.count for part in parts))


def _registers(part: ColumnProfile) -> Registers | None:
    """Return the registers of a column; None where they are of hashes that are no more, of an older format."""
    if part.registers is not None:
        return decode(part.registers)
    if part.top_error:
        return None
    return registers(hash_listed([text for text, _ in part.top], texts=part.kind != "number"))


def _extreme(choose: Callable[..., Any], ends: Sequence[Extreme]) -> Extreme:  # Any: numbers, or ISO texts
    return None if any(end is None for end in ends) else choose(ends)


def _merged_histogram(parts: Sequence[Histogram | None]) -> Histogram | None:
    known = [part for part in parts if part is not None]
    return reduce(merge_histograms, known) if len(known) == len(parts) else None
