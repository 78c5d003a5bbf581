"""Owns the values that an evaluation returns: estimates with intervals, paired comparisons, slices, JSON.

It measures nothing (`quality.evaluation` does) and judges nothing (`quality.gate` does).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ALL = "all"
"""Name of the slice that holds every row."""
OTHER = "other"
"""Name of the slice that pools the rows of slices too small to be judged alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A metric of one model on one slice.

    Attributes:
        value: The metric over the rows; None where it is undefined (AUC of one class, R2 of a constant label).
        low: Lower end of the bootstrap interval, or None.
        high: Upper end of the bootstrap interval, or None.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The challenger against another model on the same rows, in the metric's direction of harm.

    Attributes:
        worse: How much worse the challenger is, in units of the metric: negative where it is better, None where
            undefined.
        low: Lower end of the paired bootstrap interval of `worse`.
        high: Upper end of it.
        error: Standard error of `worse`, by the jackknife over the resampled units.
    """

    worse: float | None
    low: float | None
    high: float | None
    error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceMeasurement:
    """All metrics and comparisons of one slice.

    Attributes:
        column: Slice column; "all" for the slice of every row.
        value: Slice value; "all" for every row, "other" for the pooled rest.
        rows: Rows of the slice.
        clusters: Clusters that hold at least one of its rows; equals the resampled units.
        pooled: Values that `value == "other"` pools.
        judged: Whether the slice is large enough to be judged.
        metrics: Model to metric to estimate.
        comparisons: Other model ("champion", "baseline") to metric to comparison.
    """

    column: str
    value: str
    rows: int
    clusters: int
    pooled: tuple[str, ...]
    judged: bool
    metrics: Mapping[str, Mapping[str, Estimate]]
    comparisons: Mapping[str, Mapping[str, Comparison]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Models measured on the same unseen rows with the same resamples.

    Attributes:
        task: "regression" or "binary".
        rows: Rows judged.
        clusters: Number of resampled units: the declared clusters, else rows or random blocks of rows.
        clustered: Whether clusters were declared.
        resamples: Number of bootstrap resamples.
        confidence: Two-sided confidence of every interval.
        seed: Seed of the resamples.
        overall: The slice of all rows.
        slices: The declared slices, the pooled rest of each column last.
    """

    task: str
    rows: int
    clusters: int
    clustered: bool
    resamples: int
    confidence: float
    seed: int
    overall: SliceMeasurement
    slices: tuple[SliceMeasurement, ...] = ()

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the evaluation as a JSON value with finite numbers only."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Evaluation":  # Any: JSON values
        """Return the evaluation that `to_json` wrote."""
        fields: dict[str, Any] = dict(value)
        fields["overall"] = _slice(value["overall"])
        fields["slices"] = tuple(_slice(item) for item in value["slices"])
        return cls(**fields)


def _slice(value: Mapping[str, Any]) -> SliceMeasurement:  # Any: JSON values
    fields: dict[str, Any] = dict(value)
    fields["pooled"] = tuple(value["pooled"])
    fields["metrics"] = {m: {k: Estimate(**e) for k, e in by.items()} for m, by in value["metrics"].items()}
    fields["comparisons"] = {m: {k: Comparison(**e) for k, e in by.items()} for m, by in value["comparisons"].items()}
    return SliceMeasurement(**fields)
