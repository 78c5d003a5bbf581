"""Owns the defects of missing values: lost, filled, disguised."""

import polars as pl

from quality.defects.spec import Planting

SENTINEL = -999
DISGUISE = "None"


def lost_values(at: Planting) -> pl.DataFrame:
    """Lose a share of the values."""
    return at.put(pl.Series([None], dtype=at.values.dtype).new_from_index(0, at.frame.height), at.struck())


def null_to_zero(at: Planting) -> pl.DataFrame:
    """Turn a share of the nulls into 0."""
    return _filled(at, 0)


def null_to_sentinel(at: Planting) -> pl.DataFrame:
    """Turn a share of the nulls into `SENTINEL`."""
    return _filled(at, SENTINEL)


def null_to_mean(at: Planting) -> pl.DataFrame:
    """Turn a share of the nulls into the mean of the values, as an imputation one step too early does."""
    mean = at.values.cast(pl.Float64).mean()
    return _filled(at, mean if at.values.dtype.is_float() else round(float(mean or 0.0)))  # pyright: ignore[reportArgumentType] (a mean of numbers is one)


def nan_for_null(at: Planting) -> pl.DataFrame:
    """Turn a share of the nulls into NaN."""
    return _filled(at, float("nan"))


def null_to_text(at: Planting) -> pl.DataFrame:
    """Turn a share of the nulls into the text `DISGUISE`."""
    return _filled(at, DISGUISE)


def null_to_empty(at: Planting) -> pl.DataFrame:
    """Turn a share of the nulls into an empty text."""
    return _filled(at, "")


def default_fill(at: Planting) -> pl.DataFrame:
    """Put 0 into a share of the rows, whatever was there, as a failed lookup with a default does."""
    return at.put(pl.Series([0]).cast(at.values.dtype).new_from_index(0, at.frame.height), at.struck())


def _filled(at: Planting, value: object) -> pl.DataFrame:
    fill = pl.Series([value], dtype=at.values.dtype, strict=False).new_from_index(0, at.frame.height)
    missing = at.values.is_null()
    return at.put(fill, at.chosen(missing)) if missing.any() else at.frame
