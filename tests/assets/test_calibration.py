"""The calibration of a classifier: shown on `evaluation`, and its drift as a check that warns."""

import dagster as dg
import numpy as np
import pytest

from assets.calibration import calibration_check, evaluation_calibration, judge_calibration
from assets.partitions import Partitions
from assets.stage import Stage
from quality.label_free.classification import fit_classifier
from quality.label_free.regression import fit_regressor
from resources.label_free import learned_in
from resources.refs import GateReport
from resources.storage import refs
from resources.wiring import RefIOManager, WorkspaceResource

STAGE = Stage(
    pipeline="clicks", name="evaluation", code_version="1", partitions=Partitions(every="monthly", start="2020-01")
)
pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning", "ignore:InitResourceContext.dagster_run"
)


def taught(seed, *, sharp=1.0):
    rng = np.random.default_rng(seed)
    logit = rng.standard_normal(28 * 50)
    label = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)
    return fit_classifier(label, 1 / (1 + np.exp(-sharp * logit)), clusters=np.repeat(np.arange(28), 50)).to_json()


def report(partition, champion="c" * 64, *, task="binary", model=None, **taught_with):
    known = {"task": task, "why_not": "", "reference": {}}
    models = {"d" * 64: {**known, "model": taught(1)} if task == "binary" else {**known, "model": model}}
    if champion:
        models[champion] = {
            **known,
            "model": model if model is not None else taught(int(partition[-2:]), **taught_with),
        }
    return GateReport(
        pipeline="clicks", partition=partition, verdict="pass", reasons=("fine",), challenger="d" * 64,
        champion=champion, inputs={}, gate={"metric": "auc"}, measurements={"label_free": models},
    )  # fmt: skip


def checked(found):
    @dg.asset(key=STAGE.key, partitions_def=STAGE.partitions_definition(), io_manager_key="refs")
    def evaluation():
        return found

    opened = WorkspaceResource()
    done = dg.materialize(
        [evaluation, calibration_check(STAGE)],
        resources={"workspace": opened, "refs": RefIOManager(workspace=opened)},
        partition_key=found.partition,
    )
    (evaluated,) = done.get_asset_check_evaluations()
    return evaluated


def test_evaluation_shows_both_models_and_draws_the_champion():
    shown = evaluation_calibration(report("2020-03"))
    assert "| champion | 1,400 | " in shown["calibration"].value
    assert "| challenger | 1,400 | " in shown["calibration"].value
    assert shown["champion_ace_low"] <= shown["champion_ace"] <= shown["champion_ace_high"]
    assert shown["champion_reliability_picture"].value.startswith("![Reliability of the champion")
    assert "challenger_reliability_picture" not in shown


def test_without_a_champion_the_challenger_is_drawn_and_regressors_show_nothing():
    assert "challenger_reliability_picture" in evaluation_calibration(report("2020-03", None))
    rng = np.random.default_rng(0)
    loss = fit_regressor(rng.random(200), rng.random(200)).to_json()
    regressor = report("2020-03", task="regression", model=loss)
    assert evaluation_calibration(regressor) == {}
    assert judge_calibration(regressor, [])[0].verdict == "pass"


def test_a_champion_that_became_overconfident_warns_and_does_not_block(workspace):
    for month in (2, 3, 4):
        refs.save(workspace.store, workspace.registry_name, STAGE.key.path, f"2020-0{month}", report(f"2020-0{month}"))
    same, other = checked(report("2020-05")), checked(report("2020-05", sharp=2.5))
    assert same.passed
    assert same.description.startswith("the same probability means 0.0")
    assert same.metadata["samples"].value == 3
    assert (other.passed, other.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "on 3 earlier partitions" in other.description
    assert other.metadata["calibration_history"].value.startswith("![Calibration error of the champion")


def test_nothing_is_compared_without_a_champion_or_without_its_past(workspace):
    assert checked(report("2020-05", None)).description == "nothing to compare: there is no champion yet"
    alone = checked(report("2020-05"))
    assert alone.passed
    assert alone.description.startswith("nothing to compare: no earlier report tells of champion cccccccccccc")


def test_a_champion_whose_labels_taught_nothing_says_why():
    known = report("2020-05")
    known.measurements["label_free"]["c" * 64] |= {"model": {}, "why_not": "all 50 labels are 0"}
    assert judge_calibration(known, [learned_in(report("2020-04"), "c" * 64)])[0].reason.endswith("all 50 labels are 0")
