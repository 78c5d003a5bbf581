"""The shipped dagster.yaml, under real Dagster processes: where state goes, and how runs are queued."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.webserver import ROOT, graphql, web_ui

pytestmark = pytest.mark.slow

DEFINITIONS = """
import time
from pathlib import Path
import dagster as dg

LOG = Path(__file__).with_name("log.txt")

@dg.asset
def raw() -> None:
    pass

@dg.op
def work(context: dg.OpExecutionContext) -> None:
    name = context.run.tags["name"]
    with LOG.open("a") as log:
        log.write(f"start {name}\\n")
    time.sleep(1.5)
    with LOG.open("a") as log:
        log.write(f"end {name}\\n")

@dg.job(executor_def=dg.in_process_executor)
def queued() -> None:
    work()

defs = dg.Definitions(assets=[raw], jobs=[queued], executor=dg.in_process_executor)
"""

LAUNCH = """
mutation ($tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    mode: "default", executionMetadata: {tags: $tags},
    selector: {jobName: "queued", repositoryName: "__repository__", repositoryLocationName: "defs.py"}
  }) { __typename ... on PythonError { message } }
}
"""


@pytest.fixture
def home(tmp_path):
    """A DAGSTER_HOME with the shipped dagster.yaml and a file of small definitions beside it."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(ROOT / "dagster.yaml", folder)
    (folder / "defs.py").write_text(DEFINITIONS)
    return folder


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def materialize(home: Path, cwd: Path) -> None:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-f", str(home / "defs.py"), "--select", "raw"]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.pop("PENSTOCK_HOME", None)
    subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)


def test_plain_dagster_keeps_its_state_under_penstock_whatever_the_working_folder(home, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    materialize(home, cwd=elsewhere)
    assert files_below(elsewhere) == set()
    state = files_below(home) - {"dagster.yaml", "defs.py"}
    assert ".penstock/dagster/history/runs.db" in state
    assert {Path(name).parts[:2] for name in state} == {(".penstock", "dagster")}


def test_runs_of_a_pipeline_are_taken_one_at_a_time_in_order_and_other_pipelines_go_on(home):
    dagster_dev = (sys.executable, "-m", "dagster", "dev", "-f", str(home / "defs.py"), "-h", "127.0.0.1", "-p")
    with web_ui(lambda port: [*dagster_dev, str(port)], cwd=home, environment={"DAGSTER_HOME": str(home)}) as url:
        for name, pipeline in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")]:
            tags = [{"key": "penstock/pipeline", "value": pipeline}, {"key": "name", "value": name}]
            launched = graphql(url, LAUNCH, {"tags": tags})["launchRun"]
            assert launched["__typename"] == "LaunchRunSuccess", launched
        lines = wait_for_lines(home / "log.txt", count=8)
    of_a = [line for line in lines if " a" in line]
    assert of_a == ["start a1", "end a1", "start a2", "end a2", "start a3", "end a3"]
    assert lines.index("start b1") < lines.index("start a3")


def wait_for_lines(file: Path, *, count: int, timeout_s: float = 150) -> list[str]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.2)
    raise TimeoutError(f"{file} has {lines} after {timeout_s} s, expected {count} lines")
