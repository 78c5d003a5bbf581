"""Owns a metric of the past: its values in the order of time, and the scale on which they are compared.

Counts are compared as rates on the logarithmic scale, where halved and doubled are as far; shares and plain numbers as
they are; ages as parts of the partition's length. On each scale 1 is the tolerated change.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from quality.anomalies.calendar import Span
from resources.errors import DeclarationError
from resources.names import choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Kind = Literal["count", "share", "age", "number"]
_LARGEST = 1e150
_MOST_COUNTED = 2.0**64
_HALF = 0.5
"""Added to a count, so that none has a logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of each partition.

    Attributes:
        name: Name in findings, such as "rows" or "nulls of fare".
        kind: "count" of rows, "share" from 0 to 1, "age" in seconds, or any "number".
        tolerance: Tolerated change: relative for a count, in points / 100 for a share, as part of the partition's
            length for an age, in its own unit for a number.
        values: One a partition, oldest first, None where unknown; the last is judged.
        weight: Its part of the budget of false alarms, relative to the others.
    """

    name: str
    kind: Kind
    tolerance: float
    values: Sequence[float | None]
    weight: float = 1.0

    def __post_init__(self) -> None:
        choose(f"{self.name}: kind", self.kind, get_args(Kind))
        if not (self.tolerance > 0 and math.isfinite(self.tolerance)):
            raise DeclarationError(f"{self.name}: the tolerance must be positive and finite, got {self.tolerance}")
        for place, value in enumerate(self.values):
            if value is not None:
                self._check(value, place)

    @property
    def upper_only(self) -> bool:
        """Whether only large values are odd: newer rows than usual are no harm."""
        return self.kind == "age"

    def scaled(self, spans: Sequence[Span]) -> "Floats":
        """Return the values in units of the tolerated change, NaN where unknown, shape ``(partitions,)``.

        Raises:
            DeclarationError: If there is not one value a partition.
        """
        import numpy as np

        if len(self.values) != len(spans):
            raise DeclarationError(f"{self.name}: {len(self.values)} values for {len(spans)} partitions")
        known = np.array([np.nan if value is None else value for value in self.values], dtype=np.float64)
        lengths = np.array([span.length_s for span in spans], dtype=np.float64)
        match self.kind:
            case "count":
                return _bounded(np.log((known + _HALF) / lengths * 3600), math.log1p(self.tolerance))
            case "age":
                return _bounded(known / lengths, self.tolerance)
            case _:
                return _bounded(known, self.tolerance)

    def natural(self, scaled: float, span: Span) -> float | None:
        """Return a scaled value in the metric's own unit; None where it is unknown or there is no limit."""
        if not math.isfinite(scaled):
            return None
        match self.kind:
            case "count":
                rate = math.exp(min(700.0, scaled * math.log1p(self.tolerance)))
                return max(0.0, rate * span.length_s / 3600 - _HALF)
            case "share":
                return min(1.0, max(0.0, scaled * self.tolerance))
            case "age":
                return max(0.0, scaled * self.tolerance * span.length_s)
            case _:
                return scaled * self.tolerance

    def told(self, value: float) -> str:
        """Return a value in words."""
        match self.kind:
            case "count":
                return f"{value:,.0f}"
            case "share":
                return f"{100 * value:.3g} %"
            case "age":
                return duration(value)
            case _:
                return f"{value:.4g}"

    def _check(self, value: float, place: int) -> None:
        place_told = f"{self.name}: value {place + 1} of {len(self.values)} is {value!r:.40}"
        try:
            finite = math.isfinite(value)
        except (TypeError, OverflowError) as error:
            raise DeclarationError(f"{place_told}: give a number that a float holds, or None") from error
        if not finite:
            raise DeclarationError(f"{place_told}: give None where it is unknown")
        if self.kind in ("count", "age") and value < 0:
            raise DeclarationError(f"{place_told}: a {self.kind} is not negative; correct what measured it")
        if self.kind == "count" and value > _MOST_COUNTED:
            raise DeclarationError(f"{place_told}: no count is above {_MOST_COUNTED:.3g}; correct what measured it")
        if self.kind == "share" and not 0 <= value <= 1:
            raise DeclarationError(f"{place_told}: a share lies between 0 and 1; divide the count by the rows")


def _bounded(known: "Floats", tolerance: float) -> "Floats":
    """Return values in units of the tolerance, so large at most that their squares are finite."""
    import numpy as np

    with np.errstate(over="ignore"):
        return np.clip(known / tolerance, -_LARGEST, _LARGEST)


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit.

    >>> duration(90), duration(7_200)
    ('1.5 min', '2 h')
    """
    size, unit = next(((s, u) for s, u in ((86_400, "d"), (3_600, "h"), (60, "min")) if abs(seconds) >= s), (1, "s"))
    return f"{seconds / size:.3g} {unit}"
