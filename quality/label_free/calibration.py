"""Owns whether probabilities mean what they say: reliability, calibration error, Brier score.

It changes no probability (`recalibration` does) and judges no model; `calibration_drift` compares samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.bootstrap import Clusters, cluster_codes
from quality.distributions import NORMAL, wilson_interval
from quality.label_free.expectation import as_numbers
from resources.errors import ContractError

Floats = NDArray[np.float64]
BINS = 10
MIN_BIN_ROWS = 20
"""Fewer rows a bin say nothing of its share of ones; fewer bins are taken then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Rows of one bin: their mean probability, their share of ones and its 95 % interval (Wilson, 1927)."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How well probabilities and outcomes agree.

    Attributes:
        rows: Rows.
        bins: The reliability diagram: bins of equally many rows.
        ece: Expected calibration error over ten bins of equal width (Naeini et al., 2015), which is never 0 by chance.
        ace: The same over the bins of equally many rows (Nixon et al., 2019), freed of what chance adds (Kumar et al.,
            2019); 0 for calibrated probabilities, on average.
        ace_low: Lower end of its 95 % interval.
        ace_high: Upper end of it.
        brier: Mean squared difference of probability and outcome (Brier, 1950).
        reliability: Part of it that recalibration would take away, freed of bias (Ferro and Fricker, 2012).
        resolution: Part of it that the model's knowledge has taken away.
        uncertainty: What the share of ones alone would have.
    """

    rows: int
    bins: tuple[Bin, ...]
    ece: float
    ace: float
    ace_low: float
    ace_high: float
    brier: float
    reliability: float
    resolution: float
    uncertainty: float

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the calibration as a JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Calibration":  # Any: JSON values
        """Return the calibration that `to_json` wrote."""
        fields: dict[str, Any] = dict(value)
        fields["bins"] = tuple(Bin(**item) for item in value["bins"])
        return cls(**fields)


def checked(labels: Sequence[float] | Floats, probabilities: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    """Return both as arrays, refusing what no calibration can be told of.

    Raises:
        ContractError: Naming value and remedy: lengths differ, no rows, NaN, outside [0, 1], labels of another kind.
    """
    label, probability = as_numbers("labels", labels), checked_probabilities(probabilities)
    if label.shape != probability.shape:
        raise ContractError(f"{label.size} labels for {probability.size} probabilities: give one a row")
    if strange := sorted(set(label[~np.isin(label, (0.0, 1.0))][:5].tolist())):
        raise ContractError(f"labels must be 0 or 1, found {strange[0]}: drop rows whose label is unknown")
    return label, probability


def checked_probabilities(probabilities: Sequence[float] | Floats) -> Floats:
    """Return `probabilities` as an array, refusing none, NaN and those outside [0, 1].

    Raises:
        ContractError: Naming row, value and remedy.
    """
    found = as_numbers("probabilities", probabilities)
    if found.ndim != 1 or not found.size:
        raise ContractError(f"probabilities have shape {found.shape}: give at least one row")
    wrong = np.flatnonzero(~((found >= 0) & (found <= 1)))
    if len(wrong):
        raise ContractError(
            f"probability {found[wrong[0]]:g} in row {wrong[0]} ({len(wrong):,} of {found.size:,} rows) is not between "
            "0 and 1: give the probability of class 1, not a score or a class"
        )
    return found


def calibration(
    labels: Sequence[float] | Floats,
    probabilities: Sequence[float] | Floats,
    *,
    clusters: Clusters | None = None,
    bins: int = BINS,
) -> Calibration:
    """Return how well `probabilities` agree with `labels`, each of shape ``(rows,)``.

    Args:
        labels: 0 or 1.
        probabilities: Of 1.
        clusters: Rows that err alike, such as those of a day; they count as one.
        bins: Most bins of the reliability diagram.

    Raises:
        ContractError: See `checked`.
    """
    label, probability = checked(labels, probabilities)
    codes = equal_mass(probability, bins)
    rows, ones, total = (np.bincount(codes, weights=values) for values in (np.ones_like(label), label, probability))
    ace, error = _debiased(label, probability, codes, clusters)
    wide = NORMAL.inv_cdf(0.975) * error
    observed, base = ones / rows, float(label.mean())
    noise = float((rows / len(label) * observed * (1 - observed) / np.maximum(rows - 1, 1)).sum())
    spread = base * (1 - base)
    weights = rows / len(label)
    return Calibration(
        rows=len(label),
        bins=tuple(_bin(int(n), float(k), float(t)) for n, k, t in zip(rows, ones, total, strict=True)),
        ece=_ece(label, probability),
        ace=ace,
        ace_low=max(0.0, ace - wide),
        ace_high=ace + wide,
        brier=float(((probability - label) ** 2).mean()),
        reliability=float((weights * (total / rows - observed) ** 2).sum()) - noise,
        resolution=float((weights * (observed - base) ** 2).sum()) - noise + spread / max(1, len(label) - 1),
        uncertainty=spread * (1 + 1 / max(1, len(label) - 1)),
    )


def equal_mass(probability: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each row: bins of about equally many rows, equal probabilities in one of them."""
    count = max(1, min(bins, len(probability) // MIN_BIN_ROWS))
    edges = np.unique(np.quantile(probability, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)[1]


def _debiased(
    label: Floats, probability: Floats, codes: NDArray[np.int64], clusters: Clusters | None
) -> tuple[float, float]:
    """Return the mean absolute gap of the bins freed of what chance adds, and its standard error.

    Of a gap g with standard error s chance makes a mean of E|N(g, s)|, taken twice from |g| (Kumar et al., 2019). The
    errors are those of sums of clusters (Liang and Zeger, 1986).
    """
    rows = np.bincount(codes).astype(np.float64)
    gap = np.bincount(codes, weights=label - probability) / rows
    left = label - probability - gap[codes]
    units = np.arange(len(label)) if clusters is None else cluster_codes(clusters, len(label))
    inside = np.unique(units * len(rows) + codes, return_inverse=True)
    sums = np.bincount(inside[1], weights=left) ** 2
    error = np.sqrt(np.bincount(inside[0] % len(rows), weights=sums, minlength=len(rows))) / rows
    ace = float((rows / len(label) * (2 * abs(gap) - _mean_absolute(gap, error))).sum())
    spread = float(np.sqrt((np.bincount(units, weights=left * np.sign(gap)[codes]) ** 2).sum())) / len(label)
    return max(0.0, ace), spread


def _mean_absolute(mean: Floats, error: Floats) -> Floats:
    """Return E|X| of normal variables (folded normal law: Leone et al., 1961)."""
    safe = np.maximum(error, 1e-12)
    tail = np.array([math.erf(float(m / (s * math.sqrt(2)))) for m, s in zip(mean, safe, strict=True)])
    return safe * math.sqrt(2 / math.pi) * np.exp(-(mean**2) / (2 * safe**2)) + mean * tail


def _ece(label: Floats, probability: Floats) -> float:
    codes = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(codes, weights=label - probability, minlength=BINS)
    return float(abs(gaps).sum() / len(label))


def _bin(rows: int, ones: float, total: float) -> Bin:
    share = ones / rows
    low, high = wilson_interval(share, rows, confidence=0.975)
    return Bin(rows=rows, predicted=total / rows, observed=share, low=low, high=high)
