"""Kill -9 of `penstock run` at any stage, and disks that fill up under it: the next run ends as if nothing had been."""

import subprocess
import time
from pathlib import Path

import pytest

from pipelines.starter import text
from tests.integration.instance import BIN, ROOT, Installation
from tests.resources.disks import grow, lockable_disk, tiny_disk

__all__ = ["lockable_disk", "tiny_disk"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAME = "coffee"
RUN = ("run", NAME, "--partition", "2024-03", "--quiet")
MONTHS = ("2024-01", "2024-02", "2024-03")
OBJECTS = (1, 12, 21)
"""Numbers of stored objects at which a run is killed: while it ingests, makes features, trains and deploys."""


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    """Return a folder that holds the starter pipeline."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / f"{NAME}.py").write_text(text(NAME))
    return folder


def kill_at(home: Installation, objects: int) -> None:
    """Run the pipeline and kill it once the store holds so many objects and files."""
    store = home.folder / "penstock" / "store"
    kinds = (store / "objects", store / "files")
    with subprocess.Popen(
        [str(BIN / "penstock"), *RUN],
        cwd=ROOT,
        env=home.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and sum(path.is_file() for kind in kinds for path in kind.rglob("*")) < objects:
            time.sleep(0.01)
        process.kill()
    assert process.returncode < 0, "it was not killed but came to its end"


def test_a_run_killed_at_any_stage_can_be_run_again_to_the_same_digests(tmp_path: Path, pipelines: Path):
    key = tmp_path / "key.pem"
    undisturbed = Installation.at(tmp_path / "undisturbed", pipelines=pipelines, key=key)
    undisturbed.run("penstock", *RUN)
    killed = Installation.at(tmp_path / "killed", pipelines=pipelines, key=key)
    for objects in OBJECTS:
        kill_at(killed, objects)

    killed.run("penstock", *RUN)

    assert killed.digests(NAME, MONTHS) == undisturbed.digests(NAME, MONTHS)
    assert "verified" in killed.run("penstock", "verify", NAME)
    with killed.instance() as instance:
        statuses = {run.status.value for run in instance.get_runs()}
    assert statuses == {"SUCCESS", "FAILURE"}  # nothing that waits, or seems to run for ever


def test_a_full_disk_under_dagsters_databases_is_named_and_harms_nothing(
    tmp_path: Path, pipelines: Path, tiny_disk: Path
):
    (tiny_disk / "filler").write_bytes(b"\0" * 500_000)
    home = Installation.at(tmp_path / "home", pipelines=pipelines, key=tmp_path / "key.pem")
    full = Installation.at(
        tmp_path / "home",
        pipelines=pipelines,
        key=tmp_path / "key.pem",
        PENSTOCK_HOME=str(tiny_disk / "penstock"),
        PENSTOCK_STORE=str(home.folder / "store"),
    )
    with pytest.raises(RuntimeError, match=r"ended with 1:\n(?s:.*)error: Dagster cannot keep its runs") as error:
        full.run("penstock", *RUN)
    assert "Traceback" not in str(error.value)
    grow(tiny_disk)
    full.run("penstock", *RUN)


def test_a_read_only_home_is_named(tmp_path: Path, pipelines: Path, lockable_disk):
    disk, lock = lockable_disk
    lock()
    home = Installation.at(
        tmp_path / "home", pipelines=pipelines, key=tmp_path / "key.pem", PENSTOCK_HOME=str(disk / "penstock")
    )
    with pytest.raises(RuntimeError, match="Read-only file system") as error:
        home.run("penstock", *RUN)
    assert "Traceback" not in str(error.value)
