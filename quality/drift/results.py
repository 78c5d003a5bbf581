"""Owns the values that a drift test returns: statistics with their intervals, and one test of one column."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from quality import wording

Test = Literal["ks", "tv", "missing", "length", "stuck", "type", "absent"]

_WORDS: dict[Test, str] = {
    "ks": "distribution moved by",
    "tv": "shares of categories moved by",
    "missing": "share of missing values moved by",
    "length": "distribution of text lengths moved by",
    "stuck": "one value alone, which was rarer before by",
    "type": "another type than before: moved by",
    "absent": "the column is gone: moved by",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A measure of difference with the interval of its true value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """One test of one column.

    Attributes:
        column: Name of the column.
        test: "ks" for numbers and times, "tv" for categories, "length" for the lengths of texts too many to be
            categories, "missing" for the share of nulls and NaN, "stuck" for a column of one value that had several,
            "type" for one that cannot be compared with what it was, "absent" for one that is not there.
        effect: Kolmogorov-Smirnov distance or total variation distance, from 0 to 1.
        low: Lower confidence bound of the effect.
        tolerance: Largest tolerated effect.
        p: Probability of an effect this large without drift.
        q: The same, adjusted for all tests (Benjamini and Hochberg, 1995).
        flagged: Whether q is at most the false discovery rate, `low` above the tolerance and the effect above the
            threshold.
        psi: Population stability index over the reference's deciles or categories, in nats; reported only.
        rows_reference: Rows compared, of the reference.
        rows_current: Rows compared, of the batch.
        effective_reference: The same as independent rows.
        effective_current: The same as independent rows.
        threshold: Largest effect that healthy partitions of the past lead to expect; None without them.
        statistics: Name of each statistic that fits the column to its value and interval.
        detail: What else a reader wants to know, such as the two types; empty where there is nothing.
    """

    column: str
    test: Test
    effect: float
    low: float
    tolerance: float
    p: float
    q: float
    flagged: bool
    psi: float
    rows_reference: int
    rows_current: int
    effective_reference: float
    effective_current: float
    threshold: float | None = None
    statistics: Mapping[str, Statistic] = field(default_factory=dict[str, Statistic])
    detail: str = ""

    @property
    def reason(self) -> str:
        """What moved, by how much, in plain words."""
        if self.test in ("type", "absent"):
            return f"{self.column}: {self.detail}"
        known = "" if self.threshold is None else f", past partitions differ by up to {self.threshold:.3f}"
        moved = f"{self.column}: {_WORDS[self.test]} {self.effect:.3f}"
        sure = f"at least {self.low:.3f}, tolerated {self.tolerance:g}{known}; q {wording.probability(self.q)}"
        return f"{moved} ({sure})" + (f": {self.detail}" if self.detail else "")

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the test as a JSON value."""
        return asdict(self)
