"""Owns the distances of two vectors of shares, what noise adds to them, and the design effect of clustered rows.

It decides nothing (`quality.drift` does).
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def total_variation(reference: Floats, current: Floats) -> float:
    """Return half the sum of absolute differences of two vectors of shares."""
    return float(np.abs(reference - current).sum() / 2)


def sampling_noise(reference: Floats, current: Floats, sizes: tuple[float, float]) -> float:
    """Return by how much noise inflates the total variation distance of two vectors of measured shares, at most.

    1/2 sum sqrt(p(1-p)/n + q(1-q)/m), by the triangle and Jensen's inequalities.
    """
    n, m = sizes
    return float(np.sqrt(reference * (1 - reference) / n + current * (1 - current) / m).sum() / 2)


def deviation(sizes: tuple[float, float], confidence: float) -> float:
    """Return by how much a measured total variation distance exceeds its mean at most, at this one-sided confidence.

    sqrt(ln(1 / (1 - confidence)) (1/n + 1/m) / 2) (McDiarmid, 1989: one row moves it by 1/n at most).
    """
    n, m = sizes
    return math.sqrt(math.log(1 / (1 - confidence)) * (1 / n + 1 / m) / 2)


def chi_square(reference: Floats, current: Floats) -> tuple[float, int]:
    """Return Pearson's statistic of homogeneity of two vectors of counts, and its degrees of freedom.

    Cells are pooled from the rarest until each expects 5 or more, Cochran's (1954) condition.
    """
    expected = np.minimum(reference.sum(), current.sum()) / (reference.sum() + current.sum()) * (reference + current)
    order = np.argsort(-expected, kind="stable")
    kept = order[: max(1, int((expected >= 5).sum()))]
    rest = order[len(kept) :]
    table = np.stack([np.append(side[kept], side[rest].sum()) for side in (reference, current)])
    table = table[:, table.sum(axis=0) > 0]
    means = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(((table - means) ** 2 / means).sum()), table.shape[1] - 1


def population_stability_index(reference: Floats, current: Floats, *, floor: float = 1e-4) -> float:
    """Return the population stability index of two vectors of counts over the same bins, in nats.

    sum((q - p) ln(q / p)) over shares p and q: the divergence of Jeffreys (1946).

    Args:
        reference: Counts, shape ``(bins,)``.
        current: Counts, shape ``(bins,)``.
        floor: Smallest share of a bin, dimensionless.

    >>> round(population_stability_index(np.array([50.0, 50.0]), np.array([25.0, 75.0])), 4)
    0.2747
    """
    p, q = (np.maximum(side / side.sum(), floor) for side in (reference, current))
    return float(((q - p) * np.log(q / p)).sum())


def design_effects(counts: Floats, rows: Floats) -> Floats:
    """Return by how much clustering inflates the variance of each share, shape ``(events,)``.

    Ratio of the variance that clusters show (linearised for clusters of unequal size, Kish 1965) to that of independent
    rows. Rows divided by it are the effective rows: as many independent ones would tell as much.

    Args:
        counts: Rows of each cluster with each event, shape ``(clusters, events)``, two clusters or more.
        rows: Rows of each cluster, shape ``(clusters,)``.
    """
    shares = counts.sum(axis=0) / rows.sum()
    spread = ((counts - rows[:, None] * shares) ** 2).sum(axis=0) * len(rows) / (len(rows) - 1)
    independent = rows.sum() * shares * (1 - shares)
    return np.divide(spread, independent, out=np.ones_like(spread), where=independent > 0)
