"""Owns the message about a name that does not exist: the nearest valid one, and what is allowed."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from resources.errors import DeclarationError

_MOST_NAMES = 12


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest allowed name, or an empty text.

    >>> nearest("labl", ["label", "window"])
    "; did you mean 'label'?"
    """
    matches = get_close_matches(str(name), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def unknown_name(what: str, name: str, allowed: Iterable[str]) -> str:
    """Return the message for a `name` that is not one of `allowed`.

    Args:
        what: What the name is of: column, function, metric...
        name: The unknown name.
        allowed: Every valid name; a long list is shortened in the message.

    >>> unknown_name("metric", "rsme", ["rmse", "mae"])
    "unknown metric 'rsme'; did you mean 'rmse'? Allowed: mae, rmse"
    """
    names = sorted(allowed)
    hint = nearest(name, names)
    rest = len(names) - _MOST_NAMES
    listed = ", ".join(names) if rest <= 0 else f"{', '.join(names[:_MOST_NAMES])} and {rest} more"
    return f"unknown {what} {name!r}{hint}{'' if hint else '.'} Allowed: {listed or 'none'}"


def name_error(field: str, what: str, name: str, allowed: Collection[str]) -> DeclarationError:
    """Return the error for an unknown `name` in the declared `field`."""
    return DeclarationError(f"{field}: {unknown_name(what, name, allowed)}")


def choose(field: str, name: str, allowed: Collection[str]) -> str:
    """Return `name` if it is allowed.

    Raises:
        DeclarationError: Naming the field, the value, what is allowed and the nearest valid name.
    """
    if name in allowed:
        return name
    raise DeclarationError(f"{field}: {name!r} is not one of {', '.join(sorted(allowed))}{nearest(name, allowed)}")
