"""Owns the drift test: which columns of a batch are distributed otherwise than in a reference.

A column is flagged only with two keys: its difference is significant under a false discovery rate over all columns, and
the lower confidence bound of its size exceeds the declared tolerance. Significance alone flags irrelevant shifts of
large batches; size alone flags noise of small ones. It keeps no history and decides no verdict.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality import wording
from quality.bootstrap import Clusters, Ints, cluster_codes
from quality.distances import (
    bin_counts,
    chi_square,
    design_effects,
    ks_distance,
    ks_lower_bound,
    population_stability_index,
    total_variation,
    total_variation_lower_bound,
)
from quality.distributions import chi_square_tail, kolmogorov_tail
from resources.errors import DeclarationError
from resources.names import unknown_name

Test = Literal["ks", "tv", "missing"]

MAX_CATEGORIES = 100
"""Categories past the most frequent ones are taken as one: names that occur once or twice show no drift."""
MIN_CLUSTERS = 6
"""With fewer clusters their spread cannot be measured, and each counts as one row."""
_WORDS: dict[Test, str] = {"ks": "distribution", "tv": "shares of categories", "missing": "share of missing values"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """One test of one column.

    Attributes:
        column: Name of the column.
        test: "ks" for values of a numeric column, "tv" for categories, "missing" for the share of nulls and NaN.
        effect: Kolmogorov-Smirnov distance or total variation distance, from 0 to 1.
        low: Lower confidence bound of the effect.
        tolerance: Largest tolerated effect.
        p: Probability of an effect this large without drift.
        q: The same, adjusted for all tests (Benjamini and Hochberg, 1995).
        flagged: Whether q is at most the false discovery rate and `low` above the tolerance.
        psi: Population stability index over the reference's deciles or categories, in nats; reported only.
        rows_reference: Rows compared, of the reference.
        rows_current: Rows compared, of the batch.
        effective_reference: The same as independent rows.
        effective_current: The same as independent rows.
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

    @property
    def reason(self) -> str:
        """What moved, by how much, in plain words."""
        moved = f"{self.column}: {_WORDS[self.test]} moved by {self.effect:.3f}"
        return f"{moved} (at least {self.low:.3f}, tolerated {self.tolerance:g}; q {wording.probability(self.q)})"

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the test as a JSON value."""
        return asdict(self)


def drift(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    categorical: Collection[str] = (),
    tolerance: float = 0.1,
    q: float = 0.01,
    confidence: float = 0.95,
    clusters: tuple[Clusters, Clusters] | None = None,
) -> tuple[ColumnDrift, ...]:
    """Compare each column of `current` with `reference`; without rows on both sides there is nothing to compare.

    Numeric columns by the Kolmogorov-Smirnov test, the others by the chi-square test of homogeneity with the total
    variation distance as its effect; missing values by a test of their own where there are any.

    Args:
        reference: Rows that the model knows.
        current: New rows.
        columns: Columns to compare; None takes all numeric, boolean, text and categorical ones.
        categorical: Numeric columns that hold codes of categories.
        tolerance: Largest tolerated effect, from 0 to 1.
        q: False discovery rate over all tests.
        confidence: One-sided confidence of the lower bounds.
        clusters: Cluster of each row of the reference and of the batch, such as its day, where rows of a cluster
            are alike; None takes rows as independent.

    Raises:
        DeclarationError: If a column is missing or of a type that is not compared, or a number is out of range.
        ContractError: If the clusters have another length than the rows.
    """
    _check_numbers(tolerance, q, confidence)
    names = _columns(reference, current, columns)
    if reference.is_empty() or current.is_empty():
        return ()
    frames, keys = (reference, current), clusters or (None, None)
    # Once for all columns: of millions of rows each takes seconds.
    codes = [None if key is None else cluster_codes(key, frame.height) for frame, key in zip(frames, keys, strict=True)]
    found: list[ColumnDrift] = []
    for name in names:
        sides = [_side(frame.get_column(name), own) for frame, own in zip(frames, codes, strict=True)]
        numeric = reference.schema[name].is_numeric() and name not in categorical
        found += _tests(name, sides[0], sides[1], numeric=numeric, tolerance=tolerance, confidence=confidence)
    adjusted = benjamini_hochberg([test.p for test in found])
    return tuple(
        replace(test, q=value, flagged=value <= q and test.low > tolerance)
        for test, value in zip(found, adjusted, strict=True)
    )


def benjamini_hochberg(probabilities: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the false discovery rate (Benjamini and Hochberg, 1995), in the order given.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    count, running = len(probabilities), 1.0
    adjusted = [1.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda i: -probabilities[i])):
        running = min(running, probabilities[index] * count / (count - rank))
        adjusted[index] = running
    return adjusted


def _check_numbers(tolerance: float, q: float, confidence: float) -> None:
    for name, value in (("tolerance", tolerance), ("q", q), ("confidence", confidence)):
        if not 0 <= value < 1 or (value == 0 and name != "tolerance"):
            raise DeclarationError(f"drift: {name} is {value}, it lies between 0 and 1")


def _columns(reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str] | None) -> list[str]:
    shared = [name for name in reference.columns if name in current.columns]
    able = [name for name in shared if _comparable(reference.schema[name])]
    for name in columns or ():
        if name not in able:
            kind = f" of type {reference.schema[name]}" if name in shared else ""
            raise DeclarationError(unknown_name(f"drift column{kind}", name, able))
    return able if columns is None else list(columns)


def _comparable(kind: pl.DataType) -> bool:
    text = isinstance(kind, (pl.String, pl.Categorical, pl.Enum))
    return kind.is_numeric() or text or isinstance(kind, pl.Boolean)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Values of one side, without missing ones, and the cluster of each, or None."""

    values: pl.Series
    clusters: Ints | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """The two samples that one side of a column gives: its present values, and whether each row is missing."""

    present: _Sample
    missing: _Sample


def _side(values: pl.Series, codes: Ints | None) -> _Side:
    missing = values.is_null()
    if values.dtype.is_float():
        missing = missing | values.is_nan().fill_null(value=False)
    kept = None if codes is None else codes[(~missing).to_numpy()]
    return _Side(
        present=_Sample(values=values.filter(~missing), clusters=kept),
        missing=_Sample(values=missing, clusters=codes),
    )


def _tests(
    name: str, reference: _Side, current: _Side, *, numeric: bool, tolerance: float, confidence: float
) -> Iterator[ColumnDrift]:
    if len(reference.present.values) and len(current.present.values):
        compare = _compare_numbers if numeric else _compare_categories
        test: Test = "ks" if numeric else "tv"
        measured = compare(reference.present, current.present, confidence)
        yield measured.drift(name, test, tolerance)
    if reference.missing.values.any() or current.missing.values.any():
        measured = _compare_categories(reference.missing, current.missing, confidence)
        yield measured.drift(name, "missing", tolerance)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    effect: float
    low: float
    p: float
    psi: float
    rows: tuple[int, int]
    effective: tuple[float, float]

    def drift(self, column: str, test: Test, tolerance: float) -> ColumnDrift:
        return ColumnDrift(
            column=column,
            test=test,
            effect=self.effect,
            low=self.low,
            tolerance=tolerance,
            p=self.p,
            q=1.0,
            flagged=False,
            psi=self.psi,
            rows_reference=self.rows[0],
            rows_current=self.rows[1],
            effective_reference=self.effective[0],
            effective_current=self.effective[1],
        )


def _compare_numbers(reference: _Sample, current: _Sample, confidence: float) -> _Measured:
    before, after = (sample.values.cast(pl.Float64).to_numpy() for sample in (reference, current))
    ordered = (np.sort(before), np.sort(after))
    # Deciles that are values themselves: no arithmetic on infinities.
    edges = np.unique(np.quantile(ordered[0], np.arange(1, 10) / 10, method="inverted_cdf"))
    effective = (
        _effective(reference, len(before), lambda codes: _largest_effect([before <= edge for edge in edges], codes)),
        _effective(current, len(after), lambda codes: _largest_effect([after <= edge for edge in edges], codes)),
    )
    distance = ks_distance(*ordered)
    harmonic = effective[0] * effective[1] / (effective[0] + effective[1])
    bins = [bin_counts(side, edges) for side in ordered]
    return _Measured(
        effect=distance,
        low=ks_lower_bound(distance, *effective, confidence=confidence),
        p=kolmogorov_tail(math.sqrt(harmonic) * distance),
        psi=population_stability_index(bins[0], bins[1]),
        rows=(len(before), len(after)),
        effective=effective,
    )


def _compare_categories(reference: _Sample, current: _Sample, confidence: float) -> _Measured:
    before, after, cells = _category_codes(reference.values, current.values)
    counts = [np.bincount(side, minlength=cells).astype(np.float64) for side in (before, after)]
    shares = [side / side.sum() for side in counts]
    effective = (
        _effective(reference, len(before), lambda codes: _mean_effect(before, cells, codes)),
        _effective(current, len(after), lambda codes: _mean_effect(after, cells, codes)),
    )
    scaled = [share * size for share, size in zip(shares, effective, strict=True)]
    return _Measured(
        effect=total_variation(shares[0], shares[1]),
        low=total_variation_lower_bound(shares[0], shares[1], effective, confidence=confidence),
        p=chi_square_tail(*chi_square(scaled[0], scaled[1])),
        psi=population_stability_index(counts[0], counts[1]),
        rows=(len(before), len(after)),
        effective=effective,
    )


def _category_codes(reference: pl.Series, current: pl.Series) -> tuple[Ints, Ints, int]:
    """Return the category of each row on both sides, the most frequent one 0, and the number of categories."""
    both = pl.concat([reference.cast(pl.String), current.cast(pl.String)])
    codes = both.cast(pl.Enum(both.unique().sort())).to_physical().to_numpy().astype(np.int64)
    order = np.argsort(-np.bincount(codes), kind="stable")
    place = np.empty_like(order)
    place[order] = np.minimum(np.arange(len(order)), MAX_CATEGORIES)
    codes = place[codes]
    return codes[: len(reference)], codes[len(reference) :], int(codes.max()) + 1


def _effective(sample: _Sample, rows: int, effect: Callable[[Ints], float]) -> float:
    """Return how many independent rows would tell as much as the rows of `sample`."""
    if sample.clusters is None:
        return float(rows)
    present = np.bincount(sample.clusters) > 0
    count = int(present.sum())
    if count < MIN_CLUSTERS:
        return float(count)
    codes = (np.cumsum(present) - 1)[sample.clusters]
    return max(1.0, rows / max(1.0, effect(codes)))


def _largest_effect(events: Sequence[NDArray[np.bool_]], codes: Ints) -> float:
    """Return the largest design effect of `events`: the distance may lie at any of them."""
    rows = np.bincount(codes)
    counts = np.stack([np.bincount(codes[event], minlength=len(rows)) for event in events], axis=1)
    return float(design_effects(counts.astype(np.float64), rows.astype(np.float64)).max())


def _mean_effect(categories: Ints, cells: int, codes: Ints) -> float:
    """Return the mean design effect of the categories, the first-order correction of Rao and Scott (1981)."""
    rows = np.bincount(codes)
    counts = np.bincount(codes * cells + categories, minlength=len(rows) * cells).reshape(len(rows), cells)
    effects = design_effects(counts.astype(np.float64), rows.astype(np.float64))
    shares = counts.sum(axis=0) / rows.sum()
    present = shares > 0
    if present.sum() < 2:
        return 1.0
    return float(((1 - shares) * effects)[present].sum() / (present.sum() - 1))
