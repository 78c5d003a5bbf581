"""Owns the finding of rows whose key stood in an earlier row, over any number of tables.

It keeps 16 bytes a row, 8 for a key of one integer, date or clock. Other keys are told apart by 128 bits of hash: of a
billion rows, the chance that any two different keys are taken for equal is below 1e-20.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

_Words = NDArray[np.uint64]
_SEEDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_ODD = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(31)


class _Run(NamedTuple):
    """Keys in order: their first words sorted, their second words beside them (none where the first is the key)."""

    first: _Words
    second: _Words | None


class SeenKeys:
    """The keys of all rows so far."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._runs: list[_Run] = []

    def repeated(self, table: "pa.Table") -> list[int]:
        """Return the rows of `table` whose key stood in an earlier row, and remember the other keys."""
        if not len(table):
            return []
        run, order = self._sorted(table)
        old = np.zeros(len(order), np.bool_)
        old[1:] = _equal(_part(run, slice(1, None)), _part(run, slice(None, -1)))
        for earlier in self._runs:
            old |= _is_in(run, earlier)
        self._remember(_part(run, ~old))
        return np.sort(order[old]).tolist()

    def _sorted(self, table: "pa.Table") -> tuple[_Run, NDArray[np.int64]]:
        frame = pl.from_arrow(table.select(self._columns))
        if not isinstance(frame, pl.DataFrame):
            raise TypeError("keys are no table")
        first, second = _words(frame)
        order = np.argsort(first, kind="stable")
        if second is not None:
            order = np.lexsort((second, first))  # stable, so of equal keys the earlier row comes first
        return _Run(first[order], None if second is None else second[order]), order

    def _remember(self, run: _Run) -> None:
        """Keep few runs by merging those of like size, so that a lookup asks about log(rows) of them."""
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2].first) <= 2 * len(self._runs[-1].first):
            last = self._runs.pop()
            self._runs[-1] = _merged(self._runs[-1], last)


def _words(frame: pl.DataFrame) -> tuple[_Words, _Words | None]:
    only = frame.to_series(0)
    if frame.width == 1 and only.null_count() == 0 and (only.dtype.is_integer() or only.dtype.is_temporal()):
        return only.to_physical().cast(pl.Int64, strict=False, wrap_numerical=True).to_numpy().view(np.uint64), None
    words = [np.zeros(len(frame), np.uint64), np.zeros(len(frame), np.uint64)]
    for column in frame.iter_columns():
        for place, seed in enumerate(_SEEDS):
            mixed = (words[place] ^ column.hash(seed=seed).to_numpy()) * _ODD
            words[place] = mixed ^ (mixed >> _SHIFT)
    return words[0], words[1]


def _equal(one: _Run, other: _Run) -> NDArray[np.bool_]:
    same = one.first == other.first
    if one.second is not None and other.second is not None:
        same &= one.second == other.second
    return same


def _is_in(keys: _Run, run: _Run) -> NDArray[np.bool_]:
    if not len(run.first):
        return np.zeros(len(keys.first), np.bool_)
    if keys.first[0] > run.first[-1] or keys.first[-1] < run.first[0]:
        return np.zeros(len(keys.first), np.bool_)
    places = np.minimum(np.searchsorted(run.first, keys.first), len(run.first) - 1)
    return _equal(_part(run, places), keys)


def _part(run: _Run, which: "slice | NDArray[np.bool_] | NDArray[np.int64]") -> _Run:
    return _Run(run.first[which], None if run.second is None else run.second[which])


def _merged(one: _Run, other: _Run) -> _Run:
    first = np.concatenate([one.first, other.first])
    order = np.argsort(first, kind="stable")
    if one.second is None or other.second is None:
        return _Run(first[order], None)
    return _Run(first[order], np.concatenate([one.second, other.second])[order])
