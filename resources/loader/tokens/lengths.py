"""Owns the lengths of documents at rest: read from the offsets of lists, four bytes a document; no value is touched."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.at_once import AtOnce, for_each
from resources.loader.columns import fixed
from resources.loader.losses import Losses
from resources.loader.shards import Shard
from resources.loader.views import Column, Rows, Views

_MOST = 2**31


def lengths_of(shards: Sequence[Shard], field: pa.Field, at_once: AtOnce | None) -> NDArray[np.int32]:
    """Return how many elements each list has, of all shards one after the other, shape ``(rows,)``.

    Args:
        shards: Each is opened once.
        field: Of the lists.
        at_once: How many of them may be on their way here at once; None means one after the other.

    Raises:
        LoaderError: If the column holds nulls or a list of 2**31 elements, or a shard cannot be read.
    """
    column = Column(name=field.name, kind=field.type, layout=fixed(field.type))
    parts = for_each(range(len(shards)), lambda number: _lengths(shards[number], column), at_once)
    return np.concatenate([np.empty(0, np.int32), *parts])


def _lengths(shard: Shard, column: Column) -> NDArray[np.int32]:
    (rows,) = Views([shard], [column], together=1, most=1, losses=Losses("raise")).of(0)
    found = _fixed(rows) if isinstance(rows.values, np.ndarray) else _offsets(rows.values, column.kind)
    if found is None:
        raise LoaderError(
            f"column {column.name!r} of {shard.name} holds nulls: fill them with empty lists, or drop them"
        )
    if len(found) and (found.min() < 0 or found.max() >= _MOST):
        raise LoaderError(f"column {column.name!r} of {shard.name} has offsets that do not rise: write it again")
    return found.astype(np.int32)


def _fixed(rows: Rows) -> NDArray[np.int64] | None:
    return np.full(len(rows.values), rows.values.shape[1], np.int64) if rows.valid is None else None


def _offsets(array: pa.Array, kind: pa.DataType) -> NDArray[np.integer] | None:
    if array.null_count:
        return None
    stored = array.buffers()[1]
    if stored is None or not len(array):
        return np.zeros(len(array), np.int64)
    offsets = np.frombuffer(stored, np.int64 if pa.types.is_large_list(kind) else np.int32)
    return np.diff(offsets[array.offset :][: len(array) + 1])
