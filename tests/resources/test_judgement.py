"""The gate report: challenger and naive baseline scored on the same unseen rows, by slice, signed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from quality.gate import Gate
from resources.judgement import Case, Rules, judge_challenger
from resources.refs import DatasetRef, GateReport
from resources.settings import load_settings
from resources.storage.datasets import read_frame, write_table
from resources.training.bundle import read_bundle
from resources.training.recipe import TrainingRecipe
from resources.training.train import train
from resources.transform.preprocess import LABEL, Recipe, preprocess
from resources.transform.split import BUCKETS, buckets
from resources.workspace import Workspace, open_workspace

RULES = Rules(
    metrics=("log_loss",), gate=Gate(metric="log_loss", margin=0.1), slices={"side": "CASE WHEN x > 0 THEN 'up' END"},
    baseline_lag=timedelta(hours=1), cluster=timedelta(days=1), holdout=0.2, resamples=200, seed=0,
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))


def raw(workspace: Workspace, month: int) -> DatasetRef:
    start = datetime(2024, month, 1, tzinfo=UTC)
    at = pl.Series([start + timedelta(hours=hour) for hour in range(400)], dtype=pl.Datetime("us", "UTC"))
    x, late = lates(month)
    return write_table(workspace.store, pl.DataFrame({"at": at, "x": x, "late": late}), scratch=workspace.scratch)


def lates(month: int) -> "tuple[NDArray[np.float64], NDArray[np.int64]]":
    draw = np.random.default_rng(month)
    x = draw.normal(size=400)
    return x, (x + draw.normal(size=400) > 0).astype(int)


def judged(workspace: Workspace) -> GateReport:
    recipe = Recipe(columns={"x": "x"}, label="late", event_time="at")
    raws = [raw(workspace, month) for month in (1, 2)]
    features = [preprocess(workspace, recipe, [ref], partition=None) for ref in raws]
    declared = TrainingRecipe(
        pipeline="lates", columns={"x": "x"}, label=LABEL, contract={"columns": {"x": "float64"}},
        parameters={"objective": "binary", "num_iterations": 10},
    )  # fmt: skip
    model, _ = train(workspace, declared, {"2024-01": features[0]})
    case = Case(
        pipeline="lates", partition="2024-02", raw={"2024-02": raws[1]}, features=features[1], challenger=model,
        champion=None, event_time="at",
    )  # fmt: skip
    return judge_challenger(workspace, RULES, case)


def test_the_naive_baseline_of_a_class_is_its_share_and_not_an_earlier_class(workspace: Workspace):
    report = judged(workspace)

    share, late = lates(1)[1].mean(), lates(2)[1]
    expected = -np.log(np.where(late, share, 1 - share)).mean()
    overall = report.measurements["evaluation"]["overall"]
    assert overall["metrics"]["baseline"]["log_loss"]["value"] == pytest.approx(expected, rel=1e-9)


def test_rows_without_a_slice_are_a_slice_of_their_own(workspace: Workspace):
    slices = judged(workspace).measurements["evaluation"]["slices"]

    assert [part["value"] for part in slices] == ["missing", "up"]
    assert sum(part["rows"] for part in slices) == 400


@pytest.mark.parametrize("event_time", ["at", None])
def test_each_score_stands_beside_the_label_of_its_own_row_though_features_are_shuffled(
    workspace: Workspace, event_time: str | None
):
    recipe = Recipe(columns={"x": "x"}, label="late", event_time=event_time)
    source = raw(workspace, 2)
    features = preprocess(workspace, recipe, [source], partition=None)
    declared = TrainingRecipe(
        pipeline="lates", columns={"x": "x"}, label=LABEL, contract={"columns": {"x": "float64"}},
        parameters={"objective": "binary", "num_iterations": 10},
    )  # fmt: skip
    model, _ = train(workspace, declared, {"": features})
    case = Case(
        pipeline="lates", partition="", raw={"": source}, features=features, challenger=model, champion=None,
        event_time=event_time,
    )  # fmt: skip
    found = judge_challenger(workspace, RULES, case).measurements["evaluation"]["overall"]["metrics"]["challenger"]

    rows = read_frame(workspace.store, source.digest)
    held = np.ones(400, bool) if event_time else buckets(rows, rows.columns) < 0.2 * BUCKETS
    scores = read_bundle(workspace.store, model.digest).predict_raw(rows.lazy())[held]
    late = rows["late"].to_numpy()[held]
    expected = -np.log(np.where(late == 1, scores, 1 - scores)).mean()
    assert found["log_loss"]["value"] == pytest.approx(expected, rel=1e-9)
