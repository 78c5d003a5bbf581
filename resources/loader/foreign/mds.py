"""Owns folders of MDS, the format of mosaicml-streaming: `index.json` and files of samples, whole or compressed.

A file is a head (`offsets`), what its writer was told, and the samples. A sample is the lengths of its columns of no
fixed width, then all columns in the order of their names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.cells import WIDE_BYTES, Cells
from resources.loader.foreign.decoders import Decoder
from resources.loader.foreign.files import MOST_BYTES, check_codec, decompressed, inside, read
from resources.loader.foreign.index import count_of, list_of, mapping_of, text_of
from resources.loader.foreign.mds_encodings import decoder_of
from resources.loader.foreign.offsets import WORD, columns_of, samples, words_at
from resources.loader.foreign.selection import schema_of, selected
from resources.loader.shards import FileShards, Opened

VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MdsColumn:
    """One column of the samples.

    Attributes:
        name: Of the column.
        encoding: Of its values.
        width: Bytes of a value; None if each sample tells.
    """

    name: str
    encoding: str
    width: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MdsFile:
    """One form of a shard.

    Attributes:
        path: Of the file.
        size_bytes: How long it must be.
        hashes: Its hexadecimal digests by algorithm.
    """

    path: Path
    size_bytes: int
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MdsShard:
    """One shard of a folder.

    Attributes:
        raw: The shard.
        packed: Its compressed form, if there is one; it is read where the shard itself is not there.
        codec: Of the latter.
        rows: Samples of the shard.
        columns: Of the samples, in their order.
        decoders: Of each column.
    """

    raw: MdsFile
    packed: MdsFile | None
    codec: str | None
    rows: int
    columns: Sequence[MdsColumn]
    decoders: Sequence[Decoder] = ()

    @property
    def name(self) -> str:
        """Path of the file that is read."""
        return str(self.path)

    @property
    def path(self) -> Path:
        """The file that is read."""
        return self._file.path

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return the samples, decoded."""
        return Opened(batch=selected(self.cells(), self.decoders, columns))

    def cells(self) -> list[Cells]:
        """Return where the values of each column lie.

        Raises:
            LoaderError: If the file is missing or damaged.
        """
        whole = samples(self._data(), self.rows, self.name)
        told = [column.width is None for column in self.columns]
        widths = np.empty((self.rows, len(self.columns)), np.int64)
        widths[:, [not one for one in told]] = [column.width for column in self.columns if column.width is not None]
        widths[:, told] = words_at(whole, sum(told))
        return columns_of(whole, widths, WORD * sum(told), [column.name for column in self.columns])

    @property
    def _file(self) -> MdsFile:
        return self.raw if self.packed is None or self.raw.path.exists() else self.packed

    def _data(self) -> pa.Buffer:
        file = self._file
        data = read(file.path, size_bytes=file.size_bytes, hashes=file.hashes)
        if file is self.raw or self.codec is None:
            return data
        return decompressed(data, self.codec, size_bytes=self.raw.size_bytes, name=str(file.path))


def mds_shards(folder: Path, index: Path, told: Mapping[str, Any]) -> FileShards:  # Any: parsed JSON
    """Return the shards of a folder.

    Args:
        folder: Where they lie.
        index: Its `index.json`.
        told: What that says.

    Raises:
        LoaderError: If the index is malformed, or says what Penstock does not read.
    """
    entries = list_of(told, "shards", index)
    if not entries:
        raise LoaderError(f"{index} lists no shards, so nothing tells the columns: leave the folder out")
    found = [_shard(folder, index, entry) for entry in entries]
    for number, shard in enumerate(found):
        if shard.columns != found[0].columns:
            raise LoaderError(f"shard {number} of {index} has other columns than the first: give them as two datasets")
    wide = max(shard.raw.size_bytes for shard in found) >= WIDE_BYTES
    first = cache(found[0].cells)
    decoders = [
        decoder_of(column.encoding, column.name, wide=wide, first=lambda number=number: first()[number])
        for number, column in enumerate(found[0].columns)
    ]
    return FileShards(
        schema=schema_of(decoders, index),
        shards=[replace(shard, decoders=decoders) for shard in found],
        size_bytes=sum(shard.raw.size_bytes for shard in found),
    )


def _shard(folder: Path, index: Path, entry: object) -> MdsShard:
    told = mapping_of(entry, "a shard", index)
    if told.get("version") != VERSION or told.get("format") != "mds":
        raise LoaderError(
            f"{index} has a shard of format {told.get('format')!r}, version {told.get('version')!r}: Penstock reads "
            f"mds, version {VERSION}; write the folder again in it"
        )
    names, encodings, widths = (list_of(told, f"column_{what}", index) for what in ("names", "encodings", "sizes"))
    if not len(names) == len(encodings) == len(widths) or len({str(name) for name in names}) != len(names):
        raise LoaderError(f"{index} has a shard whose columns are {names!r}: names need an encoding and a size each")
    columns = [
        MdsColumn(name=text_of(name, index), encoding=text_of(encoding, index), width=_width(width, index))
        for name, encoding, width in zip(names, encodings, widths, strict=True)
    ]
    packed = told.get("zip_data")
    return MdsShard(
        raw=_file(folder, index, told.get("raw_data")),
        packed=None if packed is None else _file(folder, index, packed),
        codec=None if packed is None else check_codec(told.get("compression"), index),
        rows=count_of(told, "samples", index, MOST_BYTES),
        columns=columns,
    )


def _file(folder: Path, index: Path, entry: object) -> MdsFile:
    told = mapping_of(entry, "a file", index)
    hashes = mapping_of(told.get("hashes") or {}, "hashes", index)
    return MdsFile(
        path=inside(folder, told.get("basename"), index),
        size_bytes=count_of(told, "bytes", index, MOST_BYTES),
        hashes={name: str(value) for name, value in hashes.items()},
    )


def _width(value: object, index: Path) -> int | None:
    return count_of({"column_sizes": value}, "column_sizes", index, MOST_BYTES) if value else None
