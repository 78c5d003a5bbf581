"""Owns what a suggestion is: one rule as an expectation, and what was seen that speaks for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quality.suites.declared import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One expectation.

    Attributes:
        column: Its column; empty for the table.
        type: Type of the expectation, as Great Expectations has it.
        arguments: Its other arguments.
        severity: `critical` for what no healthy row broke, `warning` for what varies and was in a range.
        evidence: What was seen, in words, with the numbers.
    """

    column: str
    type: str
    arguments: Mapping[str, Any]  # Any: JSON values
    severity: Severity
    evidence: str

    def expectation(self) -> dict[str, Any]:  # Any: JSON values
        """Return the rule as Great Expectations reads it, its evidence in `meta`."""
        named = {"column": self.column} if self.column else {}
        return {
            "type": self.type,
            "kwargs": {**named, **self.arguments},
            "severity": self.severity,
            "meta": {"evidence": self.evidence},
        }
