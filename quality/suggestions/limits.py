"""Owns the limits that the next healthy partition will keep with a stated probability, from those there were."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from quality.distributions import student_quantile, wilson_interval

MIN_PARTITIONS = 3
"""Fewer say too little of how much partitions differ."""
FALSE_FAILURES = 1e-3
"""Probability with which the next healthy partition breaks a limit."""


def prediction_interval(values: Sequence[float], *, tail: float = FALSE_FAILURES / 2) -> tuple[float, float]:
    """Return where the next of such values lies but with probability 2 `tail`.

    mean ± t * s * sqrt(1 + 1/n), t the Student quantile of n - 1 degrees of freedom: exact for independent normal
    values (Hahn, Meeker, Statistical Intervals, 1991, section 4.6).

    Args:
        values: At least two.
        tail: Probability on each side.

    >>> [round(end, 3) for end in prediction_interval([9.0, 10.0, 11.0], tail=0.025)]
    [5.032, 14.968]
    """
    most = max(map(abs, values))
    if not math.isfinite(most * len(values) * 1e6):  # sums and squares would not be finite either
        return -math.inf, math.inf
    unit = most or 1.0
    half = student_quantile(tail, len(values) - 1) * unit * stdev(value / unit for value in values)
    half *= math.sqrt(1 + 1 / len(values))
    middle = fmean(values)
    return middle - half, middle + half


def upper_share(seen: int, rows: int) -> float:
    """Return the share that is ruled out to be exceeded where `seen` of `rows` were found, with 99.9 %.

    >>> round(upper_share(0, 10_000), 6)
    0.000954
    """
    return wilson_interval(seen / rows if rows else 0.0, rows, confidence=1 - FALSE_FAILURES)[1]


def rounded_out(low: float, high: float) -> tuple[float, float]:
    """Return the interval with few digits, a little wider.

    >>> rounded_out(0.12345, 19.8765)
    (0.12, 19.88)
    """
    width = high - low
    if not math.isfinite(width) or width <= 0:
        return low, high
    unit = 10.0 ** (math.floor(math.log10(width)) - 3)
    return _tidy(math.floor(low / unit) * unit), _tidy(math.ceil(high / unit) * unit)


def _tidy(value: float) -> float:
    return float(f"{value:.10g}")
