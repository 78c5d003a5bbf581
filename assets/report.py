"""Owns what stages and checks tell the report of their partition: Dagster's metadata as sections, and the page of them.

A report that cannot be kept or written stops nothing: the metadata says why it is not there.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.stage import Stage, partition_of
from quality.report import Entry, Section
from quality.verdicts import Verdict
from resources.errors import PenstockError
from resources.reports import keep_section, page_url, renew_page
from resources.workspace import Workspace

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext
Metadata = dict[str, Any]  # Any: Dagster metadata values
KEY = "report"


def reported(stage: Stage, workspace: Workspace, context: Context, digest: str, metadata: Metadata) -> Metadata:
    """Return `metadata` of a materialization with the place of the report, which it became part of.

    Args:
        stage: The stage.
        workspace: Where the report is kept.
        context: Of its run.
        digest: Data version of what was made.
        metadata: What is shown of it.
    """
    return {**_kept(workspace, stage, context, [_section(stage, context, digest, metadata)]), **metadata}


def reported_checks(
    stage: Stage, workspace: Workspace, context: Context, digest: str, results: Iterable[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of checks with the place of the report, which they became part of."""
    found = list(results)
    sections = [_section(stage, context, digest, item.metadata, item) for item in found]
    place = _kept(workspace, stage, context, sections)
    for item in found:
        yield item._replace(metadata={**place, **item.metadata})


def entries_of(metadata: Mapping[str, Any]) -> tuple[Entry, ...]:  # Any: Dagster metadata values, raw ones too
    """Return what a page can show of Dagster's metadata; the lineage of columns is left to the web UI."""
    return tuple(entry for name, value in metadata.items() if (entry := _entry(name, value)) is not None)


def _entry(name: str, given: object) -> Entry | None:
    name = name.removeprefix("dagster/")
    value = given.value if isinstance(given, dg.MetadataValue) else given
    if isinstance(given, dg.MarkdownMetadataValue):
        return Entry(name=name, kind="markdown", value=given.value or "")
    match value:
        case dg.TableColumnLineage():
            return None
        case dg.TableSchema():
            return Entry(name=name, kind="json", value={column.name: column.type for column in value.columns})
        case dict() | list():
            return Entry(name=name, kind="json", value=value)
        case int() | float() if not isinstance(value, bool) and math.isfinite(value):
            return Entry(name=name, kind="number", value=value)
        case _:
            return Entry(name=name, kind="text", value=str(value))


def _section(
    stage: Stage, context: Context, digest: str, metadata: Mapping[str, Any], result: dg.AssetCheckResult | None = None
) -> Section:
    return Section(
        stage=stage.name,
        check=result.check_name or "" if result else "",
        verdict=_verdict(result) if result else None,
        reason=result.description or "" if result else "",
        digest=digest,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=context.run.run_id,
        entries=entries_of(metadata),
    )


def _verdict(result: dg.AssetCheckResult) -> Verdict:
    if result.passed:
        return "pass"
    return "warn" if result.severity is dg.AssetCheckSeverity.WARN else "block"


def _kept(workspace: Workspace, stage: Stage, context: Context, sections: Iterable[Section]) -> Metadata:
    partition = partition_of(context)
    try:
        for section in sections:
            keep_section(workspace.store, workspace.registry_name, stage.pipeline, partition, section)
        file = dg.MetadataValue.path(renew_page(workspace, stage.pipeline, partition))
    except PenstockError as error:
        return {KEY: dg.MetadataValue.text(f"not written: {error}")}
    url = page_url(workspace, stage.pipeline, partition)
    return {KEY: file} if url is None else {KEY: dg.MetadataValue.url(url), f"{KEY}_file": file}
