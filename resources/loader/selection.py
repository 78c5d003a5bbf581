"""Owns the choice of the rows that a predicate wants, made once: which rows of which shard.

Shards of which a footer or a manifest proves that all or none of their rows match are not read. Of the others, the
columns that the predicate names are read once, one shard after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from resources.canonical import digest_value
from resources.errors import LoaderError
from resources.loader.columns import bits_of
from resources.loader.order import Layout
from resources.loader.projection import fields_of
from resources.loader.shards import Shard
from resources.loader.sources import Chosen, Source
from resources.loader.where import Filters, Range, Where

_MOST_ROWS = 2**31  # what 4 bytes a row can number


def selected(source: Source, filters: Filters) -> Source:
    """Return `source` with the rows that `filters` want.

    Raises:
        LoaderError: If the filters have another form, or name what is not there.
        PenstockError: If a shard that has to be read cannot be.
    """
    where = Where.of(filters, source.schema)
    fields = fields_of(source.schema, where.columns)
    known = source.ranges(where.columns) if source.ranges else [{}] * len(source.shards)
    chosen = [_chosen(shard, where, fields, ranges) for shard, ranges in zip(source.shards, known, strict=True)]
    rows = [shard.rows if some is None else len(some) for shard, some in zip(source.shards, chosen, strict=True)]
    layout = Layout(
        root=digest_value({"root": source.layout.root, "where": where.to_json()}),
        rows=np.array(rows, np.int64),
        row_bytes=source.layout.row_bytes,
    )
    return replace(source, layout=layout, chosen=chosen)


def _chosen(shard: Shard, where: Where, fields: Sequence[str], known: Mapping[str, Range]) -> Chosen | None:
    """Return the rows of a shard that match; None means all."""
    decided = where.decided(known) if shard.rows else False
    if decided is not None:
        return None if decided else np.empty(0, np.int32)
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
