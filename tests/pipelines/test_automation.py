"""The schedule, the source sensor and the automation condition, on a real Dagster instance."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._core.definitions.sensor_definition import SensorExecutionData

from pipelines import automation
from pipelines.automation import schedules, sensors, upstream_changed
from pipelines.spec import Pipeline

KEYS = ("2011-01", "2011-02", "2011-03")
LONG_AGO = 1_300_000_000.0


def pipeline(url: str, **changes: Any) -> Pipeline:
    return Pipeline.parse(
        {
            "name": "rides",
            "partitions": {"every": "monthly", "start": KEYS[0], "end": "2011-04"},
            "ingest": {
                "source": {"url": url, "format": "csv"},
                "contract": {"columns": {"at": {"type": "timestamp[us]"}, "cnt": {"type": "int64"}}},
                "event_time": {"column": "at", "timezone": "UTC"},
            },
            "features": {"columns": {"count": "cnt"}, "label": "cnt"},
            "train": {"window": {"partitions": 1}},
            "evaluate": {"metrics": ["mae"], "gate": {"metric": "mae", "margin": 1.0}},
            "schedule": "0 6 1 * *",
            **changes,
        }
    )


def unpartitioned(url: str) -> Pipeline:
    return pipeline(url, partitions=None, train={})


class Automated:
    """The automation of a pipeline around a job that does nothing, so that only the automation is seen."""

    def __init__(self, declared: Pipeline, instance: dg.DagsterInstance) -> None:
        parts = declared.partitions.definition() if declared.partitions else None

        @dg.asset(partitions_def=parts, group_name="rides")
        def raw() -> None: ...

        job = dg.define_asset_job("rides", selection=[raw])
        (self.sensor,), (self.schedule,) = sensors(declared, job), schedules(declared, job)
        self.definitions = dg.Definitions(assets=[raw], jobs=[job], sensors=[self.sensor], schedules=[self.schedule])
        self.instance = instance

    def look(self, cursor: str | None = None) -> SensorExecutionData:
        context = dg.build_sensor_context(instance=self.instance, cursor=cursor, definitions=self.definitions)
        with context:
            return self.sensor.evaluate_tick(context)

    def tick(self, *when: int) -> ScheduleExecutionData:
        return self.schedule.evaluate_tick(
            dg.build_schedule_context(
                instance=self.instance,
                scheduled_execution_time=datetime(*when, tzinfo=UTC),
                repository_def=self.definitions.get_repository_def(),
            )
        )

    def launch(self, request: dg.RunRequest, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> None:
        tags = {**request.tags, "dagster/sensor_name": self.sensor.name, "dagster/run_key": str(request.run_key)}
        self.instance.create_run_for_job(self.definitions.resolve_job_def("rides"), tags=tags, status=status)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def automated(folder: Path, instance: dg.DagsterInstance) -> Automated:
    return Automated(pipeline(f"{folder}/{{partition}}.csv"), instance)


def put(folder: Path, key: str, text: str) -> None:
    import os

    path = folder / f"{key}.csv"
    path.write_text(f"at,cnt\n{text}\n")
    os.utime(path, (LONG_AGO, LONG_AGO))


def requested(data: SensorExecutionData) -> list[str | None]:
    return [request.partition_key for request in data.run_requests or []]


def test_the_first_look_requests_every_partition_that_has_a_file_in_the_order_of_time(automated, folder):
    put(folder, "2011-03", "c")
    put(folder, "2011-01", "a")
    data = automated.look()
    assert requested(data) == ["2011-01", "2011-03"]
    assert [request.tags["penstock/pipeline"] for request in data.run_requests] == ["rides", "rides"]


def test_the_next_look_requests_nothing_and_says_so(automated, folder):
    put(folder, "2011-01", "a")
    data = automated.look(automated.look().cursor)
    assert requested(data) == []
    assert data.skip_message == "nothing new in 1 partitions"


def test_only_the_changed_partition_is_requested_again(automated, folder):
    put(folder, "2011-01", "a")
    put(folder, "2011-02", "b")
    first = automated.look()
    put(folder, "2011-02", "b2")
    assert requested(automated.look(first.cursor)) == ["2011-02"]


def test_the_cursor_is_small_json(automated, folder):
    for key in KEYS:
        put(folder, key, key)
    cursor = automated.look().cursor
    assert sorted(json.loads(cursor)["partitions"]) == list(KEYS)
    assert len(cursor) < 300


def test_what_was_launched_before_the_cursor_was_stored_is_not_requested_again(automated, folder):
    put(folder, "2011-01", "a")
    put(folder, "2011-02", "b")
    automated.launch(automated.look().run_requests[0])
    assert requested(automated.look()) == ["2011-02"]


def test_a_run_that_was_created_but_never_launched_is_requested_again_with_the_same_key(automated, folder):
    put(folder, "2011-01", "a")
    (request,) = automated.look().run_requests
    automated.launch(request, dg.DagsterRunStatus.NOT_STARTED)
    assert [again.run_key for again in automated.look().run_requests] == [request.run_key]


def test_content_that_returns_after_a_lost_cursor_is_requested_again(automated, folder):
    put(folder, "2011-01", "a")
    first = automated.look()
    automated.launch(first.run_requests[0])
    put(folder, "2011-01", "b")
    automated.launch(automated.look(first.cursor).run_requests[0])  # and the cursor was never stored
    put(folder, "2011-01", "a")
    (request,) = automated.look(first.cursor).run_requests
    assert request.run_key.endswith(":3")


def test_a_reset_cursor_doubles_nothing(automated, folder):
    put(folder, "2011-01", "a")
    automated.launch(automated.look().run_requests[0])
    put(folder, "2011-01", "b")
    automated.launch(automated.look().run_requests[0])
    assert requested(automated.look(None)) == []


def test_a_source_that_cannot_be_read_is_a_plain_skip_and_nothing_is_forgotten(instance, folder):
    automated = Automated(pipeline(f"{folder}/rides.csv"), instance)
    data = automated.look("what was remembered")
    assert data.skip_message == f"there is no file at {folder}/rides.csv: correct the URL, or put the file there"
    assert data.cursor == "what was remembered"


def test_a_pipeline_without_partitions_is_requested_when_its_file_changes(instance, folder):
    automated = Automated(unpartitioned(f"{folder}/flights.csv"), instance)
    put(folder, "flights", "a")
    first = automated.look()
    assert requested(first) == [None]
    assert requested(automated.look(first.cursor)) == []
    put(folder, "flights", "b")
    assert requested(automated.look(first.cursor)) == [None]


def test_a_source_that_does_not_answer_is_a_skip_and_the_next_tick_takes_the_result(instance, monkeypatch):
    monkeypatch.setattr(automation, "PATIENCE_S", 0.2)
    release = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            release.wait(60)
            self.send_response(200)
            self.send_header("ETag", '"a"')
            self.send_header("Content-Length", "999999999")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        automated = Automated(unpartitioned(f"http://127.0.0.1:{server.server_port}/flights.csv"), instance)
        first = automated.look()
        monkeypatch.setattr(automation, "PATIENCE_S", 60.0)
        release.set()
        second = automated.look(first.cursor)
        server.shutdown()
        thread.join()
    assert first.skip_message == "the source takes longer than 0.2 s; the look goes on for the next tick"
    assert requested(second) == [None]


@pytest.mark.parametrize(
    ("tick", "key"), [((2011, 2, 1, 6), "2011-01"), ((2011, 3, 1, 6), "2011-02"), ((2011, 4, 1, 6), "2011-03")]
)
def test_a_tick_requests_the_latest_complete_partition(automated, tick, key):
    (request,) = automated.tick(*tick).run_requests
    assert request.partition_key == key


def test_a_tick_before_the_first_partition_is_complete_is_skipped(automated):
    assert automated.tick(2011, 1, 15).skip_message == "no partition is complete at 2011-01-15 00:00"


def test_a_tick_after_the_end_is_skipped(automated):
    data = automated.tick(2011, 6, 1, 6)
    assert data.run_requests == []
    assert data.skip_message == "the last partition, 2011-03, ended at 2011-04-01"


def test_each_tick_of_a_pipeline_without_partitions_is_a_request_of_its_own(instance, folder):
    automated = Automated(unpartitioned(f"{folder}/flights.csv"), instance)
    keys = [automated.tick(2011, month, 1, 6).run_requests[0].run_key for month in (1, 2)]
    assert len(set(keys)) == 2


class Conditioned:
    """Two assets and a blocking check between them, downstream under the condition."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.version, self.passes, self.cursor = "1", True, None
        self.instance = instance

        @dg.asset
        def upstream() -> dg.MaterializeResult[None]:
            return dg.MaterializeResult(data_version=dg.DataVersion(self.version))

        @dg.asset_check(asset=upstream, blocking=True)
        def gate() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=self.passes)

        @dg.asset(deps=[upstream], automation_condition=upstream_changed())
        def downstream() -> None: ...

        self.definitions = dg.Definitions(assets=[upstream, downstream], asset_checks=[gate])

    def materialize(self, *names: str, version: str, passes: bool = True) -> None:
        self.version, self.passes = version, passes
        selection = dg.AssetSelection.assets(*names)
        job = self.definitions.resolve_implicit_global_asset_job_def()
        keys = selection.resolve(self.definitions.resolve_asset_graph())
        job.execute_in_process(instance=self.instance, asset_selection=list(keys), raise_on_error=False)

    def requested(self) -> int:
        result = dg.evaluate_automation_conditions(self.definitions, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return result.total_requested


@pytest.fixture
def conditioned(instance: dg.DagsterInstance) -> Conditioned:
    built = Conditioned(instance)
    built.materialize("upstream", "downstream", version="1")
    built.requested()
    return built


def test_new_upstream_data_is_requested_once(conditioned):
    conditioned.materialize("upstream", version="2")
    assert [conditioned.requested(), conditioned.requested()] == [1, 0]


def test_upstream_data_that_did_not_change_requests_nothing(conditioned):
    conditioned.materialize("upstream", version="1")
    assert conditioned.requested() == 0


def test_upstream_data_whose_blocking_check_failed_requests_nothing(conditioned):
    conditioned.materialize("upstream", version="2", passes=False)
    assert conditioned.requested() == 0
