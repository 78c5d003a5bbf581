"""Owns how results are printed: JSON, tables, plain lines; rich is imported by the first table only."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SHORT = 12
"""Digits that are shown of a digest."""
ROOMY = 116
"""Columns that a table of judgements takes."""
_PIPE_WIDTH = 200
"""Columns of a table that no terminal limits."""


def console(*, stderr: bool = False) -> "Console":
    """Return a rich console that neither wraps nor cuts what goes into a file or pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False, emoji=False)


def print_json(value: object) -> None:
    """Print `value` as JSON with sorted keys."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", right: Sequence[str] = ()
) -> None:
    """Print a table.

    Args:
        header: Column names.
        rows: Cells, plain text.
        title: Line above the table.
        right: Names of the columns that are aligned to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in header:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def is_narrow() -> bool:
    """Return whether the terminal has no room for a table of three intervals beside other columns."""
    return console().width < ROOMY


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Print names and values below each other."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print(f"{name.ljust(width)}  {value}".rstrip())


def short(digest: str | None) -> str:
    """Return the first digits of a digest, or a dash."""
    return digest[:SHORT] if digest else "-"


def number(value: float | None, places: int = 3) -> str:
    """Return a number with `places` significant digits, or a dash.

    >>> number(123.456), number(0.000123456), number(30.0), number(1234.5), number(None)
    ('123', '0.000123', '30.0', '1234', '-')
    """
    if value is None:
        return "-"
    text = f"{value:#.{places}g}".rstrip(".")
    return f"{value:.0f}" if "e+" in text else text


def interval(estimate: Mapping[str, Any] | None) -> str:  # Any: JSON of an estimate
    """Return a value with its interval.

    >>> interval({"value": 41.2345, "low": 38.0, "high": 44.5})
    '41.2 (38.0 to 44.5)'
    """
    if estimate is None or estimate["value"] is None:
        return "-"
    if estimate["low"] is None or estimate["high"] is None:
        return number(estimate["value"])
    return f"{number(estimate['value'])} ({number(estimate['low'])} to {number(estimate['high'])})"


def seconds(value: float) -> str:
    """Return a duration.

    >>> seconds(0.42), seconds(75.2)
    ('0.4 s', '1 min 15 s')
    """
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"
