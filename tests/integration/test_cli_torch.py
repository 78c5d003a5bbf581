"""Pipelines with the trainer `torch` through the command line: from raw files to a champion, in Python and in YAML."""

import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from tests.integration.instance import BIN, ROOT
from tests.integration.shell import Shell
from tests.resources.neural import SOURCE

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(600)]

NAME, MONTH = "brew", "2024-03"
STEPS = """label="sold",
        steps=(
            Standardize(columns=("hour", "weekday", "temperature")),
            Ordinal(columns=("season",)),
        ),"""
IMPORTS = "from resources.transform.steps import Ordinal, Standardize"
CHANGES = (
    ("from resources.source import", f"{IMPORTS}\nfrom resources.source import"),
    ('"holiday": "CASE WHEN holiday THEN 1 ELSE 0 END",',
     '"holiday": "CASE WHEN holiday THEN 1 ELSE 0 END",\n            "season": "EXTRACT(MONTH FROM at)",'),
    ('label="sold",', STEPS),
    ('trainer="lightgbm"', 'trainer="torch"'),
    ('{"objective": "regression", "num_iterations": 60, "learning_rate": 0.1, "num_leaves": 15}', "PARAMETERS"),
)  # fmt: skip
PARAMETERS = {
    "hidden": [32, 16], "embeddings": True, "batch_size": 64, "epochs": 25, "learning_rate": 0.01,
    "early_stopping": {"share": 0.1, "patience": 5},
}  # fmt: skip


def declare(shell: Shell, parameters: dict[str, object], name: str = NAME) -> None:
    shell.declare(name, *CHANGES)
    file = shell.pipelines / f"{name}.py"
    file.write_text(file.read_text().replace("PARAMETERS", repr(parameters)))


def test_a_pipeline_with_a_network_runs_to_a_champion_that_scores_and_can_be_made_again(empty: Shell, tmp_path: Path):
    declare(empty, PARAMETERS)
    ran = empty("run", NAME, "--partition", MONTH, "--json")
    assert ran.code == 0, ran.err
    champion = ran.json["summary"]["champion"]
    assert champion["sequence"] == 1

    again = empty("reproduce", champion["model"]["digest"])
    assert again.code == 0, again.out + again.err

    file, out = tmp_path / "rows.csv", tmp_path / "scored.parquet"
    times = ["2024-04-01T08:00:00Z", "2024-04-01T17:00:00Z"]
    pl.DataFrame({"at": times, "temperature": [9.0, 9.0], "holiday": [False, False]}).write_csv(file)
    scored = empty("predict", NAME, file, "--output", out)
    assert scored.code == 0, scored.err
    morning, evening = pl.read_parquet(out)["prediction"].to_list()
    assert morning > evening + 10  # 28 by the formula that made the data
    assert empty("verify", NAME).code == 0


YAML = """
type: pipelines.component.PipelineComponent
attributes:
  name: wide_flights
  description: Is a flight late? By a network of the team's own.
  ingest:
    source: {url_env: WIDE_FLIGHTS_URL, sample: "pipelines.samples.flight_delays:write", format: arrow}
    contract:
      columns:
        delay: {type: int16}
        distance: {type: int16, minimum: 0}
        time: {type: float64, minimum: 0, maximum: 24}
  features:
    columns: {distance: distance, hour: time}
    label: CASE WHEN delay > 15 THEN 1 ELSE 0 END
    steps:
      - {kind: standardize, columns: [distance, hour]}
  train:
    trainer: torch
    parameters:
      {task: binary, module: "_nets:build", arguments: {width: 8}, epochs: 1, batch_size: 512, learning_rate: 0.01}
    seed: 3
  evaluate:
    metrics: [log_loss, auc]
    gate: {metric: log_loss, margin: 0.01, min_rows: 1000}
"""


def test_a_network_of_ones_own_is_declared_in_yaml_and_found_beside_it(empty: Shell):
    folder = empty.pipelines / "wide_flights"
    folder.mkdir()
    (folder / "defs.yaml").write_text(YAML)
    (empty.pipelines / "_nets.py").write_text(SOURCE)
    ran = empty("run", "wide_flights", "--json")
    assert ran.code == 0, ran.err
    model = ran.json["summary"]["champion"]["model"]["digest"]

    (empty.pipelines / "_nets.py").write_text(SOURCE.replace("relu()", "sigmoid()"))
    told = empty("reproduce", model)
    assert told.code != 0
    assert "code version: trained by" in told.out + told.err


def test_without_the_extra_the_stage_of_the_model_names_it(empty: Shell, tmp_path: Path):
    hidden = tmp_path / "without" / "torch"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError(\"No module named 'torch'\")\n")
    declare(empty, PARAMETERS)
    ran = empty("run", NAME, "--partition", MONTH, "--quiet", PYTHONPATH=str(tmp_path / "without"))
    assert ran.code != 0
    assert "install the extra `torch` (penstock[torch])" in ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err


def test_a_declaration_that_is_wrong_is_told_before_anything_runs(empty: Shell):
    declare(empty, {**PARAMETERS, "activation": "rleu"})
    ran = empty("run", NAME, "--partition", MONTH)
    assert ran.code != 0
    assert "train.parameters.activation: 'rleu' is not one of relu" in ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err


def test_a_run_killed_while_it_trains_goes_on_to_the_same_model(empty: Shell, tmp_path: Path):
    declare(empty, {**PARAMETERS, "epochs": 60, "early_stopping": None})
    often = {**empty.home.environment(), "PENSTOCK_CHECKPOINT_S": "0.01"}
    command = [str(BIN / "penstock"), "run", NAME, "--partition", MONTH, "--quiet"]
    place = empty.home.folder / "penstock" / "scratch" / "training"
    with subprocess.Popen(
        command, cwd=ROOT, env=often, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not list(place.glob("*.safetensors")):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert list(place.glob("*.safetensors"))
    ran = empty("run", NAME, "--partition", MONTH, "--json")
    assert ran.code == 0, ran.err
    assert not list(place.iterdir())
    assert empty("reproduce", ran.json["summary"]["champion"]["model"]["digest"]).code == 0
