"""Owns datasets of a store as sources of shards: named by the manifest, verified, and read from this host's copy."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resources.errors import LoaderError
from resources.loader.footers import ranges_of, stored_footers
from resources.loader.scalars import scalar_of
from resources.loader.shards import Opened, PassingShard, read_whole
from resources.loader.sources import Source, layout_of
from resources.loader.where import Range
from resources.refs import DatasetRef
from resources.settings import load_settings
from resources.storage.content import StoredFile
from resources.storage.manifest import Manifest, read_manifest
from resources.storage.matrices import named_schema
from resources.storage.naming import digest_at, parse
from resources.storage.shard_copies import borrowed_shards
from resources.storage.store import Store
from resources.storage.whole import remotes_of
from resources.workspace import store_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredShard:
    """One shard of a dataset of a store; its bytes are verified before the first read.

    Attributes:
        store: Where it lies.
        file: Its bytes.
        number: Of the shard in the dataset.
        rows: How many it has.
        plain: What a compressed one stands for; None for one that is not compressed.
    """

    store: Store
    file: StoredFile
    number: int
    rows: int
    plain: StoredFile | None = None

    @property
    def name(self) -> str:
        """Its number, and the digest of its bytes."""
        return f"shard {self.number:05d} ({self.file.digest[:12]})"

    @property
    def size_bytes(self) -> int:
        """How long its file is when it is not compressed."""
        return self.kept.size_bytes

    @property
    def kept(self) -> StoredFile:
        """What the host's cache keeps of it."""
        return self.plain or self.file

    @property
    def at_once_bytes(self) -> int:
        """None: what lies in a folder is mapped there."""
        return 0

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return its rows.

        Raises:
            StoreError: If it is missing or was altered, or cannot be fetched.
            LoaderError: If it is not what the manifest says.
        """
        with borrowed_shards(self.store, [self]) as (path,):  # what is mapped stays readable afterwards
            found = read_whole(path, columns)
        return checked(self, found)


def checked(shard: StoredShard, found: Opened) -> Opened:
    """Return what was found of a shard.

    Raises:
        LoaderError: If it has not as many rows as the manifest says.
    """
    if found.batch.num_rows != shard.rows:
        raise LoaderError(
            f"{shard.name} has {found.batch.num_rows:,} rows, the manifest says {shard.rows:,}: make the dataset again"
        )
    return found


def stored_source(dataset: DatasetRef | str, store: Store | None) -> Source:
    """Return the shards of a dataset of `store`, by default that of the settings.

    Raises:
        LoaderError: If a name is malformed.
        ObjectMissing: If the store has no such dataset.
        IntegrityError: If its manifest was altered, or it is no dataset.
    """
    if store is None:
        store = store_of(load_settings())
    digest = dataset.digest if isinstance(dataset, DatasetRef) else _digest(store, load_settings().registry, dataset)
    manifest = read_manifest(store, digest)
    shards = [
        StoredShard(store=store, file=shard.file, number=number, rows=shard.rows, plain=shard.plain)
        for number, shard in enumerate(manifest.shards)
    ]
    return Source(
        name=dataset if isinstance(dataset, str) else f"dataset {digest[:12]}",
        schema=manifest.schema,
        layout=layout_of(digest, manifest.shards.rows, manifest.plain_bytes),
        shards=shards,
        passing=passing_of(digest, shards),
        ranges=lambda columns: _ranges(store, manifest, columns),
    )


def _ranges(store: Store, manifest: Manifest, columns: Sequence[str]) -> Sequence[Mapping[str, Range]]:
    """Return what manifest and footers say of columns of each shard."""
    whole = {name: found for name in columns if (found := _range(manifest, name)) is not None}
    if manifest.encoding != "parquet":
        return [whole] * len(manifest.shards)
    footers = stored_footers(store, list(manifest.shards.files))
    groups = [map(footer.row_group, range(footer.num_row_groups)) for footer in footers]
    return [{**whole, **ranges_of(group, manifest.schema, columns)} for group in groups]


def _range(manifest: Manifest, column: str) -> Range | None:
    """Return what the manifest says of a column of the whole dataset."""
    found = manifest.statistics.get(column)
    if found is None or found.low is None or found.high is None:
        return None
    kind = named_schema(manifest.schema).field(column).type
    low, high = (scalar_of(value, kind) for value in (found.low, found.high))
    return Range(low=low, high=high, has_nulls=bool(found.nulls))


def store_with_cache(cache: str | os.PathLike[str], store: Store | None) -> Store:
    """Return the store of the settings, with its local copies in the folder `cache`.

    Raises:
        LoaderError: If a store was given, which has its own, or `cache` is no folder.
    """
    if store is not None:
        raise LoaderError(f"cache is {cache!r} and a store was given, which has its own: leave out one of them")
    folder = Path(cache)
    if folder.exists() and not folder.is_dir():
        raise LoaderError(f"cache is {str(folder)!r}, which is no folder: give one, or a path where one can be made")
    return store_of(load_settings().model_copy(update={"cache": folder}))


def passing_of(root: str, shards: Sequence[StoredShard]) -> Sequence[PassingShard]:
    """Return the shards of the dataset `root`, each for who reads it for a while."""
    remotes = remotes_of(shards[0].store) if shards else None
    if remotes is None:  # what lies in a folder is mapped there, and what is encrypted goes through memory anyway
        return shards
    from resources.loader.passing import ShardInMemory, Tier

    tier = Tier(root, remotes, shards)
    return [ShardInMemory(shard=shard, tier=tier) for shard in shards]


def _digest(store: Store, registry: str, text: str) -> str:
    address = parse(text)
    if address.version is None or address.path:
        raise LoaderError(f"{text!r} names no dataset: write NAME@VERSION, such as bike_demand/features@2012-01")
    return digest_at(store, registry, address, _no_champion)


def _no_champion(pipeline: str) -> str:
    raise LoaderError(f"{pipeline!r} names a pipeline, whose champion is a model: name a dataset of it")
