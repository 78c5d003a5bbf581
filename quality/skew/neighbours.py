"""Owns what stands around a differing cell in time: the values of the same entity before and after it.

A serving value that training has one row earlier is a window off by one; one that training had at some earlier time is
a stale lookup.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.skew.cells import ROW, SERVING, Shifted
from quality.skew.pairing import Rows, key_codes

BEFORE, AFTER, EARLIER = "before", "after", "earlier"
_LOOKED_AT = 2000
"""Differing cells whose value is looked for at earlier times."""
_ROWS = 50_000
"""Rows that tell whether all have the value of a neighbour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The rows of training entity by entity, in the order of time.

    Attributes:
        order: Row numbers in that order.
        place: Place of each row in it.
        entity: Hash of the keys of the entity at each place.
    """

    order: Rows
    place: Rows
    entity: NDArray[Any]  # Any: signed or not

    def row(self, rows: Rows, step: int) -> Rows:
        """Return for each row the one `step` places later of the same entity, or -1."""
        there = self.place[rows] + step
        inside = (there >= 0) & (there < len(self.order))
        there = np.where(inside, there, 0)
        same = inside & (self.entity[there] == self.entity[self.place[rows]])
        return np.where(same, self.order[there], -1)


def timeline(training: pl.DataFrame, keys: tuple[str, ...], time: str) -> Timeline:
    """Return the rows of `training` by entity and time."""
    entity = key_codes(training, keys) if keys else pl.Series([0]).new_from_index(0, training.height)
    clock = training[time].to_physical()
    rows = pl.DataFrame({"entity": entity, "clock": clock})
    order = rows.select(pl.arg_sort_by("entity", "clock")).to_series().to_numpy().astype(np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return Timeline(order=order, place=place, entity=entity.gather(order).to_numpy())


def beside(sample: pl.DataFrame, values: pl.Series, line: Timeline) -> pl.DataFrame:
    """Return the sample with the values of training one row `before` and `after`, and whether serving's is `earlier`.

    Args:
        sample: Differing cells, see `quality.skew.cells`.
        values: The column in training, as it is compared.
        line: Rows of training by entity and time.
    """
    rows = sample[ROW].to_numpy()
    return sample.with_columns(
        _at(values, line.row(rows, -1)).alias(BEFORE),
        _at(values, line.row(rows, 1)).alias(AFTER),
        _earlier(sample, values, line).alias(EARLIER),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Rows of training beside paired ones, the same for every column; of many pairs, some at equal distances.

    Attributes:
        step: Distance of the pairs looked at.
        before: The row before each of them, or -1.
        after: The row after, or -1.
    """

    step: int
    before: Rows
    after: Rows


def neighbours(rows: Rows, line: Timeline) -> Neighbours:
    """Return the neighbours of paired `rows` of training."""
    step = max(1, -(-len(rows) // _ROWS))
    return Neighbours(step=step, before=line.row(rows[::step], -1), after=line.row(rows[::step], 1))


def shifted(values: pl.Series, serving: pl.Series, near: Neighbours) -> Shifted:
    """Return in how many rows serving has the value of training one row before, of how many; and one row after.

    Args:
        values: The column in training, as it is compared.
        serving: The column in serving, of the paired rows.
        near: The neighbours of these rows.
    """
    theirs = serving.gather_every(near.step)
    return _met(values, theirs, near.before), _met(values, theirs, near.after)


def _met(values: pl.Series, serving: pl.Series, there: Rows) -> tuple[int, int]:
    neighboured = pl.Series(there >= 0)
    return int((_at(values, there).eq_missing(serving) & neighboured).sum()), int(neighboured.sum())


def _at(values: pl.Series, rows: Rows) -> pl.Series:
    places = pl.Series(rows, dtype=pl.Int64)
    return values.gather(pl.select(pl.when(places >= 0).then(places)).to_series())


def _earlier(sample: pl.DataFrame, values: pl.Series, line: Timeline) -> pl.Series:
    """Tell for the first cells whether the entity had serving's value at an earlier time; null for the others."""
    head = sample.head(_LOOKED_AT)
    places = line.place[head[ROW].to_numpy()]
    wanted = pl.DataFrame(
        {"entity": line.entity[places], "place": places, "value": head[SERVING], "cell": np.arange(head.height)}
    )
    known = np.isin(line.entity, wanted["entity"].unique().to_numpy())
    past = pl.DataFrame(
        {"entity": line.entity[known], "value": values.gather(line.order[known]), "seen": np.flatnonzero(known)}
    )
    first = past.group_by("entity", "value").agg(pl.col("seen").min())
    found = wanted.join(first, on=["entity", "value"], how="left", maintain_order="left")
    told = found.select((pl.col("seen") < pl.col("place")).fill_null(value=False)).to_series()
    return pl.concat([told, pl.Series([None] * (sample.height - head.height), dtype=pl.Boolean)])
