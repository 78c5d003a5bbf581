"""Owns pins: versions that a person wants to keep, whatever else becomes of them, with the reason why.

A pin carries a digest of its own: by a bit that flips it does not come to keep another version.
"""

import getpass
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.garbage.guard import keeping
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal
from resources.storage.versions import version

FOLDER = "pins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One pinned version.

    Attributes:
        digest: The version.
        beside: Objects that belong to it: profile, quarantine, report.
        name: How the person called it.
        reason: Why it is kept.
        by: Who pinned it.
        at: When, ISO 8601 in UTC.
    """

    digest: str
    beside: tuple[str, ...]
    name: str
    reason: str
    by: str
    at: str


def pin(store: Store, digest: str, *, name: str, beside: Sequence[str] = (), reason: str = "") -> Pin:
    """Keep the version `digest` until it is unpinned; pinning it again replaces name and reason.

    Raises:
        ObjectMissing: If it is not in the store.
        ConflictError: If it was deleted as garbage meanwhile.
    """
    version(store, digest)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    made = Pin(digest=digest, beside=tuple(beside), name=name, reason=reason, by=_person(), at=at)
    with keeping(store, [digest], beside):
        store.put(_key(digest), seal(asdict(made)))
    return made


def unpin(store: Store, digest: str) -> None:
    """Let the version `digest` go, if nothing else needs it.

    Raises:
        ObjectMissing: If it is not pinned.
    """
    if not store.exists(_key(digest)):
        raise ObjectMissing(f"version {digest[:12]} is not pinned in store {store.url}: see `penstock data pin`")
    store.delete(_key(digest))


def pins(store: Store) -> list[Pin]:
    """Return all pins, oldest first.

    Raises:
        IntegrityError: If one cannot be read.
    """
    found = [_read(store, key) for key in store.list(FOLDER)]
    return sorted((item for item in found if item is not None), key=lambda item: (item.at, item.digest))


def _key(digest: str) -> str:
    return f"{FOLDER}/{digest}.json"


def _read(store: Store, key: str) -> Pin | None:
    try:
        value: dict[str, Any] = read_verified(store, key, unseal)  # Any: JSON values
        value["beside"] = tuple(value["beside"])
        return Pin(**value)
    except ObjectMissing:  # unpinned meanwhile
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{key} in store {store.url} is no pin: {error}; pin that version again, or delete the file to let it go"
        ) from error


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
