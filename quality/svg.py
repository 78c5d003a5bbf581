"""Owns the drawing of small SVG pictures: primitives, scales, ticks, legends, the Markdown image.

It knows no statistics (`quality.pictures` draws charts with it). Colours are of middle lightness and nothing is filled
behind them, so that a picture reads on a white and on a dark page alike.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 640
TEXT = "#717985"
GRID = "#80808040"
AXIS = "#808080a0"
PALETTE = ("#3b82f6", "#e8710a", "#12a150", "#b457d9", "#d9485f", "#0e9aa7", "#a07d12", "#7d83ff")
SIZE = 12
_CHARACTER = 0.58
"""Width of an average character over the font size, on the wide side of common sans-serif fonts."""


def text_width(content: str, size: float = SIZE) -> float:
    """Return the estimated width of `content` in pixels."""
    return len(content) * size * _CHARACTER


def shortened(content: str, width: float, size: float = SIZE) -> str:
    """Return `content`, cut with an ellipsis where it is wider than `width` pixels."""
    most = max(1, int(width / (size * _CHARACTER)))
    return content if len(content) <= most else f"{content[: most - 1]}…"


def text(
    x: float, y: float, content: str, *, anchor: str = "start", size: float = SIZE, bold: bool = False, fill: str = TEXT
) -> str:
    """Return a text whose baseline starts, centres or ends at (x, y)."""
    weight = ' font-weight="600"' if bold else ""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    font = "" if size == SIZE else f' font-size="{size:g}"'
    colour = "" if fill == TEXT else f' fill="{fill}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{font}{weight}{colour}>{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = GRID, width: float = 1, dash: str = "") -> str:
    """Return a straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{stroke}" stroke-width="{width:g}"{dashes}/>'


def path(points: Sequence[tuple[float, float]], *, stroke: str, fill: str = "none", opacity: float = 1) -> str:
    """Return a line through `points`, or the area they enclose if it is filled."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    close = "" if fill == "none" else "Z"
    see = "" if opacity == 1 else f' fill-opacity="{opacity:g}"'
    return f'<path d="M{steps}{close}" fill="{fill}"{see} stroke="{stroke}" stroke-width="2" stroke-linejoin="round"/>'


def rect(x: float, y: float, width: float, height: float, *, fill: str, opacity: float = 1) -> str:
    """Return a rectangle with slightly rounded corners."""
    see = "" if opacity == 1 else f' fill-opacity="{opacity:g}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{fill}"{see}/>'


def dot(x: float, y: float, *, fill: str, radius: float = 3) -> str:
    """Return a filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"/>'


def legend(names: Sequence[str], y: float, colours: Sequence[str]) -> str:
    """Return one row of coloured names, from the left edge; names that do not fit are cut."""
    parts: list[str] = []
    x, share = 12.0, (WIDTH - 24) / max(1, len(names)) - 28
    for name, colour in zip(names, colours, strict=True):
        content = shortened(name, share) if sum(text_width(n) + 34 for n in names) > WIDTH - 24 else name
        parts += [rect(x, y - 9, 10, 10, fill=colour), text(x + 15, y, content)]
        x += 34 + text_width(content)
    return "".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear scale from values to pixels, with ticks at round values.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Pixel.
        end: Pixel.
        ticks: Round values between `low` and `high`.
        step: Distance of the ticks.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    step: float

    def at(self, value: float) -> float:
        """Return the pixel of `value`."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def label(self, value: float) -> str:
        """Return the text of a tick."""
        return number(value, self.step)


def scale(values: Sequence[float], start: float, end: float, *, count: int = 5, snug: bool = False) -> Scale:
    """Return a scale that spans `values`, with about `count` ticks; unless `snug` it ends at ticks."""
    low, high = min(values), max(values)
    # Equal, or so near that a fifth of the difference is 0, or that floats as large do not tell its ticks apart.
    if high - low < max(1e-300, 1e-9 * max(abs(low), abs(high))):
        low, high = low - (abs(low) / 2 or 1), high + (abs(high) / 2 or 1)
    step = _round_step((high - low) / count)
    if not snug:
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(i * step for i in range(first, last + 1))
    return Scale(low=low, high=high, start=start, end=end, ticks=ticks, step=step)


def number(value: float, step: float) -> str:
    """Return `value` with as many digits as tell values `step` apart.

    >>> number(1500.0, 500.0), number(0.25, 0.05), number(2.5e7, 5e6)
    ('1,500', '0.25', '25M')
    """
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size and step >= size / 10:
            return f"{value / size:.{_decimals(step / size)}f}{letter}".replace("-", "−")
    if 0 < step < 1e-6:
        return f"{value:.3g}"
    return f"{value:,.{_decimals(step)}f}".replace("-", "−")


def document(height: float, parts: Sequence[str], title: str) -> str:
    """Return the SVG document of `parts`."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    )
    font = f'font-family="system-ui,-apple-system,Segoe UI,Roboto,sans-serif" font-size="{SIZE}" fill="{TEXT}"'
    return f'{head} {font} role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'


def markdown(title: str, svg: str) -> str:
    """Return a Markdown image that holds `svg` itself."""
    plain = title.replace("[", "(").replace("]", ")").replace("\n", " ")
    return f"![{plain}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _round_step(rough: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _decimals(step: float) -> int:
    if step <= 0:
        return 0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return digits + (0 if abs(step * 10**digits - round(step * 10**digits)) < 1e-6 else 1)
