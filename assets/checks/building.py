"""Owns what all check factories share: their options, the asset's rows, its past, and the definition itself.

A factory gives a function from `Look`, one partition as the check sees it, to `Told`. Everything else is here: where
the rows come from, partitions, severities, what is kept for later partitions. No store or setting of Penstock's is
used.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypedDict

import dagster as dg
import polars as pl

from assets.checks.past import MEASURED, Earlier, earlier_evaluations
from assets.checks.rows import Rows, frame_of
from assets.metadata import Metadata
from assets.stage import plain_failures
from assets.told import Told, result_of
from resources.errors import DeclarationError
from resources.kept import keep, kept
from resources.names import unknown_name

Asset = dg.AssetsDefinition | dg.AssetSpec | dg.SourceAsset | dg.AssetKey | str | Sequence[str]
ROWS = "rows"
READERS = 16
"""Earlier values that are read at the same time: a remote folder answers each only after a while."""


class CheckOptions(TypedDict, total=False):
    """What every check takes beside its own arguments, named as Dagster names it.

    Attributes:
        rows: Where the rows come from: a function of the partition key, or a `dg.AssetIn` that says how the asset's
            value is loaded (`dagster_type`, `metadata`, `input_manager_key`). By default the value of the asset as its
            I/O manager loads it.
        partitions_def: Partitions of the check; by default those of the asset where its definition is given.
        name: Name of the check.
        description: What the web UI says of it.
        severity: Of every failure; by default that of the verdict.
        blocking: Whether a failure of severity ERROR stops what comes after the asset in the same run.
        metadata: Metadata of the definition.
        automation_condition: When Dagster runs the check of itself.
        keep_in: Folder or fsspec URL that all runs reach, for what later partitions are compared with; by default it is
            packed into Dagster's event log.
    """

    rows: "Rows | dg.AssetIn"
    partitions_def: dg.PartitionsDefinition[str] | None
    name: str
    description: str
    severity: dg.AssetCheckSeverity | None
    blocking: bool
    metadata: Metadata
    automation_condition: "dg.AutomationCondition[dg.AssetCheckKey] | None"
    keep_in: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One partition of an asset as a check sees it.

    Attributes:
        instance: Dagster's instance.
        check: Key of the check.
        partition: Partition key, or None.
        partitions: Partitions of the check, or None.
        load: Returns the rows as they are handed over.
        keep_in: As in `CheckOptions`.
    """

    instance: dg.DagsterInstance
    check: dg.AssetCheckKey
    partition: str | None
    partitions: dg.PartitionsDefinition[str] | None
    load: Callable[[], object]
    keep_in: str | None = None

    @property
    def asset(self) -> str:
        """Name of the asset, for messages."""
        return self.check.asset_key.to_user_string()

    @property
    def where(self) -> str:
        """The partition in words."""
        return self.partition or "this materialization"

    def given(self) -> object:
        """Return the rows as they are handed over: lazy ones stay lazy."""
        value = self.load()
        return value if isinstance(value, pl.LazyFrame) else frame_of(value, of=self.asset)

    def frame(self) -> pl.DataFrame:
        """Return the rows in memory."""
        return frame_of(self.load(), of=self.asset)

    def past(self, limit: int) -> list[tuple[str, Any]]:  # Any: JSON values
        """Return key of each of the `limit` partitions before this one, and what was measured there, oldest first."""
        earlier = earlier_evaluations(self.instance, self.check, self.partition, self.partitions, limit=limit)
        with ThreadPoolExecutor(max_workers=READERS) as readers:
            return list(zip((one.key for one in earlier), readers.map(self._measured, earlier), strict=True))

    def _measured(self, one: Earlier) -> Any:  # Any: as above
        return kept(one.packed, self.keep_in, what=f"what {self.check.name} measured of {self.asset} in {one.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a factory says of its check where the user says nothing."""

    name: str
    description: str
    blocking: bool = False


def build_check(
    asset: Asset,
    judge: Callable[[Look], Told],
    defaults: Defaults,
    options: CheckOptions,
    *,
    reads: bool = True,
) -> dg.AssetChecksDefinition:
    """Build a check of `asset` that tells what `judge` says of each partition.

    Args:
        asset: Asset, or its key.
        judge: Judges one partition.
        defaults: Name, description and blocking of the check where `options` has none.
        options: What the user wants otherwise.
        reads: Whether it reads rows of the asset.

    Raises:
        DeclarationError: If an option is unknown or wrong.
    """
    _check_options(defaults.name, options)
    key, partitions = key_of(asset), options.get("partitions_def", partitions_of(asset))
    spec = dg.AssetCheckSpec(
        options.get("name", defaults.name),
        asset=key,
        description=options.get("description", defaults.description),
        blocking=options.get("blocking", defaults.blocking),
        metadata=options.get("metadata"),
        automation_condition=options.get("automation_condition"),
        partitions_def=partitions,
    )
    rows = options.get("rows")
    read = rows if callable(rows) else None
    loaded = reads and read is None

    def check(context: dg.AssetCheckExecutionContext, **given: Any) -> dg.AssetCheckResult:  # Any: a table
        with plain_failures():
            partition = _partition(context, spec)
            look = Look(
                instance=context.instance,
                check=spec.key,
                partition=partition,
                partitions=partitions,
                load=(lambda: given[ROWS]) if loaded else (lambda: read(partition) if read else None),
                keep_in=options.get("keep_in"),
            )
            told = judge(look)
            what = f"what {spec.name} measured of {look.asset}"
            more = {} if told.measured is None else {MEASURED: keep(told.measured, look.keep_in, what=what)}
            return result_of(told, key, spec.name, severity=options.get("severity"), more=more)

    ins = {ROWS: _loaded_by(key, rows)} if loaded else {}
    return dg.multi_asset_check(name=spec.get_python_identifier(), specs=[spec], ins=ins)(_with_inputs(check, loaded))


def key_of(asset: Asset) -> dg.AssetKey:
    """Return the key of an asset.

    Raises:
        DeclarationError: If it is a definition of several assets.
    """
    if isinstance(asset, dg.AssetsDefinition):
        keys = sorted(key.to_user_string() for key in asset.keys)
        if len(keys) != 1:
            raise DeclarationError(f"a check is of one asset, this definition has {', '.join(keys)}: give one's key")
        return asset.key
    if isinstance(asset, dg.AssetKey):
        return asset
    if isinstance(asset, dg.AssetSpec | dg.SourceAsset):
        return asset.key
    return dg.AssetKey.from_user_string(asset) if isinstance(asset, str) else dg.AssetKey(list(asset))


def partitions_of(asset: Asset) -> "dg.PartitionsDefinition[str] | None":
    """Return the partitions of an asset whose definition is given, else None."""
    return asset.partitions_def if isinstance(asset, dg.AssetsDefinition | dg.AssetSpec | dg.SourceAsset) else None


def _loaded_by(key: dg.AssetKey, rows: object) -> dg.AssetIn:
    if isinstance(rows, dg.AssetIn):
        return rows if rows.key is not None else rows._replace(key=key)
    return dg.AssetIn(key)


def _with_inputs(check: Callable[..., dg.AssetCheckResult], loaded: bool) -> Callable[..., dg.AssetCheckResult]:
    """Return the function with the arguments that Dagster is to give it: it goes by their names."""
    if loaded:

        def reading(context: dg.AssetCheckExecutionContext, rows: Any) -> dg.AssetCheckResult:  # Any: a table
            return check(context, rows=rows)

        return reading

    def plain(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return check(context)

    return plain


def _partition(context: dg.AssetCheckExecutionContext, spec: dg.AssetCheckSpec) -> str | None:
    name = f"check {spec.name} of {spec.asset_key.to_user_string()}"
    if not context.has_partition_key:
        if spec.partitions_def is not None:
            raise DeclarationError(
                f"{name} judges one partition at a time: run it for one, or backfill one run a partition"
            )
        return None
    if spec.partitions_def is None:
        raise DeclarationError(
            f"{name} has no partitions, the run has: give it partitions_def=..., or the asset itself"
        )
    return context.partition_key


def _check_options(check: str, options: CheckOptions) -> None:
    for name, value in options.items():
        if name not in CheckOptions.__annotations__:
            raise DeclarationError(unknown_name(f"{check}: argument", name, CheckOptions.__annotations__))
        if name == "rows" and not (callable(value) or isinstance(value, dg.AssetIn)):
            raise DeclarationError(
                f"{check}: rows is {type(value).__name__}; give a function of the partition key, or a dg.AssetIn"
            )
        if name == "severity" and not isinstance(value, dg.AssetCheckSeverity | None):
            raise DeclarationError(
                f"{check}: severity is {value!r}; give dg.AssetCheckSeverity.WARN or .ERROR, or leave it"
            )
        if name == "keep_in" and not (value is None or (isinstance(value, str) and value)):
            raise DeclarationError(
                f"{check}: keep_in is {value!r}; give a folder or fsspec URL, such as 's3://checks/orders'"
            )
