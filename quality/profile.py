"""Owns column profiles: counts, moments, quantiles, histogram and frequent values, as mergeable JSON values.

It compares nothing (`quality.drift` does). A profile is taken of rows that fit in memory; the profile of a
larger dataset is the merge of the profiles of its partitions.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

import polars as pl

from quality.histogram import Histogram, histogram_of, merge_histograms, width_exponent
from resources.errors import ContractError

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP_VALUES = 10
MAX_TEXT = 100
"""Characters kept of a frequent value."""
_DIGITS = 9
"""Significant digits of mean and standard deviation: the order of addition, which threads choose, changes the 15th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """What one column holds.

    Attributes:
        type: Name of the Polars type.
        count: Values that are neither null nor NaN nor infinite; all that follows is about these.
        nulls: Nulls.
        nans: NaN values.
        infinite: Infinite values.
        minimum: Smallest value: a number, or ISO text of a date or time; None without values or for text.
        maximum: Largest value.
        mean: Mean, to 9 digits.
        std: Sample standard deviation (n - 1), to 9 digits; None for fewer than two values.
        quantiles: Probability as text to the nearest value.
        histogram: Counts per bin, numeric columns only.
        distinct: Number of distinct values, or None after a merge.
        top: The most frequent values of discrete columns as text, with their counts.
        approximate: Whether quantiles and frequent values come from a merge: quantiles are then interpolated in the
            histogram, and a value outside a part's list counts as absent from that part.
    """

    type: str
    count: int
    nulls: int
    nans: int = 0
    infinite: int = 0
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: Mapping[str, float]
    histogram: Histogram | None = None
    distinct: int | None = None
    top: tuple[tuple[str, int], ...] = ()
    approximate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a table holds: its rows, and each column."""

    rows: int
    columns: Mapping[str, ColumnProfile]

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the profile as a JSON value with finite numbers only."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Profile":  # Any: JSON values
        """Return the profile that `to_json` wrote."""
        return cls(rows=value["rows"], columns={name: _column(item) for name, item in value["columns"].items()})


def profile(frame: pl.DataFrame | pl.LazyFrame) -> Profile:
    """Return the profile of `frame`.

    One query finds the statistics of all columns, one more the bins that their ranges ask for and the frequent values.
    """
    data = frame.lazy().collect()
    kinds = data.schema
    wanted = {name: _statistics(pl.col(name), kinds[name]) for name in data.columns}
    named = {f"{i} {key}": e for i, keys in enumerate(wanted.values()) for key, e in keys.items()}
    row = data.lazy().select(pl.len().alias("rows"), **named).collect().row(0, named=True)
    found = {name: {key: row[f"{i} {key}"] for key in keys} for i, (name, keys) in enumerate(wanted.items())}
    histograms, tops = _counts(data, found)
    columns = {
        name: _profile(kinds[name], data.height, found[name], histograms.get(name), tops.get(name))
        for name in data.columns
    }
    return Profile(rows=data.height, columns=columns)


def merge(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of all rows that `profiles` describe.

    Counts, ranges, moments (Chan, Golub and LeVeque, 1979) and histograms are exact; quantiles and frequent values are
    marked approximate.

    Raises:
        ContractError: If the profiles do not hold the same columns with the same types, or there are none.
    """
    parts = list(profiles)
    if not parts:
        raise ContractError("no profiles to merge: give at least one")
    return reduce(_merge_two, parts)


Row = Mapping[str, Any]  # Any: values of a query whose columns have different types


def _statistics(column: pl.Expr, kind: pl.DataType) -> dict[str, pl.Expr]:
    nulls = {"nulls": column.null_count()}
    if kind.is_float():
        finite = column.filter(column.is_finite())
        odd = {"nans": column.is_nan().sum(), "infinite": column.is_infinite().sum()}
        return nulls | odd | _numbers(finite)
    if kind.is_numeric():
        number = column.drop_nulls()
        return nulls | _numbers(number.cast(pl.Float64) if kind.is_decimal() else number)
    if isinstance(kind, (pl.Date, pl.Datetime)):
        return nulls | {"minimum": column.min(), "maximum": column.max()}
    return nulls


def _numbers(values: pl.Expr) -> dict[str, pl.Expr]:
    return {
        "minimum": values.min(),
        "maximum": values.max(),
        "mean": values.cast(pl.Float64).mean(),
        "std": values.cast(pl.Float64).std(),
        "quantiles": values.quantile(list(QUANTILES)),
    }


def _counts(data: pl.DataFrame, found: Mapping[str, Row]) -> tuple[dict[str, Histogram], dict[str, pl.DataFrame]]:
    """Return the histograms of numeric columns, and the counted values of discrete ones, most frequent first."""
    exponents = {
        name: _exponent(row) for name, row in found.items() if "quantiles" in row and row["minimum"] is not None
    }
    discrete = [name for name, kind in data.schema.items() if _discrete(kind)]
    binned = [_binned(data.lazy(), name, exponent) for name, exponent in exponents.items()]
    listed = [_listed(data.lazy(), name) for name in discrete]
    frames = pl.collect_all([*binned, *listed])
    histograms = {
        name: histogram_of(exponent, {int(place): count for place, count in counted.iter_rows()})
        for (name, exponent), counted in zip(exponents.items(), frames[: len(binned)], strict=True)
    }
    return histograms, dict(zip(discrete, frames[len(binned) :], strict=True))


def _exponent(row: Row) -> int:
    exponent = width_exponent(float(row["minimum"]), float(row["maximum"]))
    return max(0, exponent) if isinstance(row["minimum"], int) else exponent


def _binned(data: pl.LazyFrame, name: str, exponent: int) -> pl.LazyFrame:
    value = pl.col(name).cast(pl.Float64)
    place = (value / math.ldexp(1.0, exponent)).floor().alias("bin")
    return data.filter(value.is_finite()).group_by(place).len()


def _listed(data: pl.LazyFrame, name: str) -> pl.LazyFrame:
    text = pl.col(name).cast(pl.String).alias("value")
    counted = data.select(text).drop_nulls().group_by("value").len()
    return counted.sort("len", "value", descending=[True, False])


def _discrete(kind: pl.DataType) -> bool:
    return kind.is_integer() or isinstance(kind, (pl.Boolean, pl.String, pl.Categorical, pl.Enum))


def _profile(
    kind: pl.DataType, rows: int, row: Row, histogram: Histogram | None, counted: pl.DataFrame | None
) -> ColumnProfile:
    nulls, nans, infinite = (row.get(key) or 0 for key in ("nulls", "nans", "infinite"))
    filled = row.get("minimum") is not None
    top = () if counted is None else tuple((text[:MAX_TEXT], n) for text, n in counted.head(TOP_VALUES).iter_rows())
    return ColumnProfile(
        type=str(kind),
        count=rows - nulls - nans - infinite,
        nulls=nulls,
        nans=nans,
        infinite=infinite,
        minimum=_json(row.get("minimum")),
        maximum=_json(row.get("maximum")),
        mean=_rounded(row.get("mean")),
        std=_rounded(row.get("std")),
        quantiles=dict(zip(map(str, QUANTILES), row["quantiles"], strict=True))
        if filled and "quantiles" in row
        else {},
        histogram=histogram,
        distinct=None if counted is None else counted.height,
        top=top,
    )


def _json(value: Any) -> int | float | str | None:  # Any: a cell of a query
    return value if value is None or isinstance(value, (int, float)) else str(value.isoformat())


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")


def _merge_two(one: Profile, two: Profile) -> Profile:
    types = [{name: column.type for name, column in part.columns.items()} for part in (one, two)]
    if types[0] != types[1]:
        odd = sorted(set(types[0].items()) ^ set(types[1].items()))
        raise ContractError(f"profiles differ in {odd[0][0]!r} ({odd[0][1]}): merge profiles of one schema")
    columns = {name: _merge_columns(one.columns[name], two.columns[name]) for name in one.columns}
    return Profile(rows=one.rows + two.rows, columns=columns)


def _merge_columns(one: ColumnProfile, two: ColumnProfile) -> ColumnProfile:
    if not one.count or not two.count:  # the other side has no values; its nulls count
        filled = one if one.count else two
        return replace(
            filled, nulls=one.nulls + two.nulls, nans=one.nans + two.nans, infinite=one.infinite + two.infinite
        )
    histogram = merge_histograms(one.histogram, two.histogram) if one.histogram and two.histogram else None
    mean, std = _merge_moments(one, two)
    return ColumnProfile(
        type=one.type,
        count=one.count + two.count,
        nulls=one.nulls + two.nulls,
        nans=one.nans + two.nans,
        infinite=one.infinite + two.infinite,
        minimum=_extreme(min, one.minimum, two.minimum),
        maximum=_extreme(max, one.maximum, two.maximum),
        mean=mean,
        std=std,
        quantiles={} if histogram is None else {str(p): histogram.quantile(p) for p in QUANTILES},
        histogram=histogram,
        distinct=None,
        top=_merge_top(one.top, two.top),
        approximate=True,
    )


Extreme = int | float | str | None


def _extreme(choose: Callable[..., Any], one: Extreme, two: Extreme) -> Extreme:  # Any: numbers, or ISO texts
    return None if one is None or two is None else choose(one, two)


def _merge_moments(one: ColumnProfile, two: ColumnProfile) -> tuple[float | None, float | None]:
    if one.mean is None or two.mean is None:
        return None, None
    n, m = one.count, two.count
    gap = two.mean - one.mean
    squares = sum((part.std or 0.0) ** 2 * (part.count - 1) for part in (one, two)) + gap**2 * n * m / (n + m)
    return _rounded(one.mean + gap * m / (n + m)), _rounded(math.sqrt(squares / (n + m - 1)))


def _merge_top(one: Sequence[tuple[str, int]], two: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    counts = dict(one)
    for text, count in two:
        counts[text] = counts.get(text, 0) + count
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_VALUES])


def _column(value: Mapping[str, Any]) -> ColumnProfile:  # Any: JSON values
    fields: dict[str, Any] = dict(value)
    fields["top"] = tuple((text, count) for text, count in value["top"])
    if value["histogram"] is not None:
        bins = value["histogram"]
        fields["histogram"] = Histogram(exponent=bins["exponent"], first=bins["first"], counts=tuple(bins["counts"]))
    return ColumnProfile(**fields)
