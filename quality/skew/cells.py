"""Owns the comparison of paired rows, cell by cell: how many differ, how, and which.

One pass over all columns counts what is not the same; only columns that have such cells are looked at closely.
It names no kinds (`quality.skew.kinds`) and judges nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from quality.matching import cast_to, plain_casts
from quality.skew.pairing import Rows
from quality.skew.ulps import histogram, ulp_distances

SAMPLE = 20_000
"""Differing cells of a column that are looked at to tell the kind of skew."""
_VALUES = 1000
"""Values kept of those that stand where the other side has none."""
Shifted = tuple[tuple[int, int], tuple[int, int]]
TRAINING, SERVING, ROW, LATE = "training", "serving", "row", "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """What is counted of one column; counts of two parts are added.

    Attributes:
        different: Cells that differ.
        within_ulps: Floats that are not the same, but within the tolerance.
        missing: Cells that training alone lacks, and that serving alone lacks.
        nan_for_null: Cells that are NaN on one side and null on the other.
        late: Differing cells in late rows.
        ulps: Distances of floats, by the lower end of the bin.
        fills: Values that stand where the other side has none: side and value, to cells.
        sample: Differing cells: the values as `training` and `serving`, the number of the `row` of training, whether
            it is `late`, and what others (`quality.skew.neighbours`) lay beside them.
        shifted: Rows whose serving value is that of training one row before, of so many that have one; and after.
    """

    different: int = 0
    within_ulps: int = 0
    missing: tuple[int, int] = (0, 0)
    nan_for_null: int = 0
    late: int = 0
    ulps: Mapping[int, int] = field(default_factory=dict[int, int])
    fills: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)
    shifted: Shifted = ((0, 0), (0, 0))


def compare(
    training: pl.DataFrame,
    serving: pl.DataFrame,
    partner: Rows,
    columns: Mapping[str, pl.DataType],
    *,
    ulps: int,
    late: pl.Series | None,
) -> dict[str, Cells]:
    """Return what differs in each column.

    Args:
        training: Rows of training.
        serving: Rows of serving.
        partner: For each row of training its row of serving, -1 where there is none.
        columns: Column to the type as which it is compared.
        ulps: Units in the last place by which floats may differ.
        late: Whether each row of training is late, where that is known.
    """
    rows = np.flatnonzero(partner >= 0)
    left = taken(training, columns, None if len(rows) == training.height else rows)
    right = taken(serving, columns, partner[rows])
    both = pl.concat([left, right.rename(_other)], how="horizontal")
    unlike = {name: pl.col(name).ne_missing(pl.col(_other(name))) for name in columns}
    counts = both.lazy().select(expression.sum().alias(name) for name, expression in unlike.items()).collect()
    numbers = pl.Series(ROW, rows)
    found: dict[str, Cells] = {}
    for name in columns:
        if not counts[name][0]:
            found[name] = Cells()
            continue
        beside = pl.DataFrame([left.get_column(name).alias(TRAINING), right.get_column(name).alias(SERVING), numbers])
        cells = beside.filter(pl.col(TRAINING).ne_missing(pl.col(SERVING)))
        if late is not None:
            cells = cells.with_columns(late.gather(cells[ROW]).alias(LATE))
        found[name] = _looked_at(cells, ulps)
    return found


def merge(parts: Sequence[Cells]) -> Cells:
    """Return the sum of parts; of a sample, an equal share of each."""
    fills, distances = Counter[tuple[str, str]](), Counter[int]()
    for part in parts:
        fills.update(part.fills)
        distances.update(part.ulps)
    return Cells(
        different=sum(part.different for part in parts),
        within_ulps=sum(part.within_ulps for part in parts),
        missing=(sum(part.missing[0] for part in parts), sum(part.missing[1] for part in parts)),
        nan_for_null=sum(part.nan_for_null for part in parts),
        late=sum(part.late for part in parts),
        ulps=dict(sorted(distances.items())),
        fills=dict(fills.most_common(_VALUES)),
        sample=_samples([part.sample for part in parts if part.different]),
        shifted=(_summed([part.shifted[0] for part in parts]), _summed([part.shifted[1] for part in parts])),
    )


def _summed(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(count for count, _ in counts), sum(rows for _, rows in counts)


def taken(frame: pl.DataFrame, columns: Mapping[str, pl.DataType], rows: Rows | None) -> pl.DataFrame:
    """Return columns as the types by which they are compared, of some rows or of all in their order."""
    kept = frame[list(columns)] if columns else pl.DataFrame()  # a plan would look at all columns to take one
    cast = {name: kind for (name, kind), column in zip(columns.items(), kept, strict=True) if column.dtype != kind}
    with plain_casts("features"):
        made = kept.with_columns(cast_to(kind, name) for name, kind in cast.items()) if cast else kept
    # Not by expressions: Polars compares the row numbers of every column with those of every other.
    return made if rows is None or _in_place(rows, frame.height) else made[rows]


def _samples(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    share = -(-SAMPLE // max(1, len(parts)))
    return pl.concat([part.gather_every(-(-part.height // share)) for part in parts]) if parts else pl.DataFrame()


def _other(name: str) -> str:
    return f"{name} penstock serving"


def _in_place(rows: Rows, height: int) -> bool:
    return len(rows) == height and bool((rows == np.arange(height)).all())


def _looked_at(cells: pl.DataFrame, ulps: int) -> Cells:
    """Return what there is to tell of cells that are not the same."""
    kind, nans = cells.schema[TRAINING], 0
    if kind.is_float():
        rows = cells.height
        cells = cells.with_columns(pl.col(TRAINING, SERVING).fill_nan(None))
        cells = cells.filter(pl.col(TRAINING).ne_missing(pl.col(SERVING)))
        nans = rows - cells.height
    within, distances = 0, dict[int, int]()
    if kind.is_float():
        both = cells.filter(pl.col(TRAINING).is_not_null() & pl.col(SERVING).is_not_null())
        apart = ulp_distances(both[TRAINING], both[SERVING])
        distances = histogram(apart)
        near = pl.Series(apart) <= ulps
        within = int(near.sum())
        if within:
            cells = cells.join(both.filter(near).select(ROW), on=ROW, how="anti", maintain_order="left")
    gone = [cells.filter(pl.col(side).is_null()) for side in (TRAINING, SERVING)]
    fills = {
        (side, value): count
        for side, part in ((SERVING, gone[0]), (TRAINING, gone[1]))
        for value, count in _values(part[side])
    }
    return Cells(
        different=cells.height,
        within_ulps=within,
        missing=(gone[0].height, gone[1].height),
        nan_for_null=nans,
        late=int(cells[LATE].sum()) if LATE in cells.columns else 0,
        ulps=distances,
        fills=fills,
        sample=cells.gather_every(max(1, -(-cells.height // SAMPLE))),
    )


def _values(values: pl.Series) -> list[tuple[str, int]]:
    if values.is_empty() or values.dtype.is_nested():
        return []
    counted = values.rename("value").value_counts(sort=True, name="count").head(_VALUES)
    return [(shown(value), count) for value, count in counted.iter_rows()]


def shown(value: object) -> str:
    """Return a value as text of at most 60 characters."""
    text = "null" if value is None else value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}… ({len(text):,} characters)"
