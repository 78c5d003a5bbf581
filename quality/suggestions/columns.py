"""Owns the rules of one column: each is made of the profiles of its partitions, or not at all."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from quality.profiles.columns import ColumnProfile
from quality.suggestions.limits import prediction_interval, rounded_out, upper_share
from quality.suggestions.values import Rule

Parts = Sequence[ColumnProfile]
LEAST_ROWS = 1_000
"""Rows below which nothing is said to be so always."""
MOST_VALUES = 50
"""Values that a closed list may have."""
_LEAST_SEEN = 10
"""Each value of a closed list was seen so often: one that is as frequent as the rarest would have shown."""
_INNER = ("0.01", "0.99")
_MOSTLY = 0.95
"""Share of values that shall lie between the limits of the 1 % and the 99 % quantile: 98 % do."""


def rules_of(name: str, parts: Parts) -> Iterator[Rule]:
    """Yield what the profiles of a column's partitions suggest, oldest first."""
    for rule in (_not_null, _unique, _one_of, _not_negative, _range, _mean, _lengths):
        yield from rule(name, parts)


def is_key(parts: Parts) -> bool:
    """Return whether every row of every partition had a text or a whole number of its own."""
    fits = parts[0].kind in ("text", "number") and not parts[0].type.startswith(("Float", "Decimal", "Duration"))
    return (
        fits
        and _rows(parts) >= LEAST_ROWS
        and all(
            part.count and part.count == part.rows and part.distinct == part.count and not part.distinct_error
            for part in parts
        )
    )


def closed_list(parts: Parts) -> tuple[str, ...] | None:
    """Return the values of a column that takes no others, as text, or None.

    All partitions must show them alike: what changes from one to the next, as seasons do, is no list yet.
    """
    counts = Counter[str]()
    if parts[0].kind not in ("text", "category") and not parts[0].type.startswith(("Int", "UInt")):
        return None
    for part in parts:
        if part.top_error or part.distinct is None or part.distinct > MOST_VALUES:
            return None
        counts.update(dict(part.top))
    if not 1 < len(counts) <= MOST_VALUES or sum(counts.values()) < LEAST_ROWS or min(counts.values()) < _LEAST_SEEN:
        return None
    if any(_unseen(part, parts) or _absent(part, counts) for part in parts):
        return None
    return tuple(sorted(counts, key=int if parts[0].kind == "number" else str))


def moves_on(parts: Parts) -> bool:
    """Return whether each partition lies beyond the one before, as numbers of rows and clocks do."""
    ends = [(part.minimum, part.maximum) for part in parts]
    numbers = [(low, high) for low, high in ends if isinstance(low, int | float) and isinstance(high, int | float)]
    steps = list(pairwise(numbers))
    rises, falls = (
        [before[1] < after[0] for before, after in steps],
        [before[0] > after[1] for before, after in steps],
    )
    return bool(steps) and (all(rises) or all(falls))


def _rows(parts: Parts) -> int:
    return sum(part.rows for part in parts)


def _missing(part: ColumnProfile) -> int:
    return part.nulls + part.nans


def _unseen(part: ColumnProfile, parts: Parts) -> int:
    others = {text for other in parts if other is not part for text, _ in other.top}
    return sum(count for text, count in part.top if text not in others)


def _absent(part: ColumnProfile, counts: Counter[str]) -> bool:
    """Return whether a partition lacks a value that it should have shown `_LEAST_SEEN` times."""
    shown, whole = dict(part.top), sum(counts.values())
    return any(text not in shown and count * part.count >= _LEAST_SEEN * whole for text, count in counts.items())


def _not_null(name: str, parts: Parts) -> Iterator[Rule]:
    missing, rows = sum(map(_missing, parts)), _rows(parts)
    if rows < LEAST_ROWS or missing == rows:
        return
    kind = "expect_column_values_to_not_be_null"
    if not missing:
        evidence = f"no missing value in {rows:,} rows: more than {upper_share(0, rows):.2g} of them is ruled out"
        yield Rule(column=name, type=kind, arguments={}, severity="critical", evidence=evidence)
        return
    shares = [_missing(part) / max(part.rows, 1) for part in parts]
    least = min(parts, key=lambda part: part.rows)
    most = max(prediction_interval(shares)[1], upper_share(round(max(shares) * least.rows), least.rows))
    if most < 1:
        evidence = f"{min(shares):.2%} to {max(shares):.2%} missing in {len(parts)} partitions"
        mostly = {"mostly": max(0.0, float(f"{1 - most:.3f}"))}
        yield Rule(column=name, type=kind, arguments=mostly, severity="warning", evidence=evidence)


def _unique(name: str, parts: Parts) -> Iterator[Rule]:
    if is_key(parts):
        yield Rule(
            column=name,
            type="expect_column_values_to_be_unique",
            arguments={},
            severity="critical",
            evidence=f"{_rows(parts):,} rows in {len(parts)} partitions, each with a value of its own",
        )


def _one_of(name: str, parts: Parts) -> Iterator[Rule]:
    found = closed_list(parts)
    if found is None:
        return
    whole = parts[0].kind == "number"
    yield Rule(
        column=name,
        type="expect_column_values_to_be_in_set",
        arguments={"value_set": [int(text) for text in found] if whole else list(found)},
        severity="critical",
        evidence=f"{len(found)} values in {_rows(parts):,} rows, the rarest {_rarest(parts)} times; "
        f"what any {len(parts) - 1} of the partitions show, the other one keeps",
    )


def _rarest(parts: Parts) -> int:
    counts = Counter[str]()
    for part in parts:
        counts.update(dict(part.top))
    return min(counts.values())


def _not_negative(name: str, parts: Parts) -> Iterator[Rule]:
    if parts[0].kind != "number" or not _never_negative(parts) or closed_list(parts) is not None:
        return
    rows, smallest = sum(part.count for part in parts), min(_lows(parts))
    yield Rule(
        column=name,
        type="expect_column_values_to_be_between",
        arguments={"min_value": 0},
        severity="critical",
        evidence=f"none of {rows:,} values is negative, the smallest is {smallest:.6g}",
    )


def _range(name: str, parts: Parts) -> Iterator[Rule]:
    if not _varies(parts):
        return
    low, high = (prediction_interval([part.quantiles[end] for part in parts]) for end in _INNER)
    ends = _ends(parts, low[0], high[1])
    if not all(map(math.isfinite, ends)):
        return
    seen = [part.quantiles[end] for part in parts for end in _INNER]
    yield Rule(
        column=name,
        type="expect_column_values_to_be_between",
        arguments={"min_value": ends[0], "max_value": ends[1], "mostly": _MOSTLY},
        severity="warning",
        evidence=f"98 % of the values lay between {min(seen):.6g} and {max(seen):.6g} in {len(parts)} partitions",
    )


def _mean(name: str, parts: Parts) -> Iterator[Rule]:
    means = [part.mean for part in parts if part.mean is not None]
    if not _varies(parts) or len(means) < len(parts):
        return
    low, high = prediction_interval(means)
    # Means are told to 9 digits of the largest value, of 32-bit floats to 6: whoever adds up otherwise must pass.
    known = [abs(end) for part in parts for end in (part.minimum, part.maximum) if isinstance(end, int | float)]
    slack = max(known) * (1e-6 if parts[0].type == "Float32" else 1e-9)
    ends = _ends(parts, low - slack, high + slack)
    if not all(map(math.isfinite, ends)):
        return
    yield Rule(
        column=name,
        type="expect_column_mean_to_be_between",
        arguments={"min_value": ends[0], "max_value": ends[1]},
        severity="warning",
        evidence=f"means from {min(means):.6g} to {max(means):.6g} in {len(parts)} partitions",
    )


def _ends(parts: Parts, low: float, high: float) -> tuple[float, float]:
    """Return limits with few digits; none below 0 where nothing was."""
    ends = rounded_out(low, high)
    return (max(0.0, ends[0]), ends[1]) if _never_negative(parts) else ends


def _never_negative(parts: Parts) -> bool:
    lows = _lows(parts)
    return (
        bool(lows)
        and min(lows) >= 0
        and not any(part.negative_infinite for part in parts)
        and sum(part.count for part in parts) >= LEAST_ROWS
    )


def _lows(parts: Parts) -> list[int | float]:
    return [part.minimum for part in parts if isinstance(part.minimum, int | float)]


def _varies(parts: Parts) -> bool:
    """Return whether a column holds finite numbers that differ, are no codes of a list, no keys, and do not move on."""
    return (
        parts[0].kind == "number"
        and not any(part.infinite for part in parts)
        and all(part.quantiles and part.count for part in parts)
        and sum(part.count for part in parts) >= LEAST_ROWS
        and len({end for part in parts for end in (part.minimum, part.maximum)}) > 1
        and not moves_on(parts)
        and not is_key(parts)
        and closed_list(parts) is None
    )


def _lengths(name: str, parts: Parts) -> Iterator[Rule]:
    lengths = [part.lengths for part in parts if part.lengths is not None and part.lengths.count]
    if len(lengths) < len(parts) or sum(part.count for part in parts) < LEAST_ROWS or closed_list(parts) is not None:
        return
    ends: set[Any] = {end for part in lengths for end in (part.minimum, part.maximum)}
    if len(ends) == 1:
        yield Rule(
            column=name,
            type="expect_column_value_lengths_to_equal",
            arguments={"value": ends.pop()},
            severity="critical",
            evidence=f"all of {sum(part.count for part in lengths):,} texts have this length",
        )
        return
    low, high = (prediction_interval([part.quantiles[end] for part in lengths]) for end in _INNER)
    yield Rule(
        column=name,
        type="expect_column_value_lengths_to_be_between",
        arguments={"min_value": max(0, int(low[0])), "max_value": int(high[1]) + 1, "mostly": _MOSTLY},
        severity="warning",
        evidence=f"texts of {min(ends)} to {max(ends)} characters in {len(parts)} partitions",
    )
