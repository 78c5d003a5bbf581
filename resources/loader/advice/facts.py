"""Owns what the adviser takes from files: how shards are written, their sizes, and what their columns are like."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.loader.advice.sample import Sample, file_of
from resources.loader.advice.values import ColumnFacts, Facts, Kind
from resources.loader.foreign.litdata import LitDataShard
from resources.loader.foreign.mds import MdsShard
from resources.loader.shards import ParquetShard, Shard
from resources.loader.sources import Source
from resources.storage.matrices import packed_names

STRETCHES = 8
"""Into so many stretches the sample is cut to tell whether a column rises."""
_PLAIN_BYTES = {"INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8}
_SWOLLEN = 1.1
_PARQUET_MAGIC = (b"PAR1", b"PARE")


def facts_of(source: Source, sample: Sample) -> Facts:
    """Return what a dataset is made of.

    Args:
        source: All of it.
        sample: A part of it, whose footers and rows are looked at.
    """
    rows = source.layout.rows
    middling = int(np.median(rows[rows > 0]))
    row_bytes = sample.size_bytes / max(sample.source.layout.total_rows, 1)
    codecs, swollen = _parquet(sample)
    return Facts(
        name=source.name,
        kind=_kind(source, sample),
        files=_files(source),
        shards=len(source.shards),
        rows=source.layout.total_rows,
        size_bytes=int(source.layout.total_rows * row_bytes),
        shard_rows=middling,
        shard_bytes=int(middling * row_bytes),
        codecs=codecs or _codecs(sample.source.shards),
        columns=_columns(sample, swollen),
        window_shards=source.layout.window_shards,
    )


def _kind(source: Source, sample: Sample) -> Kind:
    first = sample.source.shards[0]
    if isinstance(first, MdsShard):
        return "mds"
    if isinstance(first, LitDataShard):
        return "litdata"
    if isinstance(first, ParquetShard) or _is_parquet(first):
        return "parquet"
    if not sample.mapped:
        return "compressed arrow"
    return "packed" if source.is_stored or packed_names(source.schema) else "arrow"


def _is_parquet(shard: Shard) -> bool:
    with file_of(shard) as path:
        if path is None:
            return False
        with path.open("rb") as file:
            return file.read(4) in _PARQUET_MAGIC


def _files(source: Source) -> int:
    if source.is_stored:
        return len(source.shards)
    paths: set[str] = set()
    for shard in source.shards:
        with file_of(shard) as path:
            paths.add(str(path))
    return len(paths)


def _codecs(shards: Sequence[Shard]) -> tuple[str, ...]:
    found = {shard.codec for shard in shards if isinstance(shard, MdsShard)}
    found |= {shard.file.codec for shard in shards if isinstance(shard, LitDataShard)}
    return tuple(sorted(codec for codec in found if codec))


def _parquet(sample: Sample) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the codecs of the Parquet files of the sample, and by column the bytes that dictionaries cost."""
    import pyarrow.parquet as pq

    codecs: set[str] = set()
    swollen: dict[str, int] = {}
    for shard in sample.source.shards:
        if not (isinstance(shard, ParquetShard) or _is_parquet(shard)):
            continue
        with file_of(shard) as path, pq.ParquetFile(path) as file:
            numbers = [shard.number] if isinstance(shard, ParquetShard) else range(file.metadata.num_row_groups)
            for number in numbers:
                group = file.metadata.row_group(number)
                for column in (group.column(place) for place in range(group.num_columns)):
                    if column.compression != "UNCOMPRESSED":
                        codecs.add(column.compression.lower())
                    plain = column.num_values * _PLAIN_BYTES.get(column.physical_type, 0)
                    if plain and column.has_dictionary_page and column.total_uncompressed_size > _SWOLLEN * plain:
                        more = column.total_uncompressed_size - plain
                        swollen[column.path_in_schema] = swollen.get(column.path_in_schema, 0) + more
    return tuple(sorted(codecs)), swollen


def _columns(sample: Sample, swollen: dict[str, int]) -> list[ColumnFacts]:
    schema = sample.batches[0].schema
    sizes = [sum(batch.column(number).nbytes for batch in sample.batches) for number in range(len(schema))]
    total = max(sum(sizes), 1)
    return [
        ColumnFacts(
            name=field.name,
            share=sizes[number] / total,
            nulls=sum(batch.column(number).null_count for batch in sample.batches),
            is_number=pa.types.is_integer(field.type) or pa.types.is_floating(field.type),
            is_sorted=_rises([batch.column(number) for batch in sample.batches]),
            dictionary_bytes=swollen.get(field.name, 0),
        )
        for number, field in enumerate(schema)
    ]


def _rises(columns: Sequence[pa.Array]) -> bool:
    """Return whether each stretch of a column begins where the one before it ends, or later."""
    kind = columns[0].type
    if kind == pa.float16() or not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)
    ):
        return False
    ranges = [bounds for stretch in _stretches(columns) if (bounds := _range(stretch)) is not None]
    if len(ranges) < STRETCHES // 2 or not ranges[0][0] < ranges[-1][1]:
        return False
    return all(before[1] <= after[0] for before, after in pairwise(ranges))


def _stretches(columns: Sequence[pa.Array]) -> list[pa.Array]:
    pieces = -(-STRETCHES // len(columns))
    found: list[pa.Array] = []
    for column in columns:
        step = -(-len(column) // pieces) or 1
        found += [column.slice(start, step) for start in range(0, len(column), step)]
    return found


def _range(column: pa.Array) -> tuple[float, float] | None:
    if pa.types.is_temporal(column.type):  # a clock of Arrow becomes an object of pandas, its number does not
        column = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())
    found = pc.call_function("min_max", [column]).as_py()
    return None if found["min"] is None else (found["min"], found["max"])
