"""Owns what is to be told of a pipeline after it ran: who is champion and why, what was measured, what was refused.

Everything is read from the store, so it costs no import of Dagster and says the same whoever started the runs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.names import declared_names
from resources.canonical import parse_json
from resources.errors import ObjectMissing
from resources.names import nearest
from resources.refs import DatasetRef, GateReport, Ref
from resources.registry import Entry
from resources.source.report import IngestReport
from resources.storage import refs
from resources.storage.objects import get_object
from resources.workspace import Workspace

GATE, CONTRACT = "gate", "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judgement of one partition's challenger.

    Attributes:
        partition: Partition key, empty without time partitions.
        verdict: pass, warn, inconclusive or block.
        reasons: Why, the deciding one first.
        objections: Those of the reasons that speak against the challenger.
        challenger: Digest of the judged model.
        champion: Digest of the model it was compared with, or None.
        report: Digest of the gate report.
        promoted: Whether the alias moved to the challenger for this report.
        rows: Rows judged.
        metric: Metric that decides.
        unit: Its unit.
        confidence: Two-sided confidence of the intervals.
        metrics: Model (challenger, champion, baseline) to metric to `{value, low, high}`.
    """

    partition: str
    verdict: str
    reasons: tuple[str, ...]
    objections: tuple[str, ...]
    challenger: str
    champion: str | None
    report: str
    promoted: bool
    rows: int
    metric: str
    unit: str
    confidence: float
    metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]]

    def estimate(self, model: str) -> Mapping[str, float | None] | None:
        """Return the deciding metric of `model`, or None if it was not measured."""
        return self.metrics.get(model, {}).get(self.metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of the raw rows of one partition.

    Attributes:
        partition: Partition key, empty without time partitions.
        rows: Rows kept.
        rejected: Rows in quarantine.
        reasons: Reason to number of rejected rows.
        blocked: Whether more rows were rejected than declared.
        look_alike: Whether the rows are generated ones.
    """

    partition: str
    rows: int
    rejected: int
    reasons: Mapping[str, int]
    blocked: bool
    look_alike: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Something that a check or the gate stopped: `by` is `contract` or `gate`."""

    partition: str
    by: str
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What there is to tell of one pipeline in one registry."""

    pipeline: str
    registry: str
    champion: Entry | None
    judged: tuple[Judged, ...]
    ingested: tuple[Ingested, ...]

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """Everything that was stopped, in the order of partitions."""
        rows = [
            Blocked(partition=item.partition, by=CONTRACT, verdict="block", reasons=_counted(item.reasons))
            for item in self.ingested
            if item.blocked
        ]
        models = [
            Blocked(partition=item.partition, by=GATE, verdict=item.verdict, reasons=item.objections)
            for item in self.judged
            if item.verdict in ("inconclusive", "block")
        ]
        return tuple(sorted([*rows, *models], key=lambda item: item.partition))

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the summary as a JSON value."""
        entry = self.champion
        return {
            "pipeline": self.pipeline,
            "registry": self.registry,
            "champion": entry_json(entry) if entry is not None else None,
            "judged": [asdict(item) for item in self.judged],
            "ingested": [asdict(item) for item in self.ingested],
            "blocked": [asdict(item) for item in self.blocked],
        }


def summarise(workspace: Workspace, pipeline: str, partitions: Collection[str] | None = None) -> Summary:
    """Return what there is to tell of `pipeline`, of all partitions or of those named; of an unknown one, nothing.

    Raises:
        IntegrityError: If the registry log is damaged.
    """
    entries = workspace.registry(pipeline).entries()
    promoted = {entry.report for entry in entries if entry.action == "promote"}
    reports = _values(workspace, pipeline, "evaluation", partitions)
    datasets = _values(workspace, pipeline, "raw", partitions)
    return Summary(
        pipeline=pipeline,
        registry=workspace.registry_name,
        champion=entries[-1] if entries else None,
        judged=tuple(judged(ref, ref.digest in promoted) for ref in reports.values() if isinstance(ref, GateReport)),
        ingested=tuple(_ingested(workspace, key, ref) for key, ref in datasets.items() if isinstance(ref, DatasetRef)),
    )


def check_known(workspace: Workspace, pipeline: str) -> None:
    """Refuse a pipeline of which the registry of `workspace` holds nothing.

    Raises:
        ObjectMissing: Naming the nearest that it holds.
    """
    known = known_pipelines(workspace)
    if pipeline not in known:
        declared = declared_names(workspace.settings)
        near = "" if pipeline in declared else nearest(pipeline, {*known, *declared})
        raise ObjectMissing(
            f"nothing of pipeline {pipeline!r} in registry {workspace.registry_name!r} of store {workspace.store.url}"
            f"{near or f'; run it first: penstock run {pipeline}'}"
        )


def check_partitions(workspace: Workspace, pipeline: str, partitions: Collection[str]) -> None:
    """Refuse partitions of which the registry of `workspace` holds nothing.

    Raises:
        ObjectMissing: Naming the nearest that it holds.
    """
    known = refs.partitions(workspace.store, workspace.registry_name, (pipeline, "raw"))
    for key in partitions:
        if key not in known:
            held = f"it holds {known[0]} to {known[-1]}" if known else "it holds no partitions"
            raise ObjectMissing(f"partition {key!r} of pipeline {pipeline!r} was not run; {held}{nearest(key, known)}")


def known_pipelines(workspace: Workspace) -> tuple[str, ...]:
    """Return the names of the pipelines that ran in the registry of `workspace`."""
    folder = f"refs/{workspace.registry_name}"
    return tuple(sorted({key.removeprefix(f"{folder}/").partition("/")[0] for key in workspace.store.list(folder)}))


def judged(report: GateReport, promoted: bool) -> Judged:
    """Return what `report` says, laid out for telling."""
    overall = report.measurements["evaluation"]["overall"]
    return Judged(
        partition=report.partition,
        verdict=report.verdict,
        reasons=tuple(report.reasons),
        objections=_objections(report),
        challenger=report.challenger,
        champion=report.champion,
        report=report.digest,
        promoted=promoted,
        rows=int(overall["rows"]),
        metric=str(report.gate["metric"]),
        unit=str(report.gate.get("unit", "")),
        confidence=float(report.gate["confidence"]),
        metrics=overall["metrics"],
    )


def _objections(report: GateReport) -> tuple[str, ...]:
    verdicts = {item["reason"]: item["verdict"] for item in report.measurements["judgement"]["findings"]}
    return tuple(reason for reason in report.reasons if verdicts.get(reason) != "pass")


def entry_json(entry: Entry) -> dict[str, Any]:  # Any: JSON values
    """Return a registry entry as a JSON value, with its own digest."""
    return {**asdict(entry), "digest": entry.digest}


def _values(workspace: Workspace, pipeline: str, stage: str, only: Collection[str] | None) -> dict[str, Ref]:
    """Return partition key to the newest value of one stage, in the order of time; no partition is an empty key."""
    asset = (pipeline, stage)
    keys: Sequence[str | None] = refs.partitions(workspace.store, workspace.registry_name, asset)
    found: dict[str, Ref] = {}
    for key in keys or (None,):
        if only is None or key is None or key in only:
            try:
                found[key or ""] = refs.load(workspace.store, workspace.registry_name, asset, key)
            except ObjectMissing:
                continue
    return found


def _ingested(workspace: Workspace, partition: str, ref: DatasetRef) -> Ingested:
    report = None
    if ref.report_digest is not None:
        report = IngestReport.from_json(parse_json(get_object(workspace.store, ref.report_digest)))
    return Ingested(
        partition=partition,
        rows=ref.rows,
        rejected=report.rows_rejected if report else 0,
        reasons=report.reasons if report else {},
        blocked=report is not None and report.blocked,
        look_alike=report is not None and report.sample,
    )


def _counted(reasons: Mapping[str, int]) -> tuple[str, ...]:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return tuple(f"{count:,} rows: {reason}" for reason, count in ordered)
