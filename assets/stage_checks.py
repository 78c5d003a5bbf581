"""Owns the checks of every stage: what blocks, what warns, with the numbers and pictures in their metadata."""

from collections.abc import Generator
from datetime import datetime

import dagster as dg

from assets.checks.contract import of_rejected
from assets.checks.freshness import of_freshness
from assets.checks.suite import of_suite
from assets.drift import drift_against_the_past
from assets.ingest import Ingest
from assets.metadata import gate_metadata
from assets.partitions import Window
from assets.preprocess import Features
from assets.report import reported_checks
from assets.stage import Stage, partition_of, plain_failures
from assets.told import Told, of_finding, result_of
from resources.canonical import parse_json
from resources.expectations import suite_result
from resources.refs import DatasetRef, GateReport
from resources.source.report import IngestReport
from resources.storage.objects import get_object
from resources.wiring import WorkspaceResource

Results = Generator[dg.AssetCheckResult]


def raw_checks(stage: Stage, spec: Ingest) -> dg.AssetChecksDefinition:
    """Build the checks of `raw`: contract and expectations block, freshness warns."""
    names = {"contract": True}
    names |= {"expectations": True} if spec.expectations else {}
    names |= {"freshness": False} if spec.max_age_s is not None and stage.partitions else {}

    @dg.multi_asset_check(
        name=f"{stage.pipeline}_raw_checks",
        specs=[_spec(stage, name, blocking=blocking) for name, blocking in names.items()],
        ins={"ref": dg.AssetIn(key=stage.key)},
        can_subset=True,
    )
    def check_raw(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource, ref: DatasetRef) -> Results:
        with plain_failures():
            opened, partition = workspace.open(), partition_of(context)
            report = IngestReport.from_json(parse_json(get_object(opened.store, str(ref.report_digest))))
            makers = {
                "contract": lambda: _contract(report),
                "expectations": lambda: of_suite(suite_result(opened.store, spec.expectations, ref.digest)),
                "freshness": lambda: _freshness(stage, spec, report, partition),
            }
            made = (result_of(makers[name](), stage.key, name) for name in _selected(context, names))
            yield from reported_checks(stage, opened, context, ref.digest, made)

    return check_raw


def features_checks(stage: Stage, spec: Features, window: Window | None) -> dg.AssetChecksDefinition:
    """Build the check of `features`: drift against the training window before it warns; see `assets.drift`."""

    @dg.multi_asset_check(
        name=f"{stage.pipeline}_features_checks",
        specs=[_spec(stage, "drift", blocking=False)],
        ins={"ref": dg.AssetIn(key=stage.key)},
    )
    def check_features(
        context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource, ref: DatasetRef
    ) -> Results:
        with plain_failures():
            opened, partition = workspace.open(), partition_of(context)
            compared = drift_against_the_past(opened, stage, spec, ref, window=window, partition=partition)
            made = [result_of(of_finding(compared.finding, compared.shown), stage.key, "drift")]
            yield from reported_checks(stage, opened, context, ref.digest, made)

    return check_features


def gate_check(stage: Stage) -> dg.AssetChecksDefinition:
    """Build the gate: it blocks `deployment` in this run unless the report passes."""

    @dg.multi_asset_check(
        name=f"{stage.pipeline}_gate",
        specs=[_spec(stage, "gate", blocking=True)],
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


def _spec(stage: Stage, name: str, *, blocking: bool) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name,
        asset=stage.key,
        blocking=blocking,
        description=_DESCRIPTIONS[name],
        partitions_def=stage.partitions_definition(),
    )


_DESCRIPTIONS = {
    "contract": "Share of rows that break the contract is within the declared limit.",
    "expectations": "The Great Expectations suite holds.",
    "freshness": "The newest row is near the end of its partition.",
    "drift": "No feature, and not the label, is distributed otherwise than in the training window.",
    "gate": "The challenger may replace the champion.",
}


def _selected(context: dg.AssetCheckExecutionContext, names: dict[str, bool]) -> list[str]:
    chosen = {key.name for key in context.selected_asset_check_keys}
    return [name for name in names if name in chosen]


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
