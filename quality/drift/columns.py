"""Owns the tests of one column: which of them fit it, and what each measures.

It adjusts nothing for other columns and flags nothing (`quality.drift.compare` does).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from quality.bootstrap import Ints
from quality.distances import chi_square, deviation, sampling_noise
from quality.distributions import chi_square_tail, kolmogorov_tail
from quality.drift.clusters import effective_missing, effective_rows
from quality.drift.pairs import Pair, category_pair, missing_pair, ordered_pair
from quality.drift.results import ColumnDrift, Statistic, Test
from quality.drift.statistics import statistics
from quality.profile import Profile
from quality.profiles.columns import ColumnProfile
from resources.errors import ContractError

_EFFECTS: dict[Test, str] = {"ks": "ks", "length": "ks", "tv": "tv", "missing": "tv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How columns are compared; see `quality.drift.compare.drift` for the fields."""

    tolerance: float
    confidence: float
    categorical: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: its profile, and where rows are clustered the rows with the cluster of each."""

    profile: Profile
    rows: pl.DataFrame | None = None
    codes: Ints | None = None


def column_tests(name: str, reference: Side, current: Side, rule: Rule) -> Iterator[ColumnDrift]:
    """Yield every test that one column gives, none adjusted for the others and none flagged."""
    before, after = reference.profile.columns[name], current.profile.columns.get(name)
    if after is None:
        yield _certain(name, "absent", "the batch lacks this column", (before, None), rule)
        return
    if not _comparable(before, after):
        detail = f"{after.type} in the batch, {before.type} in the reference: cast one of them"
        yield _certain(name, "type", detail, (before, after), rule)
        return
    if before.count + before.infinite and after.count + after.infinite:
        yield from _present(name, before, after, (reference, current), rule)
    if before.nulls + before.nans + after.nulls + after.nans:
        pair = missing_pair(before, after)
        sizes = [_size(side, pair, place, name, missing=True) for place, side in enumerate((reference, current))]
        gone = "no value is left" if not after.count and before.count else ""
        yield _measured(name, "missing", pair.sized((sizes[0], sizes[1])), rule, detail=gone)


def _present(
    name: str, before: ColumnProfile, after: ColumnProfile, sides: tuple[Side, Side], rule: Rule
) -> Iterator[ColumnDrift]:
    ordered = before.kind in ("number", "time") and name not in rule.categorical
    if ordered and (before.sketch is None or after.sketch is None):
        raise ContractError(
            f"drift: the profile of {name!r} is of an older version without ranks: profile the rows anew"
        )
    pair = ordered_pair(before, after) if ordered else category_pair(before, after)
    sizes = [_size(side, pair, place, name) for place, side in enumerate(sides)]
    pair = pair.sized((sizes[0], sizes[1]))
    yield _measured(name, "ks" if ordered else "tv", pair, rule)
    if before.lengths and after.lengths and before.top_error + after.top_error:
        yield _measured(name, "length", ordered_pair(before.lengths, after.lengths).sized(pair.sizes), rule)
    yield from _stuck(name, before, after, pair, rule)


def _size(side: Side, pair: Pair, place: int, name: str, *, missing: bool = False) -> float:
    if side.rows is None or side.codes is None:
        return pair.sizes[place]
    values = side.rows.get_column(name)
    if missing:
        return effective_missing(values, side.codes)
    found = effective_rows(pair, values, side.codes)
    sampled = side.profile.columns[name].sampled
    return 1 / (1 / found + 1 / sampled) if sampled and found else found  # the errors of both add up


def _comparable(one: ColumnProfile, two: ColumnProfile) -> bool:
    """Whether the columns hold the same kind of values; times with a zone are no times without one."""
    kinds = {one.kind, two.kind}
    if "time" in kinds and len(kinds) == 1:
        return _clock(one.type) == _clock(two.type)
    return len(kinds) == 1 or kinds == {"text", "category"}


def _clock(name: str) -> tuple[str, bool]:
    start = name.partition("(")[0]
    return "Time" if start == "Time" else "Date", "time_zone" in name and "time_zone=None" not in name


def _measured(column: str, test: Test, pair: Pair, rule: Rule, *, detail: str = "") -> ColumnDrift:
    found = statistics(pair, confidence=rule.confidence)
    effect = found[_EFFECTS[test]]
    return ColumnDrift(
        column=column,
        test=test,
        effect=effect.value,
        low=effect.low if _EFFECTS[test] == "ks" else _variation_low(pair, effect, rule.confidence),
        tolerance=rule.tolerance,
        p=_probability(pair, effect.value, ordered=_EFFECTS[test] == "ks"),
        q=1.0,
        flagged=False,
        psi=found["psi"].value,
        rows_reference=pair.rows[0],
        rows_current=pair.rows[1],
        effective_reference=pair.sizes[0],
        effective_current=pair.sizes[1],
        statistics=found,
        detail=detail,
    )


def _variation_low(pair: Pair, effect: Statistic, confidence: float) -> float:
    """Return the one-sided bound of a total variation distance: noise and deviation taken off."""
    shares = pair.shares
    noise = sampling_noise(shares[0], shares[1], pair.sizes)
    return max(0.0, effect.value - noise - deviation(pair.sizes, confidence) - pair.unlisted)


def _probability(pair: Pair, distance: float, *, ordered: bool) -> float:
    before, after = pair.sizes
    if ordered:
        return kolmogorov_tail(math.sqrt(before * after / (before + after)) * distance)
    scaled = pair.shares * [[before], [after]]
    return chi_square_tail(*chi_square(scaled[0], scaled[1]))


def _stuck(name: str, before: ColumnProfile, after: ColumnProfile, pair: Pair, rule: Rule) -> Iterator[ColumnDrift]:
    """Yield the test of a column that holds one value now and held several before.

    If its share was s before, so many equal rows have the probability s**n; s is taken at the upper confidence bound
    of Hoeffding's (1963) inequality.
    """
    value = _only_value(after)
    if value is None or after.count < 2 or _only_value(before) is not None:
        return
    share = (dict(before.top).get(value, 0) + before.top_error) / (before.count + before.infinite)
    upper = min(1.0, share + math.sqrt(math.log(1 / (1 - rule.confidence)) / 2 / pair.sizes[0]))
    plain = _measured(name, "tv", pair, rule)
    yield replace(
        plain, test="stuck", effect=1 - share, low=1 - upper, p=upper ** pair.sizes[1],
        detail=f"all {after.count:,} values are {value}", statistics={},
    )  # fmt: skip


def _only_value(column: ColumnProfile) -> str | None:
    if column.infinite or column.distinct != 1 or column.kind == "time":
        return None
    return column.top[0][0] if column.top else str(column.minimum)


def _certain(
    column: str, test: Test, detail: str, sides: tuple[ColumnProfile, ColumnProfile | None], rule: Rule
) -> ColumnDrift:
    """Return what needs no statistics."""
    rows = [0 if side is None else side.rows for side in sides]
    return ColumnDrift(
        column=column, test=test, effect=1.0, low=1.0, tolerance=rule.tolerance, p=0.0, q=1.0, flagged=False, psi=0.0,
        rows_reference=rows[0], rows_current=rows[1], effective_reference=float(rows[0]),
        effective_current=float(rows[1]), detail=detail,
    )  # fmt: skip
