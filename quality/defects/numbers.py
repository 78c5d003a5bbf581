"""Owns the defects of numbers: wrong units, signs, precision, distribution."""

import numpy as np
import polars as pl

from quality.defects.spec import Planting, put

WRONG_UNIT = 100.0
"""Factor of the rows in a wrong unit: cents for whole coins, percent for shares."""


def unit_change(at: Planting) -> pl.DataFrame:
    """Multiply all values by the magnitude."""
    return at.put(_scaled(at.values, at.magnitude))


def unit_mix(at: Planting) -> pl.DataFrame:
    """Multiply a share of the values by `WRONG_UNIT`."""
    return at.put(_scaled(at.values, WRONG_UNIT), at.struck())


def sign_flip(at: Planting) -> pl.DataFrame:
    """Negate a share of the values."""
    return at.put(_scaled(at.values, -1.0), at.struck())


def decimal_comma(at: Planting) -> pl.DataFrame:
    """Lose the decimal separator of a share of the values: 12.34 is read as 1234."""
    digits = at.values.round(2).cast(pl.String).str.replace(".", "", literal=True)
    return at.put(digits.cast(pl.Float64, strict=False).cast(at.values.dtype), at.struck())


def mean_shift(at: Planting) -> pl.DataFrame:
    """Add a number of standard deviations to all values."""
    return at.put(_like(at, _floats(at.values) + at.magnitude * _spread(at.values)))


def variance_change(at: Planting) -> pl.DataFrame:
    """Multiply the distances of all values from their mean by a factor."""
    values = _floats(at.values)
    mean = values.mean() or 0.0
    return at.put(_like(at, (values - mean) * at.magnitude + mean))


def noise(at: Planting) -> pl.DataFrame:
    """Add normal noise of a number of standard deviations to all values."""
    error = pl.Series(at.rng.standard_normal(at.frame.height)) * _spread(at.values)
    return at.put(_like(at, _floats(at.values) + at.magnitude * error))


def rounding(at: Planting) -> pl.DataFrame:
    """Round all values to a number of decimals, which may be negative."""
    step = 10.0 ** round(-at.magnitude)
    return at.put(_like(at, (_floats(at.values) / step).round() * step))


def clipped_outliers(at: Planting) -> pl.DataFrame:
    """Cut the largest share of the values down to the largest that is left."""
    top = at.values.quantile(1 - at.magnitude, "lower")
    return at.frame.with_columns(pl.col(at.column).clip(upper_bound=pl.lit(top)).cast(at.values.dtype))


def float32_cast(at: Planting) -> pl.DataFrame:
    """Pass a share of the values through float32."""
    return at.put(at.values.cast(pl.Float32).cast(at.values.dtype, strict=False), at.struck())


def float64_ids(at: Planting) -> pl.DataFrame:
    """Pass whole numbers through float64, which holds them up to 2**53."""
    return at.put(at.values.cast(pl.Float64).cast(at.values.dtype, strict=False), at.struck())


def overflow(at: Planting) -> pl.DataFrame:
    """Wrap whole numbers around at a number of bits, as a signed integer type does."""
    half = 2 ** (round(at.magnitude) - 1)
    return at.put(((at.values.cast(pl.Int64) + half) % (2 * half) - half).cast(at.values.dtype, strict=False))


def stuck_sensor(at: Planting) -> pl.DataFrame:
    """Repeat one value over the last share of the rows."""
    first = min(at.frame.height - 1, round((1 - at.magnitude) * at.frame.height))
    tail = pl.Series(np.arange(at.frame.height) >= first)
    return at.put(pl.Series([at.values[first]], dtype=at.values.dtype).new_from_index(0, at.frame.height), tail)


def dead_column(at: Planting) -> pl.DataFrame:
    """Put 0 into every row, nulls included."""
    return at.frame.with_columns(pl.lit(0).cast(at.values.dtype).alias(at.column))


def swapped_columns(at: Planting) -> pl.DataFrame:
    """Exchange the values of two columns in a share of the rows."""
    one, two = (at.frame.get_column(name) for name in at.columns)
    rows = at.struck()
    swapped = put(at.frame, at.columns[0], two.cast(one.dtype, strict=False), rows)
    return put(swapped, at.columns[1], one.cast(two.dtype, strict=False), rows)


def shuffled_column(at: Planting) -> pl.DataFrame:
    """Deal the values of one column out anew among a share of the rows: its distribution stays as it is."""
    rows = np.flatnonzero(at.struck().to_numpy())
    places = np.arange(at.frame.height)
    places[rows] = at.rng.permutation(rows)
    return at.put(at.values.gather(places))


def _scaled(values: pl.Series, factor: float) -> pl.Series:
    scaled = values.cast(pl.Float64) * factor
    return (scaled.round() if values.dtype.is_integer() else scaled).cast(values.dtype, strict=False)


def _floats(values: pl.Series) -> pl.Series:
    return values.cast(pl.Float64)


def _spread(values: pl.Series) -> float:
    finite = _floats(values)
    found = finite.filter(finite.is_finite()).std()
    return float(found) if isinstance(found, float) else 0.0


def _like(at: Planting, values: pl.Series) -> pl.Series:
    whole = at.values.dtype.is_integer()
    return (values.round() if whole else values).cast(at.values.dtype, strict=False)
