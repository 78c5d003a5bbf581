"""Owns the bootstrap of sums: resampled units, exact sums per unit, resampled sums, percentile intervals.

It knows no model and no metric (`quality.evaluation` does).

One resample of whole units (Efron 1979; clusters: Davison and Hinkley 1997, section 3.8) is a vector of counts, and its
sums are the product of these counts and the sums per unit: all resamples are one matrix product, whatever the rows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.distributions import NORMAL, student_quantile
from resources.errors import ContractError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Clusters = Sequence[object] | NDArray[np.generic] | pl.Series

MAX_UNITS = 5_000
"""Most resampled units. More rows or clusters are dealt at random into this many blocks of equal size: block sums of
exchangeable units are exchangeable themselves and have the same variance in total, which 5,000 blocks estimate to
1 / sqrt(2 x 5,000) = 1 %."""
MAX_UNDEFINED = 0.05
"""Largest share of resamples in which a number may be undefined while its interval is still given."""
_CHUNK_DRAWS = 4_000_000
"""Draws held at once: 32 MB."""


def resampled_units(clusters: Clusters | None, rows: int, seed: int) -> tuple[Ints, int]:
    """Return the resampled unit of each row, shape ``(rows,)``, and how many units there are.

    Units are the clusters; without clusters the rows, or `MAX_UNITS` random blocks of rows.

    Raises:
        ContractError: If `clusters` has another length than `rows`.
    """
    codes = np.arange(rows) if clusters is None else cluster_codes(clusters, rows)
    count = int(codes.max()) + 1 if rows else 0
    if count <= MAX_UNITS:
        return codes, count
    deal = np.random.default_rng([seed, 1]).permutation(count) % MAX_UNITS
    return deal[codes], MAX_UNITS


def cluster_codes(clusters: Clusters, rows: int) -> Ints:
    """Return the code of each row's cluster, from 0 in the order of the cluster names; null is a cluster.

    Raises:
        ContractError: If `clusters` has another length than `rows`.
    """
    codes = pl.Series(values=clusters).rank("dense").fill_null(0).to_numpy()
    if len(codes) != rows:
        raise ContractError(f"clusters has {len(codes)} rows, the data has {rows}")
    return np.unique(codes, return_inverse=True)[1]


def unit_sums(statistics: Sequence[Floats], units: Ints, count: int) -> tuple[Floats, Floats]:
    """Return the sums of each statistic per unit in fixed point, and the powers of two they were multiplied by.

    The sums are whole numbers in float64, small enough that no sum over a resample passes 2**52. Hence they add up
    exactly in any order, and every BLAS gives the same bits. The rounding is below 1e-11 of the total.

    Args:
        statistics: Statistics of the rows, each of shape ``(rows,)``.
        units: Unit of each row, shape ``(rows,)``.
        count: Number of units.

    Returns:
        Sums of shape ``(max(1, count), statistics)`` and scales of shape ``(statistics,)``.
    """
    length = max(1, count)
    sums = np.stack([np.bincount(units, weights=values, minlength=length) for values in statistics], axis=1)
    largest = np.abs(sums).max(axis=0) * length
    exponent = 51 - np.ceil(np.log2(np.where(largest > 0, largest, 1.0)))
    scale = np.exp2(np.minimum(exponent, 1_000))  # 2**1024 is infinite
    return np.rint(sums * scale), scale


def resample(tables: Sequence[Floats], *, seed: int, resamples: int) -> list[Floats]:
    """Return the sums of each table over the same resamples of its rows, each of shape ``(resamples, columns)``."""
    joined = np.concatenate(tables, axis=1)
    drawn = np.concatenate([counts @ joined for counts in _counts(len(joined), seed, resamples)])
    ends = np.cumsum([table.shape[1] for table in tables])
    return np.split(drawn, ends[:-1], axis=1)


def _counts(units: int, seed: int, resamples: int) -> Iterator[Floats]:
    """Yield how often each resample drew each unit, shape ``(chunk, units)``."""
    draws = np.random.default_rng([seed, 0])
    chunk = max(1, _CHUNK_DRAWS // units)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = draws.integers(0, units, size=(size, units)) + np.arange(size)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)


def widened_tail(confidence: float, units: int) -> float:
    """Return the tail probability whose percentile makes up for few resampled units (Hesterberg 2015, section 5.3).

    Its spread is too small by sqrt((units - 1) / units), and its tails are normal where Student's law holds.
    """
    if units < 2:
        return 0.0
    wide = student_quantile((1 - confidence) / 2, units - 1) * (units / (units - 1)) ** 0.5
    return NORMAL.cdf(-wide)


def interval(spread: Floats, tail: float) -> tuple[float, float] | None:
    """Return the `tail` and 1 - `tail` percentiles of resampled numbers, or None where too few are defined."""
    undefined = np.isnan(spread)
    if not len(spread) or undefined.mean() > MAX_UNDEFINED or tail <= 0:
        return None
    low, high = np.quantile(spread[~undefined], [tail, 1 - tail])
    return float(low), float(high)


def jackknife_error(left_out: Floats) -> np.float64:
    """Return the standard error of a number from its values with each unit left out, shape ``(units,)``.

    sqrt((n - 1) / n sum (x_i - mean)**2), on average not below the true one (Efron and Stein, 1981): a test that
    divides by it errs to the safe side, where the spread of the bootstrap is a little narrow for few units.
    """
    units = len(left_out)
    return np.sqrt((units - 1) / units * ((left_out - left_out.mean()) ** 2).sum())
