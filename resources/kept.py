"""Owns JSON values that are kept beside a log of events: packed into the event, or in a folder under their digest.

An event log is no place for megabytes: databases and web pages read its rows whole. What does not fit goes to a folder
or fsspec URL that every run reaches; the event then holds the digest, which tells a damaged file from a whole one.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

from resources.canonical import canonical_json, digest_bytes, parse_json
from resources.errors import DeclarationError, IntegrityError, ObjectMissing, StoreError

INLINE_BYTES = 131_072
"""Most bytes of one event: the profile of some 60 columns."""


def keep(value: object, folder: str | None, *, what: str) -> dict[str, str]:
    """Return what an event holds of `value`, a JSON value; read it by `kept`.

    Args:
        value: JSON value.
        folder: Folder or fsspec URL; None packs the value into the event.
        what: What it is, for messages, such as "the profile of orders".

    Raises:
        DeclarationError: If it is too large for an event.
        StoreError: If the folder cannot be written.
    """
    data = canonical_json(value)
    if folder is None:
        packed = base64.b64encode(zlib.compress(data)).decode("ascii")
        if len(packed) > INLINE_BYTES:
            raise DeclarationError(
                f"{what} takes {len(packed):,} bytes, an event of Dagster's log holds at most {INLINE_BYTES:,} of it: "
                f"name fewer columns, or give keep_in=..., a folder or fsspec URL that all runs reach"
            )
        return {"zlib": packed}
    digest = digest_bytes(data)
    try:
        system, root = _opened(folder)
        place = _place(root, digest)
        if not system.exists(place) or system.size(place) != len(data):
            system.makedirs(root, exist_ok=True)
            system.pipe_file(place, data)
    except (OSError, ValueError, ImportError) as error:
        raise StoreError(f"{what} cannot be kept in {folder}: {error}; choose another keep_in") from error
    return {"digest": digest}


def kept(told: Mapping[str, str], folder: str | None, *, what: str) -> Any:  # Any: JSON values
    """Return the value of which an event holds `told`.

    Args:
        told: What `keep` returned.
        folder: The folder now.
        what: What it is, for messages.

    Raises:
        ObjectMissing: If the folder no longer has it.
        IntegrityError: If it was altered.
        StoreError: If the folder cannot be read.
    """
    if "zlib" in told:
        return parse_json(zlib.decompress(base64.b64decode(told["zlib"])))
    digest = told["digest"]
    if folder is None:
        raise ObjectMissing(f"{what} was kept in a folder as {digest}.json: give keep_in=... again")
    try:
        system, root = _opened(folder)
        data = bytes(system.cat_file(_place(root, digest)))
    except FileNotFoundError as error:
        raise ObjectMissing(
            f"{what} is not in {folder} ({digest}.json): restore it, give a keep_in that all runs reach, "
            f"or run the check of that partition again"
        ) from error
    except (OSError, ValueError, ImportError) as error:
        raise StoreError(f"{what} cannot be read from {folder}: {error}") from error
    if digest_bytes(data) != digest:
        raise IntegrityError(f"{what} was altered in {folder} ({digest}.json): run the check of that partition again")
    return parse_json(data)


def _opened(folder: str) -> tuple[Any, str]:  # Any: fsspec has no types
    from fsspec.core import url_to_fs

    system, root = url_to_fs(folder)
    return system, str(root).rstrip("/")


def _place(root: str, digest: str) -> str:
    return f"{root}/{digest}.json"
