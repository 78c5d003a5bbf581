"""Owns what is shown of a classifier's calibration, and the check `calibration` of `evaluation`: its drift.

It warns and never blocks. The statistics are `quality.label_free`'s, from what the gate reports learned.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.judging import Declared, Look, build_checks
from assets.metadata import SHORT, Metadata, table
from assets.stage import Stage
from assets.told import Told, of_finding
from quality.verdicts import Finding
from resources.label_free import Learned, learned_in, lessons
from resources.refs import GateReport

if TYPE_CHECKING:
    from quality.label_free.calibration_drift import CalibrationDrift

CHECK = "calibration"


def calibration_check(stage: Stage) -> dg.AssetChecksDefinition:
    """Build the check of `evaluation` that compares what the champion's probabilities mean with earlier partitions.

    Args:
        stage: The stage `evaluation` of a pipeline with time partitions whose models are classifiers.
    """

    def judge(look: Look, report: GateReport) -> Callable[[str], Told]:
        place = (look.workspace.store, look.workspace.registry_name, stage.pipeline)
        before = look.partition or ""
        past = list(lessons(*place, report.champion, before=before)) if report.champion else []
        return lambda _: of_finding(*judge_calibration(report, past))

    checks = {CHECK: Declared(description="The champion's probabilities mean what they meant on earlier partitions.")}
    return build_checks(stage, f"{stage.pipeline}_calibration_check", checks, GateReport, judge)


def judge_calibration(report: GateReport, past: Sequence[Learned]) -> tuple[Finding, Metadata]:
    """Return whether the champion's probabilities mean in `report` what they meant before, and what to show.

    Args:
        report: Of the judged partition.
        past: What earlier reports tell of the same champion, the newest first.
    """
    from quality.label_free.calibration_drift import MIN_CLUSTERS, calibration_drift
    from quality.label_free.classification import ClassifierModel

    if report.champion is None:
        return _silent("there is no champion yet"), {}
    now = learned_in(report, report.champion)
    if now is None or now.task != "binary" or not now.model:
        return _silent((now and now.why_not) or "the report tells nothing of the champion's probabilities"), {}
    told = {one.partition: one for one in past if one.task == "binary" and one.model}
    models = [ClassifierModel.from_json(one.model) for one in told.values()]
    found = calibration_drift(models, ClassifierModel.from_json(now.model))
    shown = calibration_metadata(now.model["calibration"]) | _over_time([*reversed(told.values()), now])
    if found is None:
        reason = f"no earlier report tells of champion {report.champion[:SHORT]} by {MIN_CLUSTERS} groups of rows"
        return _silent(reason), shown
    verdict = "warn" if found.found else "pass"
    return Finding(check=CHECK, verdict=verdict, reason=found.reason), shown | _drift_metadata(found)


def evaluation_calibration(report: GateReport) -> Metadata:
    """Return the calibration of the judged classifiers on the rows of `report`, and the reliability of the champion.

    Without a champion it is the challenger's that is drawn; of regressors there is nothing.
    """
    named = {"challenger": report.challenger, "champion": report.champion}
    learned = {name: learned_in(report, digest) for name, digest in named.items() if digest}
    told = {
        name: one.model["calibration"] for name, one in learned.items() if one and one.task == "binary" and one.model
    }
    if not told:
        return {}
    rows = [
        (name, f"{one['rows']:,}", _error(one), f"{one['ece']:.4f}", f"{one['brier']:.4f}", f"{one['reliability']:.4f}")
        for name, one in told.items()
    ]
    header = ("model", "rows", "calibration error", "ECE, ten bins", "Brier", "of it miscalibration")
    shown: Metadata = {"calibration": dg.MetadataValue.md(table(header, rows))}
    for name, one in told.items():
        shown |= {f"{name}_{key}": float(one[key]) for key in ("ece", "ace", "ace_low", "ace_high")}
    drawn = "champion" if "champion" in told else "challenger"
    return shown | {f"{drawn}_reliability_picture": dg.MetadataValue.md(reliability_picture(told[drawn], drawn))}


def calibration_metadata(told: Mapping[str, Any]) -> Metadata:  # Any: JSON values
    """Return calibration error and Brier score with its parts, and the reliability diagram."""
    names = ("ece", "ace", "ace_low", "ace_high", "brier", "reliability", "resolution", "uncertainty")
    numbers = {
        name if name.startswith(("ece", "ace", "brier")) else f"brier_{name}": float(told[name]) for name in names
    }
    return numbers | {"reliability_picture": dg.MetadataValue.md(reliability_picture(told))}


def reliability_picture(told: Mapping[str, Any], of: str = "") -> str:  # Any: JSON values
    """Return the reliability diagram with Wilson's intervals, as a picture."""
    from quality.pictures import line_chart

    bins = told["bins"]
    predicted = [one["predicted"] for one in bins]
    return line_chart(
        f"Reliability{f' of the {of}' if of else ''}: share of ones by predicted probability",
        predicted,
        {"observed": [one["observed"] for one in bins], "as predicted": predicted},
        y_label="share of ones",
        x_label="predicted probability",
        bands={"observed": ([one["low"] for one in bins], [one["high"] for one in bins])},
    )


def _over_time(learned: Sequence[Learned]) -> Metadata:
    from quality.pictures import line_chart

    if len(learned) < 2:
        return {}
    told = [one.model["calibration"] for one in learned]
    picture = line_chart(
        "Calibration error of the champion by partition",
        [one.partition for one in learned],
        {"calibration error": [one["ace"] for one in told]},
        y_label="calibration error",
        bands={"calibration error": ([one["ace_low"] for one in told], [one["ace_high"] for one in told])},
    )
    return {"calibration_history": dg.MetadataValue.md(picture)}


def _drift_metadata(found: "CalibrationDrift") -> Metadata:
    return {"samples": found.samples, "p": found.p, "moved": found.moved}


def _error(told: Mapping[str, Any]) -> str:  # Any: JSON values
    return f"{told['ace']:.4f} ({told['ace_low']:.4f} to {told['ace_high']:.4f})"


def _silent(reason: str) -> Finding:
    return Finding(check=CHECK, verdict="pass", reason=f"nothing to compare: {reason}")
