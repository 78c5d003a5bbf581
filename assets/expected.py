"""Owns the check `expected` of `features`: how good the champion will be on rows whose labels have not come yet.

It warns and never blocks. The estimate is `quality.label_free`'s, from what the last report on the champion learned.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.calibration import calibration_metadata
from assets.judging import Declared, Look, build_checks
from assets.metadata import SHORT
from assets.stage import Stage
from assets.told import Told, of_finding
from quality import wording
from quality.gate import Gate
from quality.metrics import metric_named
from quality.verdicts import Finding
from resources.label_free import Learned, expected_of, foretold, learned_of
from resources.refs import DatasetRef

if TYPE_CHECKING:
    from quality.label_free.expectation import Expectation
    from resources.workspace import Workspace

CHECK = "expected"


def expected_check(stage: Stage, gate: Gate) -> dg.AssetChecksDefinition:
    """Build the check of `features` that estimates the champion's metrics without labels.

    Args:
        stage: The stage `features` of a pipeline with time partitions.
        gate: Its metric, margin and confidence decide when the check warns.
    """

    def judge(look: Look, ref: DatasetRef) -> Callable[[str], Told]:
        return lambda _: of_finding(*_judged(look.workspace, stage, gate, ref, look.partition or ""))

    told = "The champion is expected to be as good on these rows as on labelled ones."
    checks = {CHECK: Declared(description=told)}
    return build_checks(stage, f"{stage.pipeline}_expected_check", checks, DatasetRef, judge)


def _judged(
    workspace: "Workspace", stage: Stage, gate: Gate, ref: DatasetRef, partition: str
) -> tuple[Finding, dict[str, Any]]:
    from quality.label_free.experience import with_experience

    entry = workspace.registry(stage.pipeline).champion_facing("", partition)
    if entry is None:
        return Finding(check=CHECK, verdict="pass", reason="nothing is expected yet: there is no champion"), {}
    digest = entry.model.digest
    learned = learned_of(workspace.store, workspace.registry_name, stage.pipeline, digest, before=partition)
    if learned is None:
        reason = f"no report before {partition} tells of model {digest[:SHORT]}: nothing is expected of it"
        return Finding(check=CHECK, verdict="pass", reason=reason), {}
    made = expected_of(workspace, learned, digest, ref.digest, confidence=gate.confidence)
    past = foretold(workspace, stage.pipeline, before=partition, confidence=gate.confidence)
    found = with_experience(made, past)
    return judge_expectation(found, learned, gate, where=partition), expected_metadata(found, learned, gate)


def judge_expectation(found: "Expectation", learned: Learned, gate: Gate, *, where: str) -> Finding:
    """Return a warning if the metric of the gate is expected to be worse by its margin with certainty.

    Args:
        found: What is expected.
        learned: What labelled rows told, with the reference values.
        gate: Metric and margin.
        where: The partition, for the reason.
    """
    if found.abstains:
        return Finding(check=CHECK, verdict="pass", reason=f"no estimate for {where}: {found.abstains}")
    metric = metric_named(gate.metric)
    estimate, reference = found.metrics.get(metric.name), learned.reference.get(metric.name)
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None or reference is None:
        known = ", ".join(found.metrics)
        reason = f"{metric.title} cannot be estimated without labels; see {known}"
        return Finding(check=CHECK, verdict="pass", reason=reason)
    places = wording.decimals(estimate.value, reference) + 1
    told = wording.with_unit(
        f"{metric.title} {estimate.value:.{places}f} ({estimate.low:.{places}f} to {estimate.high:.{places}f})",
        gate.unit if metric.in_label_units else "",
    )
    reason = f"{told} expected in {where}, {reference:.{places}f} in {learned.partition or 'the holdout'}"
    ends = sorted(float(metric.harm(_array(end))) for end in (estimate.low, estimate.high))
    least = 0.0 if metric.better == "zero" and estimate.low <= 0 <= estimate.high else ends[0]
    worse = least - float(metric.harm(_array(reference))) > gate.margin
    if worse:
        reason += f": worse by more than the margin {gate.margin:g} with certainty"
    return Finding(check=CHECK, verdict="warn" if worse else "pass", reason=reason)


def _array(value: float) -> Any:  # Any: numpy's float64
    import numpy as np

    return np.float64(value)


def expected_metadata(found: "Expectation", learned: Learned, gate: Gate) -> dict[str, Any]:  # Any: Dagster metadata
    """Return the estimates under keys `expected_<metric>`, a picture of them, and how calibrated the model is."""
    from quality.pictures import interval_chart

    shown: dict[str, Any] = {"rows": found.rows, "outside_share": found.outside, "learned_on": learned.partition,
                             "past_estimates": found.past}  # fmt: skip
    for name, estimate in found.metrics.items():
        for end in ("value", "low", "high"):
            number = getattr(estimate, end)
            if number is not None:
                shown[f"expected_{name}" if end == "value" else f"expected_{name}_{end}"] = float(number)
    estimate = found.metrics.get(gate.metric)
    if estimate is not None and estimate.value is not None:
        rows = {"expected": (estimate.value, estimate.low, estimate.high)}
        reference = learned.reference.get(gate.metric)
        marks = {} if reference is None else {f"with labels, {learned.partition or 'holdout'}": reference}
        chart = interval_chart(f"{gate.metric} without labels", rows, unit=gate.unit, marks=marks)
        shown["expected_picture"] = dg.MetadataValue.md(chart)
    if learned.task == "binary" and learned.model:
        shown |= calibration_metadata(learned.model["calibration"])
    return shown
