"""`penstock skew`: whether serving computes the features that training computed, cell by cell."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.guard import BLOCKED, DONE

if TYPE_CHECKING:
    from pipelines.skew import Answer, Asked
    from quality.drift import ColumnDrift
    from quality.skew import SkewReport
    from quality.skew.report import ColumnSkew

SIDE_HELP = (
    "A file (.parquet, .arrow, .csv, .jsonl; a path or fsspec URL), or a dataset such as bike_demand/raw@2012-01."
)
_EXAMPLES = 2


_Side = Annotated[str, typer.Argument(help=SIDE_HELP)]
_Logged = Annotated[str, typer.Argument(help="What serving logged, named likewise.")]
_Keys = Annotated[
    list[str] | None,
    typer.Option("--key", "-k", metavar="COLUMN", help="A column that names the entity of a row; may be repeated."),
]
_Time = Annotated[
    str | None, typer.Option("--time", "-t", metavar="COLUMN", help="Event time; with the keys it names one row.")
]
_Columns = Annotated[
    list[str] | None,
    typer.Option("--column", "-c", metavar="COLUMN", help="Compare this column; all shared ones by default."),
]
_Renamed = Annotated[
    list[str] | None,
    typer.Option("--rename", metavar="OLD=NEW", help="What a column of training is called in serving."),
]
_Through = Annotated[
    str | None,
    typer.Option("--through", metavar="MODEL", help="Replay raw rows of both through this model: name its pipeline."),
]
_Arrived = Annotated[
    str | None,
    typer.Option("--arrived", metavar="COLUMN", help="When the newest value of a row of training had arrived."),
]
_Tolerance = Annotated[
    float, typer.Option("--tolerance", min=0, max=1, help="Tolerated share of cells of a column that differ.")
]
_Ulps = Annotated[
    int, typer.Option("--ulps", min=0, metavar="N", help="Units in the last place by which floats may differ.")
]
_Unpaired = Annotated[float, typer.Option("--unpaired", min=0, max=1, help="Tolerated share of rows on one side only.")]
_Duplicates = Annotated[
    float, typer.Option("--duplicates", min=0, max=1, help="Tolerated share of rows that repeat another's key.")
]
_Distributions = Annotated[bool, typer.Option("--distributions", help="Compare the distributions of the columns, too.")]
_Delimiter = Annotated[str | None, typer.Option("--delimiter", metavar="CHAR", help="Column separator of CSV files.")]
_Pieces = Annotated[
    int | None,
    typer.Option("--pieces", min=1, metavar="N", help="Compare in N pieces; as many as keep 2 GB by default."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def skew(
    training: _Side,
    serving: _Logged,
    *,
    key: _Keys = None,
    time: _Time = None,
    column: _Columns = None,
    rename: _Renamed = None,
    through: _Through = None,
    arrived: _Arrived = None,
    tolerance: _Tolerance = 0.001,
    ulps: _Ulps = 0,
    unpaired: _Unpaired = 0.01,
    duplicates: _Duplicates = 0.001,
    distributions: _Distributions = False,
    delimiter: _Delimiter = None,
    pieces: _Pieces = None,
    as_json: _Json = False,
) -> int:
    """Compare the features of serving with those of training, cell by cell.

    Rows are joined on keys and event time. Each column is told with the share of cells that differ, its bounds, the
    kind of skew and examples; with `--through` also the step of the transform at which the two sides part.
    Exit codes: 0 no skew, or a warning; 3 a share of differing cells or rows is surely above what is tolerated.
    """
    from pipelines.cli.opened import workspace
    from pipelines.skew import Asked, check
    from quality.skew import SkewRule

    asked = Asked(
        training=training,
        serving=serving,
        rule=SkewRule(
            keys=tuple(key or ()),
            time=time,
            columns=tuple(column) if column else None,
            arrived=arrived,
            tolerance=tolerance,
            ulps=ulps,
            unpaired=unpaired,
            duplicates=duplicates,
        ),
        renamed=_pairs(rename or []),
        through=through,
        distributions=distributions,
        delimiter=delimiter,
        pieces=pieces,
    )
    return _answer(asked, check(workspace(), asked), as_json=as_json)


def _answer(asked: "Asked", answer: "Answer", *, as_json: bool) -> int:
    """Print the report and return the exit code."""
    from dataclasses import asdict

    from pipelines.cli.console import print_json

    if as_json:
        drift = None if answer.drift is None else [test.to_json() for test in answer.drift]
        print_json({"asked": asdict(asked), "distributions": drift, **answer.report.to_json()})
    else:
        _tell(answer.report, answer.drift)
    return BLOCKED if answer.report.verdict in ("block", "inconclusive") else DONE


def _pairs(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise typer.BadParameter(f"--rename {text!r}: write it as OLD=NEW, such as fare_amount=fare")
        found[old] = new
    return found


def _tell(report: "SkewReport", drift: "tuple[ColumnDrift, ...] | None") -> None:
    from pipelines.cli.console import print_pairs
    from quality.wording import count

    late = {"late": f"{report.late.count:,} rows ({report.late.share:.3%})"} if report.late else {}
    print_pairs(
        {
            "training": f"{report.training.rows:,} rows",
            "serving": f"{report.serving.rows:,} rows",
            "compared": f"{report.paired:,} rows in {count(len(report.columns), 'column')}",
            **late,
        }
    )
    differing = [column for column in report.columns if column.mismatch.count]
    if differing:
        print()
        _tell_columns(differing)
    if drift is not None:
        told = [test.reason for test in drift if test.flagged]
        print("\n".join(f"drift: {reason}" for reason in told) or "no distribution moved")
    for finding in report.findings:
        if finding.verdict != "pass":
            print(f"{finding.verdict}: {finding.reason}")
    if report.verdict == "pass":
        print(f"pass: {report.reason}")
    if renamed := [found for found in report.counterparts if found.how == "renamed"]:
        print("compare renamed columns, too, by:", *(f"--rename {found.training}={found.serving}" for found in renamed))


def _tell_columns(columns: "list[ColumnSkew]") -> None:
    from pipelines.cli.console import print_table

    numbers = ("differ", "share", "at least", "training lacks", "serving lacks", "farthest apart")
    print_table(("column", *numbers, "kind"), [_numbers(column) for column in columns], right=numbers)
    print_table(
        ("column", "row", "training", "serving"),
        [
            (column.column, ", ".join(example.key.values()), example.training, example.serving)
            for column in columns
            for example in column.examples[:_EXAMPLES]
        ],
    )
    fills = [(column.column, fill) for column in columns for fill in column.fills[:_EXAMPLES]]
    if fills:
        print_table(
            ("column", "value", "stands in", "where the other has none"),
            [(name, fill.value, fill.side, f"{fill.count:,} times") for name, fill in fills],
        )


def _numbers(column: "ColumnSkew") -> tuple[str, ...]:
    return (
        column.column,
        f"{column.mismatch.count:,}",
        f"{column.mismatch.share:.3%}",
        f"{column.mismatch.low:.3%}",
        f"{column.missing_training:,}",
        f"{column.missing_serving:,}",
        f"{max(column.ulps):,} ulps" if column.ulps else "-",
        ", ".join(kind.name for kind in column.kinds) or "-",
    )
