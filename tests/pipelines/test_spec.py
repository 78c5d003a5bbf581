"""A wrong declaration fails when built, naming the field, the value, what is allowed and the nearest valid name."""

from typing import Any

import pytest

from pipelines.spec import Pipeline
from quality.contract import Column, Contract
from quality.gate import Gate, Limit
from resources.errors import DeclarationError


def declaration(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "rides",
        "partitions": {"every": "monthly", "start": "2011-01"},
        "ingest": {
            "source": {"url": "rides-{partition}.csv"},
            "contract": {
                "columns": {"at": {"type": "timestamp[us]"}, "temp": {"type": "float64"}, "cnt": {"type": "int64"}}
            },
            "event_time": {"column": "at", "timezone": "UTC"},
        },
        "features": {"columns": {"warm": "temp"}, "label": "cnt"},
        "train": {"trainer": "lightgbm", "window": {"partitions": 3}},
        "evaluate": {"metrics": ["mae"], "gate": {"metric": "mae", "margin": 1.0}},
    }
    for path, value in changes.items():
        place, parts = base, path.split("__")
        for part in parts[:-1]:
            place = place[part]
        place[parts[-1]] = value
    return base


def refusal(**changes: Any) -> str:
    with pytest.raises(DeclarationError) as refused:
        Pipeline.parse(declaration(**changes))
    return str(refused.value)


def test_a_right_declaration_is_accepted():
    pipeline = Pipeline.parse(declaration())
    assert pipeline.train.task == "regression"
    assert pipeline.event_time == "at"


def test_an_unknown_field_names_the_nearest_valid_one():
    message = refusal(owner=["team:a"])
    assert "owner" in message
    assert "did you mean 'owners'" in message


def test_a_nested_unknown_field_names_its_place_and_the_nearest_valid_one():
    message = refusal(ingest__max_age=3)
    assert "max_age: no such field" in message
    assert "did you mean 'max_age_s'" in message


def test_a_missing_field_is_named():
    broken = declaration()
    del broken["features"]["label"]
    with pytest.raises(DeclarationError, match=r"label: required"):
        Pipeline.parse(broken)


def test_a_wrong_cadence_lists_the_valid_ones():
    message = refusal(partitions__every="month")
    assert "'month' is not one of hourly, daily, weekly, monthly" in message
    assert "did you mean 'monthly'" in message


@pytest.mark.parametrize(
    ("start", "every", "example"),
    [("2011-1-1", "monthly", "2012-01"), ("2011-01", "daily", "2012-01-01"), ("2011-01-01", "hourly", "2012-01-01T00")],
)
def test_a_wrong_partition_key_shows_how_keys_are_written(start, every, example):
    message = refusal(partitions={"every": every, "start": start})
    assert start in message
    assert example in message


def test_accepted_drift_names_partitions_as_they_are_written_and_needs_them():
    assert "features.drift_accepted '2011-13' is no monthly key" in refusal(features__drift_accepted=["2011-13"])
    unpartitioned = {"partitions": None, "train": {"trainer": "lightgbm"}, "ingest__source": {"url": "rides.csv"}}
    message = refusal(features__drift_patience=2, **unpartitioned)
    assert "drift_accepted, drift_patience: only with time partitions" in message


def test_an_end_before_the_start_is_refused():
    assert "must come after start" in refusal(partitions={"every": "monthly", "start": "2011-01", "end": "2010-01"})


def test_an_expression_over_an_unknown_column_names_the_nearest_one():
    message = refusal(features__columns={"warm": "tmp * 2"})
    assert "features.columns.warm" in message
    assert "'temp'" in message


def test_an_expression_that_is_no_sql_is_refused_with_its_text():
    assert "temp +" in refusal(features__columns={"warm": "temp +"})


def test_a_label_that_gives_text_is_refused():
    message = refusal(features__label="CASE WHEN cnt > 3 THEN 'many' ELSE 'few' END")
    assert "features.label: " in message
    assert "a model predicts numbers" in message


def test_a_label_over_an_unknown_column_names_the_nearest_one():
    assert "features.label: 'cntt': unknown column 'cntt'; did you mean 'cnt'?" in refusal(features__label="cntt")


def test_an_unknown_metric_names_the_nearest_one():
    message = refusal(evaluate__metrics=["rsme"])
    assert "rsme" in message
    assert "'rmse'" in message


def test_a_metric_of_another_task_is_refused_with_those_that_fit():
    message = refusal(evaluate__metrics=["auc"])
    assert "'auc' does not fit a regression trainer" in message
    assert "rmse" in message


def test_an_unknown_trainer_names_the_nearest_one():
    assert "'lightgbm'" in refusal(train__trainer="lightgbn")


def test_an_unknown_trainer_parameter_names_the_nearest_one():
    assert "'num_leaves'" in refusal(train__parameters={"num_leavs": 31})


def test_a_step_over_an_unknown_feature_is_refused():
    message = refusal(features__steps=[{"kind": "impute", "columns": ["worm"]}])
    assert "worm" in message
    assert "'warm'" in message


def test_an_unknown_step_kind_lists_the_valid_ones():
    message = refusal(features__steps=[{"kind": "imput", "columns": ["warm"]}])
    assert "imput" in message
    assert "impute" in message


def test_a_reserved_feature_name_is_refused():
    assert "reserved" in refusal(features__columns={"label": "temp"})


def test_an_unknown_expectation_names_the_nearest_one():
    message = refusal(
        ingest__expectations=[{"type": "expect_column_values_to_be_betwen", "kwargs": {"column": "temp"}}]
    )
    assert "expect_column_values_to_be_between" in message


def test_an_event_time_outside_the_contract_is_refused():
    assert "'when' is not in the contract" in refusal(ingest__event_time={"column": "when", "timezone": "UTC"})


def test_time_partitions_need_an_event_time_and_a_window():
    zoned = {"columns": {"at": {"type": "timestamp[us, tz=UTC]"}, "temp": "float64", "cnt": "int64"}}
    assert "ingest.event_time" in refusal(ingest__event_time=None, ingest__contract=zoned)
    assert "train.window" in refusal(train__window=None)


def test_a_template_needs_partitions():
    broken = declaration(train__window=None)
    del broken["partitions"]
    with pytest.raises(DeclarationError, match="no partitions"):
        Pipeline.parse(broken)


@pytest.mark.parametrize("name", ["Rides", "1rides", "rides-of-dc", "", "r" * 64])
def test_a_name_that_is_no_asset_key_is_refused(name):
    assert "name" in refusal(name=name)


@pytest.mark.parametrize("cron", ["6 * *", "every day", "99 * * * *"])
def test_a_schedule_that_is_no_cron_text_is_refused(cron):
    assert "cron" in refusal(schedule=cron)


def test_an_owner_that_is_no_team_and_no_address_is_refused():
    assert "team:name" in refusal(owners=["somebody"])


def test_several_mistakes_are_reported_together():
    message = refusal(name="Rides", schedule="x")
    assert "name" in message
    assert "schedule" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluate__slices": {"cold": "warm = 'x'"}}, "evaluate.slices.cold: \"warm = 'x'\" does not fit"),
        ({"evaluate__slices": {"cold": "wram < 3"}}, "evaluate.slices.cold: 'wram < 3': unknown column 'wram'"),
        ({"evaluate__gate": {"metric": "auc", "margin": 0}}, "evaluate.gate.metric: 'auc' does not fit"),
        (
            {"evaluate__gate": {"metric": "mae", "margin": 0, "limits": {"auc": {"minimum": 0}}}},
            "evaluate.gate.limits: 'auc' does not fit",
        ),
        ({"features__columns": {"at": "temp"}}, "ingest.event_time.column: 'at' is the name of a column"),
        ({"features__split_by": ["temp"]}, "features.split_by: only without time partitions"),
        ({"features__steps": [{"columns": ["warm"]}]}, "steps.0.kind: required"),
        ({"ingest__source": {"url": "rides-{partion}.csv"}}, "{partion}: the only placeholder is {partition}"),
        ({"ingest__event_time": {"column": "at"}}, "contract.columns.at: timestamp[us] is a clock without a zone"),
        ({"ingest__event_time": {"column": "temp"}}, "event_time.column 'temp' is float64: it must be a timestamp"),
        (
            {"ingest__expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "tmp"}}]},
            "'tmp'; did you mean 'temp'?",
        ),
        ({"partitions": {"every": "weekly", "start": "2011-01-01"}}, "is a Saturday, weeks start on Sunday"),
        (
            {"partitions": {"every": "monthly", "start": "2011-01", "timezone": "Europe/Berln"}},
            "did you mean 'Europe/Berlin'?",
        ),
        ({"tags": {"a b": "c"}}, "'a b': 'c' is no tag of Dagster"),
        ({"owners": ["a@b.c"]}, "'a@b.c' is neither 'team:name' nor an e-mail address"),
    ],
)  # fmt: skip
def test_what_would_fail_only_when_it_runs_is_refused_when_declared(changes, words):
    assert words in refusal(**changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gate(metric="mae", margn=1), "Gate.margn: no such field; .* did you mean 'margin'"),
        (lambda: Limit(minimum=2, maximum=1), "Limit: minimum 2.0 is above maximum 1.0"),
        (lambda: Column(type="flaot64"), "Column.type: 'flaot64' is no column type; did you mean 'float64'"),
        (lambda: Contract(colums={}), "Contract.colums: no such field; .* did you mean 'columns'"),
    ],
)
def test_gate_and_contract_explain_their_mistakes_as_every_declaration_does(make, words):
    with pytest.raises(DeclarationError, match=words):
        make()
