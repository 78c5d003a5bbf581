"""Owns the picture of a profile: a small histogram per column, side by side, as one Markdown image under 20 kB.

It draws what `quality.profile` counted. Columns with neither histogram nor frequent values (times) are left out.
"""

from collections.abc import Sequence

from quality import svg
from quality.profile import ColumnProfile, Profile
from quality.svg import WIDTH

MAX_COLUMNS = 18
MAX_BINS = 16
MAX_VALUES = 10
"""Most frequent values that are drawn."""
_ACROSS = 3
_GAP = 20.0
_CELL = (WIDTH - 24 - _GAP * (_ACROSS - 1)) / _ACROSS
_HEIGHT, _DRAWN = 92.0, 44.0
"""Pixels of a cell, and of the histogram in it."""


def profile_picture(title: str, profile: Profile) -> str:
    """Return one histogram of each column; its smallest and largest value stand below, its nulls beside its name."""
    drawn = {name: column for name, column in profile.columns.items() if _counts(column)}
    parts = [svg.text(12, 20, title, size=14, bold=True), svg.text(WIDTH - 12, 20, "share of rows", anchor="end")]
    for place, (name, column) in enumerate(list(drawn.items())[:MAX_COLUMNS]):
        row, across = divmod(place, _ACROSS)
        parts += _cell(name, column, 12 + across * (_CELL + _GAP), 36 + row * _HEIGHT)
    rows = -(-min(len(drawn), MAX_COLUMNS) // _ACROSS)
    bottom = 36 + rows * _HEIGHT
    if len(drawn) > MAX_COLUMNS:
        parts.append(svg.text(12, bottom + 6, f"and {len(drawn) - MAX_COLUMNS} more"))
        bottom += 18
    return svg.markdown(title, svg.document(bottom, parts, title))


def _cell(name: str, column: ColumnProfile, x: float, y: float) -> list[str]:
    nulls = f"{column.nulls:,} null" if column.nulls else ""
    counts, (low, high) = _counts(column), _ends(column)
    floor = y + 18 + _DRAWN
    width = _CELL / len(counts)
    corners = [
        (x + side * width, floor - _DRAWN * count / max(counts))
        for place, count in enumerate(counts)
        for side in (place, place + 1)
    ]
    outline = [(x, floor), *corners, (x + _CELL, floor)]
    return [
        svg.text(x, y + 10, svg.shortened(name, _CELL - svg.text_width(nulls) - 8), bold=True),
        *([svg.text(x + _CELL, y + 10, nulls, anchor="end", fill=svg.PALETTE[4])] if nulls else []),
        svg.path(outline, stroke=svg.PALETTE[0], fill=svg.PALETTE[0], opacity=0.25),
        svg.text(x, floor + 15, svg.shortened(low, _CELL / 2 - 4)),
        svg.text(x + _CELL, floor + 15, svg.shortened(high, _CELL / 2 - 4), anchor="end"),
    ]


def _counts(column: ColumnProfile) -> Sequence[int]:
    """Return the counts to draw: of the bins, or of the most frequent values."""
    if column.histogram is None:
        return [count for _, count in column.top[:MAX_VALUES]]
    counts = list(column.histogram.counts)
    while len(counts) > MAX_BINS:
        counts = [sum(counts[i : i + 2]) for i in range(0, len(counts), 2)]
    return counts


def _ends(column: ColumnProfile) -> tuple[str, str]:
    """Return what stands at both ends: the range of numbers, or the first and last of the frequent values."""
    if column.histogram is None:
        shown = column.top[:MAX_VALUES]
        return shown[0][0], shown[-1][0] if len(shown) > 1 else ""
    return _number(column.minimum), _number(column.maximum)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
