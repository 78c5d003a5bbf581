"""Owns the manifest of a dataset: the object whose digest is the version.

It holds schema, ordered shards and statistics, nothing of where they came from. With the digests of the shards, which
are Merkle roots over their chunks, its own digest is the root over the whole content. Shards are kept in columns, so
that a manifest of 100,000 of them is read in a fraction of a second.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

from resources.canonical import canonical_json, parse_json
from resources.errors import IntegrityError
from resources.storage.compressed import CODECS, Codec
from resources.storage.content import StoredFile
from resources.storage.objects import get_object
from resources.storage.statistics import ColumnStatistics
from resources.storage.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {"parquet": 2, "arrow": 3}
"""Format of the manifest by how the shards are encoded; a release that reads only Parquet refuses the other."""
COMPRESSED_FORMAT = 4
"""Format of the manifest of Arrow shards that are compressed."""
KIND = "dataset"
_KNOWN = ", ".join(map(str, (*FORMATS.values(), COMPRESSED_FORMAT)))
_DIGESTS = re.compile(r"([0-9a-f]{64}\n)*")
_MD5S = re.compile(r"([0-9a-f]{32}\n)*")


Encoding = Literal["parquet", "arrow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of a dataset.

    Attributes:
        file: Its bytes.
        rows: Its rows.
        plain: The file that a compressed one stands for, which no store holds; None for one that is not compressed.
    """

    file: StoredFile
    rows: int
    plain: StoredFile | None = None


class Shards(Sequence[Shard]):
    """The shards of a dataset, in row order, kept in columns of equal length.

    Args:
        digests: Digest of each file.
        md5s: MD5 of each.
        sizes_bytes: Bytes of each.
        rows: Rows of each.
        plain: Of compressed shards the files that these stand for, as shards of as many rows.

    Raises:
        ValueError: If the columns differ in length or hold something else.
    """

    def __init__(
        self,
        digests: list[str],
        md5s: list[str],
        sizes_bytes: list[int],
        rows: list[int],
        plain: "Shards | None" = None,
    ) -> None:
        if not len(digests) == len(md5s) == len(sizes_bytes) == len(rows):
            raise ValueError("columns of shards differ in length")
        for name, texts, pattern in (("digest", digests, _DIGESTS), ("md5", md5s, _MD5S)):
            if not pattern.fullmatch("\n".join([*texts, ""])):
                raise ValueError(f"a shard has a {name} that is none")
        if not all(type(number) is int and number >= 0 for column in (sizes_bytes, rows) for number in column):
            raise ValueError("a shard has a size or a number of rows that is none")
        if plain is not None and plain.rows != rows:
            raise ValueError("plain shards have other rows than those that stand for them")
        self.digests = digests
        self.md5s = md5s
        self.sizes_bytes = sizes_bytes
        self.rows = rows
        self.plain = plain

    @classmethod
    def of(cls, shards: Iterable[Shard]) -> "Shards":
        """Return `shards` in columns.

        Raises:
            ValueError: If some are compressed and some are not.
        """
        items = list(shards)
        plain = [Shard(file=item.plain, rows=item.rows) for item in items if item.plain is not None]
        return cls(
            [item.file.digest for item in items],
            [item.file.md5 for item in items],
            [item.file.size_bytes for item in items],
            [item.rows for item in items],
            cls.of(plain) if plain else None,
        )

    def __len__(self) -> int:
        return len(self.digests)

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> "Shards": ...
    def __getitem__(self, index: int | slice) -> "Shard | Shards":
        if isinstance(index, slice):
            plain = None if self.plain is None else self.plain[index]
            return Shards(self.digests[index], self.md5s[index], self.sizes_bytes[index], self.rows[index], plain)
        file = StoredFile(digest=self.digests[index], md5=self.md5s[index], size_bytes=self.sizes_bytes[index])
        return Shard(file=file, rows=self.rows[index], plain=None if self.plain is None else self.plain[index].file)

    @property
    def files(self) -> Iterator[StoredFile]:
        """The files, in row order."""
        return (shard.file for shard in self)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dataset is made of.

    Attributes:
        schema: Arrow schema of every shard.
        shards: In row order; an empty dataset has one shard without rows.
        statistics: Column to its nulls and range; nested columns have none.
        encoding: Of every shard: `parquet`, or `arrow` for an Arrow file of one record batch, ready for the loader.
        codec: What the shards are compressed by, of Arrow shards alone; None where they are not.

    Raises:
        ValueError: If there is a codec without plain forms of the shards, or these without a codec.
    """

    schema: "pa.Schema"
    shards: Shards
    statistics: Mapping[str, ColumnStatistics] = field(default_factory=dict[str, ColumnStatistics])
    encoding: Encoding = "parquet"
    codec: Codec | None = None

    def __post_init__(self) -> None:
        if (self.codec is None) != (self.shards.plain is None) or (self.codec and self.encoding != "arrow"):
            raise ValueError(f"codec is {self.codec}, of {self.encoding} shards that do not fit it")

    @cached_property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(self.shards.rows)

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of all shards, as they lie in the store."""
        return sum(self.shards.sizes_bytes)

    @cached_property
    def plain_bytes(self) -> int:
        """Bytes of all shards when they are not compressed."""
        return sum((self.shards.plain or self.shards).sizes_bytes)

    @property
    def format(self) -> int:
        """Format of the manifest."""
        return COMPRESSED_FORMAT if self.codec else FORMATS[self.encoding]


def encode(manifest: Manifest) -> bytes:
    """Return the object that `decode` reads back: the same manifest, the same bytes."""
    return canonical_json(
        {
            **({"codec": manifest.codec} if manifest.codec else {}),
            **({} if manifest.encoding == "parquet" else {"encoding": manifest.encoding}),
            "format": manifest.format,
            "kind": KIND,
            "schema": base64.b64encode(bytes(manifest.schema.serialize())).decode(),
            "shards": {
                **_files(manifest.shards),
                "rows": manifest.shards.rows,
                **({"plain": _files(manifest.shards.plain)} if manifest.shards.plain else {}),
            },
            "statistics": {name: asdict(item) for name, item in manifest.statistics.items()},
        }
    )


def _files(shards: Shards) -> dict[str, list[str] | list[int]]:
    return {"digest": shards.digests, "md5": shards.md5s, "size_bytes": shards.sizes_bytes}


def decode(data: bytes) -> Manifest:
    """Return the manifest that `encode` wrote.

    Raises:
        ValueError: If `data` is none.
    """
    import pyarrow as pa

    try:
        value = parse_json(data)
        encoding, codec = value.get("encoding", "parquet"), value.get("codec")
        if value["kind"] != KIND or encoding not in FORMATS or codec not in (None, *CODECS):
            raise ValueError(f"kind {value['kind']!r}, encoding {encoding!r}, codec {codec!r}")
        made = Manifest(
            schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value["schema"], validate=True))),
            shards=_shards(value["shards"]),
            statistics={name: ColumnStatistics(**item) for name, item in value["statistics"].items()},
            encoding=encoding,
            codec=codec,
        )
        if value["format"] != made.format:
            raise ValueError(f"format {value['format']!r}, encoding {encoding!r}, codec {codec!r}")
        return made
    except (KeyError, TypeError, AttributeError, binascii.Error, pa.ArrowException) as error:
        raise ValueError(str(error)) from error


def _shards(columns: Mapping[str, Any]) -> Shards:  # Any: texts or numbers, checked by Shards
    rows, plain = columns["rows"], columns.get("plain")
    return Shards(
        columns["digest"],
        columns["md5"],
        columns["size_bytes"],
        rows,
        None if plain is None else Shards(plain["digest"], plain["md5"], plain["size_bytes"], rows),
    )


def read_manifest(store: Store, digest: str) -> Manifest:
    """Return the manifest of the dataset `digest`.

    Raises:
        ObjectMissing: If the store has no such object.
        IntegrityError: If it was altered, or is not a dataset manifest.
    """
    return manifest_of(store, digest, get_object(store, digest))


def manifest_of(store: Store, digest: str, data: bytes) -> Manifest:
    """Return the manifest that the bytes of the object `digest` are.

    Raises:
        IntegrityError: If they are none.
    """
    try:
        return decode(data)
    except ValueError as error:
        raise IntegrityError(
            f"object {digest} in store {store.url} is no dataset manifest of format {_KNOWN}: {error}; "
            "give the digest of a dataset, or materialize it again with this version"
        ) from error
