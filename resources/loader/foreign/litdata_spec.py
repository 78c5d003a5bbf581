"""Owns the names of LitData's leaves: the tree of a sample, as the index describes it, becomes names of columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resources.errors import LoaderError
from resources.loader.foreign.cells import damaged
from resources.loader.foreign.index import list_of, mapping_of

ONLY = "value"
"""Name of the column where a sample is one leaf."""
_MAPPINGS = ("builtins.dict", "collections.OrderedDict")
_SEQUENCES = ("builtins.list", "builtins.tuple")
_MOST_DEPTH = 64


def leaf_names(spec: object, count: int, index: Path) -> list[str]:
    """Return the names of `count` leaves: keys and places on the way to each, parted by dots.

    Args:
        spec: What the index says of the tree; None if nothing, then leaves go by their places.
        count: How many there are.
        index: The file that says so.

    Raises:
        LoaderError: If the tree is malformed, has other leaves, or nodes that Penstock does not know.
    """
    if spec is None:
        return [ONLY] if count == 1 else [str(number) for number in range(count)]
    try:
        told: Any = json.loads(spec) if isinstance(spec, str) else None  # Any: parsed JSON
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, list) or len(told) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise damaged(str(index), f"data_spec is {str(spec)[:80]!r}, a tree is needed")
    names = [".".join(path) or ONLY for path in _leaves(told[1], (), index)]
    if len(names) != count:
        raise damaged(str(index), f"data_spec has {len(names)} leaves, data_format has {count}")
    return names


def _leaves(node: object, path: tuple[str, ...], index: Path) -> Iterator[tuple[str, ...]]:
    told = mapping_of(node, "a node of data_spec", index)
    if told.get("type") is None:
        yield path
        return
    if len(path) > _MOST_DEPTH:
        raise damaged(str(index), f"data_spec is deeper than {_MOST_DEPTH} levels")
    children = list_of(told, "children_spec", index)
    for key, child in zip(_keys(told, len(children), index), children, strict=True):
        yield from _leaves(child, (*path, key), index)


def _keys(told: Any, count: int, index: Path) -> list[str]:  # Any: as above
    if told["type"] in _SEQUENCES:
        return [str(number) for number in range(count)]
    if told["type"] not in _MAPPINGS:
        raise LoaderError(
            f"{index} has samples of type {told['type']!r}: Penstock reads dicts, lists and tuples; write them as these"
        )
    try:
        keys: Any = json.loads(told["context"])
    except (TypeError, ValueError, KeyError, RecursionError):
        keys = None
    if not isinstance(keys, list) or len(keys) != count:  # pyright: ignore[reportUnknownArgumentType]
        raise damaged(str(index), f"data_spec has a dict of {count} values with the keys {str(keys)[:80]}")
    return [str(key) for key in keys]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
