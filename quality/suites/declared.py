"""Owns Great Expectations suites as they are declared: their form, checked without importing the library.

A suite is the library's own JSON, a list of {"type", "kwargs", "severity", "meta"} or an object that holds it under
"expectations", or an `ExpectationSuite`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, cast

from quality.suites.arguments import ARGUMENTS, COMMON_ARGUMENTS, FINDS_COLUMNS, SQL_ONLY, arguments
from resources.errors import DeclarationError
from resources.names import unknown_name

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""From worst to least."""
Suite = Sequence[Mapping[str, Any]] | Mapping[str, Any]  # Any: JSON values, given by the user
"""Or an `ExpectationSuite` of the library, whose type is not known here: naming it would import the library."""

_ENTRY_KEYS = ("type", "kwargs", "meta", "severity", "id", "notes", "description", "rendered_content", "windows")


def check_suite(suite: Suite, *, columns: Collection[str] | None = None) -> None:
    """Check a suite without importing the library.

    Args:
        suite: Suite as JSON.
        columns: Columns of the data, if they are known.

    Raises:
        DeclarationError: If an expectation has an unknown type, argument, severity or column, lacks an argument, or
            runs on SQL only.
    """
    for index, entry in enumerate(entries_of(suite)):
        place = f"expectation {index}"
        for key in entry:
            _known(f"key in {place}", key, _ENTRY_KEYS)
        kind = str(entry.get("type"))
        _known(f"expectation type in {place},", kind, ARGUMENTS)
        if kind in SQL_ONLY:
            raise DeclarationError(f"{place}, {kind}, needs a SQL database; the data are a data frame")
        _known(f"severity in {place}, {kind},", str(entry.get("severity", "critical")), SEVERITIES)
        _check_arguments(f"{place}, {kind}", kind, entry.get("kwargs", {}))
        if not isinstance(entry.get("meta") or {}, Mapping):
            raise DeclarationError(f"{place}, {kind}: meta is {entry['meta']!r}, expected an object")
        for column in columns_of(entry) if columns is not None and kind not in FINDS_COLUMNS else ():
            _known(f"column in {place}, {kind},", column, columns or ())


def entries_of(suite: Suite) -> list[Mapping[str, Any]]:
    """Return the expectations of a suite as JSON.

    Raises:
        DeclarationError: If it has another form.
    """
    told: Any = suite.to_json_dict() if hasattr(suite, "to_json_dict") else suite  # pyright: ignore[reportAttributeAccessIssue]
    found: Any = told.get("expectations") if isinstance(told, Mapping) else told
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise DeclarationError('a suite is a list of expectations, or an object with a list "expectations"')
    for index, entry in enumerate(cast("Sequence[object]", found)):
        if not isinstance(entry, Mapping) or "type" not in entry:
            raise DeclarationError(f'expectation {index} is {entry!r}; expected an object with "type" and "kwargs"')
    return list(cast("Sequence[Mapping[str, Any]]", found))


def _known(what: str, name: str, allowed: Collection[str]) -> None:
    if name not in allowed:
        raise DeclarationError(unknown_name(what, name, allowed))


def _check_arguments(place: str, kind: str, given: object) -> None:
    if not isinstance(given, Mapping):
        raise DeclarationError(f"{place}: kwargs is {given!r}, expected an object")
    required, allowed = arguments(kind)
    for name in cast("Mapping[str, object]", given):
        _known(f"argument in {place},", name, (*allowed, *COMMON_ARGUMENTS))
    missing = [name for name in required if name not in given]
    if missing:
        raise DeclarationError(f"{place}: argument {missing[0]!r} is missing; it takes {', '.join(allowed)}")
    several = cast("Mapping[str, object]", given).get("column_list")
    if several is not None and not isinstance(several, (list, tuple)):
        raise DeclarationError(f"{place}: column_list is {several!r}, expected a list of columns")


def name_of(suite: Suite) -> str:
    """Return the name that a suite gives itself, or "suite"."""
    told = suite.get("name") if isinstance(suite, Mapping) else getattr(suite, "name", None)
    return str(told or "suite")


def columns_of(entry: Mapping[str, Any]) -> list[str]:
    """Return the columns that the arguments of an expectation name."""
    kwargs = entry.get("kwargs", {})
    single = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return [str(name) for name in (*single, *(kwargs.get("column_list") or ()))]
