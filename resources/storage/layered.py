"""Owns the store in two layers: one's own, which takes every write, over a base that is only ever read.

What one's own layer lacks is read through from the base. Content has one name everywhere, so it does not matter which
layer it comes from. Refs and memos of one's own hide those of the base under the same key.

A log (`registry/<registry>/<pipeline>/`) belongs to one layer as a whole, for entries of two would be no chain: to the
base until one's own holds the first entry, from then on to one's own. `fork_log` copies it. What says how one store is
kept clean (`gc/`, `leases/`, `pins/`) is never read through.
"""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

from resources.errors import ConflictError, ObjectMissing
from resources.storage.content import StoredFile
from resources.storage.read_only import ReadOnlyStore
from resources.storage.store import Store

LOGS = "registry"
HOUSEKEEPING = ("gc", "leases", "pins")
_LOG_PARTS = 3  # registry/<registry>/<pipeline>
_FIRST_ENTRY = "00000001.json"
_OWN, _BASE = "own:", "base:"
T = TypeVar("T")


class LayeredStore:
    """Reads `own` first and then `base`; writes to `own` alone.

    Args:
        own: Takes every write.
        base: Is only read, whatever its credentials allow.
    """

    def __init__(self, own: Store, base: Store) -> None:
        self.own = own
        self.base = ReadOnlyStore(base)
        self._leases: dict[str, list[Store]] = defaultdict(list)
        self._lock = Lock()

    @property
    def url(self) -> str:
        """Where one's own layer is: there everything new goes."""
        return self.own.url

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`."""
        return self._read(key, lambda store: store.get(key))[0]

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes under `key` from `start` to before `end`."""
        return self._read(key, lambda store: store.get_range(key, start, end))[0]

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the bytes under `key` and a tag that also tells which layer they are from."""
        (data, tag), layer = self._read(key, lambda store: store.get_tagged(key))
        return data, f"{layer}{tag}"

    def exists(self, key: str) -> bool:
        """Return whether `key` exists in a layer that counts for it."""
        return any(layer.exists(key) for layer in self._layers(key).values())

    def size_bytes(self, key: str) -> int:
        """Return how many bytes lie under `key`."""
        return self._read(key, lambda store: store.size_bytes(key))[0]

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys of both layers below the folder `prefix`, of each log those of one layer."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes of what `list` lists."""
        return _merged(self.own.sizes(prefix), self.base.sizes(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return key to stamp of what `list` lists; it tells the layer too."""
        own = {key: f"{_OWN}{stamp}" for key, stamp in self.own.stamps(prefix).items()}
        return _merged(own, {key: f"{_BASE}{stamp}" for key, stamp in self.base.stamps(prefix).items()})

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders of both layers in the folder `prefix`."""
        base = () if _is_housekeeping(prefix) else self.base.folders(prefix)
        return tuple(sorted({*self.own.folders(prefix), *base}))

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` to one's own layer unless a layer has the key."""
        return not self._in_base(key) and self.own.create(key, data)

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the bytes under `key` in one's own layer."""
        self.own.put(key, data)

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Replace the bytes under `key` in one's own layer if what is read there still is what `tag` came with.

        The first replacement of what was read from the base creates the key in one's own layer.
        """
        if tag is not None and tag.startswith(_OWN):
            return self.own.swap(key, data, tag=tag.removeprefix(_OWN))
        return self._tag_in_base(key) == tag and self.own.swap(key, data, tag=None)

    def upload(self, key: str, path: Path) -> bool:
        """Like `create`: what the base has is not uploaded."""
        return not self._in_base(key) and self.own.upload(key, path)

    def delete(self, key: str) -> None:
        """Remove `key` from one's own layer; what the base has under it shows again."""
        self.own.delete(key)

    def local(self, file: StoredFile) -> Path:
        """Return a local copy of `file` from the layer that has it; the host's cache is one for both."""
        for layer in (self.own, self.base):
            try:
                path = layer.local(file)
            except ObjectMissing:
                continue
            with self._lock:
                self._leases[file.digest].append(layer)
            return path
        raise self._missing(file.key)

    @property
    def has_copies(self) -> bool:
        """Whether both layers have any: a file may lie in either."""
        return self.own.has_copies and self.base.has_copies

    def open_local(self, file: StoredFile) -> int | None:
        """Return a descriptor of the host's copy of `file` that either layer has made, or None."""
        found = self.own.open_local(file)
        return found if found is not None else self.base.open_local(file)

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return bytes of `file` that a download from either layer has fetched or is about to, or None."""
        found = self.own.landed(file, start, end)
        return found if found is not None else self.base.landed(file, start, end)

    def release_local(self, file: StoredFile) -> None:
        """Let go of one path that `local` returned, in the layer that it came from."""
        with self._lock:
            layers = self._leases[file.digest]
            layer = layers.pop() if layers else None
            if not layers:
                del self._leases[file.digest]
        if layer is not None:
            layer.release_local(file)

    def forget_local(self, file: StoredFile) -> bool:
        """Drop a damaged copy that either layer has made."""
        dropped = self.own.forget_local(file)
        return self.base.forget_local(file) or dropped

    def fork_log(self, folder: str) -> None:
        """Make the log in `folder` one's own, with all entries that the base has by now.

        The first entry is copied last: a fork that is killed before has not begun. Nothing of the base's log counts
        here any more from then on.

        Raises:
            ConflictError: If entries of another log stand in the way, from a fork that was killed.
        """
        if self._is_own(folder):
            return
        for key in reversed(self.base.list(folder)):
            data = self.base.get(key)
            if self.own.create(key, data) or self.own.get(key) == data:
                continue
            if self._is_own(folder):  # another process forked it meanwhile, at another entry
                return
            raise ConflictError(
                f"{key} in store {self.url} is not the entry of base store {self.base.url}: it is left of another "
                f"base, delete {folder} in your own store, then run again"
            )

    def _layers(self, key: str) -> dict[str, Store]:
        """Return the layers that count for `key`, the first first."""
        if _is_housekeeping(key):
            return {_OWN: self.own}
        folder = _log(key)
        if folder is None:
            return {_OWN: self.own, _BASE: self.base}
        return {_OWN: self.own} if self._is_own(folder) else {_BASE: self.base}

    def _is_own(self, folder: str) -> bool:
        return self.own.exists(f"{folder}/{_FIRST_ENTRY}")

    def _tag_in_base(self, key: str) -> str | None:
        if _BASE not in self._layers(key):
            return None
        try:
            return f"{_BASE}{self.base.get_tagged(key)[1]}"
        except ObjectMissing:
            return None

    def _in_base(self, key: str) -> bool:
        return _BASE in self._layers(key) and self.base.exists(key)

    def _read(self, key: str, read: Callable[[Store], T]) -> tuple[T, str]:
        for name, layer in self._layers(key).items():
            try:
                return read(layer), name
            except ObjectMissing:
                continue
        raise self._missing(key)

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(
            f"no object {key} in store {self.own.url}, nor in its base store {self.base.url}: check PENSTOCK_STORE and "
            "PENSTOCK_BASE_STORE, or make it again"
        )


def own_layer(store: Store) -> Store:
    """Return the layer that takes writes: what may be deleted lies there."""
    return store.own if isinstance(store, LayeredStore) else store


def holder(store: Store, key: str) -> Store:
    """Return the layer that `key` is read from, one's own if there is none."""
    if not isinstance(store, LayeredStore):
        return store
    return store.base if not store.own.exists(key) and store.exists(key) else store.own


def fork_log(store: Store, folder: str) -> None:
    """Make the log in `folder` one's own before an entry is added to it; without a base it is."""
    if isinstance(store, LayeredStore):
        store.fork_log(folder)


def _merged(own: dict[str, T], base: dict[str, T]) -> dict[str, T]:
    """Return what is told of the keys of both layers, of each log of one layer."""
    forked = {folder for key in own if (folder := _log(key)) and key == f"{folder}/{_FIRST_ENTRY}"}
    # A log without its first entry is what a killed fork left.
    mine = {key: value for key, value in own.items() if (folder := _log(key)) is None or folder in forked}
    theirs = {key: value for key, value in base.items() if _log(key) not in forked and not _is_housekeeping(key)}
    return dict(sorted((theirs | mine).items()))


def _is_housekeeping(key: str) -> bool:
    return key.split("/", 1)[0] in HOUSEKEEPING


def _log(key: str) -> str | None:
    """Return the folder of the log that `key` belongs to, or None."""
    parts = key.split("/")
    return "/".join(parts[:_LOG_PARTS]) if parts[0] == LOGS and len(parts) > _LOG_PARTS else None
