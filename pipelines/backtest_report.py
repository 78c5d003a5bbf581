"""Owns the drawing of a backtest: one HTML file with an SVG chart and the table behind it.

The same backtest gives the same bytes: there is no clock in it, and nothing is loaded from elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from pipelines.backtest import MODELS, Replay, Replayed

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 96
COLOURS = {"challenger": "#1769aa", "champion": "#6a3d9a", "baseline": "#8a8a8a"}
ACTIONS = {
    "promoted": "#2e7d32",
    "refused": "#c62828",
    "blocked": "#ad5f00",
    "unchanged": "#8a8a8a",
    "short": "#bdbdbd",
    "failed": "#000000",
}
LABELS = {"challenger": "challenger", "champion": "champion in force", "baseline": "naive baseline"}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1000px;padding:0 1rem;color:#1b1b1b;"
    "background:#fff}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.25rem .7rem;text-align:left;"
    "border-bottom:1px solid #ddd;vertical-align:top}code{font-size:.9em}svg{max-width:100%;height:auto}"
)


def page(replay: Replay) -> str:
    """Return the HTML page of a backtest."""
    title = f"Backtest of {replay.pipeline}: {_span(replay)}"
    unit = f" in {replay.unit}" if replay.unit else ""
    counts = ", ".join(f"{count} {action}" for action, count in replay.counts.items())
    means = "".join(f"<tr><td>{LABELS[model]}</td><td>{value:.4g}</td></tr>" for model, value in replay.means.items())
    held = sum(item.look_alike for item in replay.ingested)
    note = "<p><strong>The data is a generated look-alike; its numbers say nothing about the real world.</strong></p>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{note if held else ''}<p>{escape(counts)}.</p>{chart(replay)}"
        f"<h2>Mean {escape(replay.metric)}{escape(unit)}, over the partitions on which all were measured</h2>"
        f"<table>{means}</table><h2>Partition by partition</h2>{_table(replay)}</html>\n"
    )


def chart(replay: Replay) -> str:
    """Return the deciding metric of every model per partition as SVG, with what the gate did below."""
    x = _Places(len(replay.steps))
    low, high = _range(replay)
    y = _Scale(low, high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui,sans-serif" font-size="12"><title>{escape(replay.metric)} per partition</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *(_grid(y, value, replay) for value in y.ticks()),
        *(_series(replay, model, x, y) for model in reversed(MODELS)),
        *(_mark(step, x.at(place), place, len(replay.steps)) for place, step in enumerate(replay.steps)),
        _legend(replay),
        "</svg>",
    ]
    return "".join(parts)


class _Places:
    def __init__(self, count: int) -> None:
        self._step = (WIDTH - LEFT - RIGHT) / max(1, count)

    def at(self, place: int) -> float:
        return LEFT + (place + 0.5) * self._step


class _Scale:
    def __init__(self, low: float, high: float) -> None:
        margin = (high - low) * 0.06 or 1.0
        self._low = 0.0 if low >= 0 and low - margin < 0 else low - margin
        self._high = high + margin

    def at(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        """Return about five round numbers between both ends."""
        rough = (self._high - self._low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        return [number * step for number in range(first, last + 1)]


def _estimates(step: Replayed, model: str) -> Mapping[str, float | None]:
    found = step.judged.estimate(model) if step.judged is not None else None
    return found or {"value": None, "low": None, "high": None}


def _range(replay: Replay) -> tuple[float, float]:
    values = [
        value
        for step in replay.steps
        for model in MODELS
        for name in (("value", "low", "high") if model == "challenger" else ("value",))
        if (value := _estimates(step, model)[name]) is not None
    ]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _grid(y: _Scale, value: float, replay: Replay) -> str:
    at = y.at(value)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e5e5"/>'
        f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#555">{value:.4g}</text>'
    )


def _series(replay: Replay, model: str, x: _Places, y: _Scale) -> str:
    colour = COLOURS[model]
    dash = ' stroke-dasharray="4 4"' if model == "baseline" else ""
    points: list[tuple[float, float]] = []
    drawn: list[str] = []
    for place, step in enumerate(replay.steps):
        found = _estimates(step, model)
        if found["value"] is None:
            drawn.append(_line(points, colour, dash))
            points = []
            continue
        points.append((x.at(place), y.at(found["value"])))
        if model == "challenger" and found["low"] is not None and found["high"] is not None:
            drawn.append(
                f'<line x1="{x.at(place):.1f}" x2="{x.at(place):.1f}" y1="{y.at(found["low"]):.1f}" '
                f'y2="{y.at(found["high"]):.1f}" stroke="{colour}" stroke-opacity=".35" stroke-width="5"/>'
            )
        drawn.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" fill="{colour}"/>')
    return "".join([*drawn, _line(points, colour, dash)])


def _line(points: Sequence[tuple[float, float]], colour: str, dash: str) -> str:
    if len(points) < 2:
        return ""
    path = " ".join(f"{at:.1f},{up:.1f}" for at, up in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>'


def _mark(step: Replayed, at: float, place: int, count: int) -> str:
    """Draw what the gate did as a square, with the partition's key below where there is room."""
    top = HEIGHT - BOTTOM + 14
    every = max(1, -(-count // 24))
    square = (
        f'<rect x="{at - 5:.1f}" y="{top}" width="10" height="10" fill="{ACTIONS[step.action]}">'
        f"<title>{escape(step.partition)}: {step.action}: {escape(step.reason)}</title></rect>"
    )
    if place % every:
        return square
    return (
        f'{square}<text transform="translate({at + 4:.1f},{top + 22}) rotate(-55)" text-anchor="end" fill="#555">'
        f"{escape(step.partition)}</text>"
    )


def _legend(replay: Replay) -> str:
    at = LEFT
    parts: list[str] = []
    unit = f" ({replay.unit})" if replay.unit else ""
    entries = [(LABELS[model], COLOURS[model]) for model in MODELS]
    entries += [(action, ACTIONS[action]) for action in replay.counts]
    for name, colour in entries:
        parts.append(f'<rect x="{at}" y="8" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{at + 14}" y="17" fill="#333">{escape(name)}</text>')
        at += 26 + 7 * len(name)
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="17" text-anchor="end" fill="#333">{escape(replay.metric + unit)}</text>'
    )
    return "".join(parts)


def _table(replay: Replay) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("partition", "action", *LABELS.values(), "champion after", "why"))
    rows = "".join(
        f"<tr><td>{escape(step.partition)}</td><td>{step.action}</td>"
        + "".join(f"<td>{_cell(_estimates(step, model))}</td>" for model in MODELS)
        + f"<td><code>{(step.champion or '-')[:12]}</code></td><td>{escape(step.reason)}</td></tr>"
        for step in replay.steps
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _cell(estimate: Mapping[str, float | None]) -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "-"
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} ({low:.4g} to {high:.4g})"


def _span(replay: Replay) -> str:
    return f"{replay.steps[0].partition} to {replay.steps[-1].partition}" if replay.steps else "nothing replayed"
