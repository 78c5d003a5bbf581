"""Owns the profile of one column, of whatever type: which of its parts say something, and the value that holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from quality.histogram import Histogram, width_exponent
from quality.profiles.counted import Counted, count_values
from quality.profiles.distinct import RELATIVE_ERROR, Hashes, Registers, encode, estimate, hash_numbers, registers
from quality.profiles.frequent import LISTED, Frequent, frequent_numbers, frequent_texts
from quality.profiles.moments import Moments, moments
from quality.profiles.quantiles import POINTS, Quantiles, sketch

Kind = Literal["number", "time", "boolean", "text", "category", "other"]

Extreme = int | float | str | None

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FREQUENT_FLOATS = 10
"""Frequent values listed of columns of fractions: they show defaults, and no categories."""
DISTINCT_ERROR = round(RELATIVE_ERROR, 4)
_DAY_S = 86_400.0
_CALENDAR_S = 8e12
"""Seconds from 1970 past which Polars knows no date either, and panics."""
_SECONDS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """What one column holds.

    Attributes:
        type: Name of the Polars type.
        kind: What it is compared as; times are seconds since 1970 UTC, or since midnight, durations numbers of seconds.
        count: Values that are neither null nor NaN nor infinite; all that follows is about these.
        nulls: Nulls.
        nans: NaN values.
        infinite: Infinite values.
        negative_infinite: Those of them that are negative.
        minimum: Smallest value: a number, or ISO text of a date or time; None without values or for text.
        maximum: Largest value.
        mean: Mean, to 9 digits.
        std: Sample standard deviation (n - 1), to 9 digits; None for fewer than two values.
        skewness: Third standardised moment, to 9 digits.
        kurtosis: Fourth standardised moment less 3, to 9 digits.
        quantiles: Probability as text to the nearest value.
        sketch: Ranks at cut points, of numbers and times; it states its error.
        histogram: Counts per bin, numeric columns only.
        distinct: Number of distinct values; None where they were not counted.
        distinct_error: Relative standard error of it; 0 where it is exact.
        registers: HyperLogLog registers as text, where `top` does not list all values.
        top: The most frequent values as text, with their counts; the values of fractions only where they repeat.
        top_error: Each value occurs at most this often more than listed (0 when unlisted).
        lengths: Lengths of texts in characters, as a column of their own.
        approximate: Whether quantiles come from a merge: they are then interpolated in the sketch.
    """

    type: str
    kind: Kind = "other"
    count: int
    nulls: int
    nans: int = 0
    infinite: int = 0
    negative_infinite: int = 0
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    mean: float | None = None
    std: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    quantiles: Mapping[str, float]
    sketch: Quantiles | None = None
    histogram: Histogram | None = None
    distinct: int | None = None
    distinct_error: float = 0.0
    registers: str | None = None
    top: tuple[tuple[str, int], ...] = ()
    top_error: int = 0
    lengths: "ColumnProfile | None" = None
    approximate: bool = False

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.count + self.nulls + self.nans + self.infinite

    @property
    def moments(self) -> Moments:
        """Mean, standard deviation, skewness and kurtosis."""
        return Moments(mean=self.mean, std=self.std, skewness=self.skewness, kurtosis=self.kurtosis)

    @property
    def frequent(self) -> Frequent:
        """The frequent values with their error."""
        return Frequent(items=self.top, error=self.top_error, distinct=None if self.distinct_error else self.distinct)


def kind_of(dtype: pl.DataType) -> Kind:
    """Return what a column of this type is compared as."""
    if dtype.is_numeric() or isinstance(dtype, pl.Duration):
        return "number"
    if dtype.is_temporal():
        return "time"
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return "category"
    return "boolean" if isinstance(dtype, pl.Boolean) else "text" if isinstance(dtype, pl.String) else "other"


def column_profile(values: pl.Series, *, points: int = POINTS) -> ColumnProfile:
    """Return the profile of one column; the order of its rows does not show.

    Args:
        values: The column.
        points: Cut points of its quantile sketch.
    """
    kind = kind_of(values.dtype)
    nulls = values.null_count()
    plain = ColumnProfile(type=str(values.dtype), kind=kind, count=len(values) - nulls, nulls=nulls, quantiles={})
    present = values.drop_nulls() if nulls else values
    match kind:
        case "number":
            return _number(plain, present, points)
        case "time":
            return _time(plain, present, points)
        case "boolean" | "category":
            return _discrete(plain, *frequent_texts(present))
        case "text":
            lengths = column_profile(present.str.len_chars().cast(pl.Int64), points=points)
            lengths = replace(lengths, top=(), top_error=0, registers=None, distinct=None)
            return replace(_discrete(plain, *frequent_texts(present)), lengths=lengths)
        case _:
            return plain


def _number(plain: ColumnProfile, present: pl.Series, points: int) -> ColumnProfile:
    if isinstance(present.dtype, pl.Duration):
        present = present.to_physical() * _SECONDS[present.dtype.time_unit]
    elif not (present.dtype.is_float() or isinstance(present.dtype, _NATIVE)):
        present = present.cast(pl.Float64)  # decimals and whole numbers of 128 bits
    numbers = present.to_numpy()
    if present.dtype.is_float() and not np.isfinite(numbers).all():
        nans, infinite = int(np.isnan(numbers).sum()), np.isinf(numbers)
        odd = {"nans": nans, "infinite": int(infinite.sum()), "negative_infinite": int((numbers == -np.inf).sum())}
        plain = replace(plain, count=plain.count - nans - odd["infinite"], **odd)
        numbers = numbers[np.isfinite(numbers)]
    counted = count_values(numbers)
    whole = present.dtype.is_integer()
    listed = frequent_numbers(counted, listed=LISTED if whole else FREQUENT_FLOATS)
    ends = counted.values[[0, -1]].tolist() if counted.rows else [None, None]
    found = moments(counted)
    return replace(
        _discrete(plain, listed, hash_numbers(counted.values)),
        minimum=ends[0],
        maximum=ends[1],
        mean=found.mean,
        std=found.std,
        skewness=found.skewness,
        kurtosis=found.kurtosis,
        quantiles=_nearest(counted),
        sketch=sketch(counted, points=points),
        histogram=_histogram(counted, whole=whole) if counted.rows else None,
    )


_NATIVE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)


def _time(plain: ColumnProfile, present: pl.Series, points: int) -> ColumnProfile:
    unit = getattr(present.dtype, "time_unit", "ns")
    scale = _DAY_S if isinstance(present.dtype, pl.Date) else _SECONDS[unit]
    counted = count_values(present.to_physical().to_numpy())
    seconds = Counted(values=counted.values * scale, counts=counted.counts)
    if not counted.rows:
        return replace(plain, sketch=sketch(seconds), distinct=0)
    ends = [_iso(present.gather([place or 0])) for place in (present.arg_min(), present.arg_max())]
    hashes = hash_numbers(counted.values)
    found = _discrete(plain, Frequent(error=int(counted.counts.max()), distinct=len(counted.values)), hashes)
    return replace(found, minimum=ends[0], maximum=ends[1], sketch=sketch(seconds, points=points))


def _iso(value: pl.Series) -> str:
    unit = getattr(value.dtype, "time_unit", "ns")
    if unit != "ns" and abs(value.to_physical().item()) * _SECONDS[unit] > _CALENDAR_S:
        return f"{value.to_physical().item()} {unit} since 1970"
    try:
        return str(value.item().isoformat())
    except (OverflowError, ValueError):  # a year past 9999, which Python's own types do not know
        return str(value.cast(pl.String).item())


def _discrete(plain: ColumnProfile, listed: Frequent, hashes: Hashes) -> ColumnProfile:
    """Return `plain` with its frequent and distinct values."""
    return replace(plain, **discrete_fields(listed, registers(hashes) if listed.error else None))


def discrete_fields(listed: Frequent, found: Registers | None) -> dict[str, Any]:  # Any: values of fields
    """Return the fields of a profile that tell of its frequent and distinct values."""
    guess = estimate(found) if listed.distinct is None and found is not None else None
    return {
        "top": listed.items,
        "top_error": listed.error,
        "distinct": listed.distinct if guess is None else guess,
        "distinct_error": 0.0 if guess is None else DISTINCT_ERROR,
        "registers": None if found is None else encode(found),
    }


def _nearest(counted: Counted) -> dict[str, float]:
    if not counted.rows:
        return {}
    ranks = [int((counted.rows - 1) * probability + 0.5) + 1 for probability in QUANTILES]
    places = np.searchsorted(counted.before[1:], ranks, "left")
    return dict(zip(map(str, QUANTILES), counted.values[places].tolist(), strict=True))


def _histogram(counted: Counted, *, whole: bool) -> Histogram:
    low, high = float(counted.floats[0]), float(counted.floats[-1])
    exponent = width_exponent(low, high)
    exponent = max(0, exponent) if whole else exponent
    with np.errstate(over="ignore", under="ignore"):
        first, last = (int(np.floor(np.ldexp(end, -exponent))) for end in (low, high))
        edges = np.ldexp(np.arange(first + 1, last + 1, dtype=np.float64), exponent)
    counts = np.diff(counted.below(edges), prepend=0, append=counted.rows)
    return Histogram(exponent=exponent, first=first, counts=tuple(counts.tolist()))
