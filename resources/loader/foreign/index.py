"""Owns the reading of `index.json`: what kind of folder it belongs to, and its entries, checked one by one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from resources.errors import LoaderError
from resources.loader.foreign.cells import damaged

MOST_INDEX_BYTES = 2**30
Told = Mapping[str, Any]  # Any: parsed JSON


def read_index(path: Path) -> Told | None:
    """Return what an index says; None if it is JSON, but no object.

    Raises:
        LoaderError: If it cannot be read, or is no JSON.
    """
    try:
        if path.stat().st_size > MOST_INDEX_BYTES:
            raise LoaderError(f"{path} has more than 1 GiB: an index of a folder of samples is smaller")
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise LoaderError(f"cannot read {path}: {error.strerror or error}; restore the file") from None
    except (ValueError, RecursionError) as error:
        raise damaged(str(path), f"it is no JSON: {error}") from None
    return cast(Told, told) if isinstance(told, dict) else None


def mapping_of(value: object, what: str, index: Path) -> Told:
    """Return `value`, which must be an object.

    Raises:
        LoaderError: If it is none.
    """
    if not isinstance(value, dict):
        raise damaged(str(index), f"{what} is {value!r}, an object is needed")
    return cast(Told, value)


def list_of(told: Told, key: str, index: Path) -> list[Any]:  # Any: as above
    """Return the list under `key`.

    Raises:
        LoaderError: If there is none.
    """
    value = told.get(key)
    if not isinstance(value, list):
        raise damaged(str(index), f"{key} is {value!r}, a list is needed")
    return cast(list[Any], value)


def count_of(told: Told, key: str, index: Path, stop: int) -> int:
    """Return the integer under `key`, from 0 to before `stop`.

    Raises:
        LoaderError: If there is none.
    """
    value = told.get(key)
    if type(value) is not int or not 0 <= value < stop:
        raise damaged(str(index), f"{key} is {value!r}, an integer from 0 to {stop - 1:,} is needed")
    return value


def text_of(value: object, index: Path) -> str:
    """Return `value`, which must be a text.

    Raises:
        LoaderError: If it is none.
    """
    if not isinstance(value, str):
        raise damaged(str(index), f"{value!r} stands where a text is needed")
    return value
