"""Owns what the calendar says of partitions: which of them are alike, how long they are, how much past is enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from resources.errors import DeclarationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Season = Literal["hour", "weekday", "hour_of_week", "day", "month"]
SIZES: Mapping[Season, int] = {"hour": 24, "weekday": 7, "hour_of_week": 168, "day": 31, "month": 12}
"""Season to how many different phases it has."""
YEAR_S = 365.25 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How partitions of one length are compared.

    Attributes:
        seasons: What may make partitions alike, the shortest first; the past says which of them does.
        levels: Spans of the moving medians that tell the level, in partitions.
        warm_up: Earlier partitions in which seasons are met for the first time; their errors teach nothing.
        minimum: Earlier partitions without which nothing is judged.
        patience: After so many alarms in a row the new level counts as usual.
        window: Most earlier partitions that are looked at.
        phrase: What one partition is called in a reason.
    """

    seasons: tuple[Season, ...]
    levels: tuple[int, ...]
    warm_up: int
    minimum: int
    patience: int
    window: int
    phrase: str


CADENCES: Mapping[str, Cadence] = {
    "hourly": Cadence(seasons=("hour", "hour_of_week"), levels=(1, 6, 48), warm_up=336, minimum=504, patience=24,
                      window=1_344, phrase="hour"),
    "daily": Cadence(seasons=("weekday",), levels=(1, 7, 28), warm_up=14, minimum=28, patience=7, window=400,
                     phrase="day"),
    "weekly": Cadence(seasons=(), levels=(1, 4, 13), warm_up=4, minimum=13, patience=4, window=208, phrase="week"),
    # A season of months is met after a year and more only: fewer are judged by their level.
    "monthly": Cadence(seasons=("month",), levels=(1, 3, 12), warm_up=3, minimum=12, patience=3, window=120,
                       phrase="month"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When a partition is: `[start, end)`, zone-aware, in the zone in which its days begin."""

    key: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise DeclarationError(f"partition {self.key}: its bounds have no time zone")
        if self.length_s <= 0:
            raise DeclarationError(f"partition {self.key} ends at {self.end}, not after its start {self.start}")

    @property
    def length_s(self) -> float:
        """Length in seconds, so that February counts as shorter than March."""
        return self.end.timestamp() - self.start.timestamp()


def phases(spans: Sequence[Span], season: Season) -> "NDArray[np.int64]":
    """Return which phase of `season` each partition is, by the clock on the wall, shape ``(partitions,)``."""
    import numpy as np

    return np.array([_phase(span.start, season) for span in spans], dtype=np.int64)


def _phase(start: datetime, season: Season) -> int:
    match season:
        case "hour":
            return start.hour
        case "weekday":
            return start.weekday()
        case "hour_of_week":
            return start.weekday() * 24 + start.hour
        case "day":
            return start.day - 1
        case "month":
            return start.month - 1
