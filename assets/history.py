"""Owns the checks of `raw` against its own past: `volume` for the rows, `history` for everything else that is watched.

Both warn and never block. The statistics are `quality.anomalies`'; the numbers come from `resources.past`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, field_validator

from assets.judging import Declared, Look, build_checks
from assets.metadata import table
from assets.partitions import Partitions
from assets.stage import Stage
from assets.told import Told
from quality.anomalies.calendar import CADENCES, Season, Span
from quality.anomalies.metrics import Metric
from quality.healthy import left_out
from resources.canonical import digest_value
from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.health import BROKEN, flagged
from resources.refs import DatasetRef
from resources.storage.memo import REQUIRES, recall, remember
from resources.transform.expressions import check_types

if TYPE_CHECKING:
    from quality.anomalies.judging import Judged
    from resources.past import Measured
    from resources.workspace import Workspace

Checked = Mapping[str, "Judged"]
VOLUME_PART = 0.4
"""Part of the budget of false alarms that the number of rows has; the other metrics share the rest."""
PICTURES = 4
"""Most pictures on one check: what raised an alarm comes first."""


class Watched(Declaration):
    """A number of one's own that is compared with its past: the mean of an expression over the rows of a partition.

    Attributes:
        expression: SQL over the columns of `raw`, one row at a time; `CASE WHEN ... THEN 1 ELSE 0 END` gives a share.
        tolerance: Change of the mean that is tolerated, in its own unit.
    """

    expression: str
    tolerance: float = Field(gt=0, allow_inf_nan=False)


class History(Declaration):
    """What is compared with the past of the pipeline, and how often that may be wrong.

    Attributes:
        false_alarms_per_year: Largest expected number of false alarms of all metrics together in a year; so at most
            this share of pipelines sees any.
        age_tolerance: Tolerated change of the newest row's age, as part of the partition's length.
        null_tolerance: Tolerated change of a column's share of nulls.
        ignore: Columns whose nulls are not watched.
        watch: Name to a number of one's own.
        seasons: What may make partitions alike: hour, weekday, hour_of_week, day (of the month), month. By default
            what suits their length.
    """

    false_alarms_per_year: float = Field(default=0.1, gt=0, lt=1)
    age_tolerance: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    null_tolerance: float = Field(default=0.02, gt=0, lt=1)
    ignore: tuple[str, ...] = ()
    watch: dict[str, Watched] = Field(default_factory=dict)
    seasons: tuple[Season, ...] | None = None

    @field_validator("watch")
    @classmethod
    def _free_names(cls, watch: dict[str, Watched]) -> dict[str, Watched]:
        for name in watch:
            if name in ("rows", "age") or name.startswith("nulls of "):
                raise DeclarationError(f"{name!r} is watched anyway: choose another name")
        return watch

    def check(self, types: Mapping[str, str]) -> None:
        """Refuse columns that `raw` lacks and expressions that give no number.

        Args:
            types: Column of `raw` to its Arrow type as text.

        Raises:
            DeclarationError: Naming the field, the value and what is allowed.
        """
        from resources.names import choose

        for name in self.ignore:
            choose("ingest.history.ignore", name, types)
        made = check_types("ingest.history.watch", {name: one.expression for name, one in self.watch.items()}, types)
        for name, kind in made.items():
            if not (kind.is_numeric() or str(kind) in ("Boolean", "Null")):
                text = self.watch[name].expression
                raise DeclarationError(
                    f"ingest.history.watch.{name}: {text!r} is {kind}, only numbers have a mean: CAST it"
                )

    @property
    def expressions(self) -> dict[str, str]:
        """Name to SQL of the watched numbers."""
        return {name: watched.expression for name, watched in self.watch.items()}


def history_checks(stage: Stage, history: History, *, volume_tolerance: float) -> dg.AssetChecksDefinition:
    """Build the checks of `raw` against its past; they warn.

    Args:
        stage: The stage `raw`.
        history: What is compared.
        volume_tolerance: Tolerated relative change of the rows per hour, either way.
    """
    checks = {
        "volume": Declared(description="Rows per hour are in the range that the pipeline's past predicts."),
        "history": Declared(
            description="Age, nulls and watched numbers are in the range that the pipeline's past predicts."
        ),
    }

    def judge(look: Look, ref: DatasetRef) -> Callable[[str], Told]:
        past = _past(look.workspace, stage, history, ref, look.partition)
        return lambda name: _told(look.workspace, stage, history, name, past, volume_tolerance=volume_tolerance)

    return build_checks(stage, f"{stage.pipeline}_history_checks", checks, DatasetRef, judge)


def _past(
    workspace: "Workspace", stage: Stage, history: History, ref: DatasetRef, partition: str | None
) -> "list[tuple[Span, Measured]]":
    """Return the partitions up to this one with their numbers, oldest first; none without time partitions.

    Those that a blocking check refused are left out, unless so many came in a row that they are the level.
    """
    from resources.past import measure, measured_before

    if partition is None or stage.partitions is None:
        return []
    place = (workspace.store, workspace.registry_name, stage.key.path)
    cadence = CADENCES[stage.partitions.every]
    measured = measured_before(*place, history.expressions, before=partition, most=cadence.window)
    digests = {key: numbers.dataset for key, numbers in measured.items()}
    broken = flagged(*place[:2], stage.pipeline, {"raw": digests}, BROKEN)
    gone = left_out([key in broken for key in measured], patience=cadence.patience)
    found = {key: numbers for (key, numbers), out in zip(measured.items(), gone, strict=True) if not out}
    found[partition] = measure(workspace.store, ref, history.expressions)
    return [(span_of(stage.partitions, key), numbers) for key, numbers in found.items()]


def span_of(partitions: Partitions, key: str) -> Span:
    """Return a partition with its bounds."""
    start, end = partitions.bounds(key)
    return Span(key=key, start=start, end=end)


def metrics_of(
    history: History, past: "Sequence[tuple[Span, Measured]]", *, volume_tolerance: float
) -> dict[str, list[Metric]]:
    """Return the metrics of each check: rows for `volume`, everything else for `history`."""
    numbers = [measured for _, measured in past]
    current = numbers[-1]
    rows = Metric(name="rows", kind="count", tolerance=volume_tolerance, values=[one.rows for one in numbers])
    ages = [one.age_s(span.end) for span, one in past]
    clock = [Metric(name="age", kind="age", tolerance=history.age_tolerance, values=ages)]
    others = clock if any(age is not None for age in ages) else []
    others += [
        Metric(
            name=f"nulls of {column}", kind="share", tolerance=history.null_tolerance,
            values=[one.nulls[column] / one.rows if column in one.nulls and one.rows else None for one in numbers],
        )
        for column in current.nulls
        if column not in history.ignore and any(one.nulls.get(column) for one in numbers)
    ]  # fmt: skip
    others += [
        Metric(name=name, kind="number", tolerance=watched.tolerance, values=[one.means[name] for one in numbers])
        for name, watched in history.watch.items()
    ]
    return {"volume": [rows], "history": others}


def _told(
    workspace: "Workspace",
    stage: Stage,
    history: History,
    name: str,
    past: "list[tuple[Span, Measured]]",
    *,
    volume_tolerance: float,
) -> Told:
    from quality.anomalies.judging import judge_past

    if stage.partitions is None or not past:
        return Told(verdict="pass", reason="the pipeline has no time partitions, and so no past to compare with")
    part = VOLUME_PART if name == "volume" else 1 - VOLUME_PART
    metrics = metrics_of(history, past, volume_tolerance=volume_tolerance)[name]
    if not metrics:
        return Told(verdict="pass", reason="nothing is watched: no clock, no columns, no numbers of one's own")
    spans = [span for span, _ in past]
    judged = judge_past(
        metrics, spans, CADENCES[stage.partitions.every],
        per_year=history.false_alarms_per_year * part, seasons=history.seasons,
    )  # fmt: skip
    told = of_history(judged)
    return replace(told, shown={**told.shown, "record": _record(workspace, stage, name, past, judged)})


def of_history(judged: "Sequence[Judged]", *, measured: object = None) -> Told:
    """Return what judged metrics tell: the odd ones, the numbers of all, pictures of the oddest."""
    odd = [one for one in judged if one.finding.verdict != "pass"]
    told = odd or (list(judged) if len(judged) == 1 else [])
    return Told(
        verdict="warn" if odd else "pass",
        reason="; ".join(one.finding.reason for one in told) or _calm(judged),
        shown=history_metadata(judged),
        measured=measured,
    )


def _calm(judged: "Sequence[Judged]") -> str:
    missing = [one.finding.numbers["missing"] for one in judged if "missing" in one.finding.numbers]
    if len(missing) == len(judged):
        few = min(missing)
        return f"too little history: needs {few} more partition{'s' if few > 1 else ''}"
    new = f"; {len(missing)} of them are too new to be judged" if missing else ""
    return f"{len(judged)} numbers are as usual{new}"


def _record(
    workspace: "Workspace",
    stage: Stage,
    name: str,
    past: "list[tuple[Span, Measured]]",
    judged: "Sequence[Judged]",
) -> str:
    """Keep what was decided from which past under the digest of both, and return the digest.

    Judging again by the same past finds the same record: nothing is spent twice.
    """
    inputs = {
        "check": [*stage.key.path, name],
        "past": {span.key: measured.dataset for span, measured in past},
        "metrics": [[one.metric.name, one.metric.kind, one.metric.tolerance] for one in judged],
    }
    found = {one.metric.name: {"verdict": one.finding.verdict, **one.finding.numbers} for one in judged}
    digest = digest_value({"history": inputs, "found": found})
    if recall(workspace.store, digest) is None:
        remember(workspace.store, digest, {"inputs": inputs, "found": found, REQUIRES: [past[-1][1].dataset]})
    return digest


def history_metadata(judged: "Sequence[Judged]") -> dict[str, Any]:  # Any: Dagster metadata values
    """Return the numbers of each metric under stable keys, a table of all, and pictures of the oddest."""
    shown: dict[str, Any] = {}
    rows: list[tuple[str, ...]] = []
    for one in judged:
        key = one.metric.name.replace(" ", "_")
        numbers = one.finding.numbers
        for name in ("value", "usual", "low", "high"):
            if isinstance(numbers.get(name), int | float):
                shown[key if name == "value" else f"{key}_{name}"] = float(numbers[name])
        ends = [one.metric.told(numbers[end]) if isinstance(numbers.get(end), int | float) else "-"
                for end in ("value", "low", "high")]  # fmt: skip
        rows.append((one.metric.name, *ends, "**odd**" if one.finding.verdict != "pass" else ""))
    shown["past"] = max(int(one.finding.numbers.get("past", 0)) for one in judged)
    shown["numbers"] = dg.MetadataValue.md(table(("number", "now", "usual from", "to", ""), rows))
    for one in sorted(judged, key=lambda one: one.finding.verdict == "pass")[:PICTURES]:
        shown[f"{one.metric.name.replace(' ', '_')}_picture"] = dg.MetadataValue.md(history_picture(one))
    return shown


def history_picture(judged: "Judged") -> str:
    """Return a metric over the last partitions with the band that its past called usual, as a picture."""
    from quality.pictures import line_chart

    units = {"count": "rows", "share": "share", "age": "s", "number": ""}
    floor = 0.0 if judged.metric.upper_only else None
    low = [floor if high is not None else None for high in judged.high] if judged.metric.upper_only else judged.low
    unit = units[judged.metric.kind]
    return line_chart(
        f"{judged.metric.name} against its past",
        judged.keys,
        {"usual": judged.centre, judged.metric.name: judged.values},
        y_label=unit or judged.metric.name,
        bands={"usual": (low, judged.high)},
    )
