from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.catalog.bike_demand import bike_demand
from pipelines.planning import Step, between, chosen, held, keys_of, plan, window_of
from pipelines.spec import Pipeline
from resources.errors import DeclarationError, SourceError
from resources.source import Source
from resources.stages import STAGES

KEYS = keys_of(bike_demand)
places = st.integers(min_value=0, max_value=len(KEYS) - 1)
some_keys = st.sets(st.sampled_from(KEYS))


def changed(**fields: object) -> Pipeline:
    return bike_demand.model_copy(update=fields)


def looking_back(partitions: int) -> Pipeline:
    return changed(features=bike_demand.features.model_copy(update={"lookback": partitions}))


def test_missing_features_of_the_window_are_made_before_the_partition_itself():
    steps = plan(bike_demand, ["2012-01"], made={})
    window = [Step(partition=key, stages=("raw", "features"), asked=False) for key in ("2011-10", "2011-11", "2011-12")]
    assert steps == (*window, Step(partition="2012-01"))


def test_features_that_were_made_are_not_planned_again():
    steps = plan(bike_demand, ["2012-01"], made={"raw": KEYS, "features": ["2011-10", "2011-12"]})
    assert [step.partition for step in steps] == ["2011-11", "2012-01"]


def test_windows_of_neighbouring_partitions_are_made_once():
    steps = plan(bike_demand, ["2012-02", "2012-01"], made={})
    assert [step.partition for step in steps] == ["2011-10", "2011-11", "2011-12", "2012-01", "2012-02"]


def test_the_first_partition_has_no_window_to_make():
    assert plan(bike_demand, ["2011-01"], made={}) == (Step(partition="2011-01"),)


def test_raw_rows_that_window_expressions_look_back_to_are_made_too():
    steps = plan(looking_back(1), ["2012-01"], made={})
    assert steps[0] == Step(partition="2011-09", stages=("raw",), asked=False)
    assert [step.partition for step in steps] == ["2011-09", "2011-10", "2011-11", "2011-12", "2012-01"]


def test_a_pipeline_without_partitions_is_one_step():
    whole = Step(partition=None)
    unpartitioned = changed(partitions=None)
    assert plan(unpartitioned, [], made={}) == (whole,)


@given(asked=some_keys, made=some_keys, back=st.integers(0, 3))
def test_every_stage_finds_its_inputs_made_or_planned_before_it(asked: set[str], made: set[str], back: int):
    pipeline = looking_back(back)
    features, raw = set(made), set(made)
    for step in plan(pipeline, asked, made={"raw": made, "features": made}):
        assert step.partition is not None
        place = KEYS.index(step.partition)
        raw.add(step.partition)
        if "features" in step.stages:
            assert set(KEYS[max(0, place - back) : place + 1]) <= raw
            features.add(step.partition)
        if "model" in step.stages:
            assert window_of(pipeline, step.partition) <= features


@given(asked=some_keys, made=some_keys)
def test_a_plan_is_in_the_order_of_time_and_holds_all_that_was_asked(asked: set[str], made: set[str]):
    steps = plan(bike_demand, asked, made={"raw": made, "features": made})
    partitions = [step.partition for step in steps if step.partition is not None]
    assert partitions == sorted(set(partitions))
    assert {step.partition for step in steps if step.asked} == asked
    assert all(step.stages == STAGES for step in steps if step.asked)


@given(first=places, last=places)
def test_a_range_is_inclusive_at_both_ends_and_refused_backwards(first: int, last: int):
    if first > last:
        with pytest.raises(DeclarationError, match="comes after"):
            between(bike_demand, KEYS[first], KEYS[last])
    else:
        assert between(bike_demand, KEYS[first], KEYS[last]) == KEYS[first : last + 1]


def test_chosen_partitions_come_once_and_in_the_order_of_time():
    assert chosen(bike_demand, ["2012-02", "2011-05", "2012-02"]) == ("2011-05", "2012-02")


def test_an_unknown_partition_is_refused_with_the_span_and_the_nearest():
    with pytest.raises(DeclarationError, match=r"'2012-1' .* 2011-01 to 2012-12; did you mean '2012-1[012]'"):
        chosen(bike_demand, ["2012-1"])


def test_a_partition_of_an_unpartitioned_pipeline_is_refused():
    with pytest.raises(DeclarationError, match="no time partitions"):
        chosen(changed(partitions=None), ["2012-01"])


def test_partitions_that_are_not_complete_yet_are_not_planned():
    endless = changed(partitions=bike_demand.partitions.model_copy(update={"end": None}))  # type: ignore[union-attr]
    assert keys_of(endless, now=datetime(2012, 3, 15, tzinfo=UTC))[-1] == "2012-02"


def source_at(url: str) -> Pipeline:
    source = Source(url=url, format="csv")
    return changed(ingest=bike_demand.ingest.model_copy(update={"source": source}))


def test_one_file_holds_the_partitions_of_its_rows(tmp_path: Path):
    header = ",".join(bike_demand.ingest.contract.columns)
    row = "1,{day},1,0,1,0,0,6,0,1,0.24,0.2879,0.81,0,3,13,16"
    days = ["2/3/2011", "1/1/2011", "2/4/2011"]
    (tmp_path / "hour.csv").write_text("\n".join([header, *(row.format(day=day) for day in days)]) + "\n")
    assert held(source_at(str(tmp_path / "hour.csv")), tmp_path) == ("2011-01", "2011-02")


def test_a_template_holds_the_partitions_that_have_a_file(tmp_path: Path):
    for name in ("2011-03.csv", "2011-01.csv", "notes.csv", "2030-01.csv"):
        (tmp_path / name).write_text("")
    assert held(source_at(f"{tmp_path}/{{partition}}.csv"), tmp_path) == ("2011-01", "2011-03")


def test_a_missing_source_is_named_with_a_remedy(tmp_path: Path):
    with pytest.raises(SourceError, match=r"gone\.csv"):
        held(source_at(str(tmp_path / "gone.csv")), tmp_path)
