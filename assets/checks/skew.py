"""Owns the skew check as pieces of any Dagster project: a check on an asset, or an asset of its own with its check.

Both take two functions of the partition key that return the rows of training and of serving. `stored` and the replay
through a champion are for projects with a Penstock store; the rest needs none. Nothing is compared here.
"""

from collections.abc import Callable
from typing import TypeAlias, Unpack

import dagster as dg
import polars as pl

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check, key_of
from assets.metadata import Metadata, table
from assets.stage import partition_of, plain_failures
from assets.told import Told, result_of
from quality.skew import SkewReport, SkewRule, skew
from resources.wiring import WorkspaceResource

Side: TypeAlias = Callable[[str | None], pl.DataFrame | pl.LazyFrame]
"""Partition key, or None, to rows."""
_DESCRIPTION = "Serving computes the features that training computed."
_EXAMPLES = 2
_SHOWN = 100


def skew_check(
    asset: Asset,
    *,
    training: Side,
    serving: Side,
    rule: SkewRule,
    through: str | None = None,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build a check of `asset`, one verdict a partition: it fails where serving differs from training.

    Args:
        asset: Asset that is checked, such as the log of serving or the features of training.
        training: Returns the features of training, or raw rows where they are replayed.
        serving: Returns what serving logged.
        rule: How rows are named, and how much may differ.
        through: Pipeline through whose champion raw rows of both sides are replayed; None compares them as they are.
        options: See `CheckOptions`; `rows` and `keep_in` have no use here.
    """

    def judge(look: Look) -> Told:
        return of_skew(_compared(training(look.partition), serving(look.partition), rule, through))

    defaults = Defaults(name="skew", description=_DESCRIPTION, blocking=True)
    return build_check(asset, judge, defaults, options, reads=False)


def skew_asset(
    key: dg.AssetKey | str,
    *,
    training: Side,
    serving: Side,
    rule: SkewRule,
    through: str | None = None,
    partitions_def: "dg.PartitionsDefinition[str] | None" = None,
    deps: "list[dg.AssetKey | str] | None" = None,
    blocking: bool = True,
    group_name: str | None = None,
    automation: "dg.AutomationCondition[dg.AssetKey] | None" = None,
) -> dg.AssetsDefinition:
    """Build an asset that is the skew report of a partition, with a check `skew` of its own.

    Arguments are those of `skew_check`; `deps` are the assets that hold both sides, `automation` is the condition under
    which Dagster makes the report of itself.
    """
    spec = dg.AssetCheckSpec(
        "skew",
        asset=key_of(key),
        blocking=blocking,
        description=_DESCRIPTION,
        partitions_def=partitions_def,
    )

    @dg.asset(
        key=key_of(key),
        deps=deps,
        partitions_def=partitions_def,
        check_specs=[spec],
        description="How serving differs from training, cell by cell.",
        kinds={"polars"},
        group_name=group_name,
        automation_condition=automation,
    )
    def skew_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # pyright: ignore[reportMissingTypeArgument] # Dagster knows no other spelling
        with plain_failures():
            partition = partition_of(context)
            report = _compared(training(partition), serving(partition), rule, through)
            return dg.MaterializeResult(
                metadata=skew_metadata(report), check_results=[result_of(of_skew(report), key_of(key), "skew")]
            )

    return skew_report


def stored(name: str, *, registry: str = "") -> Side:
    """Return the side that is a dataset of the store, such as `bike_demand/raw`, the version of the partition."""

    def rows(partition: str | None) -> pl.LazyFrame:
        from resources.storage.datasets import scan
        from resources.storage.naming import of_asset

        workspace = WorkspaceResource(registry=registry).open()
        return scan(workspace.store, of_asset(workspace.store, workspace.registry_name, name, partition or ""))

    return rows


def of_skew(report: SkewReport) -> Told:
    """Return what a report of skew tells."""
    return Told(verdict=report.verdict, reason=report.reason, shown=skew_metadata(report))


def skew_metadata(report: SkewReport) -> Metadata:
    """Return numbers under stable keys, and tables of columns, examples and rules."""
    columns = sorted(report.columns, key=lambda column: -column.mismatch.share)[:_SHOWN]
    cells = [
        (
            column.column,
            f"{column.mismatch.share:.3%}",
            f"{column.mismatch.low:.3%}",
            f"{column.missing_training:,} / {column.missing_serving:,}",
            f"{max(column.ulps):,}" if column.ulps else "",
            "; ".join(f"{kind.name}: {kind.reason}" for kind in column.kinds),
            column.parting.step if column.parting else "",
        )
        for column in columns
    ]
    examples = [
        (
            column.column,
            ", ".join(f"{key} {value}" for key, value in example.key.items()),
            example.training,
            example.serving,
        )
        for column in columns
        for example in column.examples[:_EXAMPLES]
    ]
    rules = [(finding.check, finding.verdict, finding.reason) for finding in report.findings[:_SHOWN]]
    header = ("column", "differs", "at least", "missing in training / serving", "most ulps", "kind", "parts at")
    return {
        "verdict": report.verdict,
        "rows_compared": report.paired,
        "columns_differing": sum(column.mismatch.count > 0 for column in report.columns),
        "largest_mismatch": max((column.mismatch.share for column in report.columns), default=0.0),
        "unpaired_training": report.training.unpaired.share,
        "unpaired_serving": report.serving.unpaired.share,
        **({"late_share": report.late.share} if report.late else {}),
        "columns": dg.MetadataValue.md(table(header, cells)),
        "examples": dg.MetadataValue.md(table(("column", "row", "training", "serving"), examples)),
        "findings": dg.MetadataValue.md(table(("rule", "verdict", "why"), rules)),
    }


def _compared(
    training: pl.DataFrame | pl.LazyFrame, serving: pl.DataFrame | pl.LazyFrame, rule: SkewRule, through: str | None
) -> SkewReport:
    if through is None:
        return skew(training, serving, rule)
    from resources.replay import skew_of_champion

    return skew_of_champion(WorkspaceResource().open(), through, training.lazy(), serving.lazy(), rule)
