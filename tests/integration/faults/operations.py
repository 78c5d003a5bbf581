"""What the storage does while something goes wrong: get, put, evict, publish, move a ref, pull, collect garbage.

Each operation says how a world is prepared for it, acts once for one version, and tells what is wrong afterwards.
Acting again after a failure must succeed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from resources.canonical import digest_value
from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.refs import DatasetRef
from resources.storage import refs
from resources.storage.content import StoredFile, describe_bytes
from resources.storage.datasets import read_frame, write_table
from resources.storage.files import borrowed, get_bytes, put_file
from resources.storage.garbage.collect import collect
from resources.storage.provenance import Parent, Provenance, record, records_of
from resources.storage.pull import pull
from resources.storage.store import Store
from resources.storage.versions import version as whole
from tests.integration.faults.world import BUDGET_BYTES, Place, World, data_of, frame
from tests.resources.remotes import bytes_on_disk

ASSET = ("bike", "raw")
Committed = Mapping[int, Any]  # version to what the ledger keeps of it, JSON values
_BOTH: tuple[Place, ...] = ("folder", "s3")
_GARBAGE = 10_000  # from here on versions that nothing names


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that must not be.

    Attributes:
        kind: Other bytes than were written; a committed version that cannot be read; or a half of one that can be seen.
        text: What it is.
    """

    kind: Literal["corrupt", "lost", "partial"]
    text: str


class Operation(Protocol):
    """One operation of the storage; `places` are the stores where it does something of its own."""

    places: tuple[Place, ...]

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Put in place what `act` needs for versions 0 to `versions`; nothing goes wrong meanwhile."""
        ...

    def act(self, world: World, store: Store, version: int) -> object:
        """Do it, and return what the ledger is to keep."""
        ...

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Yield what is wrong with `committed` versions after acting for `version`, whether that came back or not."""
        ...


class WrongRows(Exception):
    """An operation was given other rows than were written."""


class Get:
    """Read a dataset that this host has not read before."""

    places = _BOTH

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Publish all versions."""
        for version in range(versions + 1):
            world.commit(version, _publish(world, store, version).digest)

    def act(self, world: World, store: Store, version: int) -> object:
        """Read one."""
        digest = world.committed()[version]
        if not read_frame(store, digest).equals(frame(version)):
            raise WrongRows(f"version {version}: dataset {digest} was read with other rows")
        return digest

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Read all of them again."""
        for number, digest in committed.items():
            yield from _wrong_rows(store, number, digest)
        yield from _wrong_cache(world)


class Evict:
    """Read datasets through a cache that holds two or three of them, so that each read drives another out."""

    places: tuple[Place, ...] = ("s3",)

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Publish all versions."""
        Get().prepare(world, store, versions)

    def act(self, world: World, store: Store, version: int) -> object:
        """Read the version, the three before it, and it again."""
        for number in (*range(version, max(-1, version - 4), -1), version):
            value = Get().act(world, store, number)
        return value

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Read all of them again."""
        return Get().wrong(world, store, committed, version)


class Put:
    """Store a file under its digest."""

    places = _BOTH

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Store one."""
        world.commit(0, self.act(world, store, 0))

    def act(self, world: World, store: Store, version: int) -> object:
        """Write the file and store it."""
        world.scratch.mkdir(parents=True, exist_ok=True)
        file = world.scratch / f"file-{version}"
        try:
            file.unlink(missing_ok=True)
            file.write_bytes(data_of(version))
        except OSError as error:  # the file is the caller's, and so is this error
            raise StoreError(f"cannot write {file}: {error.strerror}") from error
        return asdict(put_file(store, file))

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Read all that was stored, and what may have been."""
        for number, stored in committed.items():
            if stored != asdict(_file_of(number)):
                yield Wrong(kind="corrupt", text=f"file {number} was stored as {stored}")
            yield from _wrong_file(store, _file_of(number), "lost")
        if version not in committed:
            yield from _wrong_file(store, _file_of(version), "partial")


class Publish:
    """Write a dataset in three shards, its provenance, and the ref of its own partition."""

    places = _BOTH

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Publish one."""
        world.commit(0, self.act(world, store, 0))

    def act(self, world: World, store: Store, version: int) -> object:
        """Publish one more."""
        ref = _publish(world, store, version)
        refs.save(store, "main", ASSET, f"{version}", ref)
        return ref.digest

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Read whatever a ref or the ledger names."""
        for number, digest in committed.items():
            yield from _wrong_ref(store, number, digest)
        if version not in committed:
            yield from _wrong_ref(store, version, None)


class MoveRef:
    """Let a ref point to another version than before."""

    places = _BOTH

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Publish all versions, and let the ref point to the first."""
        for version in range(versions + 1):
            refs.save(store, "main", ASSET, f"{version}", _publish(world, store, version))
        world.commit(0, self.act(world, store, 0))

    def act(self, world: World, store: Store, version: int) -> object:
        """Move it."""
        ref = refs.load(store, "main", ASSET, f"{version}")
        refs.save(store, "main", ASSET, None, ref)
        return ref.digest

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Follow the ref: it points to the version that was committed last or, if that failed, to the one under way."""
        newest = max(committed)
        try:
            ref = refs.load(store, "main", ASSET, None)
            rows = read_frame(store, ref.digest)
        except (ObjectMissing, IntegrityError) as error:
            yield Wrong(kind="lost", text=f"the ref: {error}")
            return
        if not rows.equals(frame(newest)) and not (version > newest and rows.equals(frame(version))):
            yield Wrong(kind="lost", text=f"the ref points to {rows['version'][0]}, not to {newest} or {version}")
        if ref != refs.load(store, "main", ASSET, f"{rows['version'][0]}"):
            yield Wrong(kind="corrupt", text=f"the ref of version {rows['version'][0]} came back as {ref}")


class Pull:
    """Fetch the files of a version into a folder, in place of those of the version before."""

    places = _BOTH

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Publish all versions, and fetch the first."""
        Get().prepare(world, store, versions)
        self.act(world, store, 0)

    def act(self, world: World, store: Store, version: int) -> object:
        """Fetch one."""
        digest = world.committed()[version]
        pull(store, whole(store, digest), _folder(world), force=True)
        return digest

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Look at the folder: it is not there, or it holds one version, whole."""
        yield from Get().wrong(world, store, committed, version)
        if _folder(world).is_dir():
            found = pl.read_parquet(sorted(_folder(world).iterdir()))
            if not found.equals(frame(found["version"][0])):
                yield Wrong(kind="partial", text=f"the folder holds {found.height} rows")


class Collect:
    """Publish a dataset that nothing names, and collect it as garbage beside those that refs name."""

    places = _BOTH

    def prepare(self, world: World, store: Store, versions: int) -> None:
        """Publish all versions, and let refs name them."""
        for version in range(versions + 1):
            ref = _publish(world, store, version)
            refs.save(store, "main", ASSET, f"{version}", ref)
            world.commit(version, ref.digest)

    def act(self, world: World, store: Store, version: int) -> object:
        """Publish one more without a ref, mark and delete it."""
        _publish(world, store, _GARBAGE + version)
        collect(store, grace_s=0)
        return world.committed()[version]

    def wrong(self, world: World, store: Store, committed: Committed, version: int) -> Iterator[Wrong]:
        """Follow the refs."""
        for number, digest in committed.items():
            yield from _wrong_ref(store, number, digest)


OPERATIONS: dict[str, Operation] = {
    "get": Get(),
    "put": Put(),
    "evict": Evict(),
    "publish": Publish(),
    "move ref": MoveRef(),
    "pull": Pull(),
    "gc": Collect(),
}


def _folder(world: World) -> Path:
    return world.disk / "pulled"


def _publish(world: World, store: Store, version: int) -> DatasetRef:
    ref = write_table(store, frame(version), scratch=world.scratch, rows_per_shard=100)
    record(store, _provenance(version, ref.digest))
    return ref


def _provenance(version: int, digest: str) -> Provenance:
    source = Parent(kind="source", name="file", digest=digest_value(version))
    return Provenance(subject=digest, kind="dataset", pipeline="bike", stage="raw", parents=(source,))


def _wrong_rows(store: Store, version: int, digest: str) -> Iterator[Wrong]:
    try:
        rows = read_frame(store, digest)
    except (ObjectMissing, IntegrityError) as error:
        yield Wrong(kind="lost", text=f"version {version}: {error}")
        return
    if not rows.equals(frame(version)):
        yield Wrong(kind="corrupt", text=f"version {version} was read with other rows")


@lru_cache
def _file_of(version: int) -> StoredFile:
    return describe_bytes(data_of(version))[0]


def _wrong_file(store: Store, file: StoredFile, kind: Literal["lost", "partial"]) -> Iterator[Wrong]:
    """Read a file in both ways; one that may be missing must not be half there."""
    try:
        data = get_bytes(store, file)
        if file.size_bytes < BUDGET_BYTES:
            with borrowed(store, [file]) as (path,):
                if data != path.read_bytes():
                    yield Wrong(kind="corrupt", text=f"file {file.digest} was fetched with other bytes")
    except ObjectMissing as error:
        if kind == "lost":
            yield Wrong(kind=kind, text=str(error))
    except IntegrityError as error:
        yield Wrong(kind=kind, text=str(error))


def _wrong_ref(store: Store, version: int, digest: str | None) -> Iterator[Wrong]:
    """Follow the ref of a version; without a digest it may be missing, but not point to half a version."""
    try:
        ref = refs.load(store, "main", ASSET, f"{version}")
    except ObjectMissing as error:
        if digest is not None:
            yield Wrong(kind="lost", text=str(error))
        return
    except IntegrityError as error:
        yield Wrong(kind="lost" if digest else "partial", text=str(error))
        return
    if (digest and ref.digest != digest) or not isinstance(ref, DatasetRef) or ref.rows != len(frame(version)):
        yield Wrong(kind="corrupt", text=f"the ref of version {version} came back as {ref}")
    for wrong in _wrong_rows(store, version, ref.digest):
        yield wrong if digest else Wrong(kind="partial", text=wrong.text)
    if records_of(store, ref.digest) != (_provenance(version, ref.digest),):
        yield Wrong(kind="lost", text=f"the provenance of version {version} is not what was recorded")


def _wrong_cache(world: World) -> Iterator[Wrong]:
    if (world.cache / "parts").exists() and (held := bytes_on_disk(world.cache)) > BUDGET_BYTES:
        yield Wrong(kind="corrupt", text=f"the cache holds {held:,} bytes, allowed are {BUDGET_BYTES:,}")
