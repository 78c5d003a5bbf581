"""The training loop of docs/loader.md runs as it is written, and goes on after an interruption to the same weights."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from resources.loader.shuffled import write_shuffled
from resources.settings import PROJECT_ROOT
from tests.resources.test_bundle import opened

pytestmark = pytest.mark.torch


class Interrupted(Exception):
    """Ends a loop in the middle of its second epoch."""


def loop(*, epochs: int) -> str:
    """Return the code of the page, with smaller numbers that show the same in a second."""
    page = (PROJECT_ROOT / "docs" / "loader.md").read_text()
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "optimizer.step()" in block]
    for old, new in (("4096", "64"), ("% 1000 == 999", "% 5 == 4"), ("loader.epoch < 10", f"loader.epoch < {epochs}")):
        assert old in code
        code = code.replace(old, new)
    return code


def run(window: Any, *, stop_after: int | None = None) -> dict[str, list[Any]]:
    import torch

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    steps, step = [0], optimizer.step

    def counted() -> None:
        step()
        steps[0] += 1
        if steps[0] == stop_after:
            raise Interrupted

    optimizer.step = counted
    names = {"model": model, "optimizer": optimizer, "window": window}
    exec(compile(loop(epochs=3), "docs/loader.md", "exec"), names)
    return {name: value.tolist() for name, value in model.state_dict().items()}


def test_the_loop_of_the_page_runs_and_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace = opened(tmp_path)
    draw = np.random.default_rng(0)
    window = []
    for _ in range(2):
        columns = {name: draw.normal(size=700) for name in ("a", "b")}
        columns["a"][::50] = np.nan
        frame = pl.DataFrame({**columns, "label": np.nan_to_num(columns["a"]) + columns["b"]})
        window.append(write_shuffled(workspace.store, frame, scratch=workspace.scratch, keep=["label"]))
    monkeypatch.setenv("PENSTOCK_STORE", workspace.settings.store)
    monkeypatch.setenv("PENSTOCK_HOME", str(workspace.settings.home))
    folders = {name: tmp_path / name for name in ("whole", "interrupted")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(folders["whole"])
    whole = run(window)
    monkeypatch.chdir(folders["interrupted"])
    with pytest.raises(Interrupted):
        run(window, stop_after=33)
    assert Path("checkpoint.pt").exists()
    assert run(window) == whole
