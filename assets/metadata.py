"""Owns what the web UI shows of each stage: numbers under stable keys, tables, pictures, schema and column lineage.

It computes nothing: it lays out what the stages measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources.canonical import parse_json
from resources.refs import DatasetRef, GateReport, ModelRef
from resources.storage.manifest import read_manifest
from resources.storage.matrices import named_schema
from resources.storage.objects import get_object, object_key
from resources.storage.store import Store
from resources.transform.expressions import columns_of

if TYPE_CHECKING:
    from assets.stage import Done, Stage
    from quality.drift import ColumnDrift
    from quality.suites.result import SuiteResult
    from quality.verdicts import Finding
    from resources.promotion import Promotion
    from resources.source.ingest import Ingested
    from resources.workspace import Workspace

Metadata = dict[str, Any]  # Any: Dagster metadata values
MOST_ROWS = 1_000
"""Rows of a table that are shown: of thousands of columns, pages and the event log would hold megabytes."""
SHORT = 12
"""Digits of a digest that are shown where the whole one stands elsewhere."""


def dataset_metadata(store: Store, ref: DatasetRef, meanings: Mapping[str, str]) -> Metadata:
    """Return rows, bytes, digest, place, schema and column profile of a dataset; `meanings` describe its columns."""
    shown: Metadata = {
        "dagster/row_count": ref.rows,
        "dagster/uri": f"{ref.location.rstrip('/')}/{object_key(ref.digest)}",
        "dagster/column_schema": _schema(store, ref, meanings),
        "size_bytes": ref.size_bytes,
        "digest": ref.digest,
    }
    if ref.profile_digest is not None:
        profile = parse_json(get_object(store, ref.profile_digest))
        shown["profile"] = dg.MetadataValue.md(_profile_table(profile))
        shown["profile_picture"] = dg.MetadataValue.md(_profile_drawn(profile))
    return shown


def raw_metadata(done: "Ingested") -> Metadata:
    """Return where the rows came from and what the contract did to them."""
    report = done.report
    shown: Metadata = {
        "source": report.source_url,
        "source_digest": report.source_digest,
        "source_rows": report.rows_read,
        "rows_rejected": report.rows_rejected,
        "rejected_share": report.rejected_share,
    }
    if report.sample:
        shown["look_alike"] = dg.MetadataValue.md("**Generated look-alike data**, no real measurements.")
    if report.reasons:
        shown["quarantine"] = dg.MetadataValue.md(reasons_picture(report.reasons))
    if done.ref.quarantine_digest is not None:
        shown["quarantine_digest"] = done.ref.quarantine_digest
    return shown


def feature_metadata(expressions: Mapping[str, str], stage: "Stage", *, reused: bool) -> Metadata:
    """Return the expression of every feature, and which raw columns it reads."""
    raw = stage.sibling("raw")
    lineage = {
        name: [dg.TableColumnDep(asset_key=raw, column_name=column) for column in columns_of(text)]
        for name, text in expressions.items()
    }
    return {
        "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=lineage),
        "expressions": dg.MetadataValue.md(
            table(("feature", "SQL"), [(name, f"`{text}`") for name, text in expressions.items()])
        ),
        "reused": reused,
    }


def model_metadata(workspace: "Workspace", done: "Done[ModelRef]", window: Mapping[str, DatasetRef]) -> Metadata:
    """Return what the model was trained on and which features decide."""
    from quality.pictures import bar_chart

    ref = done.ref
    importance = {name: float(share) for name, share in done.facts.get("importance", {}).items()}
    trained = [(key or "all", f"{item.rows:,}", f"`{item.digest[:SHORT]}`") for key, item in sorted(window.items())]
    shown: Metadata = {
        "digest": ref.digest,
        "training_rows": sum(item.rows for item in window.values()),
        "training_window": dg.MetadataValue.md(table(("partition", "rows", "digest"), trained)),
        "parameters": dg.MetadataValue.json(dict(ref.parameters)),
        "seed": ref.seed,
        "reproduce": f"penstock reproduce {ref.digest[:SHORT]}",
        "reused": done.reused,
    }
    if importance:
        shown["feature_importance"] = dg.MetadataValue.md(
            bar_chart("Feature importance", importance, unit="share of gain")
        )
    return shown


def evaluation_metadata(report: GateReport, past: Sequence[GateReport], *, reused: bool) -> Metadata:
    """Return verdict, reasons, every metric with its interval, pictures of this partition and of the ones before it."""
    shown: Metadata = {
        "verdict": report.verdict,
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in report.reasons)),
        "challenger": report.challenger,
        "champion": report.champion or "none yet",
        "digest": report.digest,
        "signed_by": report.key_id,
        "reused": reused,
        "metrics": dg.MetadataValue.md(metrics_table(report)),
        "slices": dg.MetadataValue.md(slices_table(report)),
        "champion_against_challenger": dg.MetadataValue.md(models_picture(report)),
        "metric_history": dg.MetadataValue.md(history_picture([*past, report])),
    }
    return shown | _numbers(report, next(iter(overall(report)["metrics"].values()), {}))


def deployment_metadata(promotion: "Promotion", report: GateReport, log: Sequence[Any]) -> Metadata:
    """Return what happened to the alias, and the latest entries of the registry; `log` holds registry entries."""
    latest = list(reversed(log[-10:]))
    rows = [
        (
            str(entry.sequence),
            entry.action,
            entry.partition or "-",
            f"`{entry.model.digest[:SHORT]}`",
            entry.actor,
            f"{entry.at[:19]}Z",
        )
        for entry in latest
    ]
    reasons = "\n".join(f"- {entry.sequence}: {entry.reason}" for entry in latest)
    return {
        "action": promotion.action,
        "reason": promotion.reason,
        "champion": promotion.champion.digest,
        "gate_report": report.digest,
        "registry": dg.MetadataValue.md(table(("#", "action", "judged on", "model", "by", "at"), rows)),
        "registry_reasons": dg.MetadataValue.md(reasons),
    }


def finding_metadata(finding: "Finding") -> Metadata:
    """Return the numbers of one applied rule."""
    numbers = {name: value for name, value in finding.numbers.items() if isinstance(value, int | float | str)}
    return {"verdict": finding.verdict, **numbers}


def suite_metadata(result: "SuiteResult") -> Metadata:
    """Return one row an expectation; of more than are shown, those that fail come first."""
    ordered = sorted(result.rows, key=lambda row: row.success) if len(result.rows) > MOST_ROWS else result.rows
    rows = [
        (
            row.type,
            row.column or "-",
            row.severity,
            "yes" if row.success else "**no**",
            row.observed,
            ", ".join(row.examples),
        )
        for row in ordered
    ]
    failed = sum(not row.success for row in result.rows)
    listed = table(("expectation", "column", "severity", "holds", "observed", "examples"), rows)
    return {"expectations": len(rows), "failed": failed, "results": dg.MetadataValue.md(listed)}


def drift_table(found: "Sequence[ColumnDrift]") -> dg.MarkdownMetadataValue:
    """Return one row a test: effect, its lower bound, what the past leads to expect, and the statistics people know."""
    rows = [
        (
            item.column,
            item.test,
            f"{item.effect:.3f}",
            f"{item.low:.3f}",
            "-" if item.threshold is None else f"{item.threshold:.3f}",
            f"{item.q:.2g}",
            *(_statistic(item, name) for name in ("psi", "js", "wasserstein")),
            "**drift**" if item.flagged else "",
        )
        for item in sorted(found, key=lambda item: -item.effect)
    ]
    return dg.MetadataValue.md(table(_DRIFT_COLUMNS, rows))


_DRIFT_COLUMNS = ("column", "test", "effect", "at least", "usual", "q", "PSI", "JS", "Wasserstein-1", "")


def _statistic(item: "ColumnDrift", name: str) -> str:
    found = item.statistics.get(name)
    return "-" if found is None else f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"


def gate_metadata(report: GateReport) -> Metadata:
    """Return every rule of the gate with its finding, and the deciding metric of each model."""
    findings = report.measurements["judgement"]["findings"]
    rows = [(finding["check"], finding["verdict"], finding["reason"]) for finding in findings]
    return {
        "verdict": report.verdict,
        "findings": dg.MetadataValue.md(table(("rule", "verdict", "why"), rows)),
        "gate_report": report.digest,
        "signed_by": report.key_id,
        **_numbers(report, (report.gate["metric"],)),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of the first `MOST_ROWS` rows, which says how many more there are; pipes are escaped.

    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    more = [[f"and {len(rows) - MOST_ROWS:,} more", *[""] * (len(header) - 1)]] if len(rows) > MOST_ROWS else []
    lines = [header, ["---"] * len(header), *rows[:MOST_ROWS], *more]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def reasons_picture(reasons: Mapping[str, int]) -> str:
    """Return the reasons of rejected rows as a bar chart and a table, most frequent first."""
    from quality.pictures import bar_chart

    ordered = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    chart = bar_chart("Rejected rows by reason", ordered, unit="rows")
    return f"{chart}\n\n{table(('reason', 'rows'), [(name, f'{count:,}') for name, count in ordered.items()])}"


def overall(report: GateReport) -> Mapping[str, Any]:  # Any: JSON values
    """Return the measurements of a report over all rows."""
    return report.measurements["evaluation"]["overall"]


def metrics_table(report: GateReport) -> str:
    """Return every metric of every model with its interval, as Markdown."""
    models = overall(report)["metrics"]
    names = list(next(iter(models.values()), {}))
    rows = [(name, *(_estimate(models[model][name]) for model in models)) for name in names]
    return table(("metric", *models), rows)


def slices_table(report: GateReport) -> str:
    """Return the gate's metric in every slice, as Markdown."""
    metric = report.gate["metric"]
    slices = report.measurements["evaluation"]["slices"]
    if not slices:
        return "no slices declared"
    models = list(overall(report)["metrics"])
    rows = [
        (
            f"{item['column']}: {item['value']}",
            f"{item['rows']:,}",
            *(_estimate(item["metrics"][model][metric]) for model in models),
        )
        for item in slices
    ]
    return table(("slice", "rows", *(f"{model} {metric}" for model in models)), rows)


def models_picture(report: GateReport) -> str:
    """Return the gate's metric of challenger, champion and baseline with intervals, as a picture."""
    from quality.pictures import interval_chart

    metric = report.gate["metric"]
    rows = {
        model: (estimates[metric]["value"], estimates[metric]["low"], estimates[metric]["high"])
        for model, estimates in overall(report)["metrics"].items()
        if estimates[metric]["value"] is not None
    }
    title = f"{metric} on {report.partition or 'the holdout'}"
    return interval_chart(title, rows, unit=report.gate.get("unit", ""))


def history_picture(reports: Sequence[GateReport]) -> str:
    """Return the gate's metric of every model over the partitions judged so far, as a picture."""
    from quality.pictures import line_chart

    metric, unit = reports[-1].gate["metric"], reports[-1].gate.get("unit", "")
    models = ("challenger", "champion", "baseline")
    series = {model: [_value(report, model, metric) for report in reports] for model in models}
    label = f"{metric}, {unit}" if unit else metric
    return line_chart(
        f"{metric} by partition", [report.partition or "all" for report in reports], series, y_label=label
    )


def _numbers(report: GateReport, metrics: Iterable[str]) -> Metadata:
    """Return the value of each metric of each model, under keys that the web UI plots over time."""
    values = {
        f"{model}_{metric}": _value(report, model, metric) for model in overall(report)["metrics"] for metric in metrics
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def _value(report: GateReport, model: str, metric: str) -> float | None:
    return overall(report)["metrics"].get(model, {}).get(metric, {}).get("value")


def _estimate(estimate: Mapping[str, float | None]) -> str:
    if estimate["value"] is None:
        return "-"
    if estimate["low"] is None or estimate["high"] is None:
        return f"{estimate['value']:.4g}"
    return f"{estimate['value']:.4g} ({estimate['low']:.4g} to {estimate['high']:.4g})"


def _schema(store: Store, ref: DatasetRef, meanings: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                item.name,
                str(item.type),
                description=meanings.get(item.name),
                constraints=dg.TableColumnConstraints(nullable=item.nullable),
            )
            for item in named_schema(read_manifest(store, ref.digest).schema)
        ]
    )


def _profile_drawn(profile: Mapping[str, Any]) -> str:  # Any: JSON of a profile
    from quality.profile import Profile
    from quality.profile_picture import profile_picture

    return profile_picture("What the columns hold", Profile.from_json(profile))


def _profile_table(profile: Mapping[str, Any]) -> str:  # Any: JSON of a profile
    rows = [
        (
            name,
            f"{column['count']:,}",
            f"{column['nulls']:,}",
            *(_number(column.get(key)) for key in ("minimum", "mean", "maximum")),
        )
        for name, column in profile["columns"].items()
    ]
    return table(("column", "rows", "nulls", "min", "mean", "max"), rows)


def _number(value: object) -> str:
    return "-" if value is None else (f"{value:.4g}" if isinstance(value, float) else str(value))
