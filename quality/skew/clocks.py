"""Owns the slip of the clock that names rows: rows of both sides that would pair if one side's time were moved."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import polars as pl

from quality.skew.kinds import hours
from quality.skew.report import Kind

_SLIPS = [timedelta(minutes=15 * quarter) for quarter in range(-56, 57) if quarter]
"""Differences between two time zones, or between one and UTC, are whole quarter-hours within 14 hours."""
_LEAST = 0.5
_ROWS = 300
"""Rows of serving that are tried with every slip."""
_OTHER = " penstock training"


def slip_of_keys(training: pl.DataFrame, serving: pl.DataFrame, keys: Sequence[str], time: str) -> Kind | None:
    """Return by how much serving's clock is off, if that pairs half of the rows that have no partner.

    Args:
        training: Keys of the rows of training.
        serving: Keys of rows of serving that have no partner.
        keys: Columns beside the time.
        time: The event time.
    """
    some, near = _sample(training, serving, keys)

    def met(moved: pl.DataFrame) -> float:
        return moved.join(near, on=[*keys, time], how="semi").height / moved.height

    return _best(some, time, met)


def slip_of_values(
    training: pl.DataFrame, serving: pl.DataFrame, keys: Sequence[str], time: str, columns: Sequence[str]
) -> Kind | None:
    """Return by how much serving's clock is off, if half of the cells are equal then.

    Rows of another time have the key of a slipped row where times lie on a grid, such as the hours of a day.

    Args:
        training: Rows of training: keys, time and columns.
        serving: Rows of serving likewise.
        keys: Columns beside the time.
        time: The event time.
        columns: Columns that differ.
    """
    some, near = _sample(training, serving, keys)

    def met(moved: pl.DataFrame) -> float:
        both = moved.join(near, on=[*keys, time], how="inner", suffix=_OTHER)
        equal = both.select(pl.mean_horizontal(pl.col(c).eq_missing(pl.col(c + _OTHER)) for c in columns)).to_series()
        return float(equal.sum()) / moved.height

    return _best(some, time, met)


def _sample(training: pl.DataFrame, serving: pl.DataFrame, keys: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return some rows of serving, and those of training that could be theirs."""
    some = serving.gather_every(max(1, serving.height // _ROWS)).head(_ROWS)
    return some, training.join(some, on=list(keys), how="semi") if keys else training


def _best(serving: pl.DataFrame, time: str, met: Callable[[pl.DataFrame], float]) -> Kind | None:
    best, share = timedelta(0), 0.0
    for by in _SLIPS if serving.height else ():
        # Else the unit would be that of Python, microseconds; at the ends of the calendar nothing is left to meet.
        moved = (pl.col(time) - by).cast(serving.schema[time], strict=False)
        found = met(serving.with_columns(moved))
        if found > share:
            best, share = by, found
    if share < _LEAST:
        return None
    reason = f"serving's {time} is {hours(best // timedelta(microseconds=1))} off"
    return Kind(name="time-zone slip", reason=reason, share=share)
