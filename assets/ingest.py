"""Owns the `raw` stage: an immutable snapshot of one partition of the source."""

from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import Field, model_validator

from assets.history import History
from assets.metadata import dataset_metadata, raw_metadata
from assets.report import reported
from assets.stage import Stage, partition_of, plain_failures, provenance
from quality.contract import Contract
from quality.suites.declared import check_suite
from resources.declaration import Declaration
from resources.names import choose
from resources.refs import DatasetRef
from resources.source import EventTime, Source
from resources.source.events import clocked_contract
from resources.wiring import WorkspaceResource

Detector = Literal["dependence", "repeats", "traits"]


class References(Declaration):
    """A table whose keys a column refers to.

    Attributes:
        url: Its file, a path or fsspec URL of Parquet, Arrow, CSV or JSON Lines; `{partition}` is the partition's key.
        column: Its key; None takes the name of the column that refers to it.
        tolerance: Largest tolerated share of keys that are not there, for those that come before what they refer to.
    """

    url: str
    column: str | None = None
    tolerance: float = Field(default=0.0, ge=0, lt=1)


class Ingest(Declaration):
    """What is read, and what its rows must be.

    Attributes:
        source: Where the raw file lies.
        contract: Columns, types and limits; rows that break it go to quarantine.
        event_time: When a row happened; needed where the pipeline has time partitions.
        expectations: A Great Expectations suite, in its own JSON form: `{"type", "kwargs", "severity"}` each.
        max_age_s: Largest gap between the newest row and the end of its partition, in seconds.
        volume_tolerance: Tolerated relative change of the rows per hour, either way: 0.5 tolerates a factor of 1.5.
        history: What else is compared with the pipeline's past, and how often that may be wrong.
        detect: Further checks, off unless named: `repeats`, `traits`, `dependence`.
        references: Column to the table whose keys its values must be.
    """

    source: Source
    contract: Contract
    event_time: EventTime | None = None
    expectations: tuple[dict[str, Any], ...] = ()  # Any: Great Expectations' own JSON
    max_age_s: Annotated[float, Field(gt=0)] | None = None
    volume_tolerance: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    history: History = Field(default_factory=History)
    detect: tuple[Detector, ...] = ()
    references: dict[str, References] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit(self) -> "Ingest":
        clocked_contract(self.contract, self.event_time)
        check_suite(list(self.expectations), columns=self.columns())
        self.history.check(self.types())
        for name in self.references:
            choose("ingest.references", name, self.columns())
        return self

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the snapshot: those of the contract, and the event time."""
        names = tuple(self.contract.columns)
        time = self.event_time
        return names if time is None or time.column in names else (*names, time.column)

    def types(self) -> dict[str, str]:
        """Return the columns of the snapshot with their Arrow types as text."""
        types = {name: column.type for name, column in self.contract.columns.items()}
        return types | ({self.event_time.column: "timestamp[us, tz=UTC]"} if self.event_time else {})


def raw_asset(stage: Stage, spec: Ingest) -> dg.AssetsDefinition:
    """Build the asset that snapshots the source, one partition at a time."""

    @stage.asset("Immutable snapshot of the source, typed by the contract.", {"parquet"})
    def raw(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[DatasetRef]:
        from resources.source.ingest import ingest
        from resources.storage.provenance import Parent, record

        with plain_failures():
            partition, opened = partition_of(context), workspace.open()
            bounds = stage.partitions.bounds(partition) if stage.partitions and partition else None
            done = ingest(
                spec.source,
                spec.contract,
                partition=partition,
                bounds=bounds,
                event_time=spec.event_time,
                store=opened.store,
                scratch=opened.scratch,
                suite=spec.expectations,
                profiled=True,
            )
            source = Parent(kind="source", name=done.report.source_url, digest=done.report.source_digest)
            record(opened.store, provenance(stage, done.ref, [source], partition=partition, run_id=context.run.run_id))
            shown = {**dataset_metadata(opened.store, done.ref, _meanings(spec)), **raw_metadata(done)}
            return dg.MaterializeResult(
                value=done.ref,
                data_version=dg.DataVersion(done.ref.digest),
                metadata=reported(stage, opened, context, done.ref.digest, shown),
            )

    return raw


def _meanings(spec: Ingest) -> dict[str, str]:
    columns = {name: column.description for name, column in spec.contract.columns.items() if column.description}
    time = spec.event_time
    return columns | ({time.column: time.expression} if time and time.expression else {})
