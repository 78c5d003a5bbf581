"""Owns what a check tells Dagster: verdict, reason, what is shown beside them, and how a verdict becomes a result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.metadata import Metadata, finding_metadata, table
from quality.verdicts import Finding, Verdict, worst

SHOWN = 100
"""Most findings in a table, or reasons in a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a check says of one partition.

    Attributes:
        verdict: "pass" passes; "warn" fails as a warning; "inconclusive" and "block" fail as an error.
        reason: Why, in plain words.
        shown: Dagster metadata: numbers under stable keys, tables, pictures.
        measured: What later partitions are compared with, as JSON; None where they need nothing.
    """

    verdict: Verdict
    reason: str
    shown: Metadata = field(default_factory=dict[str, Any])  # Any: Dagster metadata values
    measured: Any = None  # Any: JSON values


def joined(reasons: Sequence[str], by: str = "; ") -> str:
    """Return reasons as one text, of many the first ones and how many more there are."""
    more = len(reasons) - SHOWN
    return by.join([*reasons[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])])


def of_finding(finding: Finding, shown: Metadata | None = None, *, measured: object = None) -> Told:
    """Return what a check of one finding tells: its numbers, and what else is shown."""
    more = shown or {}
    return Told(
        verdict=finding.verdict,
        reason=finding.reason,
        shown={**finding_metadata(finding), **more},
        measured=measured,
    )


def of_findings(findings: list[Finding], *, calm: str, shown: Metadata | None = None, measured: object = None) -> Told:
    """Return what a check of several findings tells: the worst verdict, the reasons of those that fail, a table of all.

    Args:
        findings: Those that failed, and any others that are worth a row.
        calm: The reason where none failed.
        shown: What else is shown.
        measured: As in `Told`.
    """
    failed = [finding for finding in findings if finding.verdict != "pass"]
    rows = [(finding.check, finding.verdict, finding.reason) for finding in findings[:SHOWN]]
    more: Metadata = {"findings": dg.MetadataValue.md(table(("rule", "verdict", "why"), rows))} if rows else {}
    return Told(
        verdict=worst(finding.verdict for finding in findings),
        reason=joined([finding.reason for finding in failed]) or calm,
        shown={"failed": len(failed), **(shown or {}), **more},
        measured=measured,
    )


def result_of(
    told: Told,
    asset: dg.AssetKey,
    name: str,
    *,
    severity: dg.AssetCheckSeverity | None = None,
    more: Metadata | None = None,
) -> dg.AssetCheckResult:
    """Return the result of the check `name` of `asset`.

    Args:
        told: What it says.
        asset: Key of the asset.
        name: Name of the check.
        severity: Of every failure; None takes that of the verdict.
        more: Metadata of whoever runs the check.
    """
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=told.verdict == "pass",
        severity=severity or severity_of(told.verdict),
        description=told.reason,
        metadata={"verdict": told.verdict, **told.shown, **(more or {})},
    )


def severity_of(verdict: Verdict) -> dg.AssetCheckSeverity:
    """Return the severity with which a check of this verdict fails."""
    return dg.AssetCheckSeverity.ERROR if verdict in ("block", "inconclusive") else dg.AssetCheckSeverity.WARN
