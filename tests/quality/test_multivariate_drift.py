"""Multivariate drift: columns that part together, by name, and no alarm where they do not."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from quality.drift import multivariate_drift
from quality.drift.multivariate import _placements
from resources.errors import ContractError, DeclarationError


def rows(count, correlation, seed):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=count)
    second = correlation * first + np.sqrt(1 - correlation**2) * rng.normal(size=count)
    return pl.DataFrame(
        {"a": first, "b": second, "other": rng.normal(size=count), "kind": rng.choice(["x", "y"], count)}
    )


def test_columns_that_part_only_together_are_found_and_named():
    found = multivariate_drift(rows(1_500, 0.0, 1), rows(1_500, 0.9, 2))
    assert found.flagged
    assert {name for name, _ in found.columns} == {"a", "b"}
    assert found.low < found.auc < found.high
    assert "a classifier tells the samples apart" in found.reason


def test_samples_of_one_law_are_not_told_apart():
    found = [multivariate_drift(rows(300, 0.5, seed), rows(300, 0.5, seed + 100)) for seed in range(4)]
    assert not any(test.flagged for test in found)
    assert min(test.p for test in found) > 1e-4


@pytest.mark.slow
def test_p_values_of_samples_of_one_law_scatter_as_stated_although_folds_depend_on_each_other():
    rng = np.random.default_rng(3)
    samples = [pl.DataFrame(rng.standard_normal((250, 8)), schema=[f"x{i}" for i in range(8)]) for _ in range(48)]
    found = [multivariate_drift(samples[i], samples[i + 1]).p for i in range(0, 48, 2)]
    # With folds taken as independent normal scores scatter by 1.3 here, and 5 % of p-values are below .01.
    assert np.std(stats.norm.isf(found)) < 1.1


def test_days_that_differ_as_a_whole_are_no_drift_when_days_are_given():
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(60), 10)
    frames = [pl.DataFrame({"x": rng.normal(0, 3, 60)[day] + rng.normal(0, 0.1, 600)}) for _ in range(2)]
    assert multivariate_drift(*frames).p < multivariate_drift(*frames, clusters=(day, day)).p
    assert not multivariate_drift(*frames, clusters=(day, day)).flagged


def test_the_area_of_the_placements_is_scipys():
    rng = np.random.default_rng(4)
    before, after = rng.integers(0, 9, 50).astype(float), rng.integers(2, 12, 70).astype(float)
    expected = stats.mannwhitneyu(after, before).statistic / (50 * 70)
    assert _placements(before, after)[0].mean() == pytest.approx(expected)
    assert _placements(before, after)[1].mean() == pytest.approx(expected)


def test_few_rows_and_columns_of_different_types_are_refused_with_the_remedy():
    with pytest.raises(ContractError, match="take a longer batch"):
        multivariate_drift(rows(20, 0, 1), rows(20, 0, 2))
    with pytest.raises(DeclarationError, match="'a' is Float64 and String on the two sides: cast one"):
        multivariate_drift(rows(100, 0, 1), rows(100, 0, 2).with_columns(pl.col("a").cast(pl.String)))
    with pytest.raises(DeclarationError, match="'z' is not on both sides"):
        multivariate_drift(rows(100, 0, 1), rows(100, 0, 2), columns=["z"])
