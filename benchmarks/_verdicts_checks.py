"""Owns the checks that the shop's owner runs on a partition, one small adapter a family."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
from _verdicts_alarms import ROW_COLUMNS, SUITE, Alarm, alarms_of, contract_of
from _verdicts_history import trait_alarms
from _verdicts_orders import day_start
from _verdicts_past import Past, described_day, drifted, leaks

from quality.anomalies.calendar import CADENCES, Span
from quality.anomalies.judging import judge_past
from quality.anomalies.metrics import Metric
from quality.contract import check_schema, split
from quality.dependence import dependence, judge_dependence
from quality.history import judge_freshness
from quality.leakage import judge_leakage
from quality.references import judge_references
from quality.repeats import judge_repeats, sketch_rows
from quality.suites.run import run_suite
from quality.traits import traits
from quality.verdicts import Finding, Verdict
from resources.errors import ContractError, DeclarationError

TOLERATED_ROWS = 0.25
FALSE_ALARMS_PER_YEAR = 0.5
"""Of the number of rows alone."""
_RULES = {
    "below minimum": "contract minimum",
    "above maximum": "contract maximum",
    "not one of": "contract allowed",
    "not of the form": "contract pattern",
    ": null": "contract null",
}

Check = Callable[[Past, pl.DataFrame], list[Alarm]]
"""What is known of the past, and a partition: alarms."""


def contract_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return broken columns and types, and the rules that rows break."""
    contract = contract_of(past.day)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    try:
        check_schema(table.schema, contract)
        reasons = split(table, contract).reasons
    except ContractError as error:
        named = tuple(name for name in {*contract.columns, *frame.columns} if f"'{name}'" in str(error))
        return [Alarm(name="contract schema", columns=named, verdict="block", reason=str(error))]
    return [
        Alarm(name=_rule(reason), columns=(reason.split(":")[0],), verdict="block", reason=f"{count} rows: {reason}")
        for reason, count in reasons.items()
    ]


def _rule(reason: str) -> str:
    return next((name for words, name in _RULES.items() if words in reason), "contract type")


def history_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return an unusual number of rows, a stale end of the partition, unusual traits."""
    findings = [row_count(past, frame.height)]
    if isinstance(frame.schema.get("event_time"), pl.Datetime):
        newest = frame.get_column("event_time").max()
        due = day_start(past.day + 1)
        findings.append(judge_freshness(newest, due=due, max_age_s=2 * 3600))  # pyright: ignore[reportArgumentType]
    return alarms_of(findings) + trait_alarms(traits(frame), [day.traits for day in past.days], frame.height)


def row_count(past: Past, rows: int) -> Finding:
    """Return what the number of rows is by those of earlier days."""
    numbers = range(past.day - len(past.days), past.day + 1)
    spans = [Span(key=f"day {day}", start=day_start(day), end=day_start(day + 1)) for day in numbers]
    counts = [float(day.rows) for day in past.days]
    metric = Metric(name="volume", kind="count", tolerance=TOLERATED_ROWS, values=[*counts, float(rows)])
    judged = judge_past([metric], spans, CADENCES["daily"], per_year=FALSE_ALARMS_PER_YEAR, shown=1)
    return judged[0].finding


def drift_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return columns that lie further from the week before than any sound day did."""
    found: list[Alarm] = []
    for test in drifted(past, described_day(frame)):
        if test.flagged:
            name = f"drift {test.test}"
            column = {"event_hour": "event_time", "delay_s": "arrival_time"}.get(test.column, test.column)
            found.append(Alarm(name=name, columns=(column,), verdict="warn", reason=test.reason))
    return found


def suite_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return the expectations that are not met; those about columns that are not there are the contract's to tell."""
    entries = [entry for entry in SUITE if set(_columns_of(entry)) <= set(frame.columns)]
    try:
        result = run_suite(entries, frame)
    except DeclarationError as error:
        named = tuple(name for name in frame.columns if name in str(error))
        return [Alarm(name="suite", columns=named, verdict="block", reason=str(error))]
    verdicts: dict[str, Verdict] = {"critical": "block", "warning": "warn"}
    return [
        Alarm(
            name=f"suite {row.type.removeprefix('expect_column_')}",
            columns=tuple(row.column.split(", ")),
            verdict=verdicts[row.severity],
            reason=f"{row.type} of {row.column}: {row.unexpected_count} rows, such as {', '.join(row.examples)}",
        )
        for row in result.rows
        if not row.success
    ]


def _columns_of(entry: Mapping[str, Any]) -> list[str]:
    return [str(value) for key, value in entry["kwargs"].items() if key.startswith("column")]


def repeat_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return keys and contents that the partition or an earlier one holds already."""
    found: list[Alarm] = []
    sketches = (
        ("keys", ("order_id",), [day.keys for day in past.days]),
        ("rows", ROW_COLUMNS, [day.contents for day in past.days]),
    )
    for what, columns, before in sketches:
        if set(columns) <= set(frame.columns):
            names = {f"day {past.day - len(before) + place}": sketch for place, sketch in enumerate(before)}
            findings = judge_repeats(sketch_rows(frame, columns), names, what=what)
            for alarm in alarms_of(findings):
                verdict = "block" if what == "keys" else "warn"
                found.append(Alarm(name=f"{what} {alarm.name}", columns=(), verdict=verdict, reason=alarm.reason))
    return found


def relation_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return unknown customers, dependences that changed, features that know the label."""
    found: list[Alarm] = []
    if "customer_id" in frame.columns:
        try:
            finding = judge_references(frame.get_column("customer_id"), past.shop.customers, table="customers")
            found += alarms_of([finding], ("customer_id",))
        except DeclarationError as error:
            found.append(Alarm(name="references", columns=("customer_id",), verdict="block", reason=str(error)))
    depend = [day.dependence for day in past.days]
    found += alarms_of(judge_dependence(dependence(frame, past.cuts), depend, rows=frame.height))
    found += [
        Alarm(name="leak", columns=(str(finding.numbers["column"]),), verdict="warn", reason=finding.reason)
        for finding in judge_leakage(leaks(frame), [day.leaks for day in past.days])
    ]
    return found


CHECKS: dict[str, Check] = {
    "contract": contract_alarms,
    "suite": suite_alarms,
    "history": history_alarms,
    "drift": drift_alarms,
    "repeats": repeat_alarms,
    "relations": relation_alarms,
}
"""Family to adapter."""


def judge(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return all alarms of a partition."""
    return [alarm for check in CHECKS.values() for alarm in check(past, frame)]
