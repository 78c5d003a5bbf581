"""Owns what past partitions lead to expect: how far each healthy one lay from the window before it.

Rows of one month are alike and seasons turn, so tests of independent rows see drift in healthy partitions. What the
pipeline has seen of itself is a null that knows both.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeAlias

from quality.distributions import NORMAL, student_quantile

MIN_PAIRS = 8
"""Fewer past pairs bound nothing."""
_SMALLEST = 1e-4
"""Effects this near to none or to one are taken as this far; their log odds would rule the spread."""
Transform: TypeAlias = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Effects that healthy partitions showed against the window before them.

    Attributes:
        effects: (column, test) to the effects, oldest first.
        alpha: Probability at which a healthy batch may pass any of its thresholds, all columns together.
    """

    effects: Mapping[tuple[str, str], Sequence[float]]
    alpha: float = 0.01

    @property
    def pairs(self) -> int:
        """Past pairs of the column that has most."""
        return max(map(len, self.effects.values()), default=0)

    def threshold(self, column: str, test: str, *, tests: int) -> float | None:
        """Return the largest effect to expect of a healthy batch; None with fewer than `MIN_PAIRS` past ones.

        The conformal quantile at level alpha / tests (Vovk, Gammerman and Shafer, 2005), where there are past pairs
        enough for it. Fewer cannot reach so far: then the larger of their largest effect and the prediction bound of
        their log odds (Student's law), which no bound past 1 can come of.

        Args:
            column: Name of the column.
            test: Name of the test.
            tests: Number of tests of the batch.
        """
        seen = sorted(self.effects.get((column, test), ()))
        return _largest(seen, self.alpha / max(1, tests), (_log_odds, _of_log_odds))


def usual_area(areas: Sequence[float], *, alpha: float = 0.01) -> float | None:
    """Return the largest area of `multivariate_drift` to expect of a healthy partition; None of fewer than `MIN_PAIRS`.

    As `Past.threshold`, but the bound is of the cube root of the squared distance between the samples, which is nearly
    normal where the levels of columns wander (Wilson and Hilferty, 1931); log odds are skewed. Two normal samples d
    apart have the area Phi(d / sqrt(2)). At half of `alpha`, as a rate of `alpha` itself leaves no room.

    Args:
        areas: Areas of earlier partitions against their own references; of those that were flagged
            `quality.healthy.unless_again` says which count.
        alpha: Probability at which a healthy partition may pass it.
    """
    return _largest(sorted(areas), alpha / 2, (_root_distance, _of_root_distance))


def _largest(seen: Sequence[float], tail: float, scale: tuple[Transform, Transform]) -> float | None:
    """Return what a new value passes with the probability `tail`, of values in ascending order.

    Args:
        seen: The values.
        tail: The probability.
        scale: To the scale on which values are nearly normal, and back.
    """
    if len(seen) < MIN_PAIRS:
        return None
    rank = math.ceil((len(seen) + 1) * (1 - tail))
    if rank <= len(seen):
        return seen[rank - 1]
    there, back = scale
    values = [there(min(max(value, _SMALLEST), 1 - _SMALLEST)) for value in seen]
    reach = student_quantile(min(0.5, tail), len(seen) - 1) * stdev(values) * math.sqrt(1 + 1 / len(seen))
    return max(seen[-1], back(fmean(values) + reach))


def _log_odds(effect: float) -> float:
    return math.log(effect / (1 - effect))


def _of_log_odds(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def _root_distance(area: float) -> float:
    distance = NORMAL.inv_cdf(area)
    return math.copysign(abs(distance) ** (2 / 3), distance)


def _of_root_distance(root: float) -> float:
    return NORMAL.cdf(math.copysign(abs(root) ** 1.5, root))
