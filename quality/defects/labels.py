"""Owns the defects of labels and of predictions: leaked, shuffled, late, stuck."""

import numpy as np
import polars as pl

from quality.defects.spec import Planting


def label_leak(at: Planting) -> pl.DataFrame:
    """Write the label into a share of another column's rows, at the two ends of that column's values.

    Takes the column that leaks, and the label.
    """
    label = at.frame.get_column(at.columns[1]).cast(pl.Float64)
    ends = [at.values.cast(pl.Float64).quantile(share, "nearest") for share in (0.1, 0.9)]
    told = pl.select(pl.when(label > 0).then(pl.lit(ends[1])).when(label <= 0).then(pl.lit(ends[0]))).to_series()
    spread = at.values.cast(pl.Float64).std()
    jitter = pl.Series(at.rng.standard_normal(at.frame.height)) * 0.1 * (spread if isinstance(spread, float) else 0.0)
    return at.put((told + jitter).cast(at.values.dtype, strict=False), at.struck())


def shuffled_labels(at: Planting) -> pl.DataFrame:
    """Deal a share of the labels out anew among their rows."""
    rows = np.flatnonzero(at.struck().to_numpy())
    places = np.arange(at.frame.height)
    places[rows] = at.rng.permutation(rows)
    return at.put(at.values.gather(places))


def flipped_labels(at: Planting) -> pl.DataFrame:
    """Turn a share of the labels into their opposite."""
    low, high = at.values.min(), at.values.max()
    other = pl.select(pl.when(at.values == low).then(pl.lit(high)).otherwise(pl.lit(low))).to_series()
    return at.put(other.cast(at.values.dtype), at.struck())


def late_labels(at: Planting) -> pl.DataFrame:
    """Take the latest share of the rows as negative, since their label is not known yet.

    Takes the label, and the time that orders the rows.
    """
    rank = at.frame.get_column(at.columns[1]).rank("ordinal")
    latest = rank > (1 - at.magnitude) * at.frame.height
    negative = pl.Series([at.values.min()], dtype=at.values.dtype).new_from_index(0, at.frame.height)
    return at.put(negative, latest)


def prediction_of_the_label(at: Planting) -> pl.DataFrame:
    """Move a share of the way from every prediction to the label. Takes the prediction, and the label."""
    label = at.frame.get_column(at.columns[1]).cast(pl.Float64)
    return at.put(((1 - at.magnitude) * at.values + at.magnitude * label).cast(at.values.dtype))
