"""Owns the scoring of runs: a defect planted or none, what was said, and the rates over many of them."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from _report import Row, measured
from _verdicts_alarms import Alarm
from _verdicts_cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One judged partition.

    Attributes:
        place: "ingest", "evaluation" or "serving".
        rows: Usual rows of a partition.
        case: What was planted, or None on a clean run.
        magnitude: How badly, 0 on a clean run.
        stated: Whether checks are held to it.
        alarms: What was said.
    """

    place: str
    rows: int
    case: Case | None
    magnitude: float
    stated: bool
    alarms: Sequence[Alarm]

    @property
    def blocked(self) -> bool:
        """Whether any alarm blocks."""
        return any(alarm.verdict == "block" for alarm in self.alarms)

    @property
    def right(self) -> list[Alarm]:
        """Alarms about the struck columns; of whole rows, all that name the defect."""
        case = self.case
        if case is None:
            return []
        if case.of_table:
            return [alarm for alarm in self.alarms if alarm.name.startswith(case.names)]
        return [alarm for alarm in self.alarms if set(alarm.columns) & set(case.named()) or not alarm.columns]

    @property
    def named(self) -> bool:
        """Whether an alarm about the right columns says what happened."""
        return self.case is not None and any(alarm.name.startswith(self.case.names) for alarm in self.right)


def summary(runs: Sequence[Run]) -> Iterator[Row]:
    """Yield what was missed at stated magnitudes and said of clean runs, by place and size."""
    for place, rows in dict.fromkeys((run.place, run.rows) for run in runs):
        here = [run for run in runs if (run.place, run.rows) == (place, rows)]
        stated, clean = [run for run in here if run.stated], [run for run in here if run.case is None]
        if stated:
            kinds = len({run.case.defect for run in stated if run.case})
            work = f"{place}, {rows:,} rows: {len(stated):,} planted defects of {kinds} kinds"
            yield _row(f"{work}: no alarm", [not run.alarms for run in stated], most=0.05)
            yield _row(f"{work}: right column not named", [not run.right for run in stated], most=0.1)
            yield _row(f"{work}: defect not named", [not run.named for run in stated], most=0.1)
        if clean:
            work = f"{place}, {rows:,} rows: {len(clean):,} clean runs"
            yield _row(f"{work}: blocked", [run.blocked for run in clean], most=0.01)
            yield _row(f"{work}: any alarm", [bool(run.alarms) for run in clean])


def _row(work: str, which: Sequence[bool], most: float | None = None) -> Row:
    return measured(work, "all checks", _share(which), "share of runs", most=most)


def _share(which: Sequence[bool]) -> float:
    return sum(which) / len(which)


def by_kind(runs: Sequence[Run]) -> str:
    """Return the Markdown table of all kinds, columns and magnitudes, and how many were detected at each size."""
    sizes = sorted({run.rows for run in runs})
    groups: dict[tuple[str, str, str, float], list[Run]] = defaultdict(list)
    for run in runs:
        if run.case is not None:
            groups[run.place, run.case.defect, " ".join(run.case.columns), run.magnitude].append(run)
    head = ["place", "defect", "column", "magnitude", "stated", *(f"{size:,} rows" for size in sizes)]
    head += ["right column", "named", "blocked", "what was said first"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for (place, defect, columns, magnitude), group in groups.items():
        at = {size: [run for run in group if run.rows == size] for size in sizes}
        found = [f"{sum(bool(run.alarms) for run in of)} of {len(of)}" if of else "" for of in at.values()]
        shares = [[bool(run.right) for run in group], [run.named for run in group], [run.blocked for run in group]]
        said = Counter(alarm.name for run in group for alarm in (run.right or run.alarms)[:1])
        stated = "yes" if any(run.stated for run in group) else ""
        cells = [place, defect, columns, f"{magnitude:g}", stated, *found]
        cells += [f"{_share(which):.2f}" for which in shares]
        cells.append(", ".join(name for name, _ in said.most_common(2)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def saved(run: Run) -> str:
    """Return a run as a line of JSON."""
    return json.dumps(asdict(run))


def loaded(line: str) -> Run:
    """Return the run of which `saved` made a line."""
    value = json.loads(line)
    case = None
    if value["case"] is not None:
        case = Case(**{key: tuple(of) if isinstance(of, list) else of for key, of in value["case"].items()})
    alarms = [Alarm(**{**alarm, "columns": tuple(alarm["columns"])}) for alarm in value["alarms"]]
    return Run(**{**value, "case": case, "alarms": alarms})


def misses(runs: Sequence[Run]) -> str:
    """Return the stated defects that were missed at some size, as a Markdown list."""
    found: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        if run.stated and run.case is not None and not run.right:
            found[f"{run.place}: {run.case.defect} {run.magnitude:g} of {' '.join(run.case.columns)}"].append(run.rows)
    return "\n".join(
        f"- {what}: {len(sizes)} runs, partitions of {sorted(set(sizes))} rows" for what, sizes in found.items()
    )


def false_alarms(runs: Sequence[Run]) -> str:
    """Return what was said of clean runs, as a Markdown list."""
    said: dict[str, int] = defaultdict(int)
    for run in runs:
        for name, columns in {(alarm.name, alarm.columns) for alarm in run.alarms} if run.case is None else ():
            said[f"{run.place}: {name} {' '.join(columns)}"] += 1
    return "\n".join(f"- {what}: {count}" for what, count in sorted(said.items(), key=lambda item: -item[1]))
