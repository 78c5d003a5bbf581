"""What the check without labels says of an estimate."""

import pytest

from assets.expected import expected_metadata, judge_expectation
from quality.gate import Gate
from quality.label_free.calibration import calibration
from quality.label_free.expectation import Expectation
from quality.measurements import Estimate
from resources.label_free import Learned

MAE = Gate(metric="mae", margin=2.0, unit="rides/h")


def learned(task="regression", model=None, **reference):
    return Learned(partition="2011-02", task=task, model=model or {}, why_not="", reference=reference)


def found(value, low, high, metric="mae", **more):
    metrics = {metric: Estimate(value=value, low=low, high=high)}
    return Expectation(rows=500, metrics=metrics, confidence=0.95, **more)


@pytest.mark.parametrize(("low", "verdict"), [(21.9, "pass"), (22.1, "warn")])
def test_only_what_is_worse_by_the_margin_with_certainty_warns(low, verdict):
    told = judge_expectation(found(30.0, low, 40.0), learned(mae=20.0), MAE, where="2011-03")
    assert told.verdict == verdict
    assert told.reason.startswith(f"MAE 30.00 ({low:.2f} to 40.00) rides/h expected in 2011-03, 20.00 in 2011-02")


def test_a_higher_metric_warns_where_it_falls():
    gate = Gate(metric="auc", margin=0.02)
    falls = judge_expectation(found(0.7, 0.68, 0.72, "auc"), learned("binary", auc=0.8), gate, where="2011-03")
    stays = judge_expectation(found(0.79, 0.77, 0.81, "auc"), learned("binary", auc=0.8), gate, where="2011-03")
    assert (falls.verdict, stays.verdict) == ("warn", "pass")


def test_an_estimate_that_abstains_passes_and_says_why():
    silent = Expectation(rows=20, confidence=0.95, abstains="20 rows, 100 are needed: wait for more")
    told = judge_expectation(silent, learned(mae=20.0), MAE, where="2011-03")
    assert told.verdict == "pass"
    assert told.reason == "no estimate for 2011-03: 20 rows, 100 are needed: wait for more"


def test_a_metric_that_needs_labels_is_named():
    told = judge_expectation(found(1, 1, 1), learned(r2=0.5), Gate(metric="r2", margin=0.1), where="2011-03")
    assert told.reason == "R² cannot be estimated without labels; see mae"


def test_numbers_have_stable_keys_and_a_classifier_shows_its_reliability():
    model = {"calibration": calibration([0, 1] * 50, [0.4, 0.6] * 50).to_json()}
    shown = expected_metadata(
        found(0.8, 0.7, 0.9, "auc", outside=0.01), learned("binary", model, auc=0.85), Gate(metric="auc", margin=0.1)
    )
    assert (shown["expected_auc"], shown["expected_auc_low"], shown["expected_auc_high"]) == (0.8, 0.7, 0.9)
    assert shown["expected_picture"].value.startswith("![auc without labels](data:image/svg+xml;base64,")
    assert shown["reliability_picture"].value.startswith("![Reliability")
    assert shown["brier"] == pytest.approx(calibration([0, 1] * 50, [0.4, 0.6] * 50).brier)
