"""One scenario, started in every way there is: the same digests of all five assets, in the store and in Dagster."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from tests.integration.instance import LOCATION, STAGES, Installation, wait_for
from tests.integration.rides import BIKES, BIKES_PARTITIONS, declare
from tests.integration.webserver import graphql, webserver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a dozen processes each, on a machine that may be busy
LAUNCH = """mutation($params: ExecutionParams!) {launchRun(executionParams: $params) {__typename
  ...on PythonError {message} ...on RunConfigValidationInvalid {errors {message}}}}"""
SELECTION = "group:bikes"


def penstock_run(home: Installation) -> None:
    home.run("penstock", "run", "bikes", "--from", BIKES_PARTITIONS[0], "--to", BIKES_PARTITIONS[-1])


def dagster_asset_materialize(home: Installation) -> None:
    for key in BIKES_PARTITIONS:
        home.run("dagster", "asset", "materialize", "--select", SELECTION, "--partition", key, *LOCATION)


def dg_launch(home: Installation) -> None:
    for key in BIKES_PARTITIONS:
        home.run("dg", "launch", "--assets", SELECTION, "--partition", key)


def web_ui(home: Installation) -> None:
    """Launch as the web UI's button does; its queue needs the daemon."""
    with (
        webserver(home.folder, *LOCATION, environment=home.env) as url,
        home.daemon() as alive,
        home.instance() as instance,
    ):
        for key in BIKES_PARTITIONS:
            params = {
                "selector": {
                    "repositoryLocationName": "pipelines.definitions",
                    "repositoryName": "__repository__",
                    "jobName": "bikes",
                },
                "mode": "default",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": key}]},
            }
            launched = graphql(url, LAUNCH, {"params": params})["launchRun"]
            assert launched["__typename"] == "LaunchRunSuccess", launched
        wait_for(lambda: succeeded(instance), "successful runs", alive=alive)


def cron_schedule(home: Installation) -> None:
    """Let the schedule's own ticks of that time decide what is run, then run it."""
    ticks = ("2011-02-01T06:00", "2011-03-01T06:00", "2011-04-01T06:00", "2011-06-01T06:00")
    home.run("python", "-m", "tests.integration.ticks", "bikes", *ticks)


def source_sensor(home: Installation) -> None:
    home.run("dagster", "sensor", "start", "bikes_source", *LOCATION)
    with home.daemon() as alive, home.instance() as instance:
        wait_for(lambda: succeeded(instance), "successful runs", alive=alive)


def succeeded(instance: dg.DagsterInstance) -> bool:
    """Whether every partition has a run that succeeded; a run that failed is an error."""
    runs = instance.get_runs()
    failed = [run for run in runs if run.status == dg.DagsterRunStatus.FAILURE]
    if failed:
        raise RuntimeError(json.dumps([event_text(instance, run.run_id) for run in failed])[:4000])
    done = {run.tags["dagster/partition"] for run in runs if run.status == dg.DagsterRunStatus.SUCCESS}
    return done == set(BIKES_PARTITIONS)


def event_text(instance: dg.DagsterInstance, run_id: str) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(run_id) if entry.level >= 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("triggers")


@pytest.fixture(scope="module")
def start(folder: Path) -> Callable[[Callable[[Installation], None]], tuple[dict[str, str], dict[str, str]]]:
    """Run the scenario in an installation of its own, with the one signing key of this team."""
    pipelines = declare(folder / "pipelines", "bikes", BIKES)

    def started(trigger: Callable[[Installation], None]) -> tuple[dict[str, str], dict[str, str]]:
        home = Installation.at(folder / trigger.__name__, pipelines=pipelines, key=folder / "key" / "signing.pem")
        trigger(home)
        return home.digests("bikes", BIKES_PARTITIONS), home.data_versions("bikes", BIKES_PARTITIONS)

    return started


@pytest.fixture(scope="module")
def expected(start) -> dict[str, str]:
    digests, versions = start(penstock_run)
    assert digests == versions
    assert {name.split("@")[0] for name in digests} == set(STAGES)
    return digests


@pytest.mark.parametrize("trigger", [dagster_asset_materialize, dg_launch, web_ui, cron_schedule, source_sensor])
def test_every_trigger_gives_the_digests_that_penstock_run_gives(trigger, start, expected):
    digests, versions = start(trigger)
    assert digests == expected
    assert versions == expected
