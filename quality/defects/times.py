"""Owns the defects of times: wrong zone, wrong unit, too early, too late, too coarse."""

from datetime import UTC, datetime

import polars as pl

from quality.defects.spec import Planting

HOUR_US = 3_600_000_000


def time_zone_slip(at: Planting) -> pl.DataFrame:
    """Move all times by a number of hours."""
    return at.put(_moved(at.values, at.magnitude))


def future_times(at: Planting) -> pl.DataFrame:
    """Move a share of the times a year ahead."""
    return at.put(_moved(at.values, 24 * 365), at.struck())


def late_data(at: Planting) -> pl.DataFrame:
    """Let a share of the rows arrive six hours later than they did."""
    return at.put(_moved(at.values, 6), at.struck())


def truncated_times(at: Planting) -> pl.DataFrame:
    """Cut a share of the times down to the whole hour."""
    return at.put(at.values.dt.truncate("1h"), at.struck())


def epoch_times(at: Planting) -> pl.DataFrame:
    """Put the beginning of Unix time into a share of the rows, as a 0 that is read as a time does."""
    epoch = pl.Series([datetime(1970, 1, 1, tzinfo=UTC)]).dt.convert_time_zone("UTC")
    zone = getattr(at.values.dtype, "time_zone", None)
    known = epoch if zone else epoch.dt.replace_time_zone(None)
    return at.put(known.cast(at.values.dtype).new_from_index(0, at.frame.height), at.struck())


def epoch_unit(at: Planting) -> pl.DataFrame:
    """Read a share of the times as milliseconds where they are seconds: 2024 becomes 1970."""
    thousandth = (at.values.cast(pl.Int64) // 1000).cast(at.values.dtype)
    return at.put(thousandth, at.struck())


def day_month_swap(at: Planting) -> pl.DataFrame:
    """Exchange day and month of a share of the times, where the day can be a month."""
    clock = at.values
    able = clock.dt.day() <= 12
    swapped = pl.select(
        pl.when(able).then(
            pl.datetime(
                clock.dt.year(),
                clock.dt.day().clip(1, 12),
                clock.dt.month(),
                clock.dt.hour(),
                clock.dt.minute(),
                clock.dt.second(),
            )
        )
    ).to_series()
    zone = getattr(clock.dtype, "time_zone", None)
    return at.put(swapped.dt.replace_time_zone(zone).cast(clock.dtype), at.chosen(able)) if able.any() else at.frame


def _moved(values: pl.Series, hours: float) -> pl.Series:
    unit = {"ns": 1_000, "us": 1, "ms": 1 / 1_000}[getattr(values.dtype, "time_unit", "us")]
    return (values.cast(pl.Int64) + round(hours * HOUR_US * unit)).cast(values.dtype)
