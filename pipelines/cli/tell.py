"""Owns the wording of a run and of a pipeline's state on the terminal; the values are made by `pipelines.summary`."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipelines.cli.console import interval, is_narrow, print_table, seconds, short
from pipelines.summary import Blocked, Ingested, Judged, Summary
from quality.wording import percent

if TYPE_CHECKING:
    from pipelines.running import Outcome
    from resources.registry import Entry
    from resources.workspace import Workspace

FEW = 3
"""Up to so many partitions every metric is shown."""
WHOLE = "(all rows)"
"""Stands for the partition of a pipeline without time partitions."""


def tell_outcomes(outcomes: Sequence["Outcome"]) -> None:
    """Print what became of each stage of each step."""
    stages = [item.stage for item in max(outcomes, key=lambda found: len(found.stages)).stages]
    rows: list[list[str]] = []
    for outcome in outcomes:
        states = {item.stage: item.state for item in outcome.stages}
        shown = [str(states.get(stage, "")) for stage in stages]
        rows.append([outcome.step.partition or WHOLE, *shown, outcome.status, seconds(outcome.seconds)])
    print_table(("partition", *stages, "outcome", "took"), rows, right=("took",))


def tell_reasons(outcomes: Sequence["Outcome"]) -> None:
    """Print why steps were blocked and, as errors, why they failed."""
    if any(outcome.status == "blocked" for outcome in outcomes):
        print()
    for outcome in outcomes:
        where = outcome.step.partition or WHOLE
        if outcome.status == "blocked":
            print(f"{where} blocked:")
            for reason in outcome.reasons:
                print(f"  - {reason}")
        elif outcome.status == "failed":
            for reason in outcome.reasons:
                print(f"error: {where}: {reason}", file=sys.stderr)


def tell_summary(summary: Summary, *, reasons: bool = True) -> None:
    """Print champion, judgements with intervals, and what was blocked and why."""
    if any(item.look_alike for item in summary.ingested):
        print("The data is a generated look-alike: its numbers say nothing about the real world.")
    tell_judged(summary.judged)
    if rejected := [item for item in summary.ingested if item.rejected]:
        print()
        tell_ingested(rejected)
    if reasons:
        print()
        tell_blocked(summary.blocked)
    print()
    tell_champion(summary)


def tell_judged(judged: Sequence[Judged]) -> None:
    """Print each judgement: the deciding metric, or every metric where they are few."""
    if not judged:
        print("No model was judged.")
        return
    if len(judged) <= FEW:
        for item in judged:
            _tell_metrics(item)
        return
    first = judged[0]
    title = f"{first.metric}{f' in {first.unit}' if first.unit else ''}, with {percent(first.confidence)} intervals"
    models = ("challenger", "champion", "baseline")
    if is_narrow():  # values above their intervals; rows and models are left to `penstock summary --json`
        rows = [
            (item.partition or WHOLE, item.verdict, *(stacked(item.estimate(model)) for model in models), _action(item))
            for item in judged
        ]
        print_table(("judged on", "verdict", "challenger", "champion then", "baseline", "then"), rows, title=title)
        return
    header = ("judged on", "rows", "verdict", "challenger", "champion then", "baseline", "model", "then")
    rows = [
        (
            item.partition or WHOLE,
            f"{item.rows:,}",
            item.verdict,
            *(interval(item.estimate(model)) for model in models),
            short(item.challenger),
            _action(item),
        )
        for item in judged
    ]
    print_table(header, rows, title=title, right=("rows",))


def stacked(estimate: Mapping[str, float | None] | None) -> str:
    """Return a value above its interval."""
    return interval(estimate).replace(" (", "\n(")


def tell_ingested(ingested: Sequence[Ingested]) -> None:
    """Print the partitions that rows were rejected of."""
    rows = [
        (
            item.partition or WHOLE,
            f"{item.rows:,}",
            f"{item.rejected:,}",
            "; ".join(f"{reason} ({count:,})" for reason, count in item.reasons.items()),
        )
        for item in ingested
    ]
    print_table(
        ("partition", "rows kept", "rejected", "why"), rows, title="Quarantine", right=("rows kept", "rejected")
    )


def tell_blocked(blocked: Sequence[Blocked]) -> None:
    """Print what was stopped, and why."""
    if not blocked:
        print("Nothing was blocked.")
    for item in blocked:
        print(f"{item.partition or WHOLE} stopped by the {item.by} ({item.verdict}):")
        for reason in item.reasons[:FEW]:
            print(f"  - {reason}")


def tell_champion(summary: Summary) -> None:
    """Print which model is champion, since when and why."""
    entry = summary.champion
    if entry is None:
        print(f"{summary.pipeline} has no champion in registry {summary.registry!r} yet.")
        return
    print(f"Champion of {summary.pipeline}: model {short(entry.model.digest)}, {_trained_on(entry)}")
    where = f"judged on {entry.partition}" if entry.partition else "judged on the holdout"
    done = {"promote": "promoted", "rollback": "put back"}[entry.action]
    print(f"  {done} as entry {entry.sequence} by {entry.actor} at {entry.at[:19]}Z, {where}")
    print(f"  why: {entry.reason}")


def deciding(opened: "Workspace", report: str | None) -> str:
    """Return the deciding metric of the model that the gate report `report` judged, or an empty text."""
    from resources.canonical import parse_json
    from resources.errors import ObjectMissing
    from resources.storage.objects import get_object

    if report is None:
        return ""
    try:
        value = parse_json(get_object(opened.store, report))
    except ObjectMissing:
        return ""
    metric = value["gate"]["metric"]
    measured = value["measurements"]["evaluation"]["overall"]["metrics"]["challenger"].get(metric)
    unit = value["gate"].get("unit", "")
    return f"{metric} {interval(measured)}{f' {unit}' if unit else ''}" if measured else ""


def _tell_metrics(item: Judged) -> None:
    models = [model for model in ("challenger", "champion", "baseline") if model in item.metrics]
    names = sorted(item.metrics["challenger"], key=lambda name: (name != item.metric, name))
    rows = [(name, *(interval(item.metrics[model].get(name)) for model in models)) for name in names]
    where = item.partition or "the holdout"
    title = f"{where}: {item.verdict}{', ' + _action(item) if _action(item) else ''}"
    print_table(("metric", *models), rows, title=f"{title} ({item.rows:,} rows, model {short(item.challenger)})")
    for reason in item.reasons[:FEW]:
        print(f"  - {reason}")


def _action(item: Judged) -> str:
    return "promoted" if item.promoted else ("refused" if item.verdict in ("inconclusive", "block") else "")


def _trained_on(entry: "Entry") -> str:
    keys = sorted(key for key in entry.model.training_digests if key)
    return f"trained on {keys[0]} to {keys[-1]}" if keys else "trained on the rows outside the holdout"
