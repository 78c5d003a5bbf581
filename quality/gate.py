"""Owns the promotion gate: a declared rule and a measured evaluation in, a verdict with reasons out.

Verdicts are ordered pass < warn < inconclusive < block; only the first two may be deployed. It measures nothing
(`quality.evaluation` does) and moves no alias. Each rule is a function in `quality.rules`, explained in docs/gate.md.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import Field, field_validator, model_validator

from quality.measurements import Evaluation
from quality.metrics import metric_named
from quality.rules import Bounds, Rule, against_baseline, against_champion, enough_rows, within_limits, worse_slices
from quality.verdicts import VERDICTS, Finding, Verdict, worst
from resources.declaration import Declaration
from resources.errors import DeclarationError

__all__ = ["VERDICTS", "Finding", "Gate", "Judgement", "Limit", "Verdict", "judge", "worst"]


class Limit(Declaration):
    """Absolute limits of one metric of the challenger, in units of the metric; both ends are allowed values."""

    minimum: float | None = Field(default=None, allow_inf_nan=False)
    maximum: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> "Limit":
        if self.minimum is None and self.maximum is None:
            raise DeclarationError("limit: give minimum, maximum or both")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise DeclarationError(f"limit: minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Gate(Declaration):
    """The rule that a challenger must meet, declared before anyone sees its numbers.

    Attributes:
        metric: Metric that decides, see `quality.metrics.METRICS`.
        margin: Largest tolerated worsening against the champion, in units of the metric; at 0 the challenger must
            be better than the champion with certainty.
        unit: Unit of the metric in reasons, such as "rides/h".
        confidence: Two-sided confidence of all intervals; slices have 1 - confidence as their family-wise error.
        min_rows: Fewer judged rows than this are inconclusive.
        limits: Absolute limits by metric name.
        beat_baseline: Whether the challenger must be better than the naive baseline with certainty.
        slice_margin: Largest tolerated worsening in any one slice; None takes `margin`.
        min_slice_rows: Slices with fewer rows are pooled into "other".
    """

    metric: str
    margin: float = Field(ge=0, allow_inf_nan=False)
    unit: str = ""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_rows: int = Field(default=100, ge=1)
    limits: dict[str, Limit] = Field(default_factory=dict)
    beat_baseline: bool = True
    slice_margin: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    min_slice_rows: int = Field(default=50, ge=1)

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        return metric_named(value).name

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, value: dict[str, Limit]) -> dict[str, Limit]:
        for name in value:
            metric_named(name)
        return value

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that an evaluation must hold for this gate."""
        return tuple(dict.fromkeys((self.metric, *self.limits)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The gate's answer.

    Attributes:
        verdict: The worst verdict of all findings.
        reasons: Their reasons, worst first.
        findings: Every rule that was applied: champion, baseline, limits, slices, rows. With too few rows none blocks.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the judgement as a JSON value."""
        return asdict(self)


def judge(evaluation: Evaluation, gate: Gate, *, champion: str | None = None, where: str = "") -> Judgement:
    """Return the verdict of `gate` on `evaluation`.

    Args:
        evaluation: The measured challenger, with "champion" and "baseline" where they exist.
        gate: The declared rule; its confidence must be that of the evaluation.
        champion: Digest of the champion for the reasons, which show its first digits.
        where: Key of the judged partition for the reasons.

    Raises:
        DeclarationError: If the evaluation lacks a metric of the gate, or was made with another confidence.
    """
    _check(evaluation, gate)
    rule = Rule(
        metric=metric_named(gate.metric),
        margin=gate.margin,
        slice_margin=gate.margin if gate.slice_margin is None else gate.slice_margin,
        unit=gate.unit,
        champion=f"champion {champion[:8]}…" if champion else "the champion",
        where=f" on {where}" if where else "",
    )
    limits = {name: Bounds(minimum=limit.minimum, maximum=limit.maximum) for name, limit in gate.limits.items()}
    size = enough_rows(evaluation, gate.min_rows)
    found = (
        against_champion(evaluation, rule),
        against_baseline(evaluation, rule, required=gate.beat_baseline),
        *within_limits(evaluation, rule, limits),
        *worse_slices(evaluation, rule),
    )
    findings = (*found, size) if size.verdict == "pass" else (size, *map(_doubt, found))
    ordered = sorted(findings, key=lambda finding: -VERDICTS.index(finding.verdict))
    return Judgement(
        verdict=worst(finding.verdict for finding in findings),
        reasons=tuple(finding.reason for finding in ordered),
        findings=findings,
    )


def _doubt(finding: Finding) -> Finding:
    """Return `finding` without its block: intervals from too few rows are not to be trusted."""
    return replace(finding, verdict="inconclusive") if finding.verdict == "block" else finding


def _check(evaluation: Evaluation, gate: Gate) -> None:
    measured = evaluation.overall.metrics["challenger"]
    missing = [name for name in gate.metrics if name not in measured]
    if missing:
        raise DeclarationError(f"the evaluation lacks {', '.join(missing)}, it measured {', '.join(measured)}")
    if evaluation.confidence != gate.confidence:
        raise DeclarationError(
            f"the evaluation has {evaluation.confidence} intervals, the gate asks for {gate.confidence}: "
            "evaluate with confidence=gate.confidence"
        )
