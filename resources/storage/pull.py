"""Owns how the files of a version come out of the store: verified, several at a time, into a folder of the user.

Everything is made aside and flushed before it gets its name: a reader sees the version that was there, or this one.
Where DVC keeps a cache, it gets the files too, by hard link where that is possible.
"""

import os
import secrets
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from resources.durable import sync, sync_file_system, sync_folder
from resources.errors import SourceError
from resources.storage.content import StoredFile, digest_of_file
from resources.storage.dvc.outs import Out, out_of
from resources.storage.files import borrowed
from resources.storage.folders import Member, read_folder
from resources.storage.objects import get_object
from resources.storage.placing import place
from resources.storage.scratch import ScratchFolder
from resources.storage.store import Store
from resources.storage.unpacking import unpack
from resources.storage.versions import Version

CONCURRENT_FILES = 4
_ASIDE = ".penstock-pull-"
_READ_ONLY = 0o444  # DVC takes a cached file of this mode for whole, without hashing it


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull came to.

    Attributes:
        target: The folder, or the file of a single object.
        files: How many files it holds.
        size_bytes: Their bytes.
        unchanged: Whether it held them before.
    """

    target: Path
    files: int
    size_bytes: int
    unchanged: bool


def pull(
    store: Store,
    found: Version,
    target: Path,
    *,
    dvc_cache: Path | None = None,
    packed: bool = False,
    copy: bool = False,
    force: bool = False,
) -> Pulled:
    """Make `target` hold the files of the version `found`.

    Args:
        store: Where they lie.
        found: The version.
        target: The folder to make, or the file if the version is a single object.
        dvc_cache: Folder in which DVC keeps its cache: it gets the files too.
        packed: Whether a folder of raw files is wanted as the archives that DVC sees, not unpacked.
        copy: Whether files must be writable and share nothing with a cache.
        force: Whether `target` may be replaced.

    Raises:
        SourceError: If `target` holds something else, or the disk fails.
        StoreError: If the store lacks a file, or one was altered.
    """
    content = get_object(store, found.digest) if found.kind == "object" else None
    loose = read_folder(store, found.digest).by_name if found.kind == "folder" and not packed else {}
    wanted = loose or found.files
    with _explained(target):
        is_there = _holds(target, wanted, content)
        is_taken = not is_there and not force and _stands(target)
    result = Pulled(
        target=target,
        files=len(wanted) if content is None else 1,
        size_bytes=sum(item.size_bytes for item in wanted.values()) if loose else found.size_bytes,
        unchanged=is_there,
    )
    # DVC has never heard of the files in an archive.
    out = out_of(store, found) if dvc_cache is not None and not loose else None
    if result.unchanged and (dvc_cache is None or out is None or _cached(dvc_cache, out, found.files)):
        return result
    if is_taken:
        raise SourceError(f"{target} holds something else: name another place, or replace it with --force")
    with _explained(target), _aside(target.absolute().parent) as aside, _Cache.opened(dvc_cache, out) as cache:
        new = aside / "new"
        if content is not None:
            new.write_bytes(content)
            sync(new)
        else:
            new.mkdir()
            whole = {name: file for name, file in found.files.items() if not loose or name in loose}
            _each(lambda name: _fetch(store, whole[name], _made(new / name), cache, copy=copy), list(whole))
            _unpack_all(store, found, loose, new)
            _flush_names(new)
        if cache is not None:
            cache.publish()
        _replace(new, target.absolute(), aside / "old")
    return result


def _each(work: Callable[[str], None], names: list[str]) -> None:
    with ThreadPoolExecutor(CONCURRENT_FILES) as pool:
        try:
            for _ in pool.map(work, names):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(store: Store, file: StoredFile, target: Path, cache: "_Cache | None", *, copy: bool) -> None:
    with borrowed(store, [file]) as [path]:
        # A store in a folder lends its only copy; one of the host's cache is fetched again if it is damaged.
        link = not path.as_posix().endswith(f"/{file.key}")
        source = path if cache is None else cache.add(file, path, link=link)
        _place(source, target, link=(link or cache is not None) and not copy)


def _place(source: Path, target: Path, *, link: bool) -> bool:
    """Place a file and flush it; return whether it is a link to one that is flushed already."""
    if place(source, target, link=link) == "link":
        return True
    sync(target)
    return False


def _flush_names(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        sync_folder(Path(parent))


def _unpack_all(store: Store, found: Version, loose: Mapping[str, Member], folder: Path) -> None:
    packs: dict[str, list[Member]] = {}
    for member in loose.values():
        if member.stored != member.name:
            packs.setdefault(member.stored, []).append(member)
    for parent in {member.name.rpartition("/")[0] for members in packs.values() for member in members}:
        (folder / parent).mkdir(parents=True, exist_ok=True)

    def one(name: str) -> None:
        with borrowed(store, [found.files[name]]) as [path]:
            unpack(path, packs[name], folder, pack=f"{name} of version {found.digest[:12]} in store {store.url}")

    _each(one, list(packs))
    if packs:  # thousands of files: one call for all takes less than one each
        sync_file_system(folder)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _replace(new: Path, target: Path, old: Path) -> None:
    if target.is_symlink() or (target.exists() and (target.is_dir() or new.is_dir())):
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        with suppress(OSError):
            old.rename(target)
        raise
    sync_folder(target.parent)


def _stands(target: Path) -> bool:
    """Return whether there is anything that would be lost."""
    if target.is_dir() and not target.is_symlink():
        return any(target.iterdir())
    return target.exists() or target.is_symlink()


def _holds(target: Path, wanted: Mapping[str, StoredFile] | Mapping[str, Member], content: bytes | None) -> bool:
    """Return whether `target` has exactly the wanted files; all bytes are hashed."""
    if content is not None:
        return target.is_file() and target.read_bytes() == content
    if not target.is_dir():
        return False
    there = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if not path.is_dir()}
    if there.keys() != wanted.keys() or any(not path.is_file() for path in there.values()):
        return False
    return all(
        path.stat().st_size == wanted[name].size_bytes and digest_of_file(path) == wanted[name].digest
        for name, path in there.items()
    )


@contextmanager
def _aside(parent: Path) -> Generator[Path]:
    scratch = ScratchFolder(parent, prefix=_ASIDE)
    try:
        yield scratch.path
    finally:
        scratch.remove()


@contextmanager
def _explained(target: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"cannot use {error.filename or target}: {error.strerror or error}; make it readable and writable, free "
            "space, or name another place"
        ) from error


def _cached(dvc_cache: Path, out: Out, files: Mapping[str, StoredFile]) -> bool:
    """Return whether DVC would take its cache for whole."""

    def there(key: str, size_bytes: int) -> bool:
        with suppress(OSError):
            status = (dvc_cache / key).stat()
            return status.st_size == size_bytes and status.st_mode & 0o777 == _READ_ONLY
        return False

    return there(out.key, len(out.content)) and all(there(file.key, file.size_bytes) for file in files.values())


class _Cache:
    """The entries that DVC's cache gets, aside until all of them are on the disk."""

    def __init__(self, root: Path, aside: Path) -> None:
        self._root = root
        self._aside = aside
        self._entries: dict[str, Path] = {}

    @classmethod
    @contextmanager
    def opened(cls, root: Path | None, out: Out | None) -> Generator["_Cache | None"]:
        """Yield what collects entries for the cache in `root`, beginning with that of `out`."""
        if root is None or out is None:
            yield None
            return
        with _aside(root) as aside:
            made = cls(root, aside)
            path = aside / secrets.token_hex(8)
            path.write_bytes(out.content)
            path.chmod(_READ_ONLY)
            sync(path)
            made._entries[out.key] = path
            yield made

    def add(self, file: StoredFile, source: Path, *, link: bool) -> Path:
        """Return the entry of `file`, made of the verified file `source`."""
        path = self._aside / secrets.token_hex(8)
        if not _place(source, path, link=link) or path.stat().st_mode & 0o777 != _READ_ONLY:
            path.chmod(_READ_ONLY)
        self._entries[file.key] = path
        return path

    def publish(self) -> None:
        """Give the entries, which are flushed, their names."""
        for key, path in self._entries.items():
            final = self._root / key
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
