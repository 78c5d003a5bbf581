"""Skew as pieces of any Dagster project: a check and an asset, one verdict a partition, metadata that is shown."""

import warnings
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from quality.skew import SkewRule

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dagster as dg

    from assets.checks.rows import rows_at
    from assets.checks.skew import skew_asset, skew_check, skew_metadata

RULE = SkewRule(keys=("id",), time="at")
DAYS = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-01-04")


def rows(partition: str | None) -> pl.DataFrame:
    start = datetime.fromisoformat(partition or "2024-01-01")
    return pl.DataFrame(
        {
            "id": list(range(100)),
            "at": [start + timedelta(minutes=minute) for minute in range(100)],
            "metres": [float(number) for number in range(100)],
            "kind": ["a", "b"] * 50,
        }
    )


def in_kilometres_on_the_second(partition: str | None) -> pl.DataFrame:
    return rows(partition).with_columns(pl.col("metres") / (1000 if partition == "2024-01-02" else 1))


def run(definitions: list[object], partition: str | None) -> dg.ExecuteInProcessResult:
    made = dg.Definitions(
        assets=[item for item in definitions if not isinstance(item, dg.AssetChecksDefinition)],
        asset_checks=[item for item in definitions if isinstance(item, dg.AssetChecksDefinition)],
    )
    job = made.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(partition_key=partition, raise_on_error=False)


def of_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


@dg.asset(partitions_def=DAYS)
def serving_log() -> None:
    """What serving wrote."""


@pytest.mark.parametrize(("partition", "passed"), [("2024-01-01", True), ("2024-01-02", False)])
def test_the_check_of_an_asset_has_a_verdict_a_partition(partition: str, passed: bool):
    check = skew_check(
        serving_log.key, training=rows, serving=in_kilometres_on_the_second, rule=RULE, partitions_def=DAYS
    )
    found = of_check(run([serving_log, check], partition))
    assert (found.asset_key, found.check_name, found.passed) == (serving_log.key, "skew", passed)
    assert found.blocking
    assert passed or "unit change: serving is 1/1000 times training" in (found.description or "")


def test_a_blocked_verdict_stops_what_comes_after_it():
    @dg.asset(partitions_def=DAYS, deps=["skew_report"])
    def retrained() -> None:
        """What must not be made of skewed data."""

    report = skew_asset(
        "skew_report", training=rows, serving=in_kilometres_on_the_second, rule=RULE, partitions_def=DAYS
    )
    blocked = run([report, retrained], "2024-01-02")
    assert [event.asset_key.path for event in blocked.get_asset_materialization_events()] == [["skew_report"]]
    assert len(run([report, retrained], "2024-01-03").get_asset_materialization_events()) == 2


def test_the_report_shows_numbers_that_are_plotted_and_tables():
    result = run([skew_asset("skew_report", training=rows, serving=in_kilometres_on_the_second, rule=RULE)], None)
    (event,) = result.get_asset_materialization_events()
    shown = event.materialization.metadata
    assert shown["verdict"].value == "pass"
    assert (shown["rows_compared"].value, shown["largest_mismatch"].value) == (100, 0.0)
    assert "| metres | 0.000% |" in shown["columns"].value


def test_a_warning_fails_the_check_without_blocking():
    def with_one_more(partition: str | None) -> pl.DataFrame:
        return rows(partition).with_columns(more=1)

    report = skew_asset("skew_report", training=with_one_more, serving=rows, rule=RULE)
    found = of_check(run([report], None))
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "more: serving lacks this column of training"


def test_what_cannot_be_compared_fails_with_the_message_alone():
    def without_key(partition: str | None) -> pl.DataFrame:
        return rows(partition).drop("id")

    result = run([skew_asset("skew_report", training=rows, serving=without_key, rule=RULE)], None)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data.description.startswith("serving: unknown column 'id'")


def test_a_side_may_be_files_one_a_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PENSTOCK_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("PENSTOCK_KEY", str(tmp_path / "key"))
    rows("2024-01-03").write_parquet(tmp_path / "log-2024-01-03.parquet")
    side = rows_at(f"{tmp_path}/log-{{partition}}.parquet")
    report = skew_asset("skew_report", training=rows, serving=side, rule=RULE, partitions_def=DAYS)
    assert of_check(run([report], "2024-01-03")).passed
    failed = run([report], "2024-01-01").get_step_failure_events()[0]
    assert "there is no file at" in failed.step_failure_data.user_failure_data.description


def test_metadata_is_told_for_a_report_of_thousands_of_columns():
    from quality.skew import skew

    wide = pl.DataFrame({"id": [1, 2], **{f"c{number}": [number, 2] for number in range(5000)}})
    shown = skew_metadata(skew(wide, wide.with_columns(c7=pl.Series([0, 0])), SkewRule(keys=("id",))))
    assert shown["columns_differing"] == 1
    assert len(shown["columns"].value) < 20_000
    assert shown["columns"].value.splitlines()[2].startswith("| c7 |")
