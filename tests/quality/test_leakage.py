"""Features that know the label."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from quality.defects import plant
from quality.leakage import judge_leakage, single_feature_auc
from resources.errors import ContractError, DeclarationError


def table(seed=0, rows=1_000):
    rng = np.random.default_rng(seed)
    price = rng.standard_normal(rows)
    return pl.DataFrame(
        {
            "price": price,
            "city": rng.choice(["Bern", "Rom"], rows),
            "key": [str(i) for i in range(rows)],
            "label": rng.random(rows) < 1 / (1 + np.exp(-price)),
        }
    )


@given(
    labels=st.lists(st.booleans(), min_size=4, max_size=40).filter(lambda of: 0 < sum(of) < len(of)),
    seed=st.integers(0, 1000),
)
def test_the_area_is_that_of_scikit_learn(labels, seed):
    score = np.random.default_rng(seed).integers(0, 6, len(labels)).astype(float)
    frame = pl.DataFrame({"x": score, "label": labels})
    area = roc_auc_score(labels, score)
    assert single_feature_auc(frame, "label")["x"] == pytest.approx(max(area, 1 - area))


def test_keys_are_left_out_since_each_tells_its_own_label():
    assert set(single_feature_auc(table(), "label")) == {"price", "city"}


def test_a_leaked_label_is_found_and_a_sound_feature_is_not():
    past = [single_feature_auc(table(seed), "label") for seed in range(5)]
    assert judge_leakage(single_feature_auc(table(9), "label"), past) == []
    leaked = plant("label_leak", table(9), ["price", "label"])
    found = judge_leakage(single_feature_auc(leaked, "label"), past)
    assert [finding.numbers["column"] for finding in found] == ["price"]
    assert "price alone tells the label with an AUC of" in found[0].reason


def test_without_a_past_only_a_suspicious_area_is_told():
    assert judge_leakage({"x": 0.9}, []) == []
    assert len(judge_leakage({"x": 0.96}, [])) == 1


def test_a_feature_that_always_told_the_label_is_no_news():
    assert judge_leakage({"x": 0.97}, [{"x": 0.97}, {"x": 0.98}]) == []


def test_a_label_of_one_value_tells_nothing():
    assert single_feature_auc(table().with_columns(label=True), "label") == {}


def test_a_label_of_many_values_is_refused():
    with pytest.raises(ContractError, match="label 'price' has 1000 values or more"):
        single_feature_auc(table(), "price")


def test_a_missing_label_is_named():
    with pytest.raises(DeclarationError, match="unknown column 'lable'; did you mean 'label'"):
        single_feature_auc(table(), "lable")
