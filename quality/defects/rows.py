"""Owns the defects of whole rows: lost, doubled, from another partition, chosen by their values."""

import numpy as np
import polars as pl

from quality.defects.spec import Planting, put


def lost_rows(at: Planting) -> pl.DataFrame:
    """Lose a random share of the rows."""
    return at.frame.filter(~at.struck())


def cut_off(at: Planting) -> pl.DataFrame:
    """Lose the last share of the rows, as a transfer that broke off does."""
    return at.frame.head(max(1, round((1 - at.magnitude) * at.frame.height)))


def doubled_volume(at: Planting) -> pl.DataFrame:
    """Add a share of other rows with keys of their own, as a second source that reports the same things does."""
    more = at.frame.sample(max(1, round(at.magnitude * at.frame.height)), seed=_seed(at), with_replacement=True)
    key = more.get_column(at.column)
    if key.dtype.is_integer():
        fresh = pl.Series(range(1, len(key) + 1)).cast(key.dtype) + int(str(at.values.max()))
    else:
        fresh = key.cast(pl.String) + pl.Series([f"-{row}" for row in range(len(key))])
    return pl.concat([at.frame, put(more, at.column, fresh)])


def duplicate_keys(at: Planting) -> pl.DataFrame:
    """Repeat a share of the rows as they are."""
    return pl.concat([at.frame, at.frame.filter(at.struck())])


def join_fan_out(at: Planting) -> pl.DataFrame:
    """Repeat a share of the rows with another value in one column, as a join with a key of several rows does."""
    again = at.frame.filter(at.struck())
    other = at.values.sample(again.height, seed=_seed(at), with_replacement=True, shuffle=True)
    return pl.concat([at.frame, put(again, at.column, other)])


def duplicated_partition(at: Planting) -> pl.DataFrame:
    """Add a share of the rows of the partition before."""
    before = at.past[-1]
    count = max(1, round(at.magnitude * before.height))
    return pl.concat([at.frame, before.sample(count, seed=_seed(at)).select(at.frame.columns)], how="vertical_relaxed")


def stale_partition(at: Planting) -> pl.DataFrame:
    """Replace a share of the rows by rows of the partition before, their times moved to this one's."""
    before = at.past[-1].select(at.frame.columns)
    old = before.sample(min(before.height, max(1, round(at.magnitude * at.frame.height))), seed=_seed(at))
    kept = at.frame.sample(max(0, at.frame.height - old.height), seed=_seed(at))
    gap = at.values.min() - before.get_column(at.column).min()  # pyright: ignore[reportOperatorIssue, reportOptionalOperand] (two times)
    clocks = [name for name, kind in at.frame.schema.items() if isinstance(kind, pl.Datetime)]
    days = pl.lit(gap).dt.total_hours() / 24
    moved = old.with_columns(pl.col(clocks) + pl.duration(days=days.round().cast(pl.Int64)))
    return pl.concat([kept, moved.cast(at.frame.schema)])


def seasonal_gap(at: Planting) -> pl.DataFrame:
    """Lose all rows of a number of hours of the day, drawn at random."""
    hours = round(at.magnitude)
    first = int(at.rng.integers(24))
    lost = pl.Series([(first + hour) % 24 for hour in range(hours)])
    return at.frame.filter(~at.values.dt.hour().is_in(lost.implode()))


def sampling_bias(at: Planting) -> pl.DataFrame:
    """Lose a share of the rows whose value is above the median, and of no others."""
    above = (at.values > at.values.median()).fill_null(value=False)
    return at.frame.filter(~at.chosen(above))


def off_by_one(at: Planting) -> pl.DataFrame:
    """Give a share of the rows the value that the row before had: one step of a window too far.

    Takes the column, and the time that orders the rows.
    """
    order = at.frame.get_column(at.columns[1]).arg_sort()
    place = np.empty(at.frame.height, dtype=np.int64)
    place[order.to_numpy()] = np.arange(at.frame.height)
    before = at.values.gather(order).shift(1).gather(place)
    return at.put(before, at.struck() & before.is_not_null())


def _seed(at: Planting) -> int:
    return int(at.rng.integers(2**32))
