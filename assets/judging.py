"""Owns the Dagster definition of the checks of a pipeline's own stages: the value judged, and results for the report.

What is judged, and how, is for the module of each check to say: it gives a function from the name of a check to `Told`.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import dagster as dg

from assets.report import reported_checks
from assets.stage import Stage, partition_of, plain_failures
from assets.told import Told, result_of
from resources.refs import DatasetRef, GateReport
from resources.wiring import WorkspaceResource
from resources.workspace import Workspace

V = TypeVar("V", DatasetRef, GateReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A check of a stage: how the web UI describes it, and whether it keeps what follows from running."""

    description: str
    blocking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One partition of a stage as its checks see it.

    Attributes:
        workspace: Where its value lies.
        partition: Partition key, or None.
        chosen: The checks that are asked for.
    """

    workspace: Workspace
    partition: str | None
    chosen: frozenset[str]


def build_checks(
    stage: Stage,
    name: str,
    checks: Mapping[str, Declared],
    kind: type[V],
    judge: Callable[[Look, V], Callable[[str], Told]],
) -> dg.AssetChecksDefinition:
    """Build checks of the value of a stage, which run in one step, all or some of them.

    Args:
        stage: The stage.
        name: Name of the definition.
        checks: Name of each check to what it is.
        kind: Type of the stage's value.
        judge: Takes the partition and the value, and returns what tells of each check by its name.
    """

    def check_stage(
        context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource, value: V
    ) -> Generator[dg.AssetCheckResult]:
        with plain_failures():
            chosen = frozenset(key.name for key in context.selected_asset_check_keys)
            look = Look(workspace=workspace.open(), partition=partition_of(context), chosen=chosen)
            tell = judge(look, value)
            made = (result_of(tell(check), stage.key, check) for check in checks if check in chosen)
            yield from reported_checks(stage, look.workspace, context, value.digest, made)

    check_stage.__annotations__["value"] = kind  # by which Dagster checks what the I/O manager loads
    return dg.multi_asset_check(
        name=name,
        specs=[spec_of(stage, check, declared) for check, declared in checks.items()],
        ins={"value": dg.AssetIn(key=stage.key)},
        can_subset=True,
    )(check_stage)


def spec_of(stage: Stage, name: str, declared: Declared) -> dg.AssetCheckSpec:
    """Return the specification of a check of a stage."""
    return dg.AssetCheckSpec(
        name,
        asset=stage.key,
        blocking=declared.blocking,
        description=declared.description,
        partitions_def=stage.partitions_definition(),
    )
