"""Owns the way of a version into the archive and back: copied, verified, and only then marked.

The archive is a store like any other, say a bucket with a cold storage class; what is archived is pinned there.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.files import borrowed, put_file
from resources.storage.garbage.guard import deletions, settle
from resources.storage.garbage.pins import pin, unpin
from resources.storage.garbage.walk import own_keys
from resources.storage.objects import ARCHIVED, archived_key, get_object, put_object
from resources.storage.store import Store
from resources.storage.uses import note
from resources.storage.values import read_verified, seal, unseal
from resources.storage.verify import verify
from resources.storage.versions import version


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """Says that a version is in the archive.

    Attributes:
        digest: The version.
        name: What it was made as.
        archive: URL of the archive.
        last_used: Day of its last use, ISO 8601.
        at: When it was archived.
        size_bytes: Bytes of its files.
    """

    digest: str
    name: str
    archive: str
    last_used: str
    at: str
    size_bytes: int


def archive_version(store: Store, archive: Store, digest: str, *, name: str, last_used: str) -> Archived:
    """Copy a version into the archive and mark it; from then on garbage collection may take it from the store.

    Raises:
        ObjectMissing: If it is not whole in the store.
        IntegrityError: If the copy is not what it should be.
    """
    size_bytes = copy_version(store, archive, digest)
    pin(archive, digest, name=name, reason=f"archived from {store.url}")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    made = Archived(
        digest=digest, name=name, archive=archive.url, last_used=last_used, at=at, size_bytes=size_bytes
    )  # fmt: skip
    store.put(archived_key(digest), seal(asdict(made)))
    return made


def recall_version(store: Store, archive: Store, digest: str) -> int:
    """Bring a version back from the archive, and return its bytes; it stays archived until its time there ends.

    Raises:
        ObjectMissing: If the archive does not have it, or cannot give it yet (a cold storage class).
        IntegrityError: If what comes back is not what went there.
    """
    size_bytes = copy_version(archive, store, digest)
    note(store, [digest], datetime.now(UTC))
    store.delete(archived_key(digest))
    return size_bytes


def forget_version(store: Store, archive: Store, digest: str) -> None:
    """Let go of an archived version: garbage collection of the archive takes it."""
    with suppress(ObjectMissing):  # a run that was killed here before
        unpin(archive, digest)
    store.delete(archived_key(digest))


def archived(store: Store) -> dict[str, Archived]:
    """Return digest to mark of every archived version.

    Raises:
        IntegrityError: If a mark cannot be read.
    """
    found: dict[str, Archived] = {}
    for key in store.list(ARCHIVED):
        try:
            item = Archived(**read_verified(store, key, unseal))
        except ObjectMissing:
            continue
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"{key} in store {store.url} is no mark of an archived version: {error}; bring that version back by "
                f"`penstock data recall {key.rpartition('/')[2][:12]}`, which removes the mark"
            ) from error
        found[item.digest] = item
    return found


def copy_version(source: Store, target: Store, digest: str) -> int:
    """Copy a version with its files, its manifest last, and return the bytes of its files.

    Every file is hashed on the way; afterwards the sizes of all copies are compared.

    Raises:
        ObjectMissing: If `source` does not have it whole.
        IntegrityError: If a file or a copy is altered.
    """
    made = version(source, digest)
    before = deletions(target)
    for file in made.files.values():
        with borrowed(source, [file]) as (path,):
            if put_file(target, path) != file:
                raise IntegrityError(f"file {file.key} of store {source.url} is not what version {digest[:12]} names")
    settle(target, lambda: own_keys(made)[1:], since=before)
    put_object(target, get_object(source, digest))
    settle(target, lambda: own_keys(made))  # a manifest that was there already may be garbage, too
    faults = verify(target, digest, depth="sizes").faults
    if faults:
        raise IntegrityError(
            f"the copy of version {digest[:12]} in store {target.url} is damaged: {faults[0].key} {faults[0].why}; "
            "delete that file there, then run again"
        )
    return made.size_bytes
