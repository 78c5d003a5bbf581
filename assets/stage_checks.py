"""Owns the checks of every stage: what blocks, what warns, with the numbers and pictures in their metadata."""

from collections.abc import Callable, Generator
from datetime import datetime

import dagster as dg

from assets.checks.contract import of_rejected
from assets.checks.freshness import of_freshness
from assets.checks.suite import of_suite
from assets.drift import drift_against_the_past
from assets.ingest import Ingest
from assets.judging import Declared, Look, build_checks, spec_of
from assets.metadata import gate_metadata
from assets.partitions import Window
from assets.preprocess import Features
from assets.report import reported_checks
from assets.stage import Stage, plain_failures
from assets.told import Told
from resources.canonical import parse_json
from resources.expectations import suite_result
from resources.refs import DatasetRef, GateReport
from resources.source.report import IngestReport
from resources.storage.objects import get_object
from resources.wiring import WorkspaceResource

Results = Generator[dg.AssetCheckResult]


def raw_checks(stage: Stage, spec: Ingest) -> dg.AssetChecksDefinition:
    """Build the checks of `raw`: contract and expectations block, freshness warns."""
    names = ["contract"]
    names += ["expectations"] if spec.expectations else []
    names += ["freshness"] if spec.max_age_s is not None and stage.partitions else []

    def judge(look: Look, ref: DatasetRef) -> Callable[[str], Told]:
        store = look.workspace.store
        report = IngestReport.from_json(parse_json(get_object(store, str(ref.report_digest))))
        tellers = {
            "contract": lambda: _contract(report),
            "expectations": lambda: of_suite(suite_result(store, spec.expectations, ref.digest)),
            "freshness": lambda: _freshness(stage, spec, report, look.partition),
        }
        return lambda name: tellers[name]()

    checks = {name: _CHECKS[name] for name in names}
    return build_checks(stage, f"{stage.pipeline}_raw_checks", checks, DatasetRef, judge)


def features_checks(stage: Stage, spec: Features, window: Window | None) -> dg.AssetChecksDefinition:
    """Build the check of `features`: drift against the training window before it warns; see `assets.drift`."""

    def judge(look: Look, ref: DatasetRef) -> Callable[[str], Told]:
        return lambda _: drift_against_the_past(
            look.workspace, stage, spec, ref, window=window, partition=look.partition
        )

    name = f"{stage.pipeline}_features_checks"
    return build_checks(stage, name, {"drift": _CHECKS["drift"]}, DatasetRef, judge)


def gate_check(stage: Stage) -> dg.AssetChecksDefinition:
    """Build the gate: it blocks `deployment` in this run unless the report passes."""

    @dg.multi_asset_check(
        name=f"{stage.pipeline}_gate",
        specs=[spec_of(stage, "gate", _CHECKS["gate"])],
        ins={"report": dg.AssetIn(key=stage.key)},
    )
    def check_gate(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource, report: GateReport) -> Results:
        with plain_failures():
            opened = workspace.open()
            opened.keyring.verify("report", report.digest, report.signature, report.key_id)
            severity = dg.AssetCheckSeverity.WARN if report.verdict == "warn" else dg.AssetCheckSeverity.ERROR
            context.log.info("gate: %s", report.headline)
            judged = dg.AssetCheckResult(
                check_name="gate",
                asset_key=stage.key,
                passed=report.verdict == "pass",
                severity=severity,
                description=report.headline,
                metadata=gate_metadata(report),
            )
            yield from reported_checks(stage, opened, context, report.digest, [judged])

    return check_gate


_CHECKS = {
    "contract": Declared(
        description="Share of rows that break the contract is within the declared limit.", blocking=True
    ),
    "expectations": Declared(description="The Great Expectations suite holds.", blocking=True),
    "freshness": Declared(description="The newest row is near the end of its partition."),
    "drift": Declared(
        description="No feature, and not the label, is distributed otherwise than in the training window."
    ),
    "gate": Declared(description="The challenger may replace the champion.", blocking=True),
}


def _contract(report: IngestReport) -> Told:
    return of_rejected(
        rows=report.rows_kept + report.rows_rejected,
        rejected=report.rows_rejected,
        limit=report.max_rejected,
        reasons=report.reasons,
    )


def _freshness(stage: Stage, spec: Ingest, report: IngestReport, partition: str | None) -> Told:
    end = stage.partitions.bounds(partition)[1] if stage.partitions and partition else None
    newest = datetime.fromisoformat(report.newest) if report.newest else None
    return of_freshness(newest, end=end, max_age_s=spec.max_age_s or 0)
