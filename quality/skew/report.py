"""Owns the values that a skew check returns, as JSON too. It measures and judges nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from quality import wording
from quality.distributions import wilson_interval
from quality.verdicts import Finding, Verdict, worst

Side = Literal["training", "serving"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with its bounds.

    Attributes:
        count: Cases.
        rows: Of how many.
        share: Cases per row, 0 without rows.
        low: Lower bound of the true share.
        high: Upper bound of it.
    """

    count: int
    rows: int
    share: float
    low: float
    high: float


def rate(count: int, rows: int, *, confidence: float = 0.95) -> Rate:
    """Return a share with the bounds of Wilson's score interval (Wilson, 1927), each of one-sided `confidence`.

    >>> found = rate(0, 1000)
    >>> (found.share, found.low, round(found.high, 5))
    (0.0, 0.0, 0.0027)
    """
    if rows == 0:
        return Rate(count=0, rows=0, share=0.0, low=0.0, high=1.0)
    share = count / rows
    low, high = wilson_interval(share, rows, confidence=confidence)
    return Rate(
        count=count,
        rows=rows,
        share=share,
        low=0.0 if count == 0 else low,
        high=1.0 if count == rows else high,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What sort of skew a column has.

    Attributes:
        name: Such as "unit change"; the page on skew lists them.
        reason: What was seen, in plain words.
        share: Share of the differing cells that it explains.
    """

    name: str
    reason: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A value that stands where the other side has none.

    Attributes:
        side: The side that holds the value.
        value: The value as text.
        count: Cells.
    """

    side: Side
    value: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One cell that differs: the key of its row, and both values, as text."""

    key: Mapping[str, str]
    training: str
    serving: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """The step of the transform at which the two sides part.

    Attributes:
        step: Name of the step, such as `columns` or `2 standardize`.
        reason: How that is known.
    """

    step: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSkew:
    """One column, compared over all paired rows.

    Attributes:
        column: Its name.
        types: Its type in training and in serving.
        mismatch: Cells that differ. Null and NaN both mean missing and are equal; so are 0.0 and -0.0.
        within_ulps: Floats that are not the same but within the tolerance in units in the last place.
        missing_training: Cells that training alone lacks.
        missing_serving: Cells that serving alone lacks.
        nan_for_null: Cells where one side has NaN and the other null.
        ulps: Lower end of a bin, a power of two, to the floats that differ by so many units in the last place.
        fills: Values that stand where the other side has none, the most frequent first.
        examples: Cells that differ.
        kinds: What sort of skew it is, as far as that was recognised.
        late: Share of the differing cells that are in late rows, where arrival is known.
        parting: Where the two part in the transform, where that was replayed.
    """

    column: str
    types: tuple[str, str]
    mismatch: Rate
    within_ulps: int = 0
    missing_training: int = 0
    missing_serving: int = 0
    nan_for_null: int = 0
    ulps: Mapping[int, int] = field(default_factory=dict[int, int])
    fills: tuple[Fill, ...] = ()
    examples: tuple[Example, ...] = ()
    kinds: tuple[Kind, ...] = ()
    late: Rate | None = None
    parting: Parting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSkew:
    """The rows of one side.

    Attributes:
        rows: Rows that it has.
        keyless: Rows with a null in what names them; they are not compared.
        unpaired: Rows that the other side lacks, among the keyed ones that repeat none.
        duplicated: Rows that repeat the key of an earlier row; the first row of a key is compared.
        unpaired_examples: Keys of such rows, as text.
        duplicated_examples: Keys of such rows, as text.
        columns: Columns that the other side lacks.
        unlike: Why the unpaired rows are not like the others of their side: columns that are distributed otherwise.
    """

    rows: int
    keyless: int
    unpaired: Rate
    duplicated: Rate
    unpaired_examples: tuple[Mapping[str, str], ...] = ()
    duplicated_examples: tuple[Mapping[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A column of serving that training seems to have under another name.

    Attributes:
        training: Its name in training.
        serving: Its name in serving.
        how: "renamed" where the values are the same, "recoded" where each value of training is one of serving.
    """

    training: str
    serving: str
    how: Literal["renamed", "recoded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewReport:
    """Training against serving.

    Attributes:
        training: The rows of training.
        serving: The rows of serving.
        paired: Rows that were compared.
        late: Share of them that are late, where arrival is known.
        columns: One a compared column, in the order of training.
        slip: By how much serving's clock is off, where that was recognised.
        counterparts: Columns that seem to have changed their name.
        changed: Columns whose types differ by more than how wide they are.
        apart: Column that cannot be compared, to the reason and remedy.
        findings: Every rule, applied.
    """

    training: SideSkew
    serving: SideSkew
    paired: int
    late: Rate | None
    columns: tuple[ColumnSkew, ...]
    slip: Kind | None = None
    counterparts: tuple[Counterpart, ...] = ()
    changed: tuple[str, ...] = ()
    apart: Mapping[str, str] = field(default_factory=dict[str, str])
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst finding's."""
        return worst(finding.verdict for finding in self.findings)

    @property
    def reason(self) -> str:
        """Every finding that does not pass, in plain words."""
        told = [finding.reason for finding in self.findings if finding.verdict != "pass"]
        return "; ".join(told) or f"{self.paired:,} rows are the same in {wording.count(len(self.columns), 'column')}"

    def column(self, name: str) -> ColumnSkew:
        """Return the column `name`."""
        return next(column for column in self.columns if column.column == name)

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the report as a JSON value with finite numbers only."""
        value = asdict(self)
        for column in value["columns"]:
            column["ulps"] = {str(low): count for low, count in column["ulps"].items()}
        return {"verdict": self.verdict, "reason": self.reason, **value}
