"""Runs one cell of the crash matrix: an operation, a fault, and many points at which it strikes.

A cell has some worlds side by side. In each round every world makes one attempt under a fault; then, with nothing going
wrong, everything that was committed there before is read, and what was attempted is done again.
"""

import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from random import Random

from tests.integration.faults.operations import OPERATIONS
from tests.integration.faults.plans import FAULTS, IDLE, Plan, Undisturbed, places
from tests.integration.faults.steps import Findings, Outcome
from tests.integration.faults.track import Track
from tests.integration.faults.world import Place, World
from tests.integration.seaweed import BUCKET, Seaweed

_WORLDS = 2  # as many as there are processors on a small machine
_WAITING_WORLDS = 3
_ROUNDS = 20  # of a cell whose points mostly wait: more points are worlds side by side
_NAMES = ("operation", "fault", "points", "killed", "failed", "corrupt", "lost", "partial", "stuck", "broken", "on")
_INTRODUCTION = """# The crash matrix

What `make soak` found when it last ran each cell (`on`): one operation of the storage and one thing that goes wrong, at
points drawn from seeds: before, in the middle of or after the n-th request or file operation, or at any moment. After
each point much of what was committed before is read, all of it at the end, and what was attempted is done again.

`killed` and `failed` say how attempts ended: the process died, or the operation came back with a clear error; the
others succeeded in spite of the fault. What must be zero:

- `corrupt`: reads of other bytes than were written;
- `lost`: committed versions that could not be read;
- `partial`: halves of versions that could be seen;
- `stuck`: attempts that took more than twice the longest time of one call to the store;
- `broken`: unclear errors, and attempts that could not be repeated.

"""


@dataclass(slots=True)
class Row:
    """What the points of one cell came to.

    Attributes:
        operation: Name of the operation.
        fault: Name of the fault.
        points: Attempts under the fault.
        killed: Attempts whose process was killed.
        failed: Attempts that ended with a clear error; the others succeeded in spite of the fault.
        corrupt: Reads of other bytes than were written.
        lost: Committed versions that could not be read.
        partial: Halves of versions that could be seen.
        stuck: Attempts that did not end within twice the longest time of a call.
        broken: Attempts that ended with an unclear error, or could not be repeated.
        on: Day on which it was found, as ISO 8601.
        notes: What happened at each point that counts against the storage.
    """

    operation: str
    fault: str
    points: int = 0
    killed: int = 0
    failed: int = 0
    corrupt: int = 0
    lost: int = 0
    partial: int = 0
    stuck: int = 0
    broken: int = 0
    on: str = field(default_factory=lambda: datetime.now(tz=UTC).date().isoformat())
    notes: list[str] = field(default_factory=list)

    def count(self, point: str, outcome: Outcome | str | None, findings: Findings | str) -> None:
        """Add one point; a text in place of a result says why there is none."""
        self.points += 1
        if outcome is None:
            self.killed += 1
        elif isinstance(outcome, str):
            self._add("stuck", point, outcome)
        elif outcome.error:
            self.failed += outcome.clear
            if not outcome.clear:
                self._add("corrupt" if outcome.wrong else "broken", point, outcome.error)
        self.count_findings(point, findings)

    def count_findings(self, point: str, findings: Findings | str) -> None:
        """Add what was found after a point."""
        if isinstance(findings, str):
            self._add("broken", point, findings)
            return
        for wrong in findings.wrong:
            self._add(wrong.kind, point, wrong.text)
        if findings.again:
            self._add("broken", point, f"once more: {findings.again}")

    def _add(self, kind: str, point: str, text: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.notes.append(f"{point}: {kind}: {text}")


def run_cell(operation: str, fault: str, *, points: int, server: Seaweed, folder: Path, fresh: bool) -> Row:
    """Let `fault` strike `operation` at so many points, or a few more.

    Args:
        operation: Name of the operation.
        fault: Name of the fault.
        points: How often.
        server: The S3 server.
        folder: Where worlds are made.
        fresh: Whether each look is by a new process, even where the one before still lives.
    """
    row = Row(operation=operation, fault=fault)
    stores = places(fault, operation, OPERATIONS[operation].places)
    if not stores:
        return row
    count = max(_WAITING_WORLDS, points // _ROUNDS) if FAULTS[fault].waits else _WORLDS
    rounds = -(-points // count)
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        worlds = [new_world(stores[number % len(stores)], folder / f"{number}", server) for number in range(count)]
        tracks = [stack.enter_context(Track(world, operation, server=server, fresh=fresh)) for world in worlds]
        usual = list(pool.map(Track.begin, tracks, repeat(rounds + 1)))
        for version in range(2, rounds + 2):
            plans = list(_plans(row, version, usual))
            outcomes = list(pool.map(Track.strike, tracks, repeat(version), plans))
            server.thaw()
            looks = list(pool.map(Track.look, tracks, repeat(version)))
            for point in zip(plans, outcomes, looks, strict=True):
                row.count(f"version {version}, {point[0]}", *point[1:])
        for findings in pool.map(Track.last_look, tracks, repeat(rounds + 1)):
            row.count_findings("at the end", findings)
    return row


def table(rows: Iterable[Row]) -> str:
    """Return the matrix in Markdown."""
    lines = [_NAMES, ("---",) * len(_NAMES), *(_cells(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    known = _NAMES if row.points else ("operation", "fault")
    return tuple(str(getattr(row, name)) if name in known else "-" for name in _NAMES)


def in_order(*tables: Iterable[Row]) -> list[Row]:
    """Return the rows of all tables by fault and operation, for each cell that of the last table which has it."""
    cells = {(row.fault, row.operation): row for rows in tables for row in rows}
    return [cells[key] for fault in FAULTS for operation in OPERATIONS if (key := (fault, operation)) in cells]


def rows_of(text: str) -> list[Row]:
    """Return the rows of a page that `page` made."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [_row(dict(zip(lines[0], line, strict=True))) for line in lines[2:]]


def _row(cells: dict[str, str]) -> Row:
    return Row(**{name: int(cell) if cell.isdecimal() else cell for name, cell in cells.items() if cell != "-"})  # pyright: ignore[reportArgumentType]


def page(rows: Iterable[Row]) -> str:
    """Return the page of the documentation that holds the matrix."""
    idle = "".join(f"- {fault}, {operation}, {place}: {why}\n" for (fault, operation, place), why in IDLE.items())
    return f"{_INTRODUCTION}{table(rows)}\nLeft out, since the operation on that kind of store\n\n{idle}"


def new_world(place: Place, home: Path, server: Seaweed) -> World:
    """Return a new world in the folder `home`."""
    home.mkdir(parents=True)
    url = f"s3://{BUCKET}/{secrets.token_hex(6)}" if place == "s3" else str(home / "disk" / "store")
    return World(home=home, url=url, env=server.env())


def _plans(row: Row, version: int, usual: Iterable[Undisturbed]) -> Iterable[Plan]:
    """Yield the plan of each world; one of them stops the server for all."""
    for number, seen in enumerate(usual):
        chance = Random(f"{row.operation} {row.fault} {version} {number}")
        plan = FAULTS[row.fault].draw(chance, version, seen)
        yield Plan() if plan.stops and number else plan
