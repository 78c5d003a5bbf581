"""Owns what every stage asset shares: its key, group, owners and the way it fails, repeats and is recorded."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import dagster as dg

from assets.partitions import Partitions
from resources.canonical import digest_value
from resources.errors import PenstockError
from resources.refs import Ref, digests_of, from_json, to_json
from resources.storage.cache.counters import process_stats
from resources.storage.cache.stats import cache_metadata
from resources.storage.garbage.leases import leased
from resources.storage.memo import recall, remember
from resources.storage.provenance import Parent, Provenance, record
from resources.workspace import Workspace

R = TypeVar("R", bound=Ref)
FORCE_TAG = "penstock/force"
"""A run with this tag does its work again even where it was done before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Names one stage of one pipeline and what its asset shows.

    Attributes:
        pipeline: Name of the pipeline; the key prefix and the group.
        name: Name of the stage, such as `raw`.
        code_version: Version of the stage's code and declaration.
        partitions: Time partitions, or None.
        owners: Dagster owners, such as `team:ml`.
        tags: Dagster tags.
        metadata: Definition metadata, such as links to the source lines.
        automation: Condition under which the automation sensor materializes the asset.
    """

    pipeline: str
    name: str
    code_version: str
    partitions: Partitions | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])  # Any: Dagster metadata values
    automation: dg.AutomationCondition[dg.AssetKey] | None = None

    @property
    def key(self) -> dg.AssetKey:
        """Asset key: pipeline, stage."""
        return dg.AssetKey([self.pipeline, self.name])

    def sibling(self, name: str) -> dg.AssetKey:
        """Return the key of another stage of the same pipeline."""
        return dg.AssetKey([self.pipeline, name])

    def partitions_definition(self) -> dg.PartitionsDefinition[str] | None:
        """Return the Dagster partitions, or None."""
        return self.partitions.definition() if self.partitions else None

    def asset(
        self,
        description: str,
        kinds: set[str],
        *,
        ins: Mapping[str, dg.AssetIn] | None = None,
        output_required: bool = True,
    ) -> "Callable[[Callable[..., Any]], dg.AssetsDefinition]":  # Any: a stage's own arguments and value
        """Return Dagster's asset decorator with everything that stages have in common."""
        return dg.asset(
            key=self.key,
            ins=ins,
            output_required=output_required,
            description=description,
            kinds=kinds,
            group_name=self.pipeline,
            owners=list(self.owners),
            tags=dict(self.tags),
            metadata=dict(self.metadata),
            code_version=self.code_version,
            partitions_def=self.partitions_definition(),
            automation_condition=self.automation,
            io_manager_key="refs",
            op_tags={"penstock/pipeline": self.pipeline},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[R]):
    """The outcome of a piece of work: its value, its facts, whether it had been done before, and what the cache did."""

    ref: R
    facts: Mapping[str, Any]  # Any: JSON values
    reused: bool
    cache: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One deterministic piece of work: the same recipe always gives the same value, so it is done once.

    Attributes:
        stage: Whose work it is.
        workspace: Where it is kept.
        partition: Partition key, or None.
        parents: What it reads.
        parameters: What else decides its value.
        run_id: Dagster run that asks for it; recorded, decides nothing.
        force: Whether to do it again even if it was done before.
    """

    stage: Stage
    workspace: Workspace
    partition: str | None
    parents: Sequence[Parent]
    parameters: Mapping[str, Any]  # Any: JSON values
    run_id: str
    force: bool = False

    @property
    def recipe(self) -> str:
        """Digest of everything that decides the value."""
        return digest_value(
            {
                "pipeline": self.stage.pipeline,
                "stage": self.stage.name,
                "partition": self.partition,
                "parents": [[parent.kind, parent.name, parent.digest] for parent in self.parents],
                "parameters": self.parameters,
                "code_version": self.stage.code_version,
            }
        )

    @property
    def _title(self) -> str:
        return " ".join(part for part in (f"{self.stage.pipeline}/{self.stage.name}", self.partition) if part)

    def perform(self, kind: type[R], compute: Callable[[], tuple[R, Mapping[str, Any]]]) -> Done[R]:
        """Return the value of this work, computing it only if its recipe was never worked before."""
        known = None if self.force else recall(self.workspace.store, self.recipe)
        if known is not None:
            ref = from_json(known["ref"])
            if isinstance(ref, kind):
                return Done(ref=ref, facts=known["facts"], reused=True)
        read = [parent.digest for parent in self.parents if parent.kind != "source"]
        before = process_stats()
        with leased(self.workspace.store, read, job=self._title, run_id=self.run_id):
            ref, facts = compute()
            made = provenance(
                self.stage, ref, self.parents, partition=self.partition, run_id=self.run_id, parameters=self.parameters
            )
            record(self.workspace.store, made)
            value = {"ref": to_json(ref), "facts": dict(facts), "requires": list(digests_of(ref))}
            remember(self.workspace.store, self.recipe, value)
        return Done(ref=ref, facts=facts, reused=False, cache=cache_metadata(before, process_stats()))


def provenance(
    stage: Stage,
    ref: Ref,
    parents: Sequence[Parent],
    *,
    partition: str | None,
    run_id: str,
    parameters: Mapping[str, Any] | None = None,  # Any: JSON values
) -> Provenance:
    """Return the record of how `ref` came to be."""
    return Provenance(
        subject=ref.digest,
        kind=to_json(ref)["kind"],
        pipeline=stage.pipeline,
        stage=stage.name,
        partition=partition or "",
        parents=tuple(parents),
        code_version=stage.code_version,
        parameters=dict(parameters or {}),
        run_id=run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@contextmanager
def plain_failures() -> Generator[None]:
    """Turn Penstock's errors into Dagster failures: the message, no traceback of ours, no retry."""
    try:
        yield
    except PenstockError as error:
        raise dg.Failure(
            description=str(error), metadata={"error": type(error).__name__}, allow_retries=False
        ) from None


def forced(context: dg.AssetExecutionContext) -> bool:
    """Whether the run carries the tag that asks for work to be done again."""
    return FORCE_TAG in context.run.tags


def partition_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> str | None:
    """Return the partition key of the run, or None."""
    return context.partition_key if context.has_partition_key else None
