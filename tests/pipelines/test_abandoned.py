"""Runs whose process was killed: they are ended, and those of the living and of other machines are left alone."""

import subprocess
import sys

import dagster as dg
import pytest

from pipelines.abandoned import PROCESS_TAG, end_abandoned
from resources import process as processes
from resources.process import this_process


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """Run `nothing`."""
    nothing()


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def begin(instance: dg.DagsterInstance, process: str | None) -> str:
    """Record a run that `process` has begun and not ended."""
    tags = {} if process is None else {PROCESS_TAG: process}
    run = instance.create_run_for_job(idle, tags=tags, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def test_a_run_whose_process_is_dead_is_recorded_as_failed(instance: dg.DagsterInstance):
    code = "from resources.process import this_process; print(this_process())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    run_id = begin(instance, dead)
    assert end_abandoned(instance) == [run_id]
    assert status_of(instance, run_id) == "FAILURE"
    assert end_abandoned(instance) == []


def test_a_run_of_the_living_of_the_daemon_or_of_another_machine_is_left_alone(instance: dg.DagsterInstance):
    _, *rest = this_process().split(" ")
    for process in (this_process(), None, " ".join(["elsewhere", *rest[:-1], "1"]), "no process"):
        begin(instance, process)
    assert end_abandoned(instance) == []


def test_a_process_id_that_is_used_again_is_another_process(instance: dg.DagsterInstance):
    run_id = begin(instance, " ".join([*this_process().split(" ")[:-1], "1"]))
    assert end_abandoned(instance) == [run_id]


def test_a_reboot_ends_every_process(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    run_id = begin(instance, this_process())
    host, _, space = processes._machine()
    monkeypatch.setattr(processes, "_machine", lambda: (host, "another boot", space))
    assert end_abandoned(instance) == [run_id]
