"""Owns the reading of small values, which are verified whole: by the digest that names them, or by the one they carry.

A value that does not verify is read once more before that is an error. A bit may have flipped on its way here, which a
second reading mends, while the remedy for a damaged value is to delete it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from resources.canonical import canonical_json, digest_value, parse_json
from resources.storage.store import Store

T = TypeVar("T")


def read_verified(store: Store, key: str, verify: Callable[[bytes], T]) -> T:
    """Return what `verify` makes of the bytes under `key`.

    Raises:
        ObjectMissing: If there are none.
        ValueError: If `verify` raises that twice.
    """
    try:
        return verify(store.get(key))
    except ValueError:
        return verify(store.get(key))


def seal(value: object) -> bytes:
    """Return the canonical JSON of `value` and its digest, for a key that does not name the content.

    >>> unseal(seal({"rows": 3}))
    {'rows': 3}
    """
    return canonical_json({"digest": digest_value(value), "value": value})


def unseal(data: bytes) -> Any:  # Any: a JSON value
    """Return the value that was sealed.

    Raises:
        ValueError: If these are not the bytes of a sealed value.
    """
    sealed = parse_json(data)
    if not isinstance(sealed, dict) or sealed.keys() != {"digest", "value"}:
        raise ValueError("it carries no digest of its own")
    if digest_value(sealed["value"]) != sealed["digest"]:
        raise ValueError("its bytes do not have the digest that they carry")
    return sealed["value"]
