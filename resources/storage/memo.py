"""Owns the memory of what was made before: recipe to result, so that unchanged work is skipped.

A memo is a hint, never a truth: one that is malformed, or whose results are gone from the store, is as good as none.
"""

from collections.abc import Mapping
from typing import Any

from resources.errors import ObjectMissing
from resources.storage.garbage.guard import is_whole
from resources.storage.objects import has_object
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal

REQUIRES = "requires"
FOLDER = "memo"


def recall(store: Store, recipe: str) -> dict[str, Any] | None:  # Any: JSON values
    """Return what was remembered under `recipe`, or None.

    Args:
        store: Where to look.
        recipe: Digest of everything that the result depends on: stage, inputs, code version, parameters.
    """
    try:
        value = read_verified(store, _key(recipe), unseal)
        required: list[str] = value.get(REQUIRES, [])
        there = all(has_object(store, digest) for digest in required) and is_whole(store, required)
        return value if there else None
    except (ObjectMissing, ValueError, AttributeError, TypeError):
        return None


def remember(store: Store, recipe: str, value: Mapping[str, Any]) -> None:  # Any: JSON values
    """Remember `value` under `recipe`; the digests in its `requires` must exist for it to be recalled."""
    store.put(_key(recipe), seal(dict(value)))


def _key(recipe: str) -> str:
    return f"{FOLDER}/{recipe[:2]}/{recipe}.json"
