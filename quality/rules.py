"""Owns the rules of the promotion gate: one function per rule, from measurements to findings.

It neither orders nor sums up the findings (`quality.gate` does). Rules decide on intervals: certain means that the
whole interval lies on one side.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quality import wording
from quality.distributions import NORMAL, student_tail
from quality.measurements import Comparison, Evaluation, SliceMeasurement
from quality.metrics import Metric, metric_named
from quality.verdicts import Finding, Verdict

POWER = 0.8
"""Probability with which the recommended number of rows settles the question, if the measured difference is true."""
HOPELESS = 100
"""Past this many times the judged rows no number is recommended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The declared gate and the names that its reasons use.

    Attributes:
        metric: Metric that decides.
        margin: Largest tolerated worsening against the champion, in units of the metric.
        slice_margin: The same in any one slice.
        unit: Unit of the metric.
        champion: Name of the champion.
        where: Place of the judgement, with its leading preposition, or empty.
    """

    metric: Metric
    margin: float
    slice_margin: float
    unit: str
    champion: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Closed range of a metric; None is no limit."""

    minimum: float | None
    maximum: float | None


def enough_rows(evaluation: Evaluation, min_rows: int) -> Finding:
    """Find whether there are rows and clusters enough for any interval."""
    numbers = {"rows": evaluation.rows, "min_rows": min_rows, "clusters": evaluation.clusters}
    if evaluation.rows < min_rows:
        reason = f"{wording.count(evaluation.rows, 'row')} to judge, the gate needs {min_rows:,}"
        return Finding(check="rows", verdict="inconclusive", reason=reason, numbers=numbers)
    if not evaluation.overall.judged:
        clusters = wording.count(evaluation.clusters, "cluster")
        reason = f"the {evaluation.rows:,} rows lie in {clusters}, too few for an interval"
        return Finding(check="rows", verdict="inconclusive", reason=reason, numbers=numbers)
    clusters = f" in {wording.count(evaluation.clusters, 'cluster')}" if evaluation.clustered else ""
    return Finding(check="rows", verdict="pass", reason=f"{evaluation.rows:,} rows judged{clusters}", numbers=numbers)


def against_champion(evaluation: Evaluation, rule: Rule) -> Finding:
    """Find whether the challenger is worse than the champion by less than the margin.

    Above 0 this is a test of non-inferiority, at 0 one of superiority: an equal challenger passes the first only. The
    whole interval below the margin passes, with a warning if the challenger is certainly worse within it; the whole
    interval at or beyond the margin blocks; anything else is inconclusive.
    """
    found = evaluation.overall.comparisons.get("champion", {}).get(rule.metric.name)
    if found is None:
        return Finding(check="champion", verdict="pass", reason="there is no champion yet")
    numbers = {**asdict(found), "margin": rule.margin}
    if found.worse is None or found.low is None or found.high is None:
        reason = _undefined(rule, rule.metric, f"against {rule.champion}")
        return Finding(check="champion", verdict="inconclusive", reason=reason, numbers=numbers)
    reason = _compared(rule, found, rule.champion, evaluation.confidence, tolerated=rule.margin)
    verdict: Verdict = "block"
    if found.high < rule.margin:
        verdict = "warn" if found.low > 0 else "pass"
    elif found.low < rule.margin:
        verdict, reason = "inconclusive", f"inconclusive: {reason}; {_needed(evaluation, found, rule.margin)}"
    return Finding(check="champion", verdict=verdict, reason=reason, numbers=numbers)


def against_baseline(evaluation: Evaluation, rule: Rule, *, required: bool) -> Finding:
    """Find whether the challenger is certainly better than the naive baseline; only reported if not `required`.

    A challenger with neither champion nor required baseline is compared with nothing, which warns.
    """
    found = evaluation.overall.comparisons.get("baseline", {}).get(rule.metric.name)
    alone = "champion" not in evaluation.overall.comparisons
    if found is None or found.worse is None or found.low is None or found.high is None:
        verdict: Verdict = "inconclusive" if required else "warn" if alone else "pass"
        reason = (
            "there is no naive baseline"
            if found is None
            else _undefined(rule, rule.metric, "against the naive baseline")
        )
        return Finding(check="baseline", verdict=verdict, reason=reason)
    reason = _compared(rule, found, "the naive baseline", evaluation.confidence)
    verdict = "pass"
    if not required:
        verdict = "warn" if alone else "pass"
        reason += "; the gate does not ask for it"
    elif found.low >= 0:
        verdict = "block"
    elif found.high >= 0:
        verdict, reason = "inconclusive", f"inconclusive: {reason}; {_needed(evaluation, found, 0.0)}"
    return Finding(check="baseline", verdict=verdict, reason=reason, numbers=asdict(found))


def within_limits(evaluation: Evaluation, rule: Rule, limits: Mapping[str, Bounds]) -> list[Finding]:
    """Find for each absolute limit whether the challenger meets it.

    The estimate decides whether a limit is met, the interval how certain that is: met and certain passes, met warns,
    missed is inconclusive, missed and certain blocks.
    """
    return [_limit(evaluation, rule, metric_named(name), bounds) for name, bounds in limits.items()]


def worse_slices(evaluation: Evaluation, rule: Rule) -> list[Finding]:
    """Find the slices in which the challenger is worse than the slice margin allows.

    One-sided Student tests on jackknife standard errors; Holm (1979) keeps the probability of any false find
    among all slices of all columns at 1 - confidence. Against the champion a find blocks; without a champion the slices
    are compared with the naive baseline at margin 0, and a find warns.
    """
    if not evaluation.slices:
        return []
    other = "champion" if "champion" in evaluation.overall.comparisons else "baseline"
    margin = rule.slice_margin if other == "champion" else 0.0
    tested = [(part, found) for part in evaluation.slices if (found := _testable(part, other, rule.metric.name))]
    adjusted = holm([_tail(found, margin, part.clusters) for part, found in tested])
    table = [_slice_row(part, other, rule.metric.name) for part in evaluation.slices]
    verdict: Verdict = "block" if other == "champion" else "warn"
    name = rule.champion if other == "champion" else "the naive baseline"
    findings: list[Finding] = []
    for (part, found), p in zip(tested, adjusted, strict=True):
        if p <= 1 - evaluation.confidence:
            reason = _compared(rule, found, name, evaluation.confidence, tolerated=margin)
            place = f"{part.column}={part.value}"
            numbers = {**asdict(found), "margin": margin, "p_adjusted": p, "rows": part.rows}
            text = f"in slice {place} ({part.rows:,} rows) {reason}; adjusted p {wording.probability(p)}"
            findings.append(Finding(check=f"slice {place}", verdict=verdict, reason=text, numbers=numbers))
    return [*findings, _slice_summary(evaluation, tested=len(tested), worse=len(findings), table=table)]


def holm(probabilities: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the family-wise error (Holm, 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    count, running = len(probabilities), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda i: probabilities[i])):
        running = max(running, min(1.0, (count - rank) * probabilities[index]))
        adjusted[index] = running
    return adjusted


def rows_needed(found: Comparison, rows: int, margin: float, confidence: float) -> float:
    """Return how many rows would settle on which side of `margin` the difference lies, with power `POWER`.

    n ((z(confidence) + z(power)) error / (worse - margin))**2, taking the measured difference and variance as true.
    """
    if found.worse is None or found.error is None or found.worse == margin:
        return math.inf
    z = NORMAL.inv_cdf(1 - (1 - confidence) / 2) + NORMAL.inv_cdf(POWER)
    return rows * (z * found.error / (found.worse - margin)) ** 2


def _needed(evaluation: Evaluation, found: Comparison, margin: float) -> str:
    rows = rows_needed(found, evaluation.rows, margin, evaluation.confidence)
    if rows > HOPELESS * evaluation.rows:
        return "the difference lies so near the limit that no realistic number of rows would settle it"
    more = max(1.0, rows - evaluation.rows)
    clusters = f" ({wording.rounded_up(more / evaluation.rows * evaluation.clusters)} clusters)"
    return f"needs about {wording.rounded_up(more)} more rows{clusters if evaluation.clustered else ''}"


def _undefined(rule: Rule, metric: Metric, against: str) -> str:
    return f"{metric.title} {against} is undefined on these rows{rule.where}, so nothing is shown"


def _compared(rule: Rule, found: Comparison, other: str, confidence: float, tolerated: float | None = None) -> str:
    worse, low, high = found.worse or 0.0, found.low or 0.0, found.high or 0.0
    if worse == low == high == 0:
        aim = "; the gate asks for a better one" if tolerated == 0 else ""
        return f"challenger does exactly as well in {rule.metric.title} as {other}{rule.where}{aim}"
    places = wording.decimals(low, high)
    size = wording.with_unit(f"{abs(worse):.{places}f}", rule.unit)
    extent = wording.comparison(worse, low, high, places=places, confidence=confidence)
    limit = "" if tolerated is None else f"; tolerated {tolerated:.{max(places, wording.decimals(tolerated) - 1)}f}"
    way = wording.direction(worse)
    return f"challenger is {size} {way} in {rule.metric.title} than {other}{rule.where} ({extent}{limit})"


def _limit(evaluation: Evaluation, rule: Rule, metric: Metric, bounds: Bounds) -> Finding:
    found = evaluation.overall.metrics["challenger"][metric.name]
    numbers = {**asdict(found), **asdict(bounds)}
    check = f"limit {metric.name}"
    if found.value is None or found.low is None or found.high is None:
        reason = _undefined(rule, metric, "of the challenger")
        return Finding(check=check, verdict="inconclusive", reason=reason, numbers=numbers)
    verdict = _limit_verdict(found.value, found.low, found.high, bounds)
    unit = rule.unit if metric.in_label_units == rule.metric.in_label_units else ""
    places = wording.decimals(found.value, found.low, found.high)
    size = wording.with_unit(f"{found.value:.{places}f}", unit)
    extent = f"{wording.percent(evaluation.confidence)} interval {found.low:.{places}f} to {found.high:.{places}f}"
    reason = (
        f"challenger's {metric.title} is {size}{rule.where} ({extent}): it {_LIMIT_WORDS[verdict]} {_range(bounds)}"
    )
    return Finding(check=check, verdict=verdict, reason=reason, numbers=numbers)


_LIMIT_WORDS: Mapping[Verdict, str] = {
    "pass": "meets the limit,",
    "warn": "meets, though not with certainty, the limit,",
    "inconclusive": "misses, though not with certainty, the limit,",
    "block": "misses the limit,",
}


def _limit_verdict(value: float, low: float, high: float, bounds: Bounds) -> Verdict:
    least = -math.inf if bounds.minimum is None else bounds.minimum
    most = math.inf if bounds.maximum is None else bounds.maximum
    if least <= value <= most:
        return "pass" if least <= low and high <= most else "warn"
    return "block" if low > most or high < least else "inconclusive"


def _range(bounds: Bounds) -> str:
    if bounds.minimum is None:
        return f"at most {bounds.maximum:g}"
    return f"at least {bounds.minimum:g}" + ("" if bounds.maximum is None else f" and at most {bounds.maximum:g}")


def _testable(part: SliceMeasurement, other: str, metric: str) -> Comparison | None:
    found = part.comparisons.get(other, {}).get(metric)
    return found if part.judged and found is not None and found.error is not None else None


def _tail(found: Comparison, margin: float, clusters: int) -> float:
    """Return the one-sided probability of a difference this far above `margin`, if it were `margin`."""
    beyond, error = (found.worse or 0.0) - margin, found.error or 0.0
    if error == 0:
        return 0.0 if beyond > 0 else 1.0
    return student_tail(beyond / error, clusters - 1)


def _slice_row(part: SliceMeasurement, other: str, metric: str) -> dict[str, Any]:  # Any: JSON values
    found = part.comparisons.get(other, {}).get(metric)
    numbers = {} if found is None else asdict(found)
    return {
        "column": part.column,
        "value": part.value,
        "rows": part.rows,
        "pooled": list(part.pooled),
        "judged": part.judged,
        **numbers,
    }


def _slice_summary(evaluation: Evaluation, *, tested: int, worse: int, table: list[dict[str, Any]]) -> Finding:
    pooled = sum(len(part.pooled) for part in evaluation.slices)
    small = sum(not part.judged for part in evaluation.slices)
    family = wording.percent(1 - evaluation.confidence)
    reason = f"{worse} of {wording.count(tested, 'slice')} worse than tolerated ({family} family-wise error)"
    reason += f"; {wording.count(pooled, 'small slice')} pooled into other" if pooled else ""
    reason += f"; {wording.count(small, 'pool')} still too small: reported, not judged" if small else ""
    return Finding(check="slices", verdict="pass", reason=reason, numbers={"slices": table})
