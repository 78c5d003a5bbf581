"""Owns the profile of one column, of whatever type: which of its parts say something, and the value that holds them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from blake3 import blake3

from quality.histogram import Histogram, width_exponent
from quality.profiles.binned import Binned, ranked
from quality.profiles.counted import Counted, Floats, Ints, Numbers, count_cheaply
from quality.profiles.distinct import RELATIVE_ERROR, Registers, encode, estimate, registers
from quality.profiles.frequent import LISTED, Frequent, frequent_numbers, frequent_texts, listed_texts, repeated
from quality.profiles.hashing import Hashes
from quality.profiles.moments import Moments, moments, row_moments
from quality.profiles.quantiles import POINTS, Quantiles, cut_ranks, sketch
from quality.profiles.scaled import Scaled
from quality.profiles.texts import count_categories, count_lengths, count_texts

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
        type: Name of the Polars type, see `type_of`.
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
        approximate: Whether quantiles come from a merge, interpolated in the sketch, or from a sample.
        sampled: Of how many values ranks, quantiles, histogram and frequent values tell, scaled to `count`: those of a
            sample. 0 where they tell of all, as they do of a million rows or few distinct values.
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
    sampled: int = 0

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.count + self.nulls + self.nans + self.infinite

    @property
    def observed(self) -> int:
        """Of how many values, infinite ones included, ranks and frequent values tell."""
        numbers = self.count + self.infinite
        return numbers if not self.sampled else self.sampled * numbers // self.count

    @property
    def sampling_error(self) -> float:
        """Largest error of a rank that comes of sampling, as a share of the values, with 99 % confidence.

        sqrt(ln(2 / 0.01) / 2n) (Dvoretzky, Kiefer and Wolfowitz; Massart, 1990); 0 where nothing was sampled.
        """
        return math.sqrt(math.log(200) / (2 * self.sampled)) if self.sampled else 0.0

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
    nulls = values.null_count()
    plain = replace(plain_column(values.dtype), count=len(values) - nulls, nulls=nulls)
    present = values.drop_nulls() if nulls else values
    match plain.kind:
        case "number":
            numbers, odd = finite_numbers(present)
            found = ranked(numbers)
            return described_numbers(replace(plain, count=len(numbers), **odd), found, points)
        case "time":
            return _time(plain, present, points)
        case "boolean" | "category":
            return with_values(plain, *listed_texts(*count_categories(present)))
        case "text":
            few = count_texts(present)
            listed = frequent_texts(present) if few is None else listed_texts(*few)
            return described_texts(plain, listed, count_lengths(*(few or (present, None))), points)
        case _:
            return plain


def plain_column(dtype: pl.DataType) -> ColumnProfile:
    """Return the profile of no rows, which has what none of its values tells."""
    return ColumnProfile(type=type_of(dtype), kind=kind_of(dtype), count=0, nulls=0, quantiles={})


def type_of(dtype: pl.DataType) -> str:
    """Return the name of a type, the same of equal types alone; of an enumeration of very many values their digest."""
    if not isinstance(dtype, pl.Enum) or len(dtype.categories) <= LISTED:
        return str(dtype)
    values = "".join(f"{len(value)}:{value}" for value in dtype.categories.to_list())
    return f"Enum({len(dtype.categories):,} categories, {blake3(values.encode()).hexdigest()[:16]})"


def finite_numbers(present: pl.Series) -> tuple[Numbers, dict[str, int]]:
    """Return a column's finite numbers, durations in seconds, and how many others there are of each kind."""
    return without_odd(numbers_of(present))


def numbers_of(present: pl.Series) -> Numbers:
    """Return the numbers of a column without nulls, durations in seconds."""
    if isinstance(present.dtype, pl.Duration):
        present = present.to_physical() * _SECONDS[present.dtype.time_unit]
    elif not (present.dtype.is_float() or isinstance(present.dtype, _NATIVE)):
        present = present.cast(pl.Float64)  # decimals and whole numbers of 128 bits
    return present.to_numpy()


def without_odd(numbers: Numbers) -> tuple[Numbers, dict[str, int]]:
    """Return those numbers that are finite, and how many others there are of each kind."""
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is quicker, and finite only of finite numbers
        if np.issubdtype(numbers.dtype, np.integer) or np.isfinite(numbers.sum()):
            return numbers, {}
    finite = np.isfinite(numbers)
    if finite.all():
        return numbers, {}
    infinite = np.isinf(numbers)
    odd = {
        "nans": int(np.isnan(numbers).sum()),
        "infinite": int(infinite.sum()),
        "negative_infinite": int((numbers == -np.inf).sum()),
    }
    return numbers[finite], odd


def described_numbers(plain: ColumnProfile, found: Counted | Binned, points: int) -> ColumnProfile:
    """Return `plain` with all that follows from its values and their ranks."""
    whole = np.issubdtype(found.values.dtype, np.integer)
    listed, hashes = frequent_numbers(found, listed=LISTED if whole else FREQUENT_FLOATS)
    shape = row_moments(found.values, found.ends) if isinstance(found, Binned) else moments(found)
    return with_ranks(with_values(plain, listed, hashes), found, shape, points, whole=whole)


def with_ranks(
    plain: ColumnProfile, found: Counted | Binned | Scaled, shape: Moments, points: int, *, whole: bool
) -> ColumnProfile:
    """Return `plain` with its moments and all that follows from the ranks of its values."""
    exponent, first, edges = _grid(*found.ends, whole=whole) if found.ends else (0, 0, np.empty(0))
    found.expect(np.concatenate([cut_ranks(found.rows, points), _quantile_ranks(found.rows)]), edges)
    counts = np.diff(found.below(edges), prepend=0, append=found.rows)
    return replace(
        plain,
        minimum=found.ends and found.ends[0],
        maximum=found.ends and found.ends[1],
        mean=shape.mean,
        std=shape.std,
        skewness=shape.skewness,
        kurtosis=shape.kurtosis,
        sketch=sketch(found, points=points),
        quantiles=_nearest(found),
        histogram=Histogram(exponent=exponent, first=first, counts=tuple(counts.tolist())) if found.ends else None,
    )


def described_texts(
    plain: ColumnProfile, listed: tuple[Frequent, Hashes], lengths: Counted, points: int
) -> ColumnProfile:
    """Return `plain` with the frequent and distinct texts, and their lengths."""
    own = ColumnProfile(type="Int64", kind="number", count=plain.count, nulls=0, quantiles={})
    described = with_ranks(own, lengths, moments(lengths), points, whole=True)
    return replace(with_values(plain, *listed), lengths=described)


_NATIVE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)


def _time(plain: ColumnProfile, present: pl.Series, points: int) -> ColumnProfile:
    physical, scale = present.to_physical().to_numpy(), seconds_of(present.dtype)
    counted = count_cheaply(physical)
    found = Binned(physical * scale) if counted is None else counted.times(scale)
    described = replace(with_values(plain, *repeated(physical, counted)), sketch=sketch(found, points=points))
    if not plain.count:
        return described
    ends = [present.gather([place or 0]) for place in (present.arg_min(), present.arg_max())]
    return with_times(described, *ends)


def seconds_of(dtype: pl.DataType) -> float:
    """Return the seconds that a step of a type of times stands for."""
    return _DAY_S if isinstance(dtype, pl.Date) else _SECONDS[getattr(dtype, "time_unit", "ns")]


def with_times(plain: ColumnProfile, first: pl.Series, last: pl.Series) -> ColumnProfile:
    """Return `plain` with the first and the last of its times, each as a series of one."""
    return replace(plain, minimum=_iso(first), maximum=_iso(last))


def _iso(value: pl.Series) -> str:
    unit = getattr(value.dtype, "time_unit", "ns")
    if unit != "ns" and abs(value.to_physical().item()) * _SECONDS[unit] > _CALENDAR_S:
        return f"{value.to_physical().item()} {unit} since 1970"
    try:
        return str(value.item().isoformat())
    except (OverflowError, ValueError):  # a year past 9999, which Python's own types do not know
        return str(value.cast(pl.String).item())


def with_values(plain: ColumnProfile, listed: Frequent, hashes: Hashes) -> ColumnProfile:
    """Return `plain` with its frequent values and the number of distinct ones, of which these are hashes."""
    return replace(plain, **discrete_fields(listed, registers(hashes) if listed.error else None, plain.count))


def discrete_fields(listed: Frequent, found: Registers | None, count: int) -> dict[str, Any]:  # Any: values of fields
    """Return the fields of a profile that tell of the frequent and distinct ones of `count` values."""
    guess = min(count, estimate(found)) if listed.distinct is None and found is not None else None
    return {
        "top": listed.items,
        "top_error": listed.error,
        "distinct": listed.distinct if guess is None else guess,
        "distinct_error": 0.0 if guess is None else DISTINCT_ERROR,
        "registers": None if found is None else encode(found),
    }


def _nearest(found: Counted | Binned | Scaled) -> dict[str, float]:
    if not found.rows:
        return {}
    values = found.at_ranks(_quantile_ranks(found.rows))[0]
    return dict(zip(map(str, QUANTILES), values.tolist(), strict=True))


def _quantile_ranks(rows: int) -> Ints:
    return np.array([int((rows - 1) * probability + 0.5) + 1 for probability in QUANTILES])


def _grid(low: float, high: float, *, whole: bool) -> tuple[int, int, Floats]:
    """Return the exponent of the width of bins over this range, the number of the first, and the edges between them."""
    exponent = width_exponent(float(low), float(high))
    exponent = max(0, exponent) if whole else exponent
    with np.errstate(over="ignore", under="ignore"):
        first, last = (int(np.floor(np.ldexp(float(end), -exponent))) for end in (low, high))
        return exponent, first, np.ldexp(np.arange(first + 1, last + 1, dtype=np.float64), exponent)
