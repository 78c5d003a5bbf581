"""Owns the hint for a misspelt name: the nearest valid one, and what else is allowed."""

from collections.abc import Iterable
from difflib import get_close_matches

_MANY = 12
"""From this many allowed names only the nearest ones are listed."""


def unknown_name(what: str, name: str, allowed: Iterable[str]) -> str:
    """Return the message for a `name` that is not one of `allowed`, with the nearest valid one.

    >>> unknown_name("metric", "rsme", ["mae", "rmse"])
    "unknown metric 'rsme': did you mean 'rmse'? allowed: mae, rmse"
    """
    names = list(allowed)
    near = get_close_matches(name, names, n=5, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    if len(names) <= _MANY:
        return f"unknown {what} {name!r}: {hint}allowed: {', '.join(names)}"
    return f"unknown {what} {name!r}: {hint}{len(names)} are allowed, near ones: {', '.join(near) or 'none'}"
