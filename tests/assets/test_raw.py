"""What `raw` judges while it ingests, and what its checks still have to read."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from assets.ingest import Ingest, raw_asset
from assets.stage import Stage
from assets.stage_checks import raw_checks
from pipelines import suggesting
from quality.contract import Column, Contract
from quality.profile import Profile, profile
from quality.suites.run import run_suite
from resources import expectations
from resources.canonical import parse_json
from resources.expectations import suite_result
from resources.source import Source
from resources.storage import refs
from resources.storage.datasets import read_frame
from resources.storage.objects import get_object
from resources.wiring import RefIOManager, WorkspaceResource

FIRST = datetime(2025, 1, 6, tzinfo=UTC)
CONTRACT = Contract(
    columns={
        "at": Column(type="timestamp[us, tz=UTC]"),
        "zone": Column(type="string", allowed=("north", "south")),
        "fare": Column(type="float64", nullable=True),
    },
    max_rejected=0.5,
)
SUITE = (
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "fare", "min_value": 0, "max_value": 40}},
    {"type": "expect_column_median_to_be_between", "kwargs": {"column": "fare", "min_value": 0}},
    {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "at"}},
)
pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning", "ignore:InitResourceContext.dagster_run"
)


@pytest.fixture
def readings(monkeypatch):
    """Return the datasets whose rows a suite is run on, in order."""
    seen = []

    def spied(store, digest):
        seen.append(digest)
        return lent(store, digest)

    lent = expectations.lent_frame
    monkeypatch.setattr(expectations, "lent_frame", spied)
    return seen


def rides(folder, count=60):
    """Write one ride an hour, every tenth in a zone that there is not."""
    lines = [
        f"{FIRST + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{'east' if hour % 10 == 9 else 'north'},{hour}.5"
        for hour in range(count)
    ]
    file = folder / "rides.csv"
    file.write_text("\n".join(["at,zone,fare", *lines]) + "\n")
    return file


def run(folder, suite):
    """Ingest the rides and check them."""
    stage = Stage(pipeline="rides", name="raw", code_version="1")
    spec = Ingest(source=Source(url=str(rides(folder))), contract=CONTRACT, expectations=suite)
    opened = WorkspaceResource()
    return dg.materialize(
        [raw_asset(stage, spec), raw_checks(stage, spec)],
        resources={"workspace": opened, "refs": RefIOManager(workspace=opened)},
        raise_on_error=False,  # as a check that blocks would
    )


def materialized(workspace, folder, suite=SUITE):
    """Return what `raw` handed over, its metadata, and the checks."""
    done = run(folder, suite)
    (shown,) = [event.materialization.metadata for event in done.get_asset_materialization_events()]
    checks = {found.check_name: found for found in done.get_asset_check_evaluations()}
    return refs.load(workspace.store, workspace.registry_name, ("rides", "raw"), None), shown, checks


def test_raw_has_the_profile_of_its_rows_and_shows_it(workspace, tmp_path):
    ref, shown, _ = materialized(workspace, tmp_path)
    stored = Profile.from_json(parse_json(get_object(workspace.store, ref.profile_digest)))
    assert stored == profile(read_frame(workspace.store, ref.digest))
    assert stored.rows == 54
    assert "| fare |" in shown["profile"].value
    assert shown["profile_picture"].value.startswith("![")


def test_the_check_recalls_what_ingest_found_and_reads_no_shard(workspace, tmp_path, readings):
    ref, _, checks = materialized(workspace, tmp_path)
    assert not checks["expectations"].passed
    assert "2 of 3 expectations hold" in checks["expectations"].description
    assert readings == []
    found = suite_result(workspace.store, SUITE, ref.digest)
    alone = run_suite(list(SUITE), read_frame(workspace.store, ref.digest))
    assert found.genuine["results"] == alone.genuine["results"]
    assert found.rows == alone.rows


def test_what_was_not_gathered_is_read_once_in_ingest(workspace, tmp_path, readings):
    often = (
        {"type": "expect_column_most_common_value_to_be_in_set", "kwargs": {"column": "zone", "value_set": ["north"]}},
    )
    ref, _, checks = materialized(workspace, tmp_path, often)
    assert checks["expectations"].passed
    assert readings == [ref.digest]


@pytest.mark.slow  # imports Great Expectations
def test_a_suite_that_cannot_be_evaluated_fails_its_check_and_not_ingest(workspace, tmp_path):
    wrong = ({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "zone", "min_value": 0}},)
    done = run(tmp_path, wrong)
    failed = [event for event in done.all_events if event.is_step_failure]
    assert len(done.get_asset_materialization_events()) == 1
    assert [event.step_key for event in failed] == ["rides_raw_checks"]
    assert "expect_column_mean_to_be_between on zone, cannot be evaluated" in str(failed[0].step_failure_data.error)


def test_suggestions_go_by_the_profile_that_ingest_stored(workspace, tmp_path, monkeypatch):
    ref, _, _ = materialized(workspace, tmp_path)

    def never(*_):
        raise AssertionError("the rows were read again")

    monkeypatch.setattr(suggesting, "scan", never)
    assert suggesting._profile(workspace.store, ref).rows == 54
