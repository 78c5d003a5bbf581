"""Owns what a loader may be given: files of Arrow or Parquet, folders, those of other loaders too, or a stored dataset.

It finds shards, their rows and one schema; it reads no row.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.canonical import digest_value
from resources.errors import LoaderError
from resources.loader.at_once import AtOnce
from resources.loader.order import Layout
from resources.loader.shards import FileShards, PassingShard, Shard, shards_of

if TYPE_CHECKING:
    from resources.loader.where import Range
    from resources.refs import DatasetRef
    from resources.storage.store import Store

INDEX = "index.json"
SUFFIXES = (".arrow", ".feather", ".ipc", ".parquet")
Chosen: TypeAlias = NDArray[np.int32]
"""Rows of a shard that are wanted, in their order."""
Ranges: TypeAlias = "Callable[[Sequence[str]], Sequence[Mapping[str, Range]]]"
Dataset: TypeAlias = (
    "DatasetRef | Sequence[DatasetRef] | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Source"
)
_SCHEME = "penstock://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The shards of one dataset.

    Attributes:
        name: What people know it by.
        schema: Of every shard.
        layout: What decides the order of the samples.
        shards: In the order of the rows.
        passing: The same shards for who reads each for a while and lets go of it; None for plain files.
        chosen: Rows of each shard that are wanted, which `layout` counts; None means all of it, or of all shards.
        ranges: Returns what is known of columns of each shard before any is read; None where nothing is.
    """

    name: str
    schema: pa.Schema
    layout: Layout
    shards: Sequence[Shard]
    passing: Sequence[PassingShard] | None = None
    chosen: Sequence[Chosen | None] | None = None
    ranges: "Ranges | None" = None

    @property
    def is_stored(self) -> bool:
        """Whether it is a dataset of a store, whose digest `layout.root` is."""
        return self.passing is not None

    @property
    def at_once(self) -> AtOnce | None:
        """How many shards may be on their way here at once; None where none has a way, or they come one by one."""
        room_bytes = self.passing[0].at_once_bytes if self.passing else 0
        if not self.passing or not room_bytes:
            return None
        return AtOnce(sizes_bytes=[shard.size_bytes for shard in self.passing], room_bytes=room_bytes)


def source_of(dataset: Dataset, store: "Store | None") -> Source:
    """Return the shards of a dataset.

    Args:
        dataset: A reference, `NAME@VERSION`, `penstock://NAME@VERSION` or a digest: a dataset of the store; or several
            references, whose rows follow each other. Else a file of Arrow or Parquet, a folder of such files or of MDS
            or LitData, or several, in the order of the rows. Or what this function returned.
        store: Where datasets lie; None means that of the `PENSTOCK_*` settings.

    Raises:
        LoaderError: If there is no such thing, it cannot be read, or its files have different schemas.
    """
    if isinstance(dataset, Source):
        return dataset
    given = _given(dataset)
    if not isinstance(given, list):
        from resources.loader.stored import stored_source

        return stored_source(given, store)
    if refs := _references(given):
        from resources.loader.joined import joined_source

        return joined_source(refs, store)
    found = [file for item in given for file in _found(Path(item))]
    return _of_files(", ".join(str(item) for item in given), found)


def _references(given: Sequence[object]) -> "Sequence[DatasetRef]":
    """Return what was given if these are references, else nothing.

    Raises:
        LoaderError: If only some are.
    """
    from resources.refs import DatasetRef

    refs = [item for item in given if isinstance(item, DatasetRef)]
    if refs and len(refs) < len(given):
        raise LoaderError("some of what was given are datasets of a store and some are files: give one or the other")
    return refs


def _given(
    dataset: object,
) -> "DatasetRef | str | list[Any]":  # Any: references, paths, or what the caller has to check
    """Return the dataset of a store, or the files and folders, that `dataset` names."""
    from resources.refs import DatasetRef

    if isinstance(dataset, str):
        if dataset.startswith(_SCHEME):
            return dataset.removeprefix(_SCHEME).rstrip("/")
        return [dataset] if Path(dataset).exists() or not _is_version(dataset) else dataset
    if isinstance(dataset, DatasetRef):
        return dataset
    if isinstance(dataset, os.PathLike):
        return [dataset]
    if isinstance(dataset, list | tuple):
        return list(dataset)
    raise LoaderError(
        f"no dataset: {dataset!r} of type {type(dataset).__name__}; give a DatasetRef, NAME@VERSION, or files"
    )


def _is_version(text: str) -> bool:
    from resources.storage.naming import looks_like_digest

    return "@" in text or looks_like_digest(text)


def _found(path: Path) -> list[tuple[Path, FileShards]]:
    """Return the files at `path`, and what each says; of a folder of another loader its index, which says all."""
    index = path / INDEX
    if index.is_file():
        from resources.loader.foreign.folders import foreign_shards

        foreign = foreign_shards(path)
        if foreign is not None:
            return [(index, foreign)]
    return [(file, shards_of(file)) for file in _files(path)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise LoaderError(f"there is no {path}: give a file, a folder, or NAME@VERSION of a dataset of the store")
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise LoaderError(f"{path} holds no file that ends in {', '.join(SUFFIXES)}: give another folder, or the files")
    return found


def _of_files(name: str, found: Sequence[tuple[Path, FileShards]]) -> Source:
    if not found:
        raise LoaderError("no files were given: give at least one")
    paths, read = [path for path, _ in found], [one for _, one in found]
    schema = read[0].schema
    for path, one in zip(paths[1:], read[1:], strict=True):
        if not one.schema.equals(schema):
            raise LoaderError(
                f"{path} {_difference(paths[0], schema, one.schema)}: all files of a dataset need one schema"
            )
    shards = [shard for one in read for shard in one.shards]
    size_bytes = sum(one.size_bytes for one in read)
    return Source(
        name=name,
        schema=schema,
        layout=layout_of(_digest(paths, read), [shard.rows for shard in shards], size_bytes),
        shards=shards,
        ranges=lambda columns: _ranges(read, columns),
    )


def layout_of(root: str, rows: Sequence[int], size_bytes: int) -> Layout:
    """Return the layout of shards of so many rows, whose bytes are `size_bytes` in all."""
    counts = np.array(rows, np.int64)
    return Layout(root=root, rows=counts, row_bytes=size_bytes / max(int(counts.sum()), 1))


def _ranges(files: Sequence[FileShards], columns: Sequence[str]) -> "list[Mapping[str, Range]]":
    """Return what the footers of files say of columns of each of their shards."""
    from resources.loader.footers import ranges_of

    return [
        {} if file.footer is None else ranges_of([file.footer.row_group(number)], file.schema, columns)
        for file in files
        for number in range(len(file.shards))
    ]


def _digest(paths: Sequence[Path], read: Sequence[FileShards]) -> str:
    """Return what tells plain files from others without reading them: names, sizes, schema and rows."""
    files = [
        [path.name, path.stat().st_size, [s.rows for s in one.shards]] for path, one in zip(paths, read, strict=True)
    ]
    schema = [[field.name, str(field.type)] for field in read[0].schema]
    return digest_value({"files": files, "schema": schema})


def _difference(first: Path, expected: pa.Schema, found: pa.Schema) -> str:
    for field in expected:
        if field.name not in found.names:
            return f"lacks column {field.name!r} of {first.name}"
        if found.field(field.name).type != field.type:
            return f"has {found.field(field.name).type} for column {field.name!r}, {first.name} has {field.type}"
    more = [name for name in found.names if name not in expected.names]
    if more:
        return f"has column {more[0]!r}, which {first.name} lacks"
    return f"has its columns in another order than {first.name}, or says otherwise which may be null"
