"""Owns several datasets of one store as one source: the rows of each after those of the one before it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.canonical import digest_value
from resources.errors import LoaderError
from resources.loader.sources import Source, layout_of
from resources.loader.stored import StoredShard, passing_of, stored_source

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.refs import DatasetRef
    from resources.storage.store import Store


def joined_source(refs: "Sequence[DatasetRef]", store: "Store | None") -> Source:
    """Return the shards of all `refs`, which need one schema; what is without rows is left out.

    Raises:
        LoaderError: If the schemas differ, naming the dataset.
        ObjectMissing: If the store lacks a dataset.
        IntegrityError: If a manifest was altered.
    """
    parts = [stored_source(ref, store) for ref in refs]
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for part in parts[1:]:
        if not part.schema.equals(first.schema, check_metadata=True):
            raise LoaderError(
                f"{part.name} {_difference(first.schema, part.schema)} {first.name}: datasets that are loaded together "
                "need one schema; make them again by the same declaration and version"
            )
    shards = [shard for part in parts for shard in part.shards if isinstance(shard, StoredShard) and shard.rows]
    root = digest_value({"roots": [part.layout.root for part in parts]})
    size_bytes = sum(part.layout.row_bytes * part.layout.total_rows for part in parts)
    return Source(
        name=f"{len(parts)} datasets from {first.name}",
        schema=first.schema,
        layout=layout_of(
            root,
            [shard.rows for shard in shards],
            int(size_bytes),
        ),
        shards=shards,
        passing=passing_of(root, shards),
        ranges=lambda columns: [
            known
            for part in parts
            for shard, known in zip(part.shards, part.ranges(columns) if part.ranges else [], strict=True)
            if shard.rows
        ],
    )


def _difference(expected: "pa.Schema", found: "pa.Schema") -> str:
    for name in [*expected.names, *found.names]:
        if name not in found.names:
            return f"lacks column {name!r} of"
        if name not in expected.names:
            return f"has column {name!r}, unlike"
        if not found.field(name).equals(expected.field(name), check_metadata=True):
            return f"has another column {name!r} than"
    return "has its columns in another order than"
