"""Owns the `evaluation` stage: challenger, champion and naive baseline on rows that none has seen, and the verdict."""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg
import polars as pl
from pydantic import Field, field_validator, model_validator

from assets.calibration import evaluation_calibration
from assets.metadata import evaluation_metadata
from assets.preprocess import Features, parents, raw_inputs
from assets.report import reported
from assets.stage import Stage, Work, forced, partition_of, plain_failures
from quality.gate import Gate
from quality.metrics import METRICS, metric_named
from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.judgement import Case, Rules, champion_for, judge_challenger
from resources.refs import DatasetRef, GateReport, ModelRef
from resources.storage import refs
from resources.storage.provenance import Parent
from resources.training.protocol import Task
from resources.transform.expressions import check_types
from resources.wiring import WorkspaceResource
from resources.workspace import Workspace

SHOWN_PARTITIONS = 23
"""Earlier partitions in the picture of the metric's history: with the present one two years of months."""


class Evaluate(Declaration):
    """How a challenger is measured and what it must reach.

    Attributes:
        metrics: Names of the metrics to measure; the gate's own is added where it is missing.
        gate: The promotion gate.
        slices: Name to SQL expression over the features dataset that gives each row's slice, as text.
        baseline_lag_s: The naive baseline predicts the label of this many seconds before, a week by default; the mean
            label of the training window where that row is missing, and always for classes and without time partitions.
        cluster_s: Rows of the same interval of this many seconds are resampled together; a day by default,
            since neighbouring rows err alike. Only with time partitions.
        holdout: Share of rows to judge on where there are no time partitions.
        resamples: Bootstrap resamples of every interval.
    """

    metrics: tuple[str, ...]
    gate: Gate
    slices: dict[str, str] = Field(default_factory=dict)
    baseline_lag_s: int = Field(default=7 * 86_400, ge=1)
    cluster_s: int = Field(default=86_400, ge=1)
    holdout: float = Field(default=0.2, gt=0, lt=1)
    resamples: int = Field(default=2_000, ge=200)

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(metric_named(name).name for name in names))

    @model_validator(mode="after")
    def _metrics_given(self) -> "Evaluate":
        if not self.metrics:
            raise DeclarationError(f"metrics: name at least one of {', '.join(sorted(METRICS))}")
        return self

    def check(self, available: Mapping[str, str | pl.DataType], task: Task) -> None:
        """Refuse metrics of another task and slices that the columns of the features, name to type, cannot give.

        Raises:
            DeclarationError: Naming the field, the value and what is allowed.
        """
        named = {"gate.metric": (self.gate.metric,), "gate.limits": self.gate.limits, "metrics": self.metrics}
        for field, names in named.items():
            for name in names:
                if task not in metric_named(name).tasks:
                    fitting = sorted(other for other in METRICS if task in metric_named(other).tasks)
                    raise DeclarationError(
                        f"evaluate.{field}: {name!r} does not fit a {task} trainer; use {', '.join(fitting)}"
                    )
        check_types("evaluate.slices", self.slices, available)

    def measured(self) -> tuple[str, ...]:
        """Return the metrics to measure: the declared ones, the gate's, and those it limits."""
        return tuple(dict.fromkeys((*self.metrics, self.gate.metric, *self.gate.limits)))

    def rules(self, seed: int, *, meant_to_move: tuple[str, ...] = ()) -> Rules:
        """Return what the judgement needs of this declaration, and the features that move with every partition."""
        return Rules(
            metrics=self.measured(),
            gate=self.gate,
            slices=self.slices,
            baseline_lag=timedelta(seconds=self.baseline_lag_s),
            cluster=timedelta(seconds=self.cluster_s),
            holdout=self.holdout,
            resamples=self.resamples,
            seed=seed,
            meant_to_move=meant_to_move,
        )


def evaluation_asset(
    stage: Stage, spec: Evaluate, features_spec: Features, *, event_time: str | None, seed: int
) -> dg.AssetsDefinition:
    """Build the asset that judges the challenger of one partition and signs the report."""
    rules = spec.rules(seed, meant_to_move=features_spec.drift_ignore)

    @stage.asset(
        "Signed gate report: challenger against champion and naive baseline.",
        {"json"},
        ins={
            **raw_inputs(stage, features_spec.lookback),
            "features": dg.AssetIn(key=stage.sibling("features")),
            "model": dg.AssetIn(key=stage.sibling("model")),
        },
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        workspace: WorkspaceResource,
        raw: dict[str, DatasetRef],
        features: DatasetRef,
        model: ModelRef,
    ) -> dg.MaterializeResult[GateReport]:
        with plain_failures():
            opened, partition = workspace.open(), partition_of(context)
            champion = champion_for(opened.registry(stage.pipeline), model, partition)
            case = Case(
                pipeline=stage.pipeline, partition=partition or "", raw=raw, features=features,
                challenger=model, champion=champion, event_time=event_time,
            )  # fmt: skip
            work = Work(
                stage=stage,
                workspace=opened,
                partition=partition,
                parents=(*parents("raw", raw), *_model_parents(features, model, champion)),
                parameters=rules.to_json(),
                run_id=context.run.run_id,
                force=forced(context),
            )
            done = work.perform(GateReport, lambda: (judge_challenger(opened, rules, case), {}))
            earlier = earlier_reports(opened, stage, partition)
            shown = evaluation_metadata(done.ref, earlier, reused=done.reused) | evaluation_calibration(done.ref)
            shown |= done.cache
            return dg.MaterializeResult(
                value=done.ref,
                data_version=dg.DataVersion(done.ref.digest),
                metadata=reported(stage, opened, context, done.ref.digest, shown),
            )

    return evaluation


def earlier_reports(workspace: Workspace, stage: Stage, partition: str | None) -> list[GateReport]:
    """Return the newest reports of the partitions before `partition`, oldest first."""
    if partition is None:
        return []
    place = (workspace.store, workspace.registry_name, stage.key.path)
    return list(refs.earlier(*place, GateReport, before=partition, most=SHOWN_PARTITIONS).values())


def _model_parents(features: DatasetRef, challenger: ModelRef, champion: ModelRef | None) -> tuple[Parent, ...]:
    judged = (
        Parent(kind="dataset", name="features", digest=features.digest),
        Parent(kind="model", name="challenger", digest=challenger.digest),
    )
    return judged if champion is None else (*judged, Parent(kind="model", name="champion", digest=champion.digest))
