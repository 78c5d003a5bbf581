"""Metrics agree with scikit-learn's, computed independently."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from quality.evaluation import evaluate
from quality.metrics import METRICS, common_task, metric_named
from resources.errors import DeclarationError

RNG = np.random.default_rng(5)
LABEL = RNG.normal(100, 30, 400)
GUESS = LABEL + RNG.normal(2, 10, 400)
CLASS = (RNG.random(400) < 0.3).astype(float)
CHANCE = np.round(np.clip(0.3 + 0.3 * (CLASS - 0.3) + RNG.normal(0, 0.2, 400), 0, 1), 2)


def measured(name, label, guess, task):
    found = evaluate(label, {"challenger": guess}, metrics=[name], task=task, resamples=10)
    return found.overall.metrics["challenger"][name].value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", sk.mean_absolute_error(LABEL, GUESS)),
        ("rmse", sk.root_mean_squared_error(LABEL, GUESS)),
        ("r2", sk.r2_score(LABEL, GUESS)),
        ("bias", float(np.mean(GUESS - LABEL))),
        ("wape", sk.mean_absolute_error(LABEL, GUESS) / float(np.mean(LABEL))),
    ],
)
def test_a_regression_metric_equals_scikit_learns(name, expected):
    assert measured(name, LABEL, GUESS, "regression") == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auc", sk.roc_auc_score(CLASS, CHANCE)),
        ("log_loss", sk.log_loss(CLASS, np.clip(CHANCE, 1e-15, 1 - 1e-15))),
        ("brier", sk.brier_score_loss(CLASS, CHANCE)),
        ("accuracy", sk.accuracy_score(CLASS, CHANCE >= 0.5)),
    ],
)
def test_a_binary_metric_equals_scikit_learns(name, expected):
    assert measured(name, CLASS, CHANCE, "binary") == pytest.approx(expected, rel=1e-10)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 5)), min_size=2, max_size=30))
def test_the_area_under_the_curve_counts_the_rightly_ranked_pairs(rows):
    label, guess = (np.array(side, dtype=float) for side in zip(*rows, strict=True))
    pairs = [(p > n) + (p == n) / 2 for p in guess[label == 1] for n in guess[label == 0]]
    area = measured("auc", label, guess / 5, "binary")
    assert area is None if not pairs else area == pytest.approx(sum(pairs) / len(pairs), abs=1e-9)


def test_a_sure_but_wrong_probability_costs_a_finite_log_loss():
    assert measured("log_loss", [1.0, 1.0], [0.0, 1.0], "binary") == pytest.approx(-np.log(1e-15) / 2, rel=1e-9)


def test_r2_of_a_constant_label_is_undefined():
    assert measured("r2", [5.0, 5.0, 5.0], [4.0, 5.0, 6.0], "regression") is None


def test_wape_of_labels_that_are_all_zero_is_undefined():
    assert measured("wape", [0.0, 0.0], [1.0, 2.0], "regression") is None


def test_a_misspelt_metric_is_named_with_its_nearest_neighbour():
    with pytest.raises(DeclarationError, match="unknown metric 'rsme'; did you mean 'rmse'"):
        metric_named("rsme")


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(DeclarationError, match="unknown binary metric 'rmse'"):
        metric_named("rmse", "binary")


def test_metrics_of_two_tasks_have_no_common_one():
    assert common_task(["bias", "auc"]) == "binary"
    with pytest.raises(DeclarationError, match="different tasks"):
        common_task(["rmse", "auc"])


@pytest.mark.parametrize("name", METRICS)
def test_more_harm_is_a_worse_metric(name):
    metric, good = METRICS[name], {"lower": 0.1, "higher": 0.9, "zero": 0.1}
    bad = {"lower": 0.9, "higher": 0.1, "zero": -0.9}
    assert metric.harm(np.array(bad[metric.better])) > metric.harm(np.array(good[metric.better]))
