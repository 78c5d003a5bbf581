"""Owns the message about a name that does not exist: field, name, the nearest valid one, and what is allowed."""

from collections.abc import Collection

from resources.declaration import nearest
from resources.errors import DeclarationError

_MOST_NAMES = 12


def name_error(field: str, what: str, name: str, allowed: Collection[str]) -> DeclarationError:
    """Return the error for an unknown `name`.

    Args:
        field: Declared field that holds it.
        what: What the name is of: column, function, parameter...
        name: The unknown name.
        allowed: Every valid name; a long list is shortened in the message.

    >>> str(name_error("steps[0].columns", "column", "wheather", ["weather", "hour"]))
    "steps[0].columns: unknown column 'wheather'; did you mean 'weather'? Allowed: hour, weather"
    """
    names = sorted(allowed)
    hint = nearest(name, names)
    rest = len(names) - _MOST_NAMES
    listed = ", ".join(names) if rest <= 0 else f"{', '.join(names[:_MOST_NAMES])} and {rest} more"
    return DeclarationError(f"{field}: unknown {what} {name!r}{hint}{'' if hint else '.'} Allowed: {listed}")
