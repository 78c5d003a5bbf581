"""Owns the lattice of verdicts, and the finding: one rule applied, with its reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "warn", "inconclusive", "block"]
VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "inconclusive", "block")
"""From good to bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule, applied.

    Attributes:
        check: What was tested: "rows", "champion", "baseline", "limit rmse", "slice weather=rain", "volume".
        verdict: What it says.
        reason: Why, in plain words, with the numbers.
        numbers: The numbers themselves.
    """

    check: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON values


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of `verdicts`, "pass" where there are none.

    >>> worst(["warn", "pass"])
    'warn'
    """
    found = set(verdicts)
    for verdict in reversed(VERDICTS):
        if verdict in found:
            return verdict
    return "pass"
