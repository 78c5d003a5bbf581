"""Owns the distances between two samples, their lower confidence bounds, and the design effect of clustered rows.

It decides nothing (`quality.drift` does).
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ks_distance(reference: Floats, current: Floats) -> float:
    """Return the largest difference of the two empirical distribution functions (Kolmogorov, Smirnov).

    Args:
        reference: Sorted finite values.
        current: Sorted finite values.

    >>> ks_distance(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    both = np.concatenate([reference, current])
    order = np.argsort(both, kind="stable")  # a merge: both halves are sorted
    merged = both[order]
    below = np.cumsum(order < len(reference))
    difference = below / len(reference) - (np.arange(1, len(both) + 1) - below) / len(current)
    last_of_equals = np.append(merged[1:] != merged[:-1], True)
    return float(np.abs(difference[last_of_equals]).max())


def bin_counts(values: Floats, edges: Floats) -> Floats:
    """Return how many of the sorted `values` lie in each bin: up to each edge inclusive, and past the last."""
    ends = np.searchsorted(values, edges, "right")
    return np.diff(ends, prepend=0, append=len(values)).astype(np.float64)


def ks_lower_bound(distance: float, reference: float, current: float, *, confidence: float) -> float:
    """Return a lower confidence bound of the true Kolmogorov-Smirnov distance.

    distance - sqrt(ln(2 / (1 - confidence)) / 2 (1/n + 1/m)), at least 0: the inequality of Dvoretzky, Kiefer and
    Wolfowitz with Massart's (1990) constant, for two samples (Wei and Dudley, 2012).

    Args:
        distance: Measured distance.
        reference: Effective number of reference rows.
        current: Effective number of current rows.
        confidence: One-sided confidence of the bound.
    """
    width = math.sqrt(math.log(2 / (1 - confidence)) / 2 * (1 / reference + 1 / current))
    return max(0.0, distance - width)


def total_variation(reference: Floats, current: Floats) -> float:
    """Return half the sum of absolute differences of two vectors of shares."""
    return float(np.abs(reference - current).sum() / 2)


def total_variation_lower_bound(
    reference: Floats, current: Floats, sizes: tuple[float, float], *, confidence: float
) -> float:
    """Return a lower confidence bound of the true total variation distance of two vectors of measured shares.

    Two terms are taken off. Sampling noise inflates the measured distance by at most
    1/2 sum sqrt(p(1-p)/n + q(1-q)/m), by the triangle and Jensen's inequalities; and it exceeds its mean by at most
    sqrt(ln(1 / (1 - confidence)) (1/n + 1/m) / 2) at this confidence (McDiarmid, 1989: one row moves it by 1/n).
    """
    n, m = sizes
    noise = np.sqrt(reference * (1 - reference) / n + current * (1 - current) / m).sum() / 2
    deviation = math.sqrt(math.log(1 / (1 - confidence)) * (1 / n + 1 / m) / 2)
    return max(0.0, total_variation(reference, current) - float(noise) - deviation)


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
