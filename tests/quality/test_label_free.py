"""Estimates without labels: what they cover, and where they say nothing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.evaluation import evaluate
from quality.label_free.calibration import calibration
from quality.label_free.calibration_drift import FALSE_ALARM, calibration_drift
from quality.label_free.classification import METRICS, ClassifierModel, expect_classifier, fit_classifier
from quality.label_free.expectation import Expectation
from quality.label_free.experience import Foretold, with_experience
from quality.label_free.recalibration import fit_recalibration
from quality.label_free.regression import RegressorModel, expect_regressor, fit_regressor
from quality.measurements import Estimate
from resources.errors import ContractError


def logistic(values):
    return 1 / (1 + np.exp(-values))


def clicks(seed, rows, *, shift=0.0, sharp=1.0):
    """Return labels and probabilities, truly calibrated at a `sharp` of 1."""
    rng = np.random.default_rng(seed)
    logit = 1.1 * rng.standard_normal(rows) * (0.9 if shift else 1) + shift - 0.4
    return (rng.random(rows) < logistic(logit)).astype(float), logistic(sharp * logit)


def demand(seed, rows, *, shift=0.0):
    """Return labels, predictions and features; errors grow with the first feature."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.standard_normal(rows) + shift, -3, 3)
    other = rng.standard_normal(rows)
    return 3 * x + np.exp(0.6 * x) * rng.standard_normal(rows), 3 * x, {"x": x, "other": other}


def covered(outcomes):
    return sum(outcomes) / len(outcomes)


@pytest.mark.parametrize(("shift", "sharp"), [(0.0, 1.0), (0.7, 1.0), (0.7, 1.8)])
def test_intervals_hold_what_labels_show_later(shift, sharp):
    outcomes = {"accuracy": [], "auc": [], "brier": [], "log_loss": [], "bias": []}
    for seed in range(60):
        model = fit_classifier(*clicks([seed, 0], 3_000, sharp=sharp))
        label, probability = clicks([seed, 1], 2_000, shift=shift, sharp=sharp)
        found = expect_classifier(model, probability)
        assert not found.abstains
        real = evaluate(label, {"challenger": probability}, metrics=list(outcomes), resamples=200).overall
        for name, hits in outcomes.items():
            value = real.metrics["challenger"][name].value
            hits.append(found.metrics[name].low <= value <= found.metrics[name].high)
    # Of 60 intervals of 95 % fewer than 50 cover in one run of ten thousand.
    assert all(sum(hits) >= 50 for hits in outcomes.values()), {n: covered(h) for n, h in outcomes.items()}


def test_precision_recall_and_f1_are_those_of_the_labels_that_come():
    label, probability = clicks(1, 200_000)
    found = expect_classifier(fit_classifier(*clicks(2, 200_000)), probability).metrics
    chosen = probability >= 0.5
    hits = (chosen & (label == 1)).sum()
    assert found["precision"].value == pytest.approx(hits / chosen.sum(), abs=0.01)
    assert found["recall"].value == pytest.approx(hits / label.sum(), abs=0.01)
    assert found["f1"].value == pytest.approx(2 * hits / (chosen.sum() + label.sum()), abs=0.01)


def test_an_overconfident_model_is_not_believed():
    _, probability = clicks(1, 5_000, sharp=3.0)
    label, _ = clicks(1, 5_000, sharp=3.0)
    naive = np.maximum(probability, 1 - probability).mean()
    found = expect_classifier(fit_classifier(*clicks(2, 5_000, sharp=3.0)), probability).metrics["accuracy"]
    assert abs(found.value - ((probability >= 0.5) == (label == 1)).mean()) < 0.02 < naive - found.value


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_losses_of_a_regressor_are_covered_where_errors_grow_with_a_feature(shift):
    mae, rmse = [], []
    for seed in range(30):
        label, prediction, features = demand([seed, 0], 3_000)
        model = fit_regressor(label, prediction, features=features)
        label, prediction, features = demand([seed, 1], 2_000, shift=shift)
        found = expect_regressor(model, prediction, features=features).metrics
        error = label - prediction
        mae.append(found["mae"].low <= abs(error).mean() <= found["mae"].high)
        rmse.append(found["rmse"].low <= math.sqrt((error**2).mean()) <= found["rmse"].high)
    assert min(sum(mae), sum(rmse)) >= 24, (covered(mae), covered(rmse))


def test_days_that_err_alike_widen_the_interval():
    rng = np.random.default_rng(0)
    days = np.repeat(np.arange(100), 50)
    noise = np.exp(0.8 * rng.standard_normal(100))[days] * rng.standard_normal(5_000)
    prediction = rng.standard_normal(5_000)
    models = [fit_regressor(prediction + noise, prediction, clusters=group) for group in (None, days)]
    alone, together = (expect_regressor(model, prediction).metrics["mae"] for model in models)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_models_outlive_json():
    label, probability = clicks(3, 2_000)
    model = fit_classifier(label, probability)
    again = ClassifierModel.from_json(json.loads(json.dumps(model.to_json())))
    assert expect_classifier(again, probability) == expect_classifier(model, probability)
    label, prediction, features = demand(3, 2_000)
    loss = fit_regressor(label, prediction, features=features)
    kept = RegressorModel.from_json(json.loads(json.dumps(loss.to_json())))
    assert expect_regressor(kept, prediction, features=features) == expect_regressor(
        loss, prediction, features=features
    )
    assert len(json.dumps(loss.to_json())) < 20_000


def test_rows_that_leave_the_labelled_range_get_no_estimate():
    label, prediction, features = demand(0, 2_000)
    model = fit_regressor(label, prediction, features=features)
    found = expect_regressor(model, prediction, features={**features, "other": features["other"] + 4})
    assert not found.metrics
    assert "of the rows leave the range of the labelled ones ('other' most, labelled rows had " in found.abstains


def test_probabilities_that_no_map_makes_true_get_no_estimate():
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    label = (rng.random(20_000) < np.where((probability * 8).astype(int) % 2, 0.9, 0.1)).astype(float)
    found = expect_classifier(fit_classifier(label, probability), probability)
    assert found.abstains.startswith("recalibrated probabilities are still off by 0.2")


def test_few_rows_get_no_estimate_and_teach_nothing():
    label, probability = clicks(0, 2_000)
    model = fit_classifier(label, probability)
    assert expect_classifier(model, probability[:99]).abstains == "99 rows, 100 are needed: wait for more"
    with pytest.raises(ContractError, match="99 labelled rows calibrate nothing: 100 are needed"):
        fit_classifier(label[:99], probability[:99])
    with pytest.raises(ContractError, match="50 labelled rows tell nothing of the loss"):
        fit_regressor(label[:50], probability[:50])


@pytest.mark.parametrize(
    ("label", "probability", "told"),
    [
        ([1.0] * 200, [0.5] * 200, "all 200 labels are 1: one class calibrates nothing"),
        ([1.0, 0.0] * 100, [0.5] * 199 + [1.2], "probability 1.2 in row 199"),
        ([1.0, 0.0] * 100, [math.nan] * 200, "probability nan in row 0 \\(200 of 200 rows\\)"),
        ([1.0, 2.0] * 100, [0.5] * 200, "labels must be 0 or 1, found 2.0"),
        ([1.0, math.nan] * 100, [0.5] * 200, "labels must be 0 or 1, found nan"),
        ([1.0], [0.5, 0.5], "1 labels for 2 probabilities"),
        ([], [], "give at least one row"),
    ],
)
def test_impossible_labels_and_probabilities_are_refused(label, probability, told):
    with pytest.raises(ContractError, match=told):
        fit_classifier(label, probability)


def test_a_regressor_refuses_predictions_that_are_no_numbers_and_lost_columns():
    label, prediction, features = demand(0, 200)
    model = fit_regressor(label, prediction, features=features)
    with pytest.raises(ContractError, match="prediction inf in row 0"):
        expect_regressor(model, np.full(200, np.inf), features=features)
    with pytest.raises(ContractError, match="column 'other' is missing"):
        expect_regressor(model, prediction, features={"x": features["x"]})
    with pytest.raises(ContractError, match="label nan is no number"):
        fit_regressor(np.full(200, np.nan), prediction)


def test_constant_probabilities_are_recalibrated_to_the_share_of_ones():
    label = np.array([1.0, 0.0, 0.0, 0.0] * 100)
    found = expect_classifier(fit_classifier(label, np.full(400, 0.5)), np.full(400, 0.5)).metrics
    assert found["bias"].value == pytest.approx(0.25, abs=0.001)
    assert found["accuracy"].low <= 0.25 <= found["accuracy"].high
    assert set(found) == set(METRICS)


def test_a_perfect_regressor_is_expected_to_stay_perfect():
    prediction = np.arange(300.0)
    found = expect_regressor(fit_regressor(prediction, prediction), prediction).metrics["mae"]
    assert (found.value, found.low) == (0.0, 0.0)


def test_the_brier_score_is_the_sum_of_its_parts():
    label, _ = clicks(5, 50_000)
    probability = np.random.default_rng(5).choice([0.1, 0.3, 0.5, 0.7], 50_000)
    found = calibration(label, probability)
    assert found.reliability - found.resolution + found.uncertainty == pytest.approx(found.brier, abs=1e-9)


def test_calibrated_probabilities_have_no_calibration_error_but_by_chance():
    found = [calibration(*clicks(seed, 2_000)) for seed in range(40)]
    assert np.mean([one.ace for one in found]) < 0.6 * np.mean([one.ece for one in found])
    assert calibration(*clicks(1, 20_000, sharp=2.0)).ace_low > 0.05


def test_beta_calibration_finds_the_map_that_made_the_probabilities():
    label, probability = clicks(7, 400_000, sharp=2.0)
    found = fit_recalibration(label, probability)
    assert found.coefficients == pytest.approx((0.5, 0.5, 0.0), abs=0.02)


def days_of_clicks(seed, days, *, rows=60, sharp=1.0, alike=0.3):
    """Return what days teach of a classifier; the rows of a day err alike."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    logit = 1.1 * rng.standard_normal(days * rows) - 0.4
    truth = logistic(logit + alike * rng.standard_normal(days)[day])
    label = (rng.random(days * rows) < truth).astype(float)
    return fit_classifier(label, logistic(sharp * logit), clusters=day)


@pytest.mark.parametrize("days", [7, 28])
def test_calibration_drift_is_as_rare_as_stated_where_days_err_alike(days):
    found = [
        calibration_drift([days_of_clicks([seed, part], days) for part in range(2)], days_of_clicks([seed, 2], days)).p
        for seed in range(100)
    ]
    # Of 100 with a share of 0.01 more than 5 occur once in two thousand runs; chi-square's law gives 5 and 17.
    assert sum(p < FALSE_ALARM for p in found) <= 5


def test_calibration_drift_is_found_where_a_model_becomes_overconfident_and_says_what_changed():
    before = [days_of_clicks([1, part], 28) for part in range(3)]
    found = calibration_drift(before, days_of_clicks([1, 9], 28, sharp=2.0))
    assert found.found
    assert found.reason.startswith("the same probability means 0.")
    assert "than on 3 earlier partitions, on average (0.02 tolerated; chance " in found.reason
    assert abs(found.before - found.after) > 0.02


def test_a_certain_but_small_change_of_calibration_is_no_finding():
    label, probability = clicks(0, 120_000)
    models = [fit_classifier(label, probability), fit_classifier(*clicks(1, 120_000, sharp=1.06))]
    found = calibration_drift(models[:1], models[1])
    assert found.p < FALSE_ALARM
    assert not found.found


def test_few_days_and_samples_of_an_earlier_version_compare_nothing():
    few, many = days_of_clicks(0, 5), days_of_clicks(1, 28)
    kept = json.loads(json.dumps(many.to_json()))
    del kept["recalibration"]["clusters"]
    assert calibration_drift([few], many) is None
    assert calibration_drift([many], few) is None
    assert calibration_drift([ClassifierModel.from_json(kept)], many) is None


@given(st.lists(st.floats(0, 1), min_size=100, max_size=150), st.integers(0, 5))
def test_every_metric_lies_between_its_ends_for_any_probabilities(probability, seed):
    label, known = clicks(seed, 300)
    model = fit_classifier(label, known)
    found = expect_classifier(model, np.array(probability))
    for estimate in found.metrics.values():
        assert estimate.value is None or estimate.low <= estimate.high
    assert all(0 <= found.metrics[name].value <= 1 for name in ("accuracy", "brier") if name in found.metrics)


def estimate(value, low, high, *, metric="mae", outside=0.0):
    metrics = {metric: Estimate(value=value, low=low, high=high)}
    return Expectation(rows=500, metrics=metrics, confidence=0.95, outside=outside, leaving="'x' most")


def missed(factors, *, outside=0.1, metric="mae"):
    return [Foretold(outside=outside, expected={metric: 10.0}, real={metric: 10.0 * factor}) for factor in factors]


def test_past_errors_widen_an_interval_and_move_its_middle_but_never_narrow_it():
    wild = with_experience(estimate(20.0, 19.0, 21.0), missed([1.5, 0.9, 2.0, 1.1, 1.6, 1.2])).metrics["mae"]
    assert wild.low < 19.0 < 30.0 < wild.high
    assert 20.0 < wild.value < 30.0
    tame = with_experience(estimate(20.0, 19.0, 21.0), missed([1.0, 1.001] * 3))
    assert (tame.metrics["mae"].low, tame.metrics["mae"].high, tame.past) == (19.0, 21.0, 6)


def test_a_widened_interval_is_student_s_prediction_interval_of_the_log_errors():
    factors = [1.5, 0.9, 2.0, 1.1, 1.6, 1.2, 0.8]
    found = with_experience(estimate(20.0, 20.0, 20.0), missed(factors)).metrics["mae"]
    logs = np.log(factors)
    half = 2.4469118511 * logs.std(ddof=1) * math.sqrt(1 + 1 / 7)  # t of 6 degrees, 0.975
    assert found.low == pytest.approx(20 * math.exp(logs.mean() - half))
    assert found.high == pytest.approx(20 * math.exp(logs.mean() + half))


def test_rows_may_leave_the_range_as_far_as_they_ever_did_and_no_further():
    past = missed([1.1, 0.9, 1.0, 1.2, 1.1, 1.0], outside=0.3)
    assert with_experience(estimate(20.0, 19.0, 21.0, outside=0.3), past).metrics
    far = with_experience(estimate(20.0, 19.0, 21.0, outside=0.31), past)
    assert far.abstains.startswith("31.0% of the rows leave the range of the labelled ones, at most 30.0% on 6 earlier")
    young = with_experience(estimate(20.0, 19.0, 21.0, outside=0.3), past[:5])
    assert young.abstains.startswith("30.0% of the rows leave the range of the labelled ones ('x' most)")
    unknown = with_experience(estimate(0.8, 0.7, 0.9, metric="recall", outside=0.3), past)
    assert not unknown.metrics  # nothing tells how far its estimates miss out there


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=6, max_size=9), st.sampled_from(["auc", "brier", "bias"]))
def test_widened_intervals_hold_the_one_they_widen(value, real, metric):
    past = [Foretold(outside=0.0, expected={metric: 0.5}, real={metric: one}) for one in real]
    found = with_experience(estimate(value, value, value, metric=metric), past).metrics[metric]
    assert found.low - 1e-8 <= value <= found.high + 1e-8
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)


def test_an_expectation_outlives_json():
    found = estimate(20.0, 19.0, 21.0, outside=0.3)
    assert Expectation.from_json(json.loads(json.dumps(found.to_json()))) == found
