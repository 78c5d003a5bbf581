"""Owns the sample that the adviser looks at: shards from all over a dataset, as many as fit in some bytes."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.litdata import LitDataShard
from resources.loader.foreign.mds import MdsShard
from resources.loader.packing import unpacked
from resources.loader.shards import ArrowShard, Opened, ParquetShard, Shard
from resources.loader.sources import Source, layout_of
from resources.loader.views import is_mapped

MOST_SHARDS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShard:
    """Rows in memory as a shard.

    Attributes:
        batch: All of them.
        name: What people know it by.
    """

    batch: pa.RecordBatch
    name: str = "sample"

    @property
    def rows(self) -> int:
        """How many it has."""
        return self.batch.num_rows

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return its rows."""
        return Opened(batch=self.batch if columns is None else self.batch.select(list(columns)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A part of a dataset.

    Attributes:
        source: Its shards, as a dataset.
        batches: Their rows, columns by name.
        size_bytes: Bytes of these.
        mapped: Whether they lie in files as they are.
    """

    source: Source
    batches: Sequence[pa.RecordBatch]
    size_bytes: int
    mapped: bool

    def held(self, most_bytes: int) -> Source:
        """Return the rows in memory, up to so many bytes, as a dataset."""
        share = min(1.0, most_bytes / max(self.size_bytes, 1))
        parts = [batch.slice(0, max(1, int(batch.num_rows * share))) for batch in self.batches if batch.num_rows]
        rows = [part.num_rows for part in parts]
        size_bytes = sum(part.nbytes for part in parts)
        return Source(
            name=self.source.name,
            schema=parts[0].schema,
            layout=layout_of(self.source.layout.root, rows, size_bytes),
            shards=[HeldShard(batch=part) for part in parts],
        )


def sample_of(source: Source, *, most_bytes: int) -> Sample:
    """Return shards that lie evenly over the dataset, at least one, in their order.

    Raises:
        LoaderError: If the dataset has no rows, or cannot be read.
    """
    rows = source.layout.rows
    full = np.flatnonzero(rows)
    if not len(full):
        raise LoaderError(f"{source.name} has no rows: there is nothing to measure")
    mean_bytes = source.layout.total_rows * source.layout.row_bytes / len(full)
    wanted = int(min(max(most_bytes / max(mean_bytes, 1.0), 1), MOST_SHARDS, len(full)))
    places = [0] if wanted == 1 else np.linspace(0, len(full) - 1, wanted).astype(int).tolist()
    shards = [source.shards[int(full[place])] for place in places]
    opened = [shard.open(None) for shard in shards]
    size_bytes = sum(one.batch.nbytes for one in opened)
    return Sample(
        source=Source(
            name=source.name,
            schema=source.schema,
            layout=layout_of(source.layout.root, [shard.rows for shard in shards], size_bytes),
            shards=shards,
            passing=source.passing and [source.passing[int(full[place])] for place in places],
        ),
        batches=[unpacked(one.batch) for one in opened],
        size_bytes=size_bytes,
        mapped=all(is_mapped(one) for one in opened),
    )


@contextmanager
def file_of(shard: Shard) -> Generator[Path | None]:
    """Yield the file that a shard lies in; None for one in memory."""
    if isinstance(shard, ArrowShard | ParquetShard | MdsShard | LitDataShard):
        yield shard.path
        return
    from resources.loader.stored import StoredShard

    if isinstance(shard, StoredShard):
        from resources.storage.shard_copies import borrowed_shards

        with borrowed_shards(shard.store, [shard]) as (path,):
            yield path
        return
    yield None
