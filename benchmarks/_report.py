"""Owns what all benchmarks print and write: rows of a measured value beside a peer's, and the target it is held to."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # or the package quality would be benchmarks/quality.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement.

    Attributes:
        work: What was done.
        subject: Who did it.
        value: What it took or gave, in `unit`.
        peer: Whom it is compared with in the same run, or empty.
        peer_value: What the peer took or gave, in the same unit.
        ratio: `value` / `peer_value`.
        target: The limit that the project sets itself, on the ratio or the value, or empty.
        met: Whether it was kept, or None without a target.
    """

    work: str
    subject: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


def measured(work: str, subject: str, value: float, unit: str, *, most: float | None = None) -> Row:
    """Return a value that should be at most `most`."""
    target, met = ("", None) if most is None else (f"<= {most:g}", value <= most)
    return Row(work=work, subject=subject, value=value, unit=unit, target=target, met=met)


def told_rate(work: str, subject: str, hits: int, of: int, unit: str, *, most: float | None = None) -> Row:
    """Return a share that should be at most `most`, with its 95 % interval (Wilson, 1927) in the words."""
    from quality.distributions import wilson_interval

    low, high = wilson_interval(hits / of, of, confidence=0.975)
    return measured(f"{work} (95 %: {low:.3f} to {high:.3f})", subject, hits / of, unit, most=most)


def compared(
    work: str,
    subject: str,
    value: float,
    unit: str,
    *,
    peer: str,
    peer_value: float,
    most: float | None = None,
    most_ratio: float | None = None,
) -> Row:
    """Return a value beside a peer's; the value should be at most `most`, or `most_ratio` times the peer's."""
    ratio = value / peer_value if peer_value else None
    row = replace(measured(work, subject, value, unit, most=most), peer=peer, peer_value=peer_value, ratio=ratio)
    if most_ratio is None or ratio is None:
        return row
    return replace(row, target=f"<= {most_ratio:g}x", met=ratio <= most_ratio)


def parser(docstring: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="small sizes, under two minutes: shows that it runs")
    made.add_argument("--json", type=Path, help="write the rows to this file")
    return made


def report(rows: Sequence[Row], file: Path | None) -> None:
    """Print `rows` as the Markdown table that docs/benchmarks/ shows, and write them to `file`."""
    print(table(rows))
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def table(rows: Sequence[Row]) -> str:
    """Return `rows` as a Markdown table."""
    lines = ["| work | subject | value | peer | peer's | ratio | target | met |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        value, theirs = _number(row.value, row.unit), _number(row.peer_value, row.unit)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        lines.append(
            f"| {row.work} | {row.subject} | {value} | {row.peer} | {theirs} | {ratio} | {row.target} | {met} |"
        )
    return "\n".join(lines)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 3 if unit.startswith("share") else 0 if value >= 100 or unit == "modules" else 2
    return f"{value:,.{digits}f}" + ("" if unit.startswith("share") else f" {unit}")
