"""Owns the map from a model's probabilities to true ones: beta calibration (Kull, Silva Filho and Flach, 2017).

Its three coefficients and their covariance are all that is kept of the labelled rows. The covariance is that of
clusters, so that rows that err alike count as few.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.bootstrap import Clusters, cluster_codes
from resources.errors import ContractError

Floats = NDArray[np.float64]
FLOOR = 1e-6
"""Probabilities nearer to 0 or 1 count as this near."""
_STEPS = 50
_PULL = 1e-3
"""Weight of the belief that probabilities are calibrated, in rows: it decides where all of them are equal."""
IDENTITY: Floats = np.array([1.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """p -> 1 / (1 + exp(-(a ln p - b ln(1 - p) + c))).

    Attributes:
        coefficients: a, b and c; (1, 1, 0) changes nothing.
        covariance: Of the three.
        dispersion: How much more the number of ones of a batch scatters than that of independent rows; 1 or more.
        clusters: Groups of rows that the covariance is that of; 0 where an earlier version did not count them.
    """

    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    dispersion: float
    clusters: int = 0

    def apply(self, probabilities: Floats) -> Floats:
        """Return the recalibrated probabilities."""
        return logistic(basis(probabilities) @ np.array(self.coefficients))


def basis(probabilities: Floats) -> Floats:
    """Return ln p, -ln(1 - p) and 1 of each row, shape ``(rows, 3)``."""
    inner = np.clip(probabilities, FLOOR, 1 - FLOOR)
    return np.stack([np.log(inner), -np.log1p(-inner), np.ones_like(inner)], axis=-1)


def logistic(values: Floats) -> Floats:
    """Return 1 / (1 + exp(-value))."""
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))


def fit_recalibration(labels: Floats, probabilities: Floats, *, clusters: Clusters | None = None) -> Recalibration:
    """Fit the map by Newton's method, its covariance by the sandwich of clusters (Liang and Zeger, 1986).

    Args:
        labels: 0 or 1, shape ``(rows,)``.
        probabilities: Of 1, shape ``(rows,)``.
        clusters: Rows that err alike.

    Raises:
        ContractError: If all labels are alike.
    """
    if labels.min() == labels.max():
        raise ContractError(
            f"all {len(labels):,} labels are {labels[0]:g}: one class calibrates nothing, take more rows"
        )
    design = basis(probabilities)
    weights = IDENTITY.copy()
    for _ in range(_STEPS):
        predicted = logistic(design @ weights)
        gradient = design.T @ (labels - predicted) - _PULL * (weights - IDENTITY)
        step = np.linalg.solve(_information(design, predicted), gradient)
        weights = weights + step * min(1.0, 2.0 / max(1e-12, float(abs(step).max())))
        if abs(step).max() < 1e-10:
            break
    predicted = logistic(design @ weights)
    inverse = np.linalg.inv(_information(design, predicted))
    scores = design * (labels - predicted)[:, None]
    codes = np.arange(len(labels)) if clusters is None else cluster_codes(clusters, len(labels))
    count = int(codes.max()) + 1
    summed = np.stack([np.bincount(codes, weights=column, minlength=count) for column in scores.T], axis=1)
    covariance = inverse @ (summed.T @ summed) @ inverse * count / max(1, count - 1)
    noise = float((predicted * (1 - predicted)).sum())
    dispersion = 1.0 if clusters is None else max(1.0, float((summed[:, 2] ** 2).sum()) / noise)
    return Recalibration(
        coefficients=tuple(weights.tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
        dispersion=dispersion,
        clusters=count,
    )


def _information(design: Floats, predicted: Floats) -> Floats:
    return (design * (predicted * (1 - predicted))[:, None]).T @ design + _PULL * np.eye(3)
