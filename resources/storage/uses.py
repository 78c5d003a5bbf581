"""Owns when versions were last used: one small record for each set of versions that a job read, and day.

Old days are folded into one record, so that they do not grow in number. A lost record makes a version look older.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from resources.canonical import canonical_json, digest_value, parse_json
from resources.errors import ObjectMissing
from resources.storage.store import Store

FOLDER = "uses"
_FOLDED = f"{FOLDER}/last.json"


def note(store: Store, digests: Iterable[str], now: datetime) -> None:
    """Remember that the versions `digests` are used today; the same set once a day."""
    wanted = sorted(set(digests))
    if wanted:
        store.create(f"{FOLDER}/{now.date().isoformat()}/{digest_value(wanted)}.json", canonical_json(wanted))


def last_uses(store: Store) -> dict[str, date]:
    """Return version to the day on which it was last used; of versions never used there is none."""
    found = {digest: date.fromisoformat(day) for digest, day in _read(store, _FOLDED, {}).items()}
    for key in _days(store):
        day = date.fromisoformat(key.split("/")[1])
        for digest in _read(store, key, []):
            found[digest] = max(day, found.get(digest, day))
    return found


def fold(store: Store, today: date) -> None:
    """Put the records of past days into one; whoever is killed meanwhile has lost nothing."""
    past = [key for key in _days(store) if key.split("/")[1] < today.isoformat()]
    if past:
        uses: Mapping[str, date] = last_uses(store)
        store.put(_FOLDED, canonical_json({digest: day.isoformat() for digest, day in uses.items()}))
        for key in past:
            store.delete(key)


def _days(store: Store) -> list[str]:
    return [key for key in store.list(FOLDER) if key != _FOLDED]


def _read(store: Store, key: str, default: Any) -> Any:  # Any: JSON values
    with suppress(ObjectMissing, ValueError):
        return parse_json(store.get(key))
    return default
