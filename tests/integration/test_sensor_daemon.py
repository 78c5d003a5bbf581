"""The source sensor under a live Dagster daemon: each change is requested once, also across `kill -9`."""

from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from tests.integration.instance import LOCATION, Installation, kill_at_once, wait_for
from tests.integration.rides import COUNTS, count_day, declare
from tests.integration.webserver import Alive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def runs_of(instance: dg.DagsterInstance) -> Counter[str]:
    """Return how many runs there are, by partition."""
    return Counter(run.tags["dagster/partition"] for run in instance.get_runs())


def all_succeeded(instance: dg.DagsterInstance, partitions: set[str]) -> bool:
    done = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
    return {run.tags["dagster/partition"] for run in done} >= partitions


def looks(instance: dg.DagsterInstance) -> int:
    """Return how many looks of the sensor ended."""
    ended = {"SKIPPED", "SUCCESS"}
    return sum(
        tick.status.value in ended
        for state in instance.all_instigator_state()
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
    )


def look_again(instance: dg.DagsterInstance, alive: Alive) -> None:
    before = looks(instance)
    wait_for(lambda: looks(instance) >= before + 2, "two more looks", alive=alive)


def test_dropped_files_are_run_once_each_also_when_the_daemon_is_killed_while_it_requests_them(tmp_path: Path):
    files = tmp_path / "files"
    files.mkdir()
    penstock = Installation.at(
        tmp_path / "home",
        pipelines=declare(tmp_path / "pipelines", "counts", COUNTS),
        COUNTS_URL=f"{files}/{{partition}}.csv",
    )
    penstock.run("dagster", "sensor", "start", "counts_source", *LOCATION)
    first = {count_day(files, 2), count_day(files, 1)}
    with penstock.instance() as instance:
        with penstock.daemon() as alive:
            wait_for(lambda: all_succeeded(instance, first), "runs of the dropped files", alive=alive)
            look_again(instance, alive)
            assert runs_of(instance) == Counter(first)
            second = {count_day(files, day) for day in range(3, 11)}
            wait_for(lambda: set(runs_of(instance)) > first, "the first run of the new files", alive=alive)
            kill_at_once(alive)
        third = {count_day(files, 11)}
        with penstock.daemon() as alive:
            wait_for(lambda: set(runs_of(instance)) == first | second | third, "runs of all files", alive=alive)
            look_again(instance, alive)
            assert runs_of(instance) == Counter(first | second | third)
            kill_at_once(alive)
    digests = penstock.digests("counts", sorted(first))
    assert set(digests) == {f"{stage}@{key}" for stage in ("raw", "features") for key in first}
