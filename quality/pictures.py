"""Owns the charts of reports: lines, bars, histograms, intervals, each as one Markdown image under 20 kB.

It draws what it is given: equal arguments give equal text. The SVG needs no script, no font and no network.
"""

import math
from collections.abc import Mapping, Sequence

from quality import svg
from quality.svg import WIDTH
from resources.errors import DeclarationError

MAX_SERIES = 6
MAX_BARS = 20
_MAX_POINTS = 360
"""Points drawn of all lines together, which keeps a chart under 20 kB; longer series are thinned evenly."""
_ROLES = {"challenger": svg.PALETTE[0], "champion": svg.PALETTE[1], "baseline": "#8a8f98"}
Values = Sequence[float | None]


def line_chart(
    title: str,
    x: Sequence[str | float],
    series: Mapping[str, Values],
    *,
    y_label: str,
    x_label: str = "",
    bands: Mapping[str, tuple[Values, Values]] | None = None,
) -> str:
    """Return lines over `x`, each with an optional band; None interrupts a line.

    Args:
        title: Title.
        x: Labels at equal distances, or numbers in ascending order.
        series: Name to values, as many as `x`.
        y_label: Quantity and unit of the values, such as "RMSE, rides/h".
        x_label: Quantity and unit of `x`.
        bands: Name of a series to its lower and upper values, such as an interval.

    Raises:
        DeclarationError: If a series has another length than `x`, or there are more than `MAX_SERIES`.
    """
    _check_lengths(x, series, bands or {})
    kept = _thinned(len(x), len(series) + 2 * len(bands or {}))
    colours = _colours(series)
    rows = [*series.values()] + [side for band in (bands or {}).values() for side in band]
    numbers = [values[i] for values in rows for i in kept]
    finite = [value for value in numbers if value is not None and math.isfinite(value)]
    if not finite:
        return _empty(title)
    top, bottom, height = (62.0 if len(series) > 1 else 44.0), 214.0, 262.0 if x_label else 246.0
    y = svg.scale(finite, bottom, top)
    left = 20 + max(svg.text_width(y.label(tick)) for tick in y.ticks)
    places = _places([x[i] for i in kept], left + 8, WIDTH - 24)
    parts = _frame(title, y, left, y_label)
    if len(series) > 1:
        parts.append(svg.legend(list(series), 42, list(colours.values())))
    parts += _x_labels([x[i] for i in kept], places, bottom)
    if x_label:
        parts.append(svg.text((left + WIDTH - 16) / 2, bottom + 38, x_label, anchor="middle"))
    for name, (low, high) in (bands or {}).items():
        parts += _band(places, [low[i] for i in kept], [high[i] for i in kept], y, colours[name])
    for name, values in series.items():
        parts += _line(places, [values[i] for i in kept], y, colours[name])
    return svg.markdown(title, svg.document(height, parts, title))


def bar_chart(title: str, values: Mapping[str, float], *, unit: str = "") -> str:
    """Return one horizontal bar per name, in the order given, at most `MAX_BARS`; the rest is counted below."""
    finite = [(name, value) for name, value in values.items() if math.isfinite(value)]
    shown = finite[:MAX_BARS]
    if not shown:
        return _empty(title)
    left = 20 + min(200.0, max(svg.text_width(name) for name, _ in shown))
    numbers = [value for _, value in shown]
    step = 1.0 if all(value == int(value) for value in numbers) else _digits(numbers, 3)
    room = max(svg.text_width(svg.number(value, step)) for value in numbers) + 10
    spread = [0.0, *numbers]
    negative = room if min(spread) < 0 else 0.0
    x = svg.scale(spread, left + negative, WIDTH - 12 - room, snug=True)
    parts = [svg.text(12, 20, title, size=14, bold=True)]
    if unit:
        parts.append(svg.text(WIDTH - 12, 20, unit, anchor="end"))
    for row, (name, value) in enumerate(shown):
        parts += _bar(name, value, y=34 + 22 * row, left=left, x=x, label=svg.number(value, step))
    bottom = 34 + 22 * len(shown)
    parts.append(svg.line(x.at(0), 32, x.at(0), bottom, stroke=svg.AXIS))
    if len(finite) > len(shown):
        parts.append(svg.text(left, bottom + 16, f"and {len(finite) - len(shown)} more"))
        bottom += 20
    return svg.markdown(title, svg.document(bottom + 10, parts, title))


def histogram_pair(title: str, edges: Sequence[float], counts: Mapping[str, Sequence[int]], *, unit: str = "") -> str:
    """Return histograms over the same bins, each as the share of its own rows, laid over each other.

    Args:
        title: Title.
        edges: Edges of the bins, ascending, one more than bins.
        counts: Name to counts per bin.
        unit: Quantity and unit of the edges.

    Raises:
        DeclarationError: If counts and edges do not match.
    """
    for name, values in counts.items():
        if len(values) != len(edges) - 1:
            raise DeclarationError(f"histogram {name!r} has {len(values)} counts for {len(edges)} edges")
    shares = {name: [count / (sum(values) or 1) * 100 for count in values] for name, values in counts.items()}
    if not any(any(values) for values in shares.values()):
        return _empty(title)
    top, bottom = 62.0, 214.0
    y = svg.scale([0.0, *(share for values in shares.values() for share in values)], bottom, top)
    left = 20 + max(svg.text_width(y.label(tick)) for tick in y.ticks)
    x = svg.scale(edges, left + 4, WIDTH - 24, count=8, snug=True)
    parts = _frame(title, y, left, "% of rows")
    colours = _colours(counts)
    parts.append(svg.legend(list(counts), 42, list(colours.values())))
    for name, values in shares.items():
        corners = [(x.at(e), y.at(v)) for a, b, v in zip(edges, edges[1:], values, strict=False) for e in (a, b)]
        outline = [(corners[0][0], bottom), *corners, (corners[-1][0], bottom)]
        parts.append(svg.path(outline, stroke=colours[name], fill=colours[name], opacity=0.18))
    parts += [svg.text(x.at(tick), bottom + 18, x.label(tick), anchor="middle") for tick in x.ticks]
    if unit:
        parts.append(svg.text((left + WIDTH - 16) / 2, bottom + 38, unit, anchor="middle"))
    return svg.markdown(title, svg.document(262 if unit else 246, parts, title))


def interval_chart(
    title: str,
    rows: Mapping[str, tuple[float | None, float | None, float | None]],
    *,
    unit: str = "",
    marks: Mapping[str, float] | None = None,
) -> str:
    """Return one row per name with its value and interval, the numbers beside it.

    Args:
        title: Title.
        rows: Name to value, low and high; None where undefined.
        unit: Quantity and unit of the values.
        marks: Name to value of vertical lines, such as a tolerated margin.
    """
    numbers = [value for row in rows.values() for value in row if value is not None] + list((marks or {}).values())
    if not numbers:
        return _empty(title)
    told = {name: _told(row, _digits(numbers, 4)) for name, row in rows.items()}
    left = 20 + min(200.0, max(svg.text_width(name) for name in rows))
    right = WIDTH - 24 - max(svg.text_width(content) for content in told.values())
    x = svg.scale(numbers, left + 8, right, count=5)
    top, bottom = 52.0 if marks else 36.0, (52.0 if marks else 36.0) + 28 * len(rows)
    parts = [svg.text(12, 20, title, size=14, bold=True)]
    parts += [svg.line(x.at(tick), top, x.at(tick), bottom) for tick in x.ticks]
    parts += [svg.text(x.at(tick), bottom + 16, x.label(tick), anchor="middle") for tick in x.ticks]
    for name, value in (marks or {}).items():
        parts.append(svg.line(x.at(value), top - 4, x.at(value), bottom, stroke=svg.PALETTE[4], width=1.5, dash="4 3"))
        parts.append(svg.text(x.at(value), top - 8, name, anchor="middle", fill=svg.PALETTE[4]))
    for place, (name, row) in enumerate(rows.items()):
        y = top + 28 * place + 14
        parts.append(svg.text(left - 8, y + 4, svg.shortened(name, 200), anchor="end"))
        parts.append(svg.text(WIDTH - 12, y + 4, told[name], anchor="end"))
        parts += _interval(row, x, y, _colours(rows)[name])
    if unit:
        parts.append(svg.text((x.start + x.end) / 2, bottom + 34, unit, anchor="middle"))
    return svg.markdown(title, svg.document(bottom + (44 if unit else 26), parts, title))


def _check_lengths(
    x: Sequence[object], series: Mapping[str, Values], bands: Mapping[str, tuple[Values, Values]]
) -> None:
    if len(series) > MAX_SERIES:
        raise DeclarationError(f"a line chart shows at most {MAX_SERIES} series, got {len(series)}")
    rows = [*series.items(), *((name, side) for name, band in bands.items() for side in band)]
    for name, values in rows:
        if len(values) != len(x) or name not in series:
            raise DeclarationError(f"series {name!r} has {len(values)} values for {len(x)} places")


def _thinned(length: int, lines: int) -> list[int]:
    most = max(2, _MAX_POINTS // max(1, lines))
    if length <= most:
        return list(range(length))
    return [round(i * (length - 1) / (most - 1)) for i in range(most)]


def _colours(names: Mapping[str, object]) -> dict[str, str]:
    """Return a colour per name: models keep theirs in every chart."""
    free = [colour for colour in svg.PALETTE if not (set(names) & set(_ROLES)) or colour not in _ROLES.values()]
    others = [name for name in names if name not in _ROLES]
    given = {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: _ROLES.get(name) or given[name] for name in names}


def _frame(title: str, y: svg.Scale, left: float, y_label: str) -> list[str]:
    parts = [svg.text(12, 20, title, size=14, bold=True), svg.text(WIDTH - 12, 20, y_label, anchor="end")]
    for tick in y.ticks:
        zero = svg.AXIS if tick == 0 else svg.GRID
        parts.append(svg.line(left, y.at(tick), WIDTH - 16, y.at(tick), stroke=zero))
        parts.append(svg.text(left - 8, y.at(tick) + 4, y.label(tick), anchor="end"))
    return parts


def _places(x: Sequence[str | float], start: float, end: float) -> list[float]:
    numbers = [value for value in x if not isinstance(value, str)]
    if len(numbers) == len(x) and len(set(numbers)) > 1:
        across = svg.scale(numbers, start, end, snug=True)
        return [across.at(value) for value in numbers]
    if len(x) == 1:
        return [(start + end) / 2]
    return [start + (end - start) * i / (len(x) - 1) for i in range(len(x))]


def _x_labels(x: Sequence[str | float], places: Sequence[float], bottom: float) -> list[str]:
    """Return the labels that fit, from the last one backwards: the newest partition is always named."""
    parts: list[str] = []
    free = WIDTH + 8.0
    for value, place in zip(reversed(x), reversed(places), strict=True):
        content = svg.shortened(value if isinstance(value, str) else f"{value:g}", 120)
        half = svg.text_width(content) / 2
        centre = min(place, WIDTH - 4 - half)
        if centre + half <= free - 8:
            parts.append(svg.text(centre, bottom + 18, content, anchor="middle"))
            free = centre - half
    return parts


def _runs(places: Sequence[float], values: Values) -> list[list[tuple[float, float]]]:
    """Return the stretches of finite values."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in zip(places, values, strict=True):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((place, value))
    return [run for run in runs if run]


def _line(places: Sequence[float], values: Values, y: svg.Scale, colour: str) -> list[str]:
    parts: list[str] = []
    for run in _runs(places, values):
        points = [(place, y.at(value)) for place, value in run]
        if len(points) > 1:
            parts.append(svg.path(points, stroke=colour))
        if len(places) <= 32 or len(points) == 1:
            parts += [svg.dot(*point, fill=colour) for point in points]
    return parts


def _band(places: Sequence[float], low: Values, high: Values, y: svg.Scale, colour: str) -> list[str]:
    whole = [place for place, a, b in zip(places, low, high, strict=True) if a is not None and b is not None]
    ends = [(a, b) for a, b in zip(low, high, strict=True) if a is not None and b is not None]
    if len(whole) < 2:
        return []
    upper = [(place, y.at(b)) for place, (_, b) in zip(whole, ends, strict=True)]
    lower = [(place, y.at(a)) for place, (a, _) in zip(whole, ends, strict=True)]
    return [svg.path([*upper, *reversed(lower)], stroke="none", fill=colour, opacity=0.18)]


def _bar(name: str, value: float, *, y: float, left: float, x: svg.Scale, label: str) -> list[str]:
    first, last = sorted((x.at(0), x.at(value)))
    colour = svg.PALETTE[0] if value >= 0 else svg.PALETTE[4]
    place, anchor = (last + 6, "start") if value >= 0 else (first - 6, "end")
    return [
        svg.text(left - 8, y + 13, svg.shortened(name, 200), anchor="end"),
        svg.rect(first, y + 2, max(1.0, last - first), 15, fill=colour),
        svg.text(place, y + 13, label, anchor=anchor),
    ]


def _interval(row: tuple[float | None, float | None, float | None], x: svg.Scale, y: float, colour: str) -> list[str]:
    value, low, high = row
    parts: list[str] = []
    if low is not None and high is not None:
        parts.append(svg.line(x.at(low), y, x.at(high), y, stroke=colour, width=2))
        parts += [svg.line(x.at(end), y - 5, x.at(end), y + 5, stroke=colour, width=2) for end in (low, high)]
    if value is not None:
        parts.append(svg.dot(x.at(value), y, fill=colour, radius=4.5))
    return parts


def _told(row: tuple[float | None, float | None, float | None], step: float) -> str:
    value, low, high = row
    if value is None:
        return "undefined"
    interval = "" if low is None or high is None else f" ({svg.number(low, step)} to {svg.number(high, step)})"
    return svg.number(value, step) + interval


def _digits(numbers: Sequence[float], count: int) -> float:
    """Return the power of ten of the last of `count` digits of the largest of `numbers`."""
    largest = max(abs(number) for number in numbers)
    return 10.0 ** (math.floor(math.log10(largest)) - count + 1) if largest else 1.0


def _empty(title: str) -> str:
    parts = [svg.text(12, 20, title, size=14, bold=True), svg.text(12, 48, "no values yet")]
    return svg.markdown(title, svg.document(60, parts, title))
