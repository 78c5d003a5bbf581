"""Owns the checks of a partition against its past: how many rows came, and how old the newest is.

It reads no past itself: the caller hands over the row counts of earlier partitions. Both checks warn and never block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from quality import wording
from quality.distributions import student_quantile
from quality.verdicts import Finding
from resources.errors import DeclarationError

MIN_PAST = 3
"""Fewer past partitions have no spread to speak of."""
FALSE_ALARM = 0.001
"""Nominal probability that a usual partition lies outside the expected range."""
_MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Rows of one partition.

    Attributes:
        partition: Key.
        rows: Rows that came.
        length_s: Length of the partition in seconds, so that February counts as shorter than March.
    """

    partition: str
    rows: int
    length_s: float

    def __post_init__(self) -> None:
        if self.length_s <= 0 or self.rows < 0:
            raise DeclarationError(f"volume of {self.partition}: {self.rows} rows in {self.length_s} s is impossible")

    @property
    def rows_per_hour(self) -> float:
        """Rows per hour of the partition."""
        return self.rows / self.length_s * 3600


def judge_volume(
    current: Volume, past: Sequence[Volume], *, season: int | None = None, tolerance: float = 0.25
) -> Finding:
    """Compare the rows per hour of a partition with those of earlier ones.

    Warns only with two keys: outside the range that past partitions predict (median and median absolute deviation, so
    that past anomalies do not widen it; Student's quantile for few of them), and further from their median than
    `tolerance`.

    Args:
        current: The new partition.
        past: Earlier partitions, oldest first.
        season: Partitions per season, such as 7 for daily ones; where `MIN_PAST` of the same phase exist, only they
            are compared.
        tolerance: Tolerated relative change, such as 0.25.
    """
    alike = list(past)
    if season and len(past[-season::-season]) >= MIN_PAST:
        alike = past[-season::-season]
    if len(alike) < MIN_PAST:
        reason = (
            f"not enough history: {wording.count(len(alike), 'earlier partition')}, the volume check needs {MIN_PAST}"
        )
        return Finding(
            check="volume", verdict="pass", reason=reason, numbers={"rows": current.rows, "past": len(alike)}
        )
    return _compared(current, [volume.rows_per_hour for volume in alike], tolerance)


def _compared(current: Volume, past: Sequence[float], tolerance: float) -> Finding:
    usual = median(past)
    hours = current.length_s / 3600
    # Counts scatter by the square root of their size at least, even where the few past ones agree.
    spread = max(_MAD_TO_SIGMA * median(abs(rate - usual) for rate in past), math.sqrt(usual * hours) / hours)
    width = student_quantile(FALSE_ALARM / 2, len(past) - 1) * spread * math.sqrt(1 + 1 / len(past))
    low, high = max(0.0, usual - max(width, tolerance * usual)), usual + max(width, tolerance * usual)
    unusual = not low <= current.rows_per_hour <= high
    expected = (
        f"{low * hours:,.0f} to {high * hours:,.0f} expected from {wording.count(len(past), 'earlier partition')}"
    )
    reason = f"{wording.count(current.rows, 'row')} in {current.partition}, {expected}"
    numbers = {
        "rows": current.rows,
        "rows_per_hour": current.rows_per_hour,
        "usual_rows_per_hour": usual,
        "low_rows": low * hours,
        "high_rows": high * hours,
        "past": len(past),
    }
    return Finding(check="volume", verdict="warn" if unusual else "pass", reason=reason, numbers=numbers)


def judge_freshness(newest: datetime | None, *, due: datetime, max_age_s: float) -> Finding:
    """Compare the newest event of a partition with the time by which events are due.

    Args:
        newest: Newest event time, UTC; None where the partition has no rows.
        due: End of the partition, or now for the running one, UTC.
        max_age_s: Largest tolerated time from the newest event to `due`, in seconds.

    Raises:
        DeclarationError: If a time has no zone.
    """
    for name, time in (("newest", newest), ("due", due)):
        if time is not None and time.tzinfo is None:
            raise DeclarationError(f"freshness: {name} {time.isoformat()} has no time zone")
    if newest is None:
        return Finding(
            check="freshness", verdict="warn", reason=f"no event before {due.isoformat()}: there are no rows"
        )
    age_s = (due - newest).total_seconds()
    stale = age_s > max_age_s
    reason = f"newest event {newest.isoformat()} is {_duration(age_s)} before {due.isoformat()}"
    return Finding(
        check="freshness",
        verdict="warn" if stale else "pass",
        reason=f"{reason}, {_duration(max_age_s)} tolerated",
        numbers={"age_s": age_s, "max_age_s": max_age_s},
    )


def _duration(seconds: float) -> str:
    size, unit = next(((s, u) for s, u in ((86_400, "d"), (3_600, "h"), (60, "min")) if abs(seconds) >= s), (1, "s"))
    return f"{seconds / size:.3g} {unit}"
