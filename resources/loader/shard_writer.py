"""Owns the storing of shards for the loader: each by way of a file in scratch, compressed where that is worth it.

Compressed shards travel and lie in fewer bytes, and the host's cache keeps what they stand for. Where there is no cache
in between, in a folder, they would be decompressed again in every epoch.
"""

from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.counts import Counts
from resources.loader.packing import packed
from resources.loader.shard_file import write_shard
from resources.refs import DatasetRef
from resources.storage.compressed import CODECS, Codec, compress
from resources.storage.content import describe_file
from resources.storage.datasets import put_dataset
from resources.storage.files import put_file
from resources.storage.layered import own_layer
from resources.storage.manifest import Manifest, Shard, Shards
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store

CodecChoice: TypeAlias = Codec | Literal["auto"] | None
"""What shards are compressed by: `auto` is the codec `AUTO` or none, None is none."""
AUTO: Codec = "zstd"
"""On columns of a click log it left half of the bytes, and 1.3 times as many rows came over a link of 1 Gbit/s."""
WORTH_IT = 0.8
"""Share of the bytes of the first shard beyond which `auto` leaves shards plain: that gains less than it costs."""


class ShardWriter:
    """Stores rows as shards of one dataset, in their order.

    Args:
        store: Where they go.
        folder: Scratch for one shard at a time.
        form: Schema of the shards, into which rows are packed.
        codec: What they are compressed by; `auto` is decided by the first shard: compressed behind an object store if
            that leaves at most `WORTH_IT` of its bytes.

    Raises:
        LoaderError: If there is no such codec.
    """

    def __init__(self, store: Store, folder: Path, form: pa.Schema, *, codec: CodecChoice) -> None:
        self._store = store
        self._folder = folder
        self._form = form
        self._codec: CodecChoice = _checked(codec)
        if codec == "auto" and not isinstance(own_layer(store), ObjectStore):
            self._codec = None
        self._shards: list[Shard] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Store rows as the next shard.

        Raises:
            LoaderError: If it cannot be compressed.
            OSError: If scratch cannot be written.
            StoreError: If the store cannot.
        """
        path = self._folder / f"shard-{len(self._shards):05d}.arrow"
        write_shard(path, packed(batch, self._form))
        stored = self._compressed(path)
        plain = None if stored is None else describe_file(path)[0]
        self._shards.append(Shard(file=put_file(self._store, stored or path), rows=batch.num_rows, plain=plain))
        for done in {path, stored or path}:
            done.unlink(missing_ok=True)

    def finish(self, counts: Counts, *, since: int) -> DatasetRef:
        """Store the manifest and return the reference to the dataset.

        Args:
            counts: Nulls and ranges of the rows.
            since: What `deletions` said before the first shard was stored.

        Raises:
            ConflictError: If a shard was deleted as garbage since it was stored, which takes a day at least.
        """
        made = Manifest(
            schema=self._form,
            shards=Shards.of(self._shards),
            statistics=counts.statistics(),
            encoding="arrow",
            codec=None if self._codec == "auto" else self._codec,
        )
        return put_dataset(self._store, made, since=since)

    def _compressed(self, path: Path) -> Path | None:
        """Write a shard compressed beside the plain one, and return where; None if it is to stay plain."""
        if self._codec is None:
            return None
        codec: Codec = AUTO if self._codec == "auto" else self._codec
        beside = path.with_suffix(f".{codec}")
        try:
            compress(path, beside, codec)
        except ValueError as error:
            raise LoaderError(f"{path.name} cannot be compressed by {codec} ({error}): choose codec none") from None
        if self._codec == "auto":
            if beside.stat().st_size > WORTH_IT * path.stat().st_size:
                self._codec = None
                beside.unlink()
                return None
            self._codec = codec
        return beside


def _checked(codec: CodecChoice) -> CodecChoice:
    if codec not in (None, "auto", *CODECS):
        raise LoaderError(f"codec is {codec!r}: give one of {', '.join(CODECS)}, auto, or None for none")
    return codec
