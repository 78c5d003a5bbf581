"""What was to be expected of champions on earlier partitions, beside what labels showed."""

import numpy as np
import polars as pl
import pytest

from quality.label_free.regression import fit_regressor
from resources.label_free import Learned, expect, expected_of, foretold, numeric_columns
from resources.refs import GateReport
from resources.settings import Settings
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.objects import object_key
from resources.training.bundle import read_bundle
from resources.training.recipe import TrainingRecipe
from resources.training.train import train
from resources.workspace import open_workspace


@pytest.fixture
def workspace(tmp_path):
    return open_workspace(Settings(home=tmp_path, store=str(tmp_path / "store"), key=tmp_path / "key.pem",
                                   scratch=tmp_path / "scratch", cache=tmp_path / "cache"))  # fmt: skip


def month(number):
    rng = np.random.default_rng(number)
    warmth = rng.normal(2 * number, 3, 300)
    return pl.DataFrame({"warmth": warmth, "label": 2 * warmth + rng.normal(0, 1 + number / 4, 300)})


@pytest.fixture
def judged(workspace):
    """Return the model that was judged on the months 1 to 5, month 1 as challenger, and the features of each."""
    stored = {n: write_table(workspace.store, month(n), scratch=workspace.scratch) for n in range(7)}
    recipe = TrainingRecipe(
        pipeline="rides",
        columns={"warmth": "warmth"},
        label="label",
        contract={},
        seed=5,
        parameters={"num_iterations": 5},
    )
    model = train(workspace, recipe, {"2020-00": stored[0]})[0].digest
    bundle = read_bundle(workspace.store, model, keyring=workspace.keyring)
    for number in range(1, 6):
        rows = month(number)
        label, prediction = rows["label"].to_numpy(), bundle.predict_rows(rows.lazy())
        learned = fit_regressor(label, prediction, features=numeric_columns(rows.drop("label"))).to_json()
        told = {
            "task": "regression",
            "model": learned,
            "why_not": "",
            "reference": {"mae": abs(label - prediction).mean()},
        }
        champion = model if number > 1 else None
        report = GateReport(
            pipeline="rides", partition=f"2020-0{number}", verdict="pass", reasons=("fine",), challenger=model,
            champion=champion, inputs={"features": stored[number].digest}, gate={},
            measurements={"label_free": {model: told}},
        )  # fmt: skip
        refs.save(workspace.store, workspace.registry_name, ("rides", "evaluation"), report.partition, report)
    return model, stored


def test_each_partition_is_told_as_it_was_to_be_expected_from_the_one_before(workspace, judged):
    model, stored = judged
    found = foretold(workspace, "rides", before="2020-05", confidence=0.95)
    assert len(found) == 3  # of months 2 to 4; month 1 had no champion
    last = refs.load(workspace.store, workspace.registry_name, ("rides", "evaluation"), "2020-03")
    taught = Learned(partition="2020-03", **last.measurements["label_free"][model])
    rows = read_frame(workspace.store, stored[4].digest)
    prediction = read_bundle(workspace.store, model, keyring=workspace.keyring).predict_rows(rows.lazy())
    made = expect(taught, prediction, rows, confidence=0.95)
    assert found[-1].expected == {name: one.value for name, one in made.metrics.items()}
    assert found[-1].outside == made.outside > 0
    assert found[-1].real["mae"] == pytest.approx(abs(month(4)["label"].to_numpy() - prediction).mean())


def test_estimates_are_remembered_only_where_they_are_to_be_kept(workspace, judged):
    assert len(foretold(workspace, "rides", before=None, confidence=0.95, keep=False)) == 4
    assert not workspace.store.list("memo")
    first = foretold(workspace, "rides", before=None, confidence=0.95)
    assert len(workspace.store.list("memo")) == 4
    assert foretold(workspace, "rides", before=None, confidence=0.95) == first


def test_a_partition_whose_features_are_gone_is_left_out(workspace, judged):
    _, stored = judged
    workspace.store.delete(object_key(stored[3].digest))
    found = foretold(workspace, "rides", before=None, confidence=0.95)
    assert len(found) == 3


def test_what_was_remembered_is_what_would_be_computed(workspace, judged):
    model, stored = judged
    report = refs.load(workspace.store, workspace.registry_name, ("rides", "evaluation"), "2020-05")
    taught = Learned(partition="2020-05", **report.measurements["label_free"][model])
    made = [expected_of(workspace, taught, model, stored[6].digest, confidence=0.95) for _ in range(2)]
    assert made[0] == made[1]
