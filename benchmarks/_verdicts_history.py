"""Owns the judgement of traits by the days before: a seasonal mean and Student's law, all traits together.

`quality.anomalies` judges the number of rows. It weighs many predictions of every metric, which for the 230 traits of
the shop takes 0.4 CPU s a partition; the thousands of partitions of the benchmark take this plain rule instead.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from _verdicts_alarms import Alarm

from quality.distributions import student_quantile

SEASON = 7
TOLERATED = 0.005
"""Change of a share that nobody minds."""
FALSE_ALARM = 0.002
"""Nominal probability of an alarm on a sound partition, all columns and traits together."""

Traits = Mapping[str, Mapping[str, float]]


def trait_alarms(current: Traits, past: Sequence[Traits], rows: int) -> list[Alarm]:
    """Return an alarm for every trait that is beyond what the same weekdays before predict."""
    count = sum(len(of) for of in current.values())
    found: list[Alarm] = []
    for column, of in current.items():
        for trait, share in of.items():
            before = [day[column][trait] for day in past if trait in day.get(column, {})]
            if len(before) < 2 * SEASON:
                continue
            usual, width = usual_range(before, rows, FALSE_ALARM / count)
            low, high = _share(usual - width), _share(usual + width)
            if share < low - TOLERATED or share > high + TOLERATED:
                way = "more" if share > high else "fewer"
                reason = f"{column}: {trait} is {share:.4f}, {low:.4f} to {high:.4f} expected"
                found.append(Alarm(name=f"{way} {trait}", columns=(column,), verdict="warn", reason=reason))
    return found


def usual_range(before: Sequence[float], rows: int, alpha: float) -> tuple[float, float]:
    """Return centre and half width of what is usual, on the scale asin(sqrt(share)) that makes all variances alike.

    Weekdays have means of their own; what is left over has one variance, at least that of independent rows.
    """
    scaled = np.arcsin(np.sqrt(np.clip(before, 0, 1)))
    phase = (np.arange(len(scaled)) - len(scaled)) % SEASON
    means = np.array([scaled[phase == place].mean() for place in range(SEASON)])
    rest = scaled - means[phase]
    degrees = len(scaled) - SEASON
    spread = math.sqrt(max(float((rest**2).sum()) / degrees, 0.25 / rows))
    same = int((phase == 0).sum())
    return float(means[0]), student_quantile(alpha / 2, degrees) * spread * math.sqrt(1 + 1 / same)


def _share(angle: float) -> float:
    return math.sin(min(max(angle, 0.0), math.pi / 2)) ** 2
