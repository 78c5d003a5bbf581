"""Owns the `features` stage: row-wise columns of one partition, the label beside them, and their profile."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal

import dagster as dg
from pydantic import Field, model_validator

from assets.metadata import dataset_metadata, feature_metadata
from assets.partitions import lookback
from assets.report import reported
from assets.stage import Stage, Work, forced, partition_of, plain_failures
from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.names import choose
from resources.refs import DatasetRef
from resources.storage.provenance import Parent
from resources.transform.expressions import check_expression
from resources.transform.preprocess import BUCKET, LABEL, Recipe, preprocess
from resources.transform.steps import Step
from resources.wiring import WorkspaceResource

RESERVED = (LABEL, BUCKET)


Detector = Literal["dependence", "leakage", "multivariate_drift", "prediction_drift"]


class Features(Declaration):
    """What a row becomes before a model sees it.

    Attributes:
        columns: Name to SQL expression over the columns of `raw`; windows such as `LAG(x, 24) OVER (ORDER BY ts)` too.
        label: SQL expression of what is predicted: a number, or 0 and 1.
        steps: Steps fitted on the training window, in order; they live in the model bundle.
        lookback: Partitions before p that window expressions may look into.
        split_by: Columns of `raw` that decide a row's side where there are no time partitions; all by default.
        drift_tolerance: Largest tolerated drift effect (Kolmogorov-Smirnov or total variation distance), from 0 to 1.
        drift_gross: Largest drift effect that a season may have, with time partitions: beyond it there is a warning
            while fewer than 8 earlier ones tell what is usual. 1 asks for none.
        drift_ignore: Features that are meant to move, such as the month, or `label`; the drift check leaves them out.
        drift_patience: Flagged partitions in a row after which they are usual; by default 24 hours, 7 days, 4 weeks or
            3 months. Fewer are left out of what later partitions are compared with.
        drift_accepted: Keys of flagged partitions that are usual all the same, because someone has looked.
        detect: Further checks, off unless named: `multivariate_drift`, `prediction_drift`, `dependence`, `leakage`.
    """

    columns: dict[str, str] = Field(min_length=1)
    label: str
    steps: tuple[Annotated[Step, Field(discriminator="kind")], ...] = ()
    lookback: int = Field(default=0, ge=0)
    split_by: tuple[str, ...] = ()
    drift_tolerance: float = Field(default=0.1, ge=0, lt=1)
    drift_gross: float = Field(default=0.85, gt=0, le=1)
    drift_ignore: tuple[str, ...] = ()
    drift_patience: int | None = Field(default=None, ge=1)
    drift_accepted: tuple[str, ...] = ()
    detect: tuple[Detector, ...] = ()

    @model_validator(mode="after")
    def _names_free(self) -> "Features":
        for name in RESERVED:
            if name in self.columns:
                raise DeclarationError(
                    f"columns.{name}: the name is reserved for Penstock's own column; choose another"
                )
        return self

    def check(self, available: Collection[str], event_time: str | None) -> None:
        """Refuse expressions over columns that `raw` lacks, and a feature in the place of the event time.

        Raises:
            DeclarationError: Naming the expression and the nearest valid column.
        """
        for name, text in self.columns.items():
            check_expression(f"features.columns.{name}", text, available)
        if event_time in (*self.columns, *RESERVED):
            raise DeclarationError(
                f"ingest.event_time.column: {event_time!r} is the name of a column of the features too; choose another"
            )
        for name in self.drift_ignore:
            choose("features.drift_ignore", name, [*self.columns, LABEL])
        for name in self.split_by:
            check_expression("features.split_by", f'"{name}"', available)

    def recipe(self, event_time: str | None) -> Recipe:
        """Return what the row-wise part of the transform needs."""
        return Recipe(columns=self.columns, label=self.label, event_time=event_time, split_by=self.split_by)


def features_asset(stage: Stage, spec: Features, *, event_time: str | None) -> dg.AssetsDefinition:
    """Build the asset that computes the features of one partition."""

    @stage.asset(
        "Row-wise features and label, loader-ready.",
        {"arrow", "polars"},
        ins=raw_inputs(stage, spec.lookback),
    )
    def features(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, raw: dict[str, DatasetRef]
    ) -> dg.MaterializeResult[DatasetRef]:
        with plain_failures():
            opened, partition = workspace.open(), partition_of(context)
            recipe = spec.recipe(event_time)
            work = Work(
                stage=stage,
                workspace=opened,
                partition=partition,
                parents=parents("raw", raw),
                parameters=recipe.to_json(),
                run_id=context.run.run_id,
                force=forced(context),
            )
            done = work.perform(
                DatasetRef, lambda: (preprocess(opened, recipe, in_order(raw), partition=partition), {})
            )
            shown = {
                **dataset_metadata(opened.store, done.ref, spec.columns | {"label": spec.label}),
                **feature_metadata(spec.columns, stage, reused=done.reused),
                **done.cache,
            }
            return dg.MaterializeResult(
                value=done.ref,
                data_version=dg.DataVersion(done.ref.digest),
                metadata=reported(stage, opened, context, done.ref.digest, shown),
            )

    return features


def raw_inputs(stage: Stage, partitions_back: int) -> Mapping[str, dg.AssetIn]:
    """Return the input `raw`: partition p and the `partitions_back` before it, as a mapping of key to value."""
    mapping = lookback(partitions_back) if stage.partitions else None
    return {"raw": dg.AssetIn(key=stage.sibling("raw"), partition_mapping=mapping, metadata={"window": True})}


def in_order(refs: Mapping[str, DatasetRef]) -> Sequence[DatasetRef]:
    """Return the datasets in the order of their partition keys, which is the order of time."""
    return [refs[key] for key in sorted(refs)]


def parents(kind: str, refs: Mapping[str, DatasetRef]) -> tuple[Parent, ...]:
    """Return the datasets as parents for the lineage."""
    return tuple(
        Parent(kind="dataset", name=f"{kind}@{key}" if key else kind, digest=refs[key].digest) for key in sorted(refs)
    )
