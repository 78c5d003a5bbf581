"""Owns the check of how old the newest event of a partition is against a declared limit. It warns and never blocks.

What the pipeline's own past says of it, of rows and of any other number is judged by `quality.anomalies`.
"""

from datetime import datetime

from quality.anomalies.metrics import duration
from quality.verdicts import Finding
from resources.errors import DeclarationError


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
    reason = f"newest event {newest.isoformat()} is {duration(age_s)} before {due.isoformat()}"
    return Finding(
        check="freshness",
        verdict="warn" if stale else "pass",
        reason=f"{reason}, {duration(max_age_s)} tolerated",
        numbers={"age_s": age_s, "max_age_s": max_age_s},
    )
