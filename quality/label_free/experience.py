"""Owns what past estimates teach of a new one: by how much they missed what labels showed, and how far rows had moved.

The interval of an estimate holds the chance of the labels and the doubt about what was learned, but not that the world
moves between the rows that taught and those that are judged. How much it moves, only earlier partitions tell.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from quality import wording
from quality.distributions import student_quantile
from quality.label_free.expectation import Expectation, rounded
from quality.label_free.ranges import TOLERATED
from quality.measurements import Estimate

MIN_PAST = 6
"""Fewer past estimates tell too little of how far they miss; intervals stay as they are then."""
_EDGE = 1e-6
"""Shares nearer to 0 or 1 count as this near: their log odds would rule the spread."""
Scale = tuple[Callable[[float], float], Callable[[float], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """An estimate of which labels have come.

    Attributes:
        outside: Share of its rows that left the range of those that taught it.
        expected: Metric to the estimate.
        real: Metric to what labels showed.
    """

    outside: float
    expected: Mapping[str, float]
    real: Mapping[str, float]


def with_experience(found: Expectation, past: Sequence[Foretold]) -> Expectation:
    """Return an estimate as past ones, made in the same way, lead to believe it.

    An error is told on the scale of the metric: logarithms of losses, log odds of shares. The next one lies, with the
    confidence of the intervals, in Student's prediction interval of the past errors; the result is centred there, and
    reaches as far as that interval or the estimate's own, whichever is further. Where more rows leave the range of the
    labelled ones than 2 %, and than ever did in the past, nothing is said.

    Args:
        found: The estimate, made without regard to ranges (`tolerated=1`).
        past: Estimates of the pipeline's earlier partitions of which labels have come.
    """
    if found.abstains:
        return found
    known = len(past) >= MIN_PAST
    tolerated = max([TOLERATED, *(one.outside for one in past if known)])
    if found.outside > tolerated:
        far = f", at most {tolerated:.1%} on {wording.count(len(past), 'earlier partition')}" if known else ""
        reason = f"{found.outside:.1%} of the rows leave the range of the labelled ones{far} ({found.leaving}): "
        return replace(found, metrics={}, abstains=f"{reason}label some of them")
    if not known:
        return found
    errors = {name: _errors(name, past) for name in found.metrics}
    metrics = {
        name: _moved(name, estimate, errors[name], found.confidence)
        for name, estimate in found.metrics.items()
        if len(errors[name]) >= MIN_PAST or found.outside <= TOLERATED
    }
    return replace(found, metrics=metrics, past=len(past))


def _errors(name: str, past: Sequence[Foretold]) -> list[float]:
    there, _ = _scale(name)
    return [
        there(one.real[name]) - there(one.expected[name])
        for one in past
        if {name} <= one.real.keys() & one.expected.keys()
    ]


def _moved(name: str, estimate: Estimate, errors: Sequence[float], confidence: float) -> Estimate:
    if len(errors) < MIN_PAST or estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    there, back = _scale(name)
    centre = there(estimate.value) + fmean(errors)
    reach = student_quantile((1 - confidence) / 2, len(errors) - 1) * stdev(errors) * math.sqrt(1 + 1 / len(errors))
    low, high = min(back(centre - reach), estimate.low), max(back(centre + reach), estimate.high)
    return Estimate(value=rounded(back(centre)), low=rounded(low), high=rounded(high))


def _scale(name: str) -> Scale:
    """Return the scale on which errors of a metric are alike, and the way back."""
    if name in ("mae", "rmse", "log_loss"):
        return lambda value: math.log(max(value, _EDGE)), math.exp
    if name == "bias":
        return float, float
    return _log_odds, lambda odds: 1 / (1 + math.exp(-odds))


def _log_odds(share: float) -> float:
    inner = min(max(share, _EDGE), 1 - _EDGE)
    return math.log(inner / (1 - inner))
