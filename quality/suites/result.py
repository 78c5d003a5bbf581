"""Owns the result of a suite: Great Expectations' own as JSON, and one row an expectation for people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from quality.suites.declared import SEVERITIES, Severity
from quality.verdicts import Verdict

MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationRow:
    """The result of one expectation, in the suite's order.

    Attributes:
        type: Type of the expectation.
        column: Column or columns, separated by ", "; empty for the table.
        severity: Its severity.
        success: Whether the data meet it.
        observed: What was observed, as text; empty where only failing rows are counted.
        unexpected_count: Rows that break it, or None where it is not about rows.
        unexpected_percent: Their percentage among the rows with a value, or None.
        examples: Up to five of their values, as text; of long ones the beginning.
    """

    type: str
    column: str
    severity: Severity
    success: bool
    observed: str
    unexpected_count: int | None
    unexpected_percent: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The result of a suite.

    Attributes:
        success: Whether all expectations are met.
        severity: Worst severity among those that are not, or None.
        rows: One result per expectation.
        genuine: Great Expectations' result, as JSON with finite numbers, without its clock; of texts longer than
            10,000 characters it holds the beginning. Its `meta` says under "engine" how many expectations were settled
            without reading rows, and which ones the pandas engine judged and why.
    """

    success: bool
    severity: Severity | None
    rows: tuple[ExpectationRow, ...]
    genuine: Mapping[str, Any]  # Any: JSON values

    @property
    def verdict(self) -> Verdict:
        """Verdict of the worst failure: critical blocks, warning warns, info passes."""
        verdicts: dict[Severity | None, Verdict] = {"critical": "block", "warning": "warn"}
        return verdicts.get(self.severity, "pass")

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON value that `suite_from_json` reads back."""
        return asdict(self)


def suite_from_json(value: Mapping[str, Any]) -> SuiteResult:
    """Return the result that `SuiteResult.to_json` wrote."""
    rows = [ExpectationRow(**row) for row in value["rows"]]
    kept = tuple(replace(row, examples=tuple(row.examples)) for row in rows)
    return SuiteResult(success=value["success"], severity=value["severity"], rows=kept, genuine=value["genuine"])


def worst_severity(rows: tuple[ExpectationRow, ...]) -> Severity | None:
    """Return the worst severity among the rows that fail, or None."""
    failed = {row.severity for row in rows if not row.success}
    return next((severity for severity in SEVERITIES if severity in failed), None)
