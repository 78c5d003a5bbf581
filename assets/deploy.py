"""Owns the `deployment` stage: the alias `champion` moves for a model whose signed report passes, and for no other."""

import dagster as dg

from assets.metadata import deployment_metadata
from assets.report import reported
from assets.stage import Stage, plain_failures
from quality.gate import Gate
from resources.promotion import promote
from resources.refs import GateReport, ModelRef
from resources.wiring import WorkspaceResource


def deployment_asset(stage: Stage, gate: Gate) -> dg.AssetsDefinition:
    """Build the asset that promotes a challenger judged by `gate`; its value is the champion in force afterwards."""
    declared = gate.model_dump(mode="json")

    @stage.asset(
        "Champion in force, by the append-only registry.",
        {"registry"},
        ins={
            "report": dg.AssetIn(key=stage.sibling("evaluation")),
            "model": dg.AssetIn(key=stage.sibling("model")),
        },
    )
    def deployment(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, report: GateReport, model: ModelRef
    ) -> dg.MaterializeResult[ModelRef]:
        with plain_failures():
            opened = workspace.open()
            promotion = promote(opened, report, model, pipeline=stage.pipeline, gate=declared)
            context.log.info("%s: %s", promotion.action, promotion.reason)
            shown = deployment_metadata(promotion, report, opened.registry(report.pipeline).entries())
            return dg.MaterializeResult(
                value=promotion.champion,
                data_version=dg.DataVersion(promotion.champion.digest),
                metadata=reported(stage, opened, context, promotion.champion.digest, shown),
            )

    return deployment
