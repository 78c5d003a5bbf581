"""The checks of `raw` against its past, as a pipeline runs them."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.history import History, Watched, history_checks
from assets.partitions import Partitions
from assets.stage import Stage
from quality.report import Section
from resources.errors import DeclarationError
from resources.reports import keep_section
from resources.storage import refs
from resources.storage.datasets import write_table
from resources.wiring import RefIOManager, WorkspaceResource

FIRST = datetime(2025, 1, 6, tzinfo=UTC)
TYPES = {"fare": "float64", "city": "string"}
pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning", "ignore:InitResourceContext.dagster_run"
)


def key(day):
    return f"{FIRST + timedelta(days=day):%Y-%m-%d}"


def ordinary(day):
    return 100 + int(np.random.default_rng(day).integers(-4, 5))


def day_of(workspace, day, *, rows=None, nulls=2, fare=10.0):
    count = rows if rows is not None else ordinary(day)
    fares = [None if row < nulls else fare + (row + day) % 5 for row in range(count)]
    return write_table(
        workspace.store,
        pl.DataFrame({"fare": fares, "city": ["x"] * count}, schema_overrides={"fare": pl.Float64}),
        scratch=workspace.scratch,
    )


def checked(workspace, *, days, history=None, **last):
    """Return the checks of day `days`, with `days` ordinary ones before it."""
    for day in range(days):
        refs.save(workspace.store, workspace.registry_name, ("rides", "raw"), key(day), day_of(workspace, day))
    return judged(day_of(workspace, days, **last), days, history)


def judged(ref, day, history=None):
    stage = Stage(
        pipeline="rides", name="raw", code_version="1", partitions=Partitions(every="daily", start="2025-01-06")
    )

    @dg.asset(key=stage.key, partitions_def=stage.partitions_definition(), io_manager_key="refs")
    def raw():
        return ref

    opened = WorkspaceResource()
    done = dg.materialize(
        [raw, history_checks(stage, history or History(), volume_tolerance=0.5)],
        resources={"workspace": opened, "refs": RefIOManager(workspace=opened)},
        partition_key=key(day),
    )
    return {found.check_name: found for found in done.get_asset_check_evaluations()}


def test_an_ordinary_day_passes_and_shows_its_numbers_and_its_picture(workspace):
    found = checked(workspace, days=60)
    assert all(one.passed for one in found.values())
    shown = found["volume"].metadata
    assert shown["rows"].value == ordinary(60)
    assert shown["rows_low"].value < shown["rows"].value < shown["rows_high"].value
    assert shown["rows_picture"].value.startswith("![rows against its past](data:image/svg+xml;base64,")
    assert found["history"].description.startswith("nulls of fare: ")
    assert found["history"].metadata["nulls_of_fare"].value == pytest.approx(2 / ordinary(60))


def test_half_the_rows_and_many_nulls_warn_and_do_not_block(workspace):
    found = checked(workspace, days=60, rows=30, nulls=15)
    assert [one.passed for one in found.values()] == [False, False]
    assert {one.severity for one in found.values()} == {dg.AssetCheckSeverity.WARN}
    assert found["volume"].description.startswith("rows: 30 in 2025-03-07, usual is ")
    assert found["history"].description.startswith("nulls of fare: 50 % in 2025-03-07, usual is ")


def test_a_mean_of_ones_own_is_watched(workspace):
    history = History(watch={"mean fare": Watched(expression="fare", tolerance=1.0)})
    assert checked(workspace, days=60, history=history)["history"].passed
    odd = judged(day_of(workspace, 60, fare=30.0), 60, history)["history"]
    assert not odd.passed
    assert odd.description.startswith("mean fare: 32 in 2025-03-07, usual is ")


def test_a_young_pipeline_is_told_how_much_past_it_lacks(workspace):
    found = checked(workspace, days=5, rows=1)
    assert found["volume"].passed
    assert found["volume"].description == "rows: 1 in 2025-01-11; too little history: needs 23 more partitions"
    assert found["history"].description.endswith("; too little history: needs 23 more partitions")


def test_a_run_again_finds_the_same_record_and_a_changed_past_another(workspace):
    found = checked(workspace, days=40)
    again = judged(day_of(workspace, 40), 40)
    assert again["volume"].metadata["record"] == found["volume"].metadata["record"]
    changed = day_of(workspace, 3, rows=90)
    refs.save(workspace.store, workspace.registry_name, ("rides", "raw"), key(3), changed)
    other = judged(day_of(workspace, 40), 40)
    assert other["volume"].metadata["record"] != found["volume"].metadata["record"]


def test_a_backfill_in_another_order_comes_to_the_same_verdicts(workspace):
    for day in (*range(30, 45), *range(30)):
        refs.save(workspace.store, workspace.registry_name, ("rides", "raw"), key(day), day_of(workspace, day))
    late = judged(day_of(workspace, 45, rows=20), 45)["volume"]
    early = judged(day_of(workspace, 44), 44)["volume"]
    assert (early.passed, late.passed) == (True, False)


def test_days_that_the_contract_refused_teach_nothing_unless_they_came_to_stay(workspace):
    wild = {day: day_of(workspace, day, nulls=60) for day in (20, 22, 24)}
    place = (workspace.store, workspace.registry_name, "rides")
    for day in range(60):
        refs.save(*place[:2], ("rides", "raw"), key(day), wild.get(day) or day_of(workspace, day))
    odd = day_of(workspace, 60, nulls=8)
    before = judged(odd, 60)["history"]
    for day, ref in wild.items():
        keep_section(*place, key(day), refused(ref))
    after = judged(odd, 60)["history"]
    assert after.metadata["nulls_of_fare_high"].value <= before.metadata["nulls_of_fare_high"].value
    assert (before.metadata["past"].value, after.metadata["past"].value) == (60, 57)
    assert before.metadata["record"] != after.metadata["record"]
    for day in range(18, 25):  # a week of them
        keep_section(*place, key(day), refused(wild.get(day) or day_of(workspace, day)))
    assert judged(odd, 60)["history"].metadata["past"].value == 60


def refused(ref):
    return Section(
        stage="raw", check="contract", verdict="block", reason="", digest=ref.digest, at="", run_id="", entries=()
    )


def test_without_time_partitions_there_is_no_past(workspace):
    stage = Stage(pipeline="rides", name="raw", code_version="1")
    ref = day_of(workspace, 0)

    @dg.asset(key=stage.key, io_manager_key="refs")
    def raw():
        return ref

    opened = WorkspaceResource()
    done = dg.materialize(
        [raw, history_checks(stage, History(), volume_tolerance=0.5)],
        resources={"workspace": opened, "refs": RefIOManager(workspace=opened)},
    )
    assert all(
        one.passed and "no past to compare with" in one.description for one in done.get_asset_check_evaluations()
    )


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"ignore": ("fares",)}, "fare"),
        ({"watch": {"x": {"expression": "fare + tip", "tolerance": 1}}}, "tip"),
        ({"watch": {"x": {"expression": "city", "tolerance": 1}}}, "is String, only numbers have a mean"),
    ],
)
def test_what_cannot_be_watched_is_refused_when_declared(declared, told):
    with pytest.raises(DeclarationError, match=told):
        History.parse(declared).check(TYPES)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"false_alarms_per_year": 1.5}, "false_alarms_per_year"),
        ({"watch": {"rows": {"expression": "fare", "tolerance": 1}}}, "'rows' is watched anyway"),
        ({"seasons": ["weekdays"]}, "seasons"),
    ],
)
def test_a_declaration_without_sense_names_its_field(declared, told):
    with pytest.raises(DeclarationError, match=told):
        History.parse(declared)
