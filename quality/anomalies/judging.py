"""Owns the judgement of a partition by its past: named metrics in, one finding each out, with the band that was usual.

It reads no past and draws nothing. The same metrics give the same findings, whenever and however often they are judged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from quality import wording
from quality.anomalies.budget import shares
from quality.anomalies.calendar import Cadence, Season, Span, phases
from quality.anomalies.metrics import Metric
from quality.anomalies.repeats import repeated
from quality.verdicts import Finding
from resources.errors import DeclarationError

SHOWN = 40
"""Partitions of a picture."""
REPEATS = 0.1
"""Part of a count's budget that the test for repeats of it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One metric, judged, and what its picture shows; the lists are of the last partitions, oldest first.

    Attributes:
        metric: What was judged.
        finding: What was found.
        keys: Partitions shown.
        values: Values of the metric, None where unknown.
        centre: What the past predicts, None before it says anything.
        low: Lower end of what is usual, None where nothing is judged or there is no lower end.
        high: Upper end.
    """

    metric: Metric
    finding: Finding
    keys: tuple[str, ...]
    values: tuple[float | None, ...]
    centre: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def judge_past(
    metrics: Sequence[Metric],
    spans: Sequence[Span],
    cadence: Cadence,
    *,
    per_year: float,
    seasons: Sequence[Season] | None = None,
    shown: int = SHOWN,
) -> tuple[Judged, ...]:
    """Judge the last value of each metric by the values before it.

    Args:
        metrics: One value a span each.
        spans: The partitions, oldest first; those that were never made are left out.
        cadence: How partitions of their length are compared.
        per_year: Budget of false alarms a year, of all metrics together.
        seasons: What may make partitions alike; by default what the cadence says.
        shown: For how many of the last partitions bands are wanted.

    Raises:
        DeclarationError: If there are no metrics or no partitions, two share a name, or the spans are not in order.
    """
    import numpy as np

    from quality.anomalies.predictors import Seasonal
    from quality.anomalies.scan import Rule, scan

    _check(metrics, spans)
    budget = shares({metric.name: metric.weight for metric in metrics}, per_year=per_year, length_s=spans[-1].length_s)
    alphas = [budget[metric.name] * (1 - REPEATS * (metric.kind == "count")) for metric in metrics]
    kept = min(shown, len(spans))
    rule = Rule(
        alpha=np.array(alphas),
        upper_only=np.array([metric.upper_only for metric in metrics]),
        warm_up=cadence.warm_up,
        minimum=cadence.minimum,
        patience=cadence.patience,
        levels=cadence.levels,
    )
    chosen = cadence.seasons if seasons is None else tuple(seasons)
    fresh = [Seasonal.fresh(season, phases(spans, season), len(metrics)) for season in chosen]
    found = scan(np.stack([metric.scaled(spans) for metric in metrics]), fresh, rule, keep=kept)
    judged: list[Judged] = []
    for row, metric in enumerate(metrics):
        last = spans[-kept:]
        rows = [found.centre[row, -kept:], found.low[row], found.high[row]]
        centre, low, high = (
            tuple(metric.natural(float(v), span) for v, span in zip(values, last, strict=True)) for values in rows
        )
        finding = _finding(
            metric, spans[-1], past=int(found.past[row, -1]), cadence=cadence, alarm=bool(found.alarm[row, -1]),
            usual=(low[-1], centre[-1], high[-1]), probability=float(found.probability[row]), alpha=alphas[row],
            repeats=budget[metric.name] * REPEATS,
        )  # fmt: skip
        judged.append(
            Judged(metric=metric, finding=finding, keys=tuple(span.key for span in last),
                   values=tuple(metric.values[-kept:]), centre=centre, low=low, high=high)
        )  # fmt: skip
    return tuple(judged)


def _check(metrics: Sequence[Metric], spans: Sequence[Span]) -> None:
    names = [metric.name for metric in metrics]
    if not names or not spans:
        raise DeclarationError("nothing to judge: give at least one metric and one partition")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DeclarationError(f"two metrics are called {twice[0]!r}: name each once")
    for one, two in pairwise(spans):
        if two.start < one.end:
            raise DeclarationError(f"partition {two.key} starts before {one.key} ends: give them oldest first")


def _finding(
    metric: Metric,
    span: Span,
    *,
    past: int,
    cadence: Cadence,
    alarm: bool,
    usual: tuple[float | None, float | None, float | None],
    probability: float,
    alpha: float,
    repeats: float,
) -> Finding:
    value = metric.values[-1]
    if value is None:
        return Finding(check=metric.name, verdict="pass", reason=f"{metric.name}: unknown in {span.key}")
    told = f"{metric.name}: {metric.told(value)} in {span.key}"
    if past < cadence.minimum:
        missing = cadence.minimum - past
        reason = f"{told}; too little history: needs {wording.count(missing, 'more partition')}"
        numbers = {"value": value, "past": past, "missing": missing}
        return Finding(check=metric.name, verdict="pass", reason=reason, numbers=numbers)
    low, centre, high = usual
    numbers = {"value": value, "usual": centre, "low": low, "high": high, "past": past, "probability": probability,
               "budget": alpha}  # fmt: skip
    run, chance = repeated(metric.values) if metric.kind == "count" else (0, 1.0)
    if chance < repeats:
        told += f", the same as in the {wording.count(run, 'partition')} before: chance {wording.probability(chance)}"
        return Finding(check=metric.name, verdict="warn", reason=told, numbers=numbers | {"repeats": run})
    span_told = (
        f"up to {_told(metric, high)}" if metric.upper_only else f"{_told(metric, low)} to {_told(metric, high)}"
    )
    reason = f"{told}, usual is {span_told} by {wording.count(past, 'earlier partition')}"
    if alarm:
        reason += f" (probability {wording.probability(probability)}, budget {wording.probability(alpha)})"
    return Finding(check=metric.name, verdict="warn" if alarm else "pass", reason=reason, numbers=numbers)


def _told(metric: Metric, value: float | None) -> str:
    return "any" if value is None or math.isnan(value) else metric.told(value)
