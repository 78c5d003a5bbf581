"""Batch scoring: a bundle alone reads a raw file as ingest does, and refuses what breaks the contract."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.scoring import score
from quality.contract import Column, Contract
from resources.errors import ContractError
from resources.settings import load_settings
from resources.source import EventTime, Source
from resources.source.ingest import ingest
from resources.training.bundle import Bundle, read_bundle
from resources.training.recipe import TrainingRecipe
from resources.training.train import train
from resources.transform.preprocess import LABEL, Recipe, preprocess
from resources.workspace import Workspace, open_workspace

OPTIONS = {"delimiter": ";", "null_values": ["?"]}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path / "home")}))


def write(path: Path, header: str, *, rows: int = 40) -> str:
    lines = [f"2011-01-{1 + row // 24:02};{row % 24};{'?' if row == 3 else row / 2};{row}" for row in range(rows)]
    taken = len(header.split(";"))
    path.write_text("\n".join([header, *(";".join(line.split(";")[:taken]) for line in lines)]))
    return str(path)


def trained(workspace: Workspace, folder: Path, event_time: EventTime, columns: dict[str, str]) -> Bundle:
    day = Column(type="timestamp[us]") if event_time.expression is None else Column(type="date32")
    contract = Contract(
        columns={
            "day": day, "hr": Column(type="int8"), "temp": Column(type="float64", nullable=True),
            "cnt": Column(type="int64"),
        }
    )  # fmt: skip
    source = Source(url=write(folder / "raw.csv", "day;hr;temp;cnt"), options=OPTIONS)
    raw = ingest(source, contract, partition=None, bounds=None, event_time=event_time, store=workspace.store,
                 scratch=workspace.scratch).ref  # fmt: skip
    made = preprocess(workspace, Recipe(columns=columns, label="cnt", event_time=event_time.column), [raw],
                      partition=None)  # fmt: skip
    recipe = TrainingRecipe(
        pipeline="rides", columns=columns, label=LABEL, parameters={"num_iterations": 3, "min_data_in_leaf": 2},
        contract=contract.model_dump(mode="json"), event_time=event_time, options=OPTIONS,
    )  # fmt: skip
    ref, _ = train(workspace, recipe, {"": made})
    return read_bundle(workspace.store, ref.digest, keyring=workspace.keyring)


COMPUTED = EventTime(column="at", expression="CAST(day AS TIMESTAMP) + hr * INTERVAL '1 hour'", timezone="UTC")
CLOCK = EventTime(column="day", timezone="America/New_York")


def test_a_bundle_alone_scores_a_raw_file_whose_event_time_is_computed(workspace: Workspace, tmp_path: Path):
    bundle = trained(workspace, tmp_path, COMPUTED, {"hour": "EXTRACT(hour FROM at)", "temp": "temp"})

    scored = score(bundle, write(tmp_path / "new.csv", "day;hr;temp"), scratch=workspace.scratch)

    assert scored.columns == ["day", "hr", "temp", "at", "prediction"]
    assert scored["at"].dt.hour().to_list() == [row % 24 for row in range(40)]
    assert scored["temp"].null_count() == 1
    with pytest.raises(ContractError, match="'hr' is missing"):
        score(bundle, write(tmp_path / "short.csv", "day"), scratch=workspace.scratch)


def test_a_clock_without_a_zone_is_read_in_that_of_the_bundle(workspace: Workspace, tmp_path: Path):
    bundle = trained(workspace, tmp_path, CLOCK, {"hour": "EXTRACT(hour FROM day)", "temp": "temp"})

    scored = score(bundle, write(tmp_path / "new.csv", "day;hr;temp", rows=2), scratch=workspace.scratch)

    assert str(scored["day"][0]) == "2011-01-01 05:00:00+00:00"


@pytest.mark.parametrize("event_time", [COMPUTED, CLOCK], ids=["computed", "clock"])
def test_a_file_without_an_event_time_that_the_model_does_not_read_is_scored(workspace, tmp_path, event_time):
    bundle = trained(workspace, tmp_path, event_time, {"temp": "temp"})
    (tmp_path / "new.csv").write_text("temp\n1.5\n2.5\n?\n")

    scored = score(bundle, str(tmp_path / "new.csv"), scratch=workspace.scratch)

    assert scored.columns == ["temp", "prediction"]


def test_a_file_of_another_format_or_delimiter_is_scored_alike(workspace: Workspace, tmp_path: Path):
    bundle = trained(workspace, tmp_path, COMPUTED, {"temp": "temp"})
    pl.DataFrame({"temp": [1.5, None]}).write_parquet(tmp_path / "new.parquet")
    (tmp_path / "new.csv").write_text('"temp"|"hr"\n1.5|1\n?|2\n')

    found = score(bundle, str(tmp_path / "new.parquet"), scratch=workspace.scratch)
    other = score(bundle, str(tmp_path / "new.csv"), scratch=workspace.scratch, delimiter="|")

    assert found["prediction"].to_list() == other["prediction"].to_list()
