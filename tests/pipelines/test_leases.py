"""What a stage and a backtest read is leased as long as they work."""

from pathlib import Path

import polars as pl
import pytest

from assets.stage import Stage, Work
from pipelines.backtest import clear, held
from resources.refs import DatasetRef
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import write_table
from resources.storage.garbage.leases import leases
from resources.storage.provenance import Parent
from resources.storage.uses import last_uses
from resources.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}), registry="backtest-x")


def dataset(workspace: Workspace, number: int) -> DatasetRef:
    return write_table(workspace.store, pl.DataFrame({"number": [number]}), scratch=workspace.scratch)


def test_a_stage_leases_what_it_reads_until_its_work_is_done(workspace):
    read = dataset(workspace, 1)
    parents = (
        Parent(kind="dataset", name="raw", digest=read.digest),
        Parent(kind="source", name="file", digest="f" * 64),
    )
    seen = []

    def compute():
        seen.extend(leases(workspace.store).values())
        return dataset(workspace, 2), {}

    work = Work(
        stage=Stage(pipeline="p", name="features", code_version="1"), workspace=workspace, partition="2011-01",
        parents=parents, parameters={}, run_id="run-1",
    )  # fmt: skip
    assert not work.perform(DatasetRef, compute).reused
    assert work.perform(DatasetRef, compute).reused

    (lease,) = seen
    assert (lease.job, lease.run_id, lease.digests) == ("p/features 2011-01", "run-1", (read.digest,))
    assert leases(workspace.store) == {}
    assert set(last_uses(workspace.store)) == {read.digest}


def test_a_stage_that_fails_gives_its_lease_back(workspace):
    read = dataset(workspace, 1)
    work = Work(
        stage=Stage(pipeline="p", name="features", code_version="1"), workspace=workspace, partition=None,
        parents=(Parent(kind="dataset", name="raw", digest=read.digest),), parameters={}, run_id="",
    )  # fmt: skip

    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work.perform(DatasetRef, fail)
    assert leases(workspace.store) == {}


def test_a_backtest_wants_what_it_held_before_it_is_cleared(workspace):
    mine, other = dataset(workspace, 1), dataset(workspace, 2)
    refs.save(workspace.store, "backtest-x", ("p", "raw"), "2011-01", mine)
    refs.save(workspace.store, "main", ("p", "raw"), "2011-01", other)

    assert held(workspace) == (mine.digest,)
    clear(workspace, "p")
    assert held(workspace) == ()
