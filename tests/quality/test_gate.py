"""The gate: verdicts, reasons, limits, slices, missing rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.evaluation import evaluate
from quality.gate import VERDICTS, Gate, judge, worst
from quality.measurements import Comparison, Estimate, Evaluation, SliceMeasurement
from quality.rules import holm, rows_needed
from resources.canonical import canonical_json
from resources.errors import DeclarationError

FINE = Comparison(worse=-50.0, low=-60.0, high=-40.0, error=5.0)


def part(
    champion=None, baseline=FINE, *, column="all", value="all", rows=720, clusters=30, pooled=(), judged=True, r2=None
):
    models = {"champion": champion, "baseline": baseline}
    estimates = {"rmse": Estimate(value=80.0, low=75.0, high=85.0), "r2": r2 or Estimate(value=0.8, low=0.7, high=0.9)}
    return SliceMeasurement(
        column=column,
        value=value,
        rows=rows,
        clusters=clusters,
        pooled=pooled,
        judged=judged,
        metrics={"challenger": estimates},
        comparisons={name: {"rmse": found} for name, found in models.items() if found is not None},
    )


def against(worse, low, high):
    return Comparison(worse=worse, low=low, high=high, error=(high - low) / 3.92)


def measured(overall, *slices):
    return Evaluation(
        task="regression",
        rows=overall.rows,
        clusters=overall.clusters,
        clustered=True,
        resamples=2000,
        confidence=0.95,
        seed=0,
        overall=overall,
        slices=slices,
    )


GATE = Gate(metric="rmse", margin=2.0, unit="rides/h")


@pytest.mark.parametrize(
    ("worse", "low", "high", "verdict"),
    [
        (15.2, 9.1, 21.0, "block"),
        (1.0, 0.2, 1.9, "warn"),
        (0.0, -1.5, 1.5, "pass"),
        (-9.0, -12.0, -6.0, "pass"),
        (1.0, -3.0, 5.0, "inconclusive"),
        (5.0, 1.0, 9.0, "inconclusive"),
    ],
)
def test_the_place_of_the_interval_about_the_margin_decides(worse, low, high, verdict):
    assert judge(measured(part(against(worse, low, high))), GATE).verdict == verdict


@pytest.mark.parametrize(
    ("worse", "low", "high", "verdict"),
    [
        (-3.0, -5.0, -1.0, "pass"),
        (-3.0, -6.0, 0.0, "inconclusive"),
        (-3.0, -7.0, 1.0, "inconclusive"),
        (0.0, 0.0, 0.0, "block"),
        (3.0, 1.0, 5.0, "block"),
    ],
)
def test_at_margin_0_only_a_challenger_that_is_certainly_better_passes(worse, low, high, verdict):
    assert judge(measured(part(against(worse, low, high))), Gate(metric="rmse", margin=0)).verdict == verdict


@pytest.mark.parametrize(("margin", "verdict"), [(0.0, "block"), (0.001, "pass")])
def test_a_challenger_equal_to_the_champion_is_not_inferior_and_not_superior(margin, verdict):
    rng = np.random.default_rng(5)
    label, guess = rng.normal(size=400), rng.normal(size=400) / 10
    models = {"challenger": guess, "champion": guess, "baseline": label * 0 + 9}

    judgement = judge(evaluate(label, models, metrics=["rmse"]), Gate(metric="rmse", margin=margin))

    assert judgement.verdict == verdict
    assert any("exactly as well in RMSE as the champion" in reason for reason in judgement.reasons)
    assert ("asks for a better one" in judgement.reasons[0]) == (margin == 0)


def test_a_block_says_by_how_much_against_whom_and_where():
    judgement = judge(measured(part(against(15.2, 9.1, 21.0))), GATE, champion="3f2a99887766", where="2012-01")
    assert judgement.reasons[0] == (
        "challenger is 15.2 rides/h worse in RMSE than champion 3f2a9988… on 2012-01 "
        "(95 % interval 9.1 to 21.0; tolerated 2.0)"
    )


def test_an_interval_about_zero_is_told_with_both_directions():
    reason = judge(measured(part(against(-0.3, -1.8, 1.2))), GATE).reasons[0]
    assert "0.30 rides/h better in RMSE than the champion (95 % interval 1.20 worse to 1.80 better" in reason


def test_an_inconclusive_comparison_says_how_many_rows_and_clusters_it_needs():
    reason = judge(measured(part(against(0.0, -4.0, 4.0))), GATE).reasons[0]
    # n (z sqrt) with z = 1.96 + 0.8416: 720 (2.8016 x 4 / 1.96 / 2)**2 = 5,884 rows, 5,164 more than there are.
    assert reason.startswith("inconclusive: ")
    assert reason.endswith("needs about 5,200 more rows (220 clusters)")


def test_the_recommended_rows_give_the_promised_power():
    rows, rng = 400, np.random.default_rng(1)
    found = Comparison(worse=0.5, low=-1.0, high=2.0, error=20 / rows**0.5)
    needed = round(rows_needed(found, rows, 3.0, 0.95))
    means = rng.normal(0.5, 20 / needed**0.5, 20_000)
    assert (means + 1.96 * 20 / needed**0.5 <= 3.0).mean() == pytest.approx(0.8, abs=0.01)


def test_a_difference_at_the_limit_gets_no_number_of_rows():
    reason = judge(measured(part(against(2.0, -2.0, 6.0))), GATE).reasons[0]
    assert reason.endswith("no realistic number of rows would settle it")


@pytest.mark.parametrize(
    ("worse", "low", "high", "verdict"),
    [
        (-5.0, -8.0, -2.0, "pass"),
        (-5.0, -11.0, 1.0, "inconclusive"),
        (5.0, 1.0, 9.0, "block"),
        (0.0, 0.0, 0.0, "block"),
    ],
)
def test_the_first_model_must_beat_the_naive_baseline(worse, low, high, verdict):
    judgement = judge(measured(part(None, against(worse, low, high))), GATE)
    assert judgement.verdict == verdict
    assert "there is no champion yet" in judgement.reasons


def test_a_challenger_as_good_as_a_bad_champion_is_blocked_by_the_baseline():
    assert judge(measured(part(against(0, -1, 1), against(9, 5, 13))), GATE).verdict == "block"


def test_a_model_compared_with_nothing_warns():
    gate = Gate(metric="rmse", margin=2.0, beat_baseline=False)
    assert judge(measured(part(None, None)), gate).verdict == "warn"
    assert judge(measured(part(None, None)), GATE).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.8, 0.75, 0.85, "pass"),
        (0.72, 0.65, 0.79, "warn"),
        (0.68, 0.6, 0.75, "inconclusive"),
        (0.5, 0.4, 0.6, "block"),
        (None, None, None, "inconclusive"),
    ],
)
def test_an_absolute_limit_is_met_by_the_estimate_and_certain_by_the_interval(value, low, high, verdict):
    gate = Gate(metric="rmse", margin=2.0, limits={"r2": {"minimum": 0.7}})
    overall = part(against(-9.0, -12.0, -6.0), r2=Estimate(value=value, low=low, high=high))
    assert judge(measured(overall), gate).verdict == verdict


def test_an_undefined_limit_names_its_own_metric():
    gate = Gate(metric="rmse", margin=2.0, limits={"r2": {"minimum": 0.7}})
    overall = part(against(-9.0, -12.0, -6.0), r2=Estimate(value=None, low=None, high=None))
    assert judge(measured(overall), gate).reasons[0].startswith("R² of the challenger is undefined")


def test_a_significantly_worse_slice_blocks_a_challenger_that_is_fine_overall():
    rain = part(against(20.0, 16.0, 24.0), column="weather", value="rain", rows=90)
    dry = part(against(0.0, -1.0, 1.0), column="weather", value="dry")
    judgement = judge(measured(part(against(0, -1, 1)), dry, rain), GATE)
    assert judgement.verdict == "block"
    assert judgement.reasons[0].startswith("in slice weather=rain (90 rows) challenger is 20.0 rides/h worse")
    assert [finding.check for finding in judgement.findings if finding.verdict == "block"] == ["slice weather=rain"]


def test_one_of_many_slices_that_is_significant_alone_does_not_block():
    slices = [part(against(0, -1, 1), column="hour", value=str(hour)) for hour in range(20)]
    lucky = part(against(4.4, 2.0, 6.8), column="hour", value="20")  # one-sided p = .03 alone
    assert judge(measured(part(against(0, -1, 1)), lucky), GATE).verdict == "block"
    assert judge(measured(part(against(0, -1, 1)), *slices, lucky), GATE).verdict == "pass"


def test_a_slice_too_small_is_told_and_not_judged():
    pool = part(against(50, 40, 60), column="weather", value="other", rows=20, pooled=("storm",), judged=False)
    judgement = judge(measured(part(against(0, -1, 1)), pool), GATE)
    assert judgement.verdict == "pass"
    assert any("1 small slice pooled into other; 1 pool still too small" in reason for reason in judgement.reasons)


def test_a_first_model_worse_than_the_baseline_in_a_slice_warns():
    rain = part(None, against(20.0, 16.0, 24.0), column="weather", value="rain")
    assert judge(measured(part(None), rain), GATE).verdict == "warn"


@pytest.mark.parametrize("short", [{"rows": 99}, {"clusters": 5, "judged": False}])
def test_too_few_rows_or_clusters_are_inconclusive_whatever_they_say(short):
    judgement = judge(measured(part(against(50.0, 40.0, 60.0), **short)), GATE)
    assert judgement.verdict == "inconclusive"
    assert "rows" in judgement.reasons[0]


def test_no_rows_at_all_are_inconclusive():
    empty = evaluate([], {"challenger": [], "champion": [], "baseline": []}, metrics=["rmse"], clusters=[])
    assert judge(empty, GATE).verdict == "inconclusive"


def test_a_judgement_of_measured_models_is_canonical_json():
    rng = np.random.default_rng(0)
    label, day = rng.normal(100, 30, 480), np.arange(480) // 24
    guesses = {name: label + rng.normal(0, scale, 480) for name, scale in [("challenger", 5), ("baseline", 50)]}
    masks = {"h": {str(h): np.arange(480) % 4 == h for h in range(4)}}
    found = evaluate(label, guesses, metrics=["rmse"], clusters=day, slices=masks)
    judgement = judge(found, GATE)
    assert judgement.verdict == "pass"
    assert canonical_json(judgement.to_json())


def test_an_evaluation_with_another_confidence_or_without_the_metric_is_refused():
    with pytest.raises(DeclarationError, match=r"0.95 intervals, the gate asks for 0.9"):
        judge(measured(part()), Gate(metric="rmse", margin=1.0, confidence=0.9))
    with pytest.raises(DeclarationError, match="lacks mae, it measured rmse, r2"):
        judge(measured(part()), Gate(metric="mae", margin=1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "rsme"},
        {"margin": -1},
        {"margin": float("inf")},
        {"limits": {"r3": {"minimum": 0}}},
        {"limits": {"r2": {}}},
        {"limits": {"r2": {"minimum": 1, "maximum": 0}}},
        {"confidence": 1.0},
        {"margn": 1},
    ],
)
def test_a_wrong_gate_fails_when_it_is_declared(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Gate(**{"metric": "rmse", "margin": 1.0, **wrong})


@given(st.lists(st.sampled_from(VERDICTS), max_size=5), st.sampled_from(VERDICTS))
def test_another_finding_never_improves_the_verdict(verdicts, more):
    assert VERDICTS.index(worst([*verdicts, more])) >= VERDICTS.index(worst(verdicts))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_finds_no_more_than_single_tests_and_no_less_than_bonferroni(probabilities):
    for p, adjusted in zip(probabilities, holm(probabilities), strict=True):
        assert p <= adjusted <= min(1.0, p * len(probabilities)) or adjusted == max(holm(probabilities))
