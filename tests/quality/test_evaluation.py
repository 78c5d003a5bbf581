"""Evaluation: intervals, pairing, clusters, slices, refusals."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.bootstrap import MAX_UNITS, resampled_units, unit_sums
from quality.evaluation import evaluate, slice_masks
from quality.measurements import Evaluation
from resources.canonical import canonical_json
from resources.errors import ContractError, DeclarationError


def models(rows, seed=1, day=None):
    rng = np.random.default_rng(seed)
    label = rng.normal(100, 30, rows)
    shared = 0 if day is None else rng.normal(0, 8, day.max() + 1)[day]
    return label, {
        "challenger": label + shared + rng.normal(0, 10, rows),
        "champion": label + rng.normal(0, 11, rows),
        "baseline": label + rng.normal(0, 40, rows),
    }


def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    rng = np.random.default_rng(3)
    label, guess = np.zeros(3_000), rng.normal(5, 2, 3_000)
    found = evaluate(label, {"challenger": guess}, metrics=["bias"]).overall.metrics["challenger"]["bias"]
    half = 1.96 * guess.std() / 3_000**0.5
    assert found.low == pytest.approx(guess.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(guess.mean() + half, abs=0.15 * half)


def test_random_blocks_of_many_rows_give_the_interval_of_the_rows():
    rng = np.random.default_rng(4)
    guess = rng.normal(0, 1, 200_000)
    found = evaluate(np.zeros(200_000), {"challenger": guess}, metrics=["bias"])
    estimate = found.overall.metrics["challenger"]["bias"]
    assert found.clusters == MAX_UNITS
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 / 200_000**0.5, rel=0.08)


def test_the_auc_interval_is_that_of_de_long():
    rng = np.random.default_rng(8)
    label = (rng.random(800) < 0.4).astype(float)
    guess = 1 / (1 + np.exp(-(label + rng.normal(0, 1.5, 800))))
    # DeLong et al. (1988): variance of the placement values of each class over its size.
    wins = guess[label == 1][:, None] > guess[label == 0][None, :]
    variance = wins.mean(1).var(ddof=1) / len(wins) + wins.mean(0).var(ddof=1) / wins.shape[1]
    found = evaluate(label, {"challenger": guess}, metrics=["auc"]).overall.metrics["challenger"]["auc"]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * variance**0.5, rel=0.08)


def test_correlated_days_give_a_wider_interval_than_the_same_rows_taken_as_independent():
    day = np.repeat(np.arange(40), 24)
    label, guesses = models(len(day), day=day)
    by_day, by_row = (
        evaluate(label, guesses, metrics=["bias"], clusters=clusters).overall.metrics["challenger"]["bias"]
        for clusters in (day, None)
    )
    assert by_day.high - by_day.low > 2 * (by_row.high - by_row.low)


def test_a_model_compared_with_itself_is_no_worse_with_certainty():
    label, guesses = models(500)
    found = evaluate(label, {"challenger": guesses["champion"], "champion": guesses["champion"]}, metrics=["rmse"])
    same = found.overall.comparisons["champion"]["rmse"]
    assert (same.worse, same.low, same.high, same.error) == (0, 0, 0, 0)


def test_pairing_narrows_the_comparison_of_models_that_err_alike():
    rng = np.random.default_rng(2)
    label, common = np.zeros(2_000), rng.normal(0, 10, 2_000)
    guesses = {"challenger": common + rng.normal(0, 1, 2_000), "champion": common}
    overall = evaluate(label, guesses, metrics=["rmse"]).overall
    alone, paired = overall.metrics["champion"]["rmse"], overall.comparisons["champion"]["rmse"]
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_a_higher_r2_is_better_and_a_bias_of_either_sign_is_harm():
    label, guesses = models(500)
    guesses["challenger"] = label - 20
    guesses["champion"] = label + 5
    worse = evaluate(label, guesses, metrics=["r2", "bias"]).overall.comparisons["champion"]
    assert worse["r2"].worse > 0
    assert worse["bias"].worse == pytest.approx(15)


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_interval():
    label, guesses = models(900)
    first, again = (evaluate(label, guesses, metrics=["rmse", "r2"], seed=3) for _ in range(2))
    assert canonical_json(first.to_json()) == canonical_json(again.to_json())
    assert evaluate(label, guesses, metrics=["rmse", "r2"], seed=4).overall != first.overall


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(1, 9))
def test_sums_per_unit_are_whole_numbers_that_no_resample_can_overflow(values, count):
    statistic = np.array(values)
    sums, scale = unit_sums([statistic], np.arange(len(values)) % count, count)
    assert np.array_equal(sums, np.rint(sums))
    assert np.abs(sums).max() * count <= 2**52
    size = np.abs(statistic).sum() or 1.0
    assert (sums.sum(axis=0) / scale)[0] == pytest.approx(statistic.sum(), abs=1e-10 * size + 1e-280)


@settings(deadline=None)
@given(rows=st.integers(0, 60), seed=st.integers(0, 3))
def test_every_row_belongs_to_one_resampled_unit(rows, seed):
    names = [f"day {i % 7}" for i in range(rows)]
    units, count = resampled_units(names, rows, seed)
    assert len(units) == rows
    assert count == min(rows, 7)
    assert set(units.tolist()) == set(range(count))


def test_small_slices_are_pooled_and_no_row_is_left_out():
    label, guesses = models(400)
    place = pl.Series(["big"] * 300 + ["a"] * 30 + ["b"] * 30 + [None] * 40)
    found = evaluate(label, guesses, metrics=["rmse"], slices={"place": slice_masks(place)}).slices
    assert [(part.value, part.rows, part.pooled) for part in found] == [
        ("big", 300, ()),
        ("other", 100, ("a", "b", "missing")),
    ]


def test_a_pool_that_stays_small_is_reported_and_not_judged():
    label, guesses = models(400)
    masks = {"rare": np.arange(400) < 20, "usual": np.arange(400) >= 20}
    pool = evaluate(label, guesses, metrics=["rmse"], slices={"kind": masks}).slices[-1]
    assert (pool.value, pool.rows, pool.judged) == ("other", 20, False)
    assert pool.metrics["challenger"]["rmse"].value > 0


def test_a_slice_in_few_clusters_is_not_judged_however_many_rows_it_has():
    label, guesses = models(960)
    day = np.arange(960) // 24
    masks = {"first days": day < 3, "later": day >= 3}
    found = evaluate(label, guesses, metrics=["rmse"], clusters=day, slices={"when": masks}).slices
    assert {(part.value, part.judged) for part in found} == {("later", True), ("other", False)}


def test_a_slice_measures_what_its_rows_alone_measure():
    label, guesses = models(800)
    mask = np.arange(800) % 3 == 0
    part = evaluate(label, guesses, metrics=["rmse", "r2"], slices={"third": {"yes": mask}}).slices[0]
    alone = evaluate(label[mask], {k: v[mask] for k, v in guesses.items()}, metrics=["rmse", "r2"]).overall
    for model, name in [("challenger", "rmse"), ("champion", "r2")]:
        assert part.metrics[model][name].value == pytest.approx(alone.metrics[model][name].value)


def test_an_evaluation_reads_back_from_its_json():
    label, guesses = models(300)
    found = evaluate(label, guesses, metrics=["rmse"], slices={"half": {"one": np.arange(300) < 150}})
    assert Evaluation.from_json(json.loads(canonical_json(found.to_json()))) == found


def test_no_rows_give_undefined_metrics_instead_of_an_error():
    found = evaluate([], {"challenger": []}, metrics=["rmse", "r2"])
    assert found.rows == 0
    assert found.overall.metrics["challenger"]["rmse"].value is None
    assert canonical_json(found.to_json())


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e200])
def test_a_label_that_is_not_finite_or_absurd_is_refused_with_its_row(wrong):
    with pytest.raises(ContractError, match="label in row 2 is"):
        evaluate([1.0, 2.0, wrong], {"challenger": [1.0, 2.0, 3.0]}, metrics=["rmse"])


def test_a_prediction_that_is_not_finite_is_refused_with_its_model_and_row():
    with pytest.raises(ContractError, match="prediction of the champion in row 1 is nan"):
        evaluate([1.0, 2.0], {"challenger": [1.0, 2.0], "champion": [1.0, np.nan]}, metrics=["rmse"])


def test_a_probability_above_one_and_a_label_of_two_are_refused():
    with pytest.raises(ContractError, match=r"prediction of the challenger in row 0 is 1\.5"):
        evaluate([1, 0], {"challenger": [1.5, 0.5]}, metrics=["auc"])
    with pytest.raises(ContractError, match=r"label in row 1 is 2\.0"):
        evaluate([1, 2], {"challenger": [0.5, 0.5]}, metrics=["auc"])


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ContractError, match="prediction of the challenger has shape"):
        evaluate([1.0, 2.0], {"challenger": [1.0]}, metrics=["rmse"])
    with pytest.raises(ContractError, match="clusters has 1 rows"):
        evaluate([1.0, 2.0], {"challenger": [1.0, 2.0]}, metrics=["rmse"], clusters=[1])
    with pytest.raises(ContractError, match="slice a=b has 1 rows"):
        evaluate([1.0, 2.0], {"challenger": [1.0, 2.0]}, metrics=["rmse"], slices={"a": {"b": np.array([True])}})


def test_an_evaluation_without_a_challenger_is_refused():
    with pytest.raises(DeclarationError, match="lack 'challenger', they hold champion"):
        evaluate([1.0], {"champion": [1.0]}, metrics=["rmse"])


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(list(range(40))))
def test_clustered_results_do_not_depend_on_the_order_of_rows(order):
    day = np.arange(40) // 4
    label, guesses = np.round(models(40)[0]), {k: np.round(v) for k, v in models(40)[1].items()}
    shuffled = {name: values[order] for name, values in guesses.items()}
    one = evaluate(label, guesses, metrics=["mae"], clusters=day, resamples=50)
    two = evaluate(label[order], shuffled, metrics=["mae"], clusters=day[order], resamples=50)
    assert one == two
