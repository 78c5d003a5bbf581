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
"""Effects below this are as good as none; their logarithms would rule the spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Effects that healthy partitions showed against the window before them.

    Attributes:
        effects: (column, test) to the effects, oldest first.
        alpha: Probability at which a healthy batch may pass any of its thresholds, all columns together.
    """

    effects: Mapping[tuple[str, str], Sequence[float]]
    alpha: float = 0.01

    def threshold(self, column: str, test: str, *, tests: int) -> float | None:
        """Return the largest effect to expect of a healthy batch; None with fewer than `MIN_PAIRS` past ones.

        The conformal quantile at level alpha / tests (Vovk, Gammerman and Shafer, 2005), where there are past pairs
        enough for it. Fewer cannot reach so far: then the larger of their largest effect and the prediction bound of
        their logarithms (Student's law).

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
        logs = [math.log(max(effect, _SMALLEST)) for effect in seen]
        reach = student_quantile(min(0.5, tail), len(seen) - 1) * stdev(logs) * math.sqrt(1 + 1 / len(seen))
        return min(1.0, max(seen[-1], math.exp(min(0.0, fmean(logs) + reach))))
