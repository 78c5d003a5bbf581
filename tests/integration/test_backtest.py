"""`penstock backtest`: the whole policy replayed, beside the registry that serves and without touching it."""

import json
import re
import signal
import subprocess
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.integration.instance import BIN, ROOT, Installation

pytestmark = pytest.mark.slow
SPAN = ("--from", "2024-02", "--to", "2024-05")


def coffee(folder: Path) -> Installation:
    from pipelines.starter import write

    write("coffee", folder / "pipelines")
    return Installation.at(folder / "home", pipelines=folder / "pipelines")


def backtest(home: Installation, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(BIN / "penstock"), "backtest", *arguments, "--json", "--quiet"],
        cwd=ROOT, env=home.environment(), capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def state(home: Installation, *folders: str) -> dict[str, bytes]:
    store = home.folder / "penstock" / "store"
    return {
        str(path.relative_to(store)): path.read_bytes()
        for folder in folders
        for path in (store / folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, dict[str, Any]]:
    home = coffee(tmp_path_factory.mktemp("backtest"))
    return home, backtest(home, "coffee", *SPAN)


def test_a_replay_judges_every_partition_against_the_champion_it_made_before(
    played: tuple[Installation, dict[str, Any]],
):
    steps = played[1]["steps"]
    assert [step["partition"] for step in steps] == ["2024-02", "2024-03", "2024-04", "2024-05"]
    assert steps[0]["judged"]["champion"] is None
    for before, step in pairwise(steps):
        assert step["judged"]["champion"] == before["champion"]


def test_a_replay_leaves_the_registry_that_serves_and_its_values_alone(played: tuple[Installation, dict[str, Any]]):
    home, _ = played
    home.run("penstock", "run", "coffee", "--partition", "2024-02", "--quiet")
    before = state(home, "refs/main", "registry/main")
    assert before
    backtest(home, "coffee", *SPAN, "--name", "other")
    assert state(home, "refs/main", "registry/main") == before


def test_the_same_replay_gives_the_same_numbers_and_the_same_page(played: tuple[Installation, dict[str, Any]]):
    home, first = played
    page = Path(first["page"])
    drawn = page.read_bytes()
    assert backtest(home, "coffee", *SPAN) == first
    assert page.read_bytes() == drawn


def test_a_replay_is_not_recorded_among_the_runs_of_the_pipeline(played: tuple[Installation, dict[str, Any]]):
    with played[0].instance() as instance:
        assert all("backtest" not in str(run.run_config) for run in instance.get_runs())
        assert all(run.tags["dagster/partition"] < "2024-03" for run in instance.get_runs())


def test_the_page_holds_a_picture_of_every_partition_and_loads_nothing(played: tuple[Installation, dict[str, Any]]):
    page = Path(played[1]["page"]).read_text(encoding="utf-8")
    (picture,) = re.findall(r"<svg.*</svg>", page, flags=re.DOTALL)
    root = ET.fromstring(picture)
    titles = [item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}title")]
    assert [title for title in titles if title.startswith("2024-04: promoted")]
    assert not re.search(r"(src|href)=|url\(|<script", page)


def test_a_replay_that_was_stopped_ends_as_one_that_was_not(
    played: tuple[Installation, dict[str, Any]], tmp_path: Path
):
    home = coffee(tmp_path)
    command = [str(BIN / "penstock"), "backtest", "coffee", *SPAN]
    with subprocess.Popen(command, cwd=ROOT, env=home.environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[3/5]"):
                process.send_signal(signal.SIGKILL)
                break
    again = backtest(home, "coffee", *SPAN)
    assert again["steps"] == played[1]["steps"]


def test_a_pipeline_without_history_is_refused(tmp_path: Path):
    home = Installation.at(tmp_path)
    with pytest.raises(RuntimeError, match="no time partitions"):
        home.run("penstock", "backtest", "flight_delays", "--from", "a", "--to", "b")
