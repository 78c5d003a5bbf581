"""Owns when versions were last used: one small record for each set of versions that a job read, and day.

Old days are folded into one record, so that they do not grow in number. A lost record makes a version look older, so
one that is damaged is an error: a record of a day is named by the digest of what it says, the folded one carries its
own.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any

from resources.canonical import canonical_json, digest_value, parse_json
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal

FOLDER = "uses"
_FOLDED = f"{FOLDER}/last.json"


def note(store: Store, digests: Iterable[str], now: datetime) -> None:
    """Remember that the versions `digests` are used today; the same set once a day."""
    wanted = sorted(set(digests))
    if wanted:
        store.create(f"{FOLDER}/{now.date().isoformat()}/{digest_value(wanted)}.json", canonical_json(wanted))


def last_uses(store: Store) -> dict[str, date]:
    """Return version to the day on which it was last used; of versions never used there is none.

    Raises:
        IntegrityError: If a record is damaged.
    """
    folded = _read(store, _FOLDED, unseal, {})
    found = {digest: date.fromisoformat(day) for digest, day in folded.items()}
    for key in _days(store):
        _, day, name = key.removesuffix(".json").split("/")
        for digest in _read(store, key, lambda data, name=name: _named(data, name), []):
            found[digest] = max(date.fromisoformat(day), found.get(digest, date.min))
    return found


def fold(store: Store, today: date) -> None:
    """Put the records of past days into one; whoever is killed meanwhile has lost nothing.

    Raises:
        IntegrityError: If a record is damaged.
    """
    past = [key for key in _days(store) if key.split("/")[1] < today.isoformat()]
    if past:
        uses: Mapping[str, date] = last_uses(store)
        store.put(_FOLDED, seal({digest: day.isoformat() for digest, day in uses.items()}))
        for key in past:
            store.delete(key)


def _days(store: Store) -> list[str]:
    return [key for key in store.list(FOLDER) if key != _FOLDED]


def _named(data: bytes, name: str) -> Any:  # Any: a JSON value
    value = parse_json(data)
    if digest_value(value) != name:
        raise ValueError("its bytes do not have the digest that names it")
    return value


def _read(store: Store, key: str, verify: Callable[[bytes], Any], default: Any) -> Any:  # Any: JSON values
    try:
        return read_verified(store, key, verify)
    except ObjectMissing:
        return default
    except ValueError as error:
        raise IntegrityError(
            f"{key} in store {store.url} is damaged: {error}; restore it from a backup, or delete it: then versions "
            "that were used then look older, and the life cycle archives or deletes them sooner"
        ) from error
