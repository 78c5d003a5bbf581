"""Owns the choice of the rows that a predicate wants, made once: which rows of which shard.

Shards of which a footer or a manifest proves that all or none of their rows match are not read. Of the others, the
columns that the predicate names are read once; those of an object store several at once, within a bound of bytes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from resources.canonical import digest_value
from resources.errors import LoaderError
from resources.loader.at_once import for_each
from resources.loader.columns import bits_of
from resources.loader.losses import Losses
from resources.loader.order import Layout
from resources.loader.projection import fields_of
from resources.loader.shards import Shard
from resources.loader.sources import Chosen, Source
from resources.loader.where import Filters, Where

_MOST_ROWS = 2**31  # what 4 bytes a row can number
_NONE: Chosen = np.empty(0, np.int32)


def selected(source: Source, filters: Filters) -> Source:
    """Return `source` with the rows that `filters` want.

    Raises:
        LoaderError: If the filters have another form, or name what is not there.
        PenstockError: If a shard that has to be read cannot be.
    """
    where = Where.of(filters, source.schema)
    fields = fields_of(source.schema, where.columns)
    known = source.ranges(where.columns) if source.ranges else [{}] * len(source.shards)
    decided = [
        where.decided(ranges) if shard.rows else False for shard, ranges in zip(source.shards, known, strict=True)
    ]
    chosen = [None if found else _NONE for found in decided]
    shards, losses = source.passing or source.shards, Losses("raise")

    def found_in(number: int) -> Chosen | None:
        return losses.opened(number, shards[number], lambda: _chosen(shards[number], where, fields))

    open_ = [number for number, found in enumerate(decided) if found is None]
    for number, found in zip(open_, for_each(open_, found_in, source.at_once), strict=True):
        chosen[number] = found
    rows = [shard.rows if some is None else len(some) for shard, some in zip(source.shards, chosen, strict=True)]
    layout = Layout(
        root=digest_value({"root": source.layout.root, "where": where.to_json()}),
        rows=np.array(rows, np.int64),
        row_bytes=source.layout.row_bytes,
    )
    return replace(source, layout=layout, chosen=chosen)


def _chosen(shard: Shard, where: Where, fields: Sequence[str]) -> Chosen | None:
    """Return the rows of a shard that match; None means all."""
    if shard.rows >= _MOST_ROWS:
        raise LoaderError(f"{shard.name} has {shard.rows:,} rows, where takes {_MOST_ROWS - 1:,} a shard: cut it")
    batch = shard.open(fields).batch
    try:
        mask = where.mask(batch)
    except (KeyError, pa.ArrowException) as error:
        raise LoaderError(
            f"{shard.name} cannot be compared as where says ({str(error).partition(chr(10))[0]}): all shards of a "
            "dataset need one schema; write it again, or load the others alone"
        ) from None
    rows = np.flatnonzero(bits_of(np.frombuffer(mask.buffers()[1], np.uint8), mask.offset, len(mask)))
    return None if len(rows) == shard.rows else rows.astype(np.int32)
