"""Owns the fsspec filesystem `penstock://`: versions of a store as folders that whoever speaks fsspec reads by URL.

It writes nothing. A name is looked up once per instance, so that an instance sees one version from listing to last
byte, whatever moves meanwhile; `invalidate_cache` forgets, and fsspec makes a new instance for each URL.
"""

import errno
import os
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from resources.errors import ObjectMissing
from resources.settings import Settings, load_settings
from resources.storage import refs
from resources.storage.contents import Contents, Entry
from resources.storage.naming import Address, digest_at, parse, title
from resources.storage.store import Store

Info = dict[str, Any]  # Any: what fsspec tells of a file


def _refused(*args: Any, **kwargs: Any) -> NoReturn:  # Any: of every method that writes
    """Refuse to write."""
    raise OSError(errno.EROFS, "penstock:// is read-only, for a version never changes: make a new one by a pipeline")


class PenstockFileSystem(AbstractFileSystem):
    """Reads versions by `penstock://NAME@VERSION/path` or `penstock://DIGEST/path`, verified.

    Args:
        store: URL or folder of the store, or an open one; by default that of the `PENSTOCK_*` settings, over their
            base store.
        cache: Folder of the host's cache, if another than that of the settings.
        registry: Name of the registry whose refs count, if another than that of the settings.
        storage_options: What fsspec itself takes.
    """

    protocol: ClassVar[str | tuple[str, ...]] = "penstock"  # pyright: ignore[reportIncompatibleVariableOverride]
    root_marker = ""
    cachable = False  # the settings, and what names mean, may change

    def __init__(
        self,
        store: Store | str | None = None,
        cache: str | os.PathLike[str] | None = None,
        registry: str | None = None,
        **storage_options: Any,  # Any: fsspec's own
    ) -> None:
        super().__init__(store=store, cache=cache, registry=registry, **storage_options)
        self._given = store
        self._cache_folder = cache
        self._registry = registry
        self._found: dict[str, Contents] = {}

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what names mean; the next call looks them up again."""
        self._found.clear()
        super().invalidate_cache(path)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:  # Any: as fsspec declares it
        """List a folder of a version, or the assets and partitions above them."""
        path = self._plain(path)
        address = parse(path)
        if address.version is None:
            found = self._names(path)
        else:
            contents = self._contents(address)
            children = contents.children(address.path)
            if children is None:
                found = [self.info(path)]
            else:
                found = [_info(f"{path}/{name}", entry) for name, entry in children.items()]
        return found if detail else [item["name"] for item in found]

    def info(self, path: str, **kwargs: Any) -> Info:
        """Return name, type, size in bytes, digest and MD5 of a file; of a version its digest."""
        path = self._plain(path)
        address = parse(path)
        if address.version is None:
            if path:
                self._names(path)
            return _info(path, None)
        contents = self._contents(address)
        entry = contents.files.get(address.path)
        if entry is None and contents.children(address.path) is None:
            raise FileNotFoundError(
                errno.ENOENT, f"version {contents.digest[:12]} has no file {address.path!r}", f"penstock://{path}"
            )
        told = _info(path, entry)
        return told | {"digest": contents.digest} if not address.path else told

    def ukey(self, path: str) -> str:
        """Return the digest of a file or version: equal digests are equal bytes."""
        told = self.info(path)
        if "digest" not in told:
            raise FileNotFoundError(errno.ENOENT, "no file and no version", f"penstock://{path}")
        return told["digest"]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the bytes of a file, or those from `start` to before `end`, counted as in a slice."""
        contents, entry = self._entry(path)
        return contents.read([(entry, *_bounds(entry, start, end))])[0]

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int] | None,
        ends: int | list[int] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:  # Any: bytes, or an error in their place
        """Return many ranges; those that are near each other are fetched together, the others at the same time."""
        many = [item if isinstance(item, list) else [item] * len(paths) for item in (starts, ends)]
        if len(many[0]) != len(paths) or len(many[1]) != len(paths):
            raise ValueError(f"{len(paths)} paths need as many starts and ends, got {len(many[0])} and {len(many[1])}")
        answers: list[Any] = [None] * len(paths)  # Any: as above
        wanted: dict[Contents, list[tuple[int, tuple[Entry, int, int]]]] = {}
        for number, (path, start, end) in enumerate(zip(paths, *many, strict=True)):
            try:
                contents, entry = self._entry(path)
                wanted.setdefault(contents, []).append((number, (entry, *_bounds(entry, start, end))))
            except Exception as error:
                if on_error != "return":
                    raise
                answers[number] = error
        for contents, requests in wanted.items():
            for (number, _), data in zip(requests, _read(contents, requests, on_error), strict=True):
                answers[number] = data
        return answers

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> "PenstockFile":
        if mode != "rb":
            _refused()
        contents, entry = self._entry(path)
        return PenstockFile(
            self,
            path,
            contents,
            entry,
            mode=mode,
            block_size=block_size or "default",
            cache_options=cache_options,
            size=entry.size_bytes,
            **kwargs,
        )

    mkdir = makedirs = rmdir = rm = rm_file = _rm = mv = touch = copy = cp_file = _refused
    put = put_file = pipe = pipe_file = write_bytes = write_text = _refused

    def _entry(self, path: str) -> tuple[Contents, Entry]:
        path = self._plain(path)
        told, address = self.info(path), parse(path)
        if told["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "is a folder", f"penstock://{path}")
        contents = self._contents(address)
        return contents, contents.files[address.path]

    def _contents(self, address: Address) -> Contents:
        root = address.root
        if root not in self._found:
            try:
                digest = digest_at(self._store, self._registry_name, address, self._champion)
                known = next((item for item in self._found.values() if item.digest == digest), None)
                self._found[root] = known or Contents(self._store, digest)
            except ObjectMissing as error:
                raise FileNotFoundError(errno.ENOENT, str(error), f"penstock://{root}") from error
        return self._found[root]

    def _names(self, path: str) -> list[Info]:
        """Return what lies in a folder of names: parts of asset keys, and assets with their partitions."""
        names = refs.listed(self._store, self._registry_name)
        depth = len(path.split("/")) if path else 0
        below = [name for name in names if not path or "/".join(name.asset[:depth]) == path]
        found: dict[str, Info] = {}
        for name in below:
            if len(name.asset) > depth:
                head = "/".join(name.asset[: depth + 1])
                whole = len(name.asset) == depth + 1
                key = title(head, name.partition or "") if whole else head
                found[key] = _info(key, None)
        if path and not found:
            raise FileNotFoundError(errno.ENOENT, "no such asset: see `penstock data ls`", f"penstock://{path}")
        return [found[key] for key in sorted(found)]

    def _champion(self, pipeline: str) -> str:
        from dataclasses import replace

        from resources.workspace import open_workspace

        opened = replace(open_workspace(self._settings), store=self._store, registry_name=self._registry_name)
        entry = opened.registry(pipeline).champion()
        if entry is None:
            raise ObjectMissing(f"pipeline {pipeline!r} has no champion in registry {self._registry_name!r} yet")
        return entry.model.digest

    @cached_property
    def _settings(self) -> Settings:
        given = {"PENSTOCK_STORE": self._given, "PENSTOCK_CACHE": self._cache_folder}
        options = {name: str(value) for name, value in given.items() if isinstance(value, str | os.PathLike)}
        return load_settings({**os.environ, **options})

    @cached_property
    def _store(self) -> Store:
        from resources.storage.verified import use_mode
        from resources.workspace import own_store_of, store_of

        if self._given is not None and not isinstance(self._given, str):
            return self._given
        use_mode(self._settings.verify)
        return store_of(self._settings) if self._given is None else own_store_of(self._settings)

    @property
    def _registry_name(self) -> str:
        return self._registry or self._settings.registry

    def _plain(self, path: str) -> str:
        return str(self._strip_protocol(path)).strip("/")


class PenstockFile(AbstractBufferedFile):
    """One file of a version, open for reading."""

    def __init__(
        self,
        fs: PenstockFileSystem,
        path: str,
        contents: Contents,
        entry: Entry,
        **kwargs: Any,  # Any: as fsspec declares it
    ) -> None:
        self._contents = contents
        self._entry = entry
        super().__init__(fs, path, **kwargs)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._contents.read([(self._entry, *_bounds(self._entry, start, end))])[0]


def _read(contents: Contents, requests: list[tuple[int, tuple[Entry, int, int]]], on_error: str) -> list[Any]:
    try:
        return contents.read([request for _, request in requests])
    except Exception as error:
        if on_error != "return":
            raise
        if len(requests) == 1:
            return [error]
        return [answer for item in requests for answer in _read(contents, [item], on_error)]


def _info(path: str, entry: Entry | None) -> Info:
    if entry is None:
        return {"name": path, "size": 0, "type": "directory"}
    return {"name": path, "size": entry.size_bytes, "type": "file", "digest": entry.digest, "md5": entry.md5}


def _bounds(entry: Entry, start: int | None, end: int | None) -> tuple[int, int]:
    first, last, _ = slice(start, end).indices(entry.size_bytes)
    return first, max(first, last)
