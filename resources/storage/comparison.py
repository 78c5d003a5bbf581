"""Owns what two versions differ in, as their manifests tell: no file is read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.errors import ObjectMissing
from resources.storage.content import StoredFile
from resources.storage.folders import Member, read_folder
from resources.storage.manifest import Manifest, Shards, read_manifest
from resources.storage.matrices import named_schema
from resources.storage.statistics import ColumnStatistics
from resources.storage.store import Store
from resources.storage.versions import kind_of_version, version

if TYPE_CHECKING:
    import pyarrow as pa

_Sized = tuple[str, int]
_Files = Mapping[str, StoredFile] | Mapping[str, Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesDifference:
    """Files of two versions, told apart by their bytes.

    Attributes:
        shared: Files of both.
        shared_bytes: Their bytes.
        removed: Files of the first alone.
        removed_bytes: Their bytes.
        added: Files of the second alone.
        added_bytes: Their bytes.
    """

    shared: int
    shared_bytes: int
    removed: int
    removed_bytes: int
    added: int
    added_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDifference:
    """One column that differs; a side without it has None.

    Attributes:
        name: Its name.
        types: Arrow type before and after.
        statistics: Nulls and range before and after.
    """

    name: str
    types: tuple[str | None, str | None]
    statistics: tuple[ColumnStatistics | None, ColumnStatistics | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the second version has otherwise than the first.

    Attributes:
        kind: Dataset, model or folder.
        rows: Rows before and after; None where there are none.
        size_bytes: Bytes of all files before and after.
        files: Shards, bundle files or raw files.
        columns: Columns that were added, removed, or have another type, nulls or range.
        named: Of a model or folder: name of each file that differs, with `added`, `removed` or `changed`.
    """

    kind: str
    rows: tuple[int, int] | None
    size_bytes: tuple[int, int]
    files: FilesDifference
    columns: tuple[ColumnDifference, ...] = ()
    named: tuple[tuple[str, str], ...] = ()


def diff(store: Store, before: str, after: str) -> Difference:
    """Return what the version `after` has otherwise than `before`.

    Raises:
        ObjectMissing: If one is not there, or they are not both datasets or both models.
        IntegrityError: If a manifest was altered.
    """
    kinds = tuple(kind_of_version(store, digest) for digest in (before, after))
    if kinds == ("dataset", "dataset"):
        return _datasets(read_manifest(store, before), read_manifest(store, after))
    if kinds == ("model", "model"):
        return _named("model", *(version(store, digest).files for digest in (before, after)))
    if kinds == ("folder", "folder"):
        return _named("folder", *(read_folder(store, digest).by_name for digest in (before, after)))
    raise ObjectMissing(
        f"{before[:12]} is a {kinds[0]} and {after[:12]} a {kinds[1]}: name two datasets or two models, or two folders"
    )


def _datasets(before: Manifest, after: Manifest) -> Difference:
    return Difference(
        kind="dataset",
        rows=(before.rows, after.rows),
        size_bytes=(before.size_bytes, after.size_bytes),
        files=_files(_sizes(before.shards), _sizes(after.shards)),
        columns=tuple(_columns(before, after)),
    )


def _named(kind: str, before: _Files, after: _Files) -> Difference:
    had, has = ({name: (file.digest, file.size_bytes) for name, file in files.items()} for files in (before, after))

    def change(name: str) -> str:
        old, new = had.get(name), has.get(name)
        return "" if old == new else "added" if old is None else "removed" if new is None else "changed"

    changes = ((name, change(name)) for name in sorted({*had, *has}))
    return Difference(
        kind=kind,
        rows=None,
        size_bytes=(sum(size for _, size in had.values()), sum(size for _, size in has.values())),
        files=_files(list(had.values()), list(has.values())),
        named=tuple((name, what) for name, what in changes if what),
    )


def _sizes(shards: Shards) -> list[_Sized]:
    return list(zip(shards.digests, shards.sizes_bytes, strict=True))


def _files(before: list[_Sized], after: list[_Sized]) -> FilesDifference:
    had, has = Counter(before), Counter(after)
    shared, removed, added = had & has, had - has, has - had
    return FilesDifference(
        shared=shared.total(),
        shared_bytes=_bytes(shared),
        removed=removed.total(),
        removed_bytes=_bytes(removed),
        added=added.total(),
        added_bytes=_bytes(added),
    )


def _bytes(counts: "Counter[_Sized]") -> int:
    return sum(size_bytes * number for (_, size_bytes), number in counts.items())


def _columns(before: Manifest, after: Manifest) -> list[ColumnDifference]:
    first, second = named_schema(before.schema), named_schema(after.schema)
    names = dict.fromkeys([*first.names, *second.names])
    found = [
        ColumnDifference(
            name=name,
            types=(_type(first, name), _type(second, name)),
            statistics=(before.statistics.get(name), after.statistics.get(name)),
        )
        for name in names
    ]
    return [it for it in found if it.types[0] != it.types[1] or it.statistics[0] != it.statistics[1]]


def _type(schema: "pa.Schema", name: str) -> str | None:
    if name not in schema.names:
        return None
    field = schema.field(name)
    return f"{field.type}{'' if field.nullable else ' not null'}"
