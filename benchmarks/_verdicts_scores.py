"""Owns the scoring of runs: a defect planted or none, what was said, and the rates over many of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    """Yield detection at stated magnitudes and false alarms on clean runs, by place and size."""
    unit = "share of runs"
    for place, rows in dict.fromkeys((run.place, run.rows) for run in runs):
        here = [run for run in runs if (run.place, run.rows) == (place, rows)]
        stated = [run for run in here if run.stated]
        clean = [run for run in here if run.case is None]
        where = f"{place}, {rows:,} rows"
        if stated:
            work = f"{where}: {len(stated):,} planted defects, {len({_kind(run) for run in stated})} kinds"
            yield measured(
                f"{work}: missed", "all checks", _share(stated, [not run.alarms for run in stated]), unit, most=0.05
            )
            wrong = [not run.right for run in stated]
            yield measured(f"{work}: right column not named", "all checks", _share(stated, wrong), unit, most=0.1)
            unnamed = [not run.named for run in stated]
            yield measured(f"{work}: defect not named", "all checks", _share(stated, unnamed), unit, most=0.1)
        if clean:
            work = f"{where}: {len(clean):,} clean runs"
            yield measured(
                f"{work}: blocked", "all checks", _share(clean, [run.blocked for run in clean]), unit, most=0.01
            )
            yield measured(f"{work}: any alarm", "all checks", _share(clean, [bool(run.alarms) for run in clean]), unit)  # fmt: skip


def _kind(run: Run) -> str:
    return run.case.defect if run.case else ""


def _share(runs: Sequence[Run], which: Iterable[bool]) -> float:
    return sum(which) / len(runs)


def by_kind(runs: Sequence[Run]) -> str:
    """Return the Markdown table of all kinds, columns and magnitudes."""
    groups: dict[tuple[str, str, str, float, bool], list[Run]] = defaultdict(list)
    for run in runs:
        if run.case is not None:
            key = (run.place, run.case.defect, " ".join(run.case.columns), run.magnitude, run.stated)
            groups[key].append(run)
    lines = [
        "| place | defect | column | magnitude | held to | runs | detected | right column | named | blocked | first said |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (place, defect, columns, magnitude, stated), group in groups.items():
        shares = [
            _share(group, which)
            for which in (
                (bool(run.alarms) for run in group),
                (bool(run.right) for run in group),
                (run.named for run in group),
                (run.blocked for run in group),
            )
        ]
        said = sorted({alarm.name for run in group for alarm in (run.right or run.alarms)[:1]})
        cells = [place, defect, columns, f"{magnitude:g}", "yes" if stated else "", str(len(group))]
        cells += [f"{share:.2f}" for share in shares] + [", ".join(said[:3])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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
