"""What checks read of the past, from the databases that a Dagster instance may lie in, and how often they ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

from assets.checks.past import (
    MEASURED,
    earlier_evaluations,
    last_materializations,
    newest_materializations,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning"),
]
DAYS = dg.DailyPartitionsDefinition(start_date="2020-01-01")
BOTH = dg.MultiPartitionsDefinition({"day": DAYS, "shop": dg.StaticPartitionsDefinition(["eu", "us"])})
CHECK = dg.AssetCheckKey(dg.AssetKey("orders"), "drift")


@pytest.fixture(params=["sqlite", "postgres"])
def instance(request, tmp_path):
    """Return an empty instance as `dagster.yaml` makes it: by default SQLite, one file a run and one of all."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    storage = {"storage": {"postgres": {"postgres_url": url}}} if url else {}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=storage) as made:
        yield made
        made.wipe()


@contextmanager
def counted() -> Iterator[list[str]]:
    """Yield the statements that SQLAlchemy sends in the block and that read rows."""
    sent: list[str] = []

    def note(connection, cursor, statement, *_):
        if statement.startswith("SELECT") and "asset" in statement:
            sent.append(statement)

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", note)


def key(day: int) -> str:
    return f"{datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}"


def noted(instance, run, kind, data):
    """Write an event of a run of Dagster's to the log."""
    event = dg.DagsterEvent(event_type_value=kind.value, job_name="checks", event_specific_data=data)
    now = datetime.now(UTC).timestamp()
    instance.handle_new_event(
        dg.EventLogEntry(None, level="debug", user_message="", run_id=run, timestamp=now, dagster_event=event)
    )


def checked(instance, partition, number, *, passed=True, run="first"):
    evaluation = dg.AssetCheckEvaluation(
        asset_key=CHECK.asset_key, check_name=CHECK.name, passed=passed, partition=partition,
        metadata={MEASURED: dg.MetadataValue.json({"zlib": str(number)})},
    )  # fmt: skip
    noted(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION, evaluation)


def planned(instance, partition, *, run):
    """Say that a run is about to check a partition; it never does."""
    subset = DAYS.subset_with_partition_keys([partition]).to_serializable_subset()
    plan = AssetCheckEvaluationPlanned(asset_key=CHECK.asset_key, check_name=CHECK.name, partitions_subset=subset)
    noted(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, plan)


def told(found):
    return [(one.key, one.packed["zlib"]) for one in found]


def test_the_newest_evaluation_of_each_earlier_partition_comes_by_few_queries(instance):
    for day in (*range(40, 60), *range(40)):
        checked(instance, key(day), day)
    checked(instance, key(30), "again", passed=False, run="second")
    with counted() as few:
        two = earlier_evaluations(instance, CHECK, key(50), DAYS, limit=2)
    with counted() as many:
        found = earlier_evaluations(instance, CHECK, key(50), DAYS, limit=45)
    assert told(two) == [(key(48), "48"), (key(49), "49")]
    assert told(found) == [(key(day), "again" if day == 30 else str(day)) for day in range(5, 50)]
    assert 0 < len(many) == len(few) <= 5


def test_a_partition_whose_last_check_never_ended_counts_with_the_one_before(instance):
    for day in range(3):
        checked(instance, key(day), day)
    planned(instance, key(1), run="second")
    assert told(earlier_evaluations(instance, CHECK, key(3), DAYS, limit=5)) == [
        (key(0), "0"), (key(1), "1"), (key(2), "2"),
    ]  # fmt: skip
    assert earlier_evaluations(instance, CHECK, key(3), DAYS, limit=0) == []


def test_of_several_dimensions_it_is_the_past_of_the_same_shop(instance):
    for day in range(4):
        for shop in ("eu", "us"):
            checked(instance, dg.MultiPartitionKey({"day": key(day), "shop": shop}), f"{shop}{day}")
    asked = dg.MultiPartitionKey({"day": key(3), "shop": "us"})
    found = earlier_evaluations(instance, CHECK, asked, BOTH, limit=2)
    assert told(found) == [(f"{key(1)}|us", "us1"), (f"{key(2)}|us", "us2")]


def materialized(instance, partition, rows):
    instance.report_runless_asset_event(
        dg.AssetMaterialization(CHECK.asset_key, partition=partition, metadata={"rows": rows})
    )


def test_the_newest_materialization_of_each_earlier_partition_comes_by_few_queries(instance):
    for day in (*range(20, 40), *range(20)):
        materialized(instance, key(day), day)
    materialized(instance, key(7), 700)
    with counted() as few:
        newest_materializations(instance, CHECK.asset_key, key(30), DAYS, limit=2)
    with counted() as many:
        found = newest_materializations(instance, CHECK.asset_key, key(30), DAYS, limit=25)
    rows = {name: one.asset_materialization.metadata["rows"].value for name, one in found.items()}
    assert list(rows.items()) == [(key(day), 700 if day == 7 else day) for day in range(5, 31)]
    assert 0 < len(many) == len(few) <= 5


def test_more_materializations_than_one_query_returns_are_read_in_several(instance, monkeypatch):
    monkeypatch.setattr("assets.checks.past._AT_ONCE", 4)
    for number in range(10):
        materialized(instance, key(number), number)
    assert len(newest_materializations(instance, CHECK.asset_key, key(9), DAYS, limit=20)) == 10
    last = last_materializations(instance, CHECK.asset_key, limit=9)
    assert [one.asset_materialization.metadata["rows"].value for one in last] == list(range(9, 0, -1))


def test_an_event_log_that_is_no_database_is_asked_as_any_event_log_can_be(instance):
    for day in range(6):
        checked(instance, key(day), day)
    storage = instance.event_log_storage
    names = ("get_asset_check_partition_info", "get_asset_check_execution_history")
    other = SimpleNamespace(event_log_storage=SimpleNamespace(**{name: getattr(storage, name) for name in names}))
    assert told(earlier_evaluations(other, CHECK, key(5), DAYS, limit=2)) == [(key(3), "3"), (key(4), "4")]
