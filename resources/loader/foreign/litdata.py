"""Owns folders of LitData: `index.json` and chunks of samples.

A sample is the lengths of its leaves, then the leaves in the order of the tree. What `TokensLoader` wrote is a list of
tokens a sample, without lengths. Chunks of newer releases may hold Arrow instead: their rows are read from that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.cells import WIDE_BYTES, Cells
from resources.loader.foreign.decoders import Decoder
from resources.loader.foreign.files import MOST_BYTES, check_codec, inside
from resources.loader.foreign.index import count_of, list_of, mapping_of, text_of
from resources.loader.foreign.litdata_chunk import ChunkFile, arrow_schema, arrow_table, holds_arrow, sample_cells
from resources.loader.foreign.litdata_formats import decoder_of
from resources.loader.foreign.litdata_spec import leaf_names
from resources.loader.foreign.offsets import WORD, columns_of, words_at
from resources.loader.foreign.selection import schema_of, selected
from resources.loader.shards import FileShards, Opened, in_one

TREE, TOKENS = "PyTreeLoader", "TokensLoader"
_LEVELS = (None, "chunk", "batch", "sample")


@dataclass(frozen=True, slots=True, kw_only=True)
class LitDataShard:
    """One chunk of a folder.

    Attributes:
        file: Where its bytes lie.
        leaves: Names of the leaves of a sample.
        has_lengths: Whether a sample begins with the lengths of its leaves.
        decoders: Of each leaf.
        schema: Of its rows, where the chunk holds Arrow; else None.
    """

    file: ChunkFile
    leaves: Sequence[str]
    has_lengths: bool
    decoders: Sequence[Decoder] = ()
    schema: pa.Schema | None = None

    @property
    def rows(self) -> int:
        """Samples of the chunk."""
        return self.file.rows

    @property
    def name(self) -> str:
        """Path of the chunk."""
        return str(self.path)

    @property
    def path(self) -> Path:
        """The chunk."""
        return self.file.path

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return the samples, decoded."""
        if self.schema is None:
            return Opened(batch=selected(self.cells(), self.decoders, columns))
        wanted = [field for field in self.schema if columns is None or field.name in columns]
        return Opened(batch=in_one(arrow_table(self.file, pa.schema(wanted))))

    def cells(self) -> list[Cells]:
        """Return where the values of each leaf lie.

        Raises:
            LoaderError: If the chunk is missing or damaged.
        """
        whole = sample_cells(self.file)
        if not self.has_lengths:
            return columns_of(whole, whole.lengths[:, None], 0, list(self.leaves))
        widths = words_at(whole, len(self.leaves))
        return columns_of(whole, widths, WORD * len(self.leaves), list(self.leaves))


def litdata_shards(folder: Path, index: Path, told: Mapping[str, Any]) -> FileShards:  # Any: parsed JSON
    """Return the shards of a folder.

    Args:
        folder: Where they lie.
        index: Its `index.json`.
        told: What that says.

    Raises:
        LoaderError: If the index is malformed, or says what Penstock does not read.
    """
    config = mapping_of(told.get("config"), "config", index)
    _check(config, index)
    files = [_file(folder, index, entry, config) for entry in list_of(told, "chunks", index)]
    if not files:
        raise LoaderError(f"{index} lists no chunks, so nothing tells the columns: leave the folder out")
    if holds_arrow(files[0].data()):
        return _of_arrow(files)
    formats = [text_of(one, index) for one in list_of(config, "data_format", index)]
    tree = config.get("item_loader") != TOKENS
    shards = [
        LitDataShard(file=file, leaves=leaf_names(config.get("data_spec"), len(formats), index), has_lengths=tree)
        for file in files
    ]
    if not tree and (len(formats) != 1 or not formats[0].startswith("no_header_")):
        raise LoaderError(f"{index} has tokens of format {formats!r}: one array without a head is needed")
    wide = max(file.size_bytes for file in files) >= WIDE_BYTES
    first = cache(shards[0].cells)
    decoders = [
        decoder_of(leaf, name, wide=wide, first=lambda number=number: first()[number])
        for number, (leaf, name) in enumerate(zip(formats, shards[0].leaves, strict=True))
    ]
    return FileShards(
        schema=schema_of(decoders, index),
        shards=[replace(shard, decoders=decoders) for shard in shards],
        size_bytes=sum(file.size_bytes for file in files),
    )


def _of_arrow(files: Sequence[ChunkFile]) -> FileShards:
    schemas = [arrow_schema(file) for file in files]
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive").remove_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise LoaderError(
            f"the chunks of {files[0].path.parent} have columns of different types: "
            f"{str(error).partition(chr(10))[0]}; write the folder again"
        ) from None
    return FileShards(
        schema=schema,
        shards=[LitDataShard(file=file, leaves=schema.names, has_lengths=False, schema=schema) for file in files],
        size_bytes=sum(file.size_bytes for file in files),
    )


def _check(config: Mapping[str, Any], index: Path) -> None:  # Any: parsed JSON
    loader, encryption, level = (config.get(key) for key in ("item_loader", "encryption", "compression_level"))
    if encryption:
        raise LoaderError(f"{index} says that the chunks are encrypted: write them again without, Penstock has no key")
    if loader not in (None, TREE, TOKENS):
        raise LoaderError(f"{index} was written for {loader!r}: Penstock reads what {TREE} and {TOKENS} read")
    if level not in _LEVELS:
        raise LoaderError(f"{index} says compression_level {level!r}: Penstock reads chunk, batch and sample")


def _file(folder: Path, index: Path, entry: object, config: Mapping[str, Any]) -> ChunkFile:  # Any: parsed JSON
    told = mapping_of(entry, "a chunk", index)
    compression = config.get("compression")
    return ChunkFile(
        path=inside(folder, told.get("filename"), index),
        rows=count_of(told, "chunk_size", index, MOST_BYTES),
        size_bytes=count_of(told, "chunk_bytes", index, MOST_BYTES),
        codec=None if compression is None else check_codec(compression, index),
        level=config.get("compression_level") or "chunk",
    )
