"""A training that was killed goes on from its checkpoint to the very bits of one that was not."""

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resources.loader import State
from resources.settings import PROJECT_ROOT
from resources.source.spec import EventTime
from resources.training import window as window_module
from resources.training.neural import checkpoint as checkpoint_module
from resources.training.neural.checkpoint import Checkpoints
from resources.training.neural.tensor_file import read_tensors, write_tensors
from resources.training.reproduce import reproduce
from resources.training.train import train
from resources.transform.steps import Impute, Ordinal, Standardize
from resources.workspace import Workspace
from tests.resources.neural import SMALL, fitted, write_module
from tests.resources.test_bundle import opened, recipe
from tests.resources.test_training_window import packed_window

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]

WHOLE: dict[str, Any] = {
    **SMALL, "dropout": 0.2, "embeddings": True, "batch_size": 100, "early_stopping": {"share": 0.2, "patience": 2},
}  # fmt: skip


class Killed(BaseException):
    """Stands for SIGKILL where the process has to live on."""


class Fragile(Checkpoints):
    """Checkpoints of every batch, the process of which dies after some of them."""

    left: list[int] = []  # noqa: RUF012 (the dataclass is frozen)

    def write(self, tensors: Any, progress: Any, surroundings: str) -> None:
        super().write(tensors, progress, surroundings)
        self.left[0] -= 1
        if self.left[0] <= 0:
            raise Killed


def checkpoints(folder: Path, **changes: Any) -> Checkpoints:
    return replace(Checkpoints(folder=folder / "training", identity="a" * 64, every_s=0.0), **changes)


def killed_after(batches: int, folder: Path, declared: dict[str, Any]) -> None:
    Fragile.left[:] = [batches]
    with pytest.raises(Killed):
        fitted(declared, checkpoints=Fragile(folder=folder / "training", identity="a" * 64, every_s=0.0))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("batches", [1, 7, 24, 25, 48, 70])
def test_whenever_it_is_killed_training_ends_with_the_same_bits(tmp_path: Path, optimizer: str, batches: int):
    declared = {**WHOLE, "optimizer": optimizer, **({"momentum": 0.9} if optimizer == "sgd" else {})}
    killed_after(batches, tmp_path, declared)
    assert fitted(declared, checkpoints=checkpoints(tmp_path)) == fitted(declared)


def test_it_may_be_killed_again_and_again(tmp_path: Path):
    for _ in range(9):
        killed_after(7, tmp_path, WHOLE)
    assert fitted(WHOLE, checkpoints=checkpoints(tmp_path)) == fitted(WHOLE)


def test_no_row_is_learned_twice_or_left_out(tmp_path: Path):
    killed_after(31, tmp_path, {**SMALL, "epochs": 2})
    about = read_tensors(checkpoints(tmp_path).path.read_bytes())[1]["progress"]
    assert (about["epoch"], about["batch"], about["rows"]) == (0, 31, 31 * 64)
    assert about["place"] == {"state": "1024", "skip": 31 * 64 - 1024}


def test_the_running_values_of_a_network_of_ones_own_come_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_PIPELINES", str(tmp_path / "pipelines"))
    declared = {"module": write_module(tmp_path / "pipelines", "resumed"), "epochs": 2, "batch_size": 100}
    killed_after(40, tmp_path, declared)
    assert fitted(declared, checkpoints=checkpoints(tmp_path)) == fitted(declared)


@pytest.mark.parametrize("change", ["identity", "surroundings", "altered", "cut", "foreign"])
def test_a_checkpoint_of_anything_else_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str):
    killed_after(20, tmp_path, SMALL)
    file = checkpoints(tmp_path).path
    data = file.read_bytes()
    tensors, about = read_tensors(data)
    changed = {
        "identity": lambda: write_tensors(tensors, {**about, "identity": "b" * 64}),
        "surroundings": lambda: write_tensors(tensors, {**about, "surroundings": "PyTorch 1.0 on a loom"}),
        "altered": lambda: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "cut": lambda: data[: len(data) // 2],
        "foreign": lambda: b"\x80\x04\x95 a pickle",
    }
    file.write_bytes(changed[change]())
    with caplog.at_level(logging.WARNING):
        assert fitted(checkpoints=checkpoints(tmp_path)) == fitted()
    assert any("is not used" in line for line in caplog.messages)


def test_another_identity_has_a_checkpoint_of_its_own(tmp_path: Path):
    killed_after(20, tmp_path, SMALL)
    other = checkpoints(tmp_path, identity="b" * 64)
    assert other.read("anything") is None
    assert fitted(checkpoints=other) == fitted()


def test_a_disk_that_takes_no_checkpoint_costs_the_checkpoint_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "training").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert fitted(checkpoints=checkpoints(tmp_path)) == fitted()
    assert any("no checkpoint is kept" in line for line in caplog.messages)


def test_a_checkpoint_is_removed_at_the_end_and_old_ones_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    killed_after(5, tmp_path, SMALL)
    mine, old, young = checkpoints(tmp_path), tmp_path / "training" / "old", tmp_path / "training" / "young"
    for file in (old, young):
        file.write_bytes(b"")
    os.utime(old, (0, time.time() - checkpoint_module.KEPT_S - 60))
    mine.remove()
    assert [file.name for file in (tmp_path / "training").iterdir()] == ["young"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(window_module, "BATCH_ROWS", (64, 64))
    return opened(tmp_path)


def declared_recipe(**changes: Any):
    steps = (
        Impute(columns=("warmth", "share")), Standardize(columns=("hr", "warmth", "share")),
        Ordinal(columns=("sky", "town")),
    )  # fmt: skip
    parameters = {"hidden": [8], "batch_size": 50, "epochs": 4, "embeddings": True, "dropout": 0.1}
    return recipe(**{
        "trainer": "torch", "steps": steps, "parameters": parameters, "event_time": EventTime(column="ts"),
        "rows": "hr > 1", **changes,
    })  # fmt: skip


def interrupted(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, declared: Any, refs: Any, after: int) -> State:
    """Train until a checkpoint, and return the state of the loader in it."""
    Fragile.left[:] = [after]
    monkeypatch.setattr("resources.training.train.Checkpoints", Fragile)
    with pytest.raises(Killed):
        train(quick(workspace), declared, refs)
    monkeypatch.undo()
    monkeypatch.setattr(window_module, "BATCH_ROWS", (64, 64))
    [file] = (workspace.scratch / "training").glob("*.safetensors")
    return State.from_bytes(read_tensors(file.read_bytes())[1]["progress"]["place"]["state"].encode())


def quick(workspace: Workspace) -> Workspace:
    settings = workspace.settings.model_copy(update={"checkpoint_s": 1e-9})
    return replace(workspace, settings=settings)


@pytest.mark.parametrize("after", [2, 5, 19])
@pytest.mark.parametrize("more", [{}, {"early_stopping": {"share": 0.2}}])
def test_a_window_goes_on_where_the_state_of_its_loader_says(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, after: int, more: dict[str, Any]
):
    refs = packed_window(workspace)
    declared = declared_recipe()
    declared = declared.model_copy(update={"parameters": {**declared.parameters, **more}})
    state = interrupted(monkeypatch, workspace, declared, refs, after)
    assert state.order == "window"
    resumed, facts = train(workspace, declared, refs)
    assert not list((workspace.scratch / "training").glob("*"))
    assert facts["loading"]["rows"] > 0
    whole = train(workspace, declared, refs)[0]
    assert resumed.digest == whole.digest
    assert reproduce(workspace, resumed.digest).equal


@pytest.mark.parametrize("other", [{"seed": 6}, {"rows": "hr > 2"}, {"parameters": {"hidden": [9], "epochs": 4}}])
def test_a_checkpoint_of_another_declaration_is_left_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
):
    refs = packed_window(workspace)
    interrupted(monkeypatch, workspace, declared_recipe(), refs, 7)
    before = [file.name for file in (workspace.scratch / "training").iterdir()]
    changed = train(workspace, declared_recipe(**other), refs)[0]
    assert [file.name for file in (workspace.scratch / "training").iterdir()] == before
    assert reproduce(workspace, changed.digest).equal


def test_a_checkpoint_of_other_data_is_left_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    refs = packed_window(workspace)
    interrupted(monkeypatch, workspace, declared_recipe(), refs, 7)
    fewer = {key: refs[key] for key in list(refs)[:2]}
    digest = train(workspace, declared_recipe(), fewer)[0].digest
    assert list((workspace.scratch / "training").iterdir())
    assert reproduce(workspace, digest).equal


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.resources.test_neural_resume import declared_recipe, opened, packed_window, quick, train, window_module
window_module.BATCH_ROWS = (64, 64)
workspace = opened(Path(sys.argv[2]))
recipe = declared_recipe()
recipe = recipe.model_copy(update={"parameters": {**recipe.parameters, "epochs": 30}})
print(train(quick(workspace), recipe, packed_window(workspace))[0].digest)
"""


def started(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(PROJECT_ROOT), str(folder)]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)


def test_a_process_killed_by_sigkill_is_followed_by_one_that_ends_with_the_same_model(tmp_path: Path):
    undisturbed, struck = started(tmp_path / "undisturbed"), 0
    expected = undisturbed.communicate()[0].strip()
    assert len(expected) == 64
    place = tmp_path / "killed" / "home" / "scratch" / "training"
    for wanted in (1, 9, 22):
        process = started(tmp_path / "killed")
        while process.poll() is None and epoch_of(place) < wanted:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        struck += process.returncode == -signal.SIGKILL
        assert epoch_of(place) >= wanted
    assert struck == 3
    last = started(tmp_path / "killed")
    assert last.communicate()[0].strip() == expected
    assert not list(place.glob("*"))


def epoch_of(place: Path) -> int:
    """Return the epoch of the checkpoint there, whole whenever it is read."""
    for file in place.glob("*.safetensors"):
        return int(read_tensors(file.read_bytes())[1]["progress"]["epoch"])
    return -1
