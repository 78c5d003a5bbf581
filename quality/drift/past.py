"""Owns what past partitions lead to expect: how far each healthy one lay from the window before it.

Rows of one month are alike and seasons turn, so tests of independent rows see drift in healthy partitions. What the
pipeline has seen of itself is a null that knows both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from quality.distributions import student_quantile

MIN_PAIRS = 8
"""Fewer past pairs bound nothing."""
_SMALLEST = 1e-4
"""Effects this near to none or to one are taken as this far; their log odds would rule the spread."""
_AREA = ("all columns", "auc")


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
        if len(seen) < MIN_PAIRS:
            return None
        tail = self.alpha / max(1, tests)
        rank = math.ceil((len(seen) + 1) * (1 - tail))
        if rank <= len(seen):
            return seen[rank - 1]
        odds = [math.log(effect / (1 - effect)) for effect in (min(max(e, _SMALLEST), 1 - _SMALLEST) for e in seen)]
        reach = student_quantile(min(0.5, tail), len(seen) - 1) * stdev(odds) * math.sqrt(1 + 1 / len(seen))
        return max(seen[-1], 1 / (1 + math.exp(-(fmean(odds) + reach))))


def usual_area(areas: Sequence[float], *, alpha: float = 0.01) -> float | None:
    """Return the largest area of `multivariate_drift` to expect of a healthy partition; None of fewer than `MIN_PAIRS`.

    As `Past.threshold`, of the areas themselves: twice their distance from one half is about none on healthy days,
    where log odds know no bound. At half of `alpha`: days depend on each other, and a rate of `alpha` leaves no room.

    Args:
        areas: Areas of earlier partitions against their own references, oldest first; of those that were flagged
            `quality.healthy.unless_again` says which count.
        alpha: Probability at which a healthy partition may pass it.
    """
    return Past(effects={_AREA: areas}, alpha=alpha / 2).threshold(*_AREA, tests=1)
