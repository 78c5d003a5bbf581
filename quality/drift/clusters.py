"""Owns the effective rows of clustered samples: as many independent rows would tell as much.

Rows of one day are alike; a test that takes them as independent sees drift in every batch of few days.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.bootstrap import Ints
from quality.distances import design_effects
from quality.drift.pairs import Pair

MIN_CLUSTERS = 6
"""With fewer clusters their spread cannot be measured, and each counts as one row."""


def effective_rows(pair: Pair, values: pl.Series, codes: Ints) -> float:
    """Return the effective rows of one side of a column.

    Args:
        pair: The column's pair: its bins are what the effect is measured at.
        values: The side's column, missing values included.
        codes: Cluster of each row.
    """
    present = ~_missing(values)
    kept, own = values.filter(present), codes[present.to_numpy()]
    if pair.steps is not None:
        numbers = kept.to_physical().cast(pl.Float64).to_numpy()
        scaled = _on_scale(kept.dtype) * numbers
        events = [scaled <= edge for edge in pair.steps.edges]
        return _effective(own, lambda dense: _largest_effect(events, dense))
    categories = _category_codes(kept, pair.names)
    return _effective(own, lambda dense: _mean_effect(categories, len(pair.names) + 1, dense))


def effective_missing(values: pl.Series, codes: Ints) -> float:
    """Return the effective rows of the share of missing values."""
    missing = _missing(values).to_numpy()
    return _effective(codes, lambda dense: _mean_effect(missing.astype(np.int64), 2, dense))


def _missing(values: pl.Series) -> pl.Series:
    missing = values.is_null()
    return missing | values.is_nan().fill_null(value=False) if values.dtype.is_float() else missing


def _on_scale(dtype: pl.DataType) -> float:
    """Return the factor from a physical value to what profiles hold: seconds of times and durations."""
    if isinstance(dtype, pl.Date):
        return 86_400.0
    unit = getattr(dtype, "time_unit", "ns" if isinstance(dtype, pl.Time) else None)
    return {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}.get(unit or "", 1.0)


def _category_codes(values: pl.Series, names: Sequence[str]) -> Ints:
    """Return the place of each row's category in `names`; those that are not there come last, as one."""
    table = pl.Series(names, dtype=pl.String).to_frame("name").with_row_index("place")
    texts = values.cast(pl.String).to_frame("name")
    places = texts.join(table, on="name", how="left", maintain_order="left")["place"]
    return places.fill_null(len(names)).to_numpy().astype(np.int64)


def _effective(codes: Ints, effect: Callable[[Ints], float]) -> float:
    if not len(codes):
        return 0.0
    present = np.bincount(codes) > 0
    count = int(present.sum())
    if count < MIN_CLUSTERS:
        return float(count)
    dense = (np.cumsum(present) - 1)[codes]
    return max(1.0, len(codes) / max(1.0, effect(dense)))


def _largest_effect(events: Sequence[NDArray[np.bool_]], codes: Ints) -> float:
    """Return the largest design effect of `events`: the distance may lie at any of them."""
    if not events:
        return 1.0
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
