"""Replay of a log through the transform: the step at which training and serving part is named."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from quality.skew import SkewRule
from resources.errors import ContractError
from resources.replay import skew_through, variants
from resources.transform.expressions import apply_columns
from resources.transform.fitted import fit_transform
from resources.transform.steps import Clip, Impute, OneHot, Standardize

TEXTS = {
    "temp": "temp",
    "mean_sold": "AVG(sold) OVER (PARTITION BY shop ORDER BY at ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)",
    "sold_before": "LAG(sold, 2) OVER (PARTITION BY shop ORDER BY at)",
    "price": "COALESCE(price, 0)",
    "kind": "kind",
}
STEPS = (
    Impute(columns=("temp", "sold_before"), strategy="median"),
    Clip(columns=("mean_sold", "temp"), lower_quantile=0.05, upper_quantile=0.95),
    Standardize(columns=("mean_sold", "temp")),
    OneHot(columns=("kind",)),
)


def raw(seed=0, rows=600):
    rng = np.random.default_rng(seed)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    holes = rng.permutation(rows)
    return pl.DataFrame(
        {
            "shop": ["a", "b", "c"] * (rows // 3),
            "at": [start + timedelta(hours=i // 3) for i in range(rows)],
            "temp": pl.Series(rng.normal(10, 5, rows)).scatter(holes[:60], None),
            "sold": rng.integers(0, 50, rows).astype(float),
            "price": pl.Series(rng.lognormal(size=rows)).scatter(holes[60:120], None),
            "kind": pl.Series(["x", "y", "z"]).gather(rng.integers(0, 3, rows)),
        }
    )


def fitted(frame, texts=TEXTS, steps=STEPS):
    return fit_transform(texts, steps, apply_columns(frame.lazy(), texts).collect())


def features(transform, frame):
    return transform.features(transform.rows(frame.lazy())).collect()


def log_of(frame, made):
    """Return what serving logs: keys, inputs, and the features that it computed, in another order and without some."""
    log = frame.hstack(made.rename(lambda name: f"feature.{name}"))
    return log.filter(pl.int_range(pl.len()) >= 50).sample(fraction=1, shuffle=True, seed=1)


def skewed(frame, log, transform):
    return skew_through(transform, frame, log, SkewRule(keys=("shop",), time="at", unpaired=1))


def test_a_log_of_the_same_inputs_and_features_has_no_skew():
    frame = raw()
    transform = fitted(frame)
    report = skewed(frame, log_of(frame, features(transform, frame)), transform)
    assert (report.verdict, report.paired) == ("pass", 550)
    assert [column.column for column in report.columns] == [
        "kind",
        "price",
        "sold",
        "temp",
        *(f"feature.{name}" for name in transform.output),
    ]


def test_a_log_of_inputs_alone_is_replayed_with_the_history_of_training():
    frame = raw()
    transform = fitted(frame)
    assert skewed(frame, frame.tail(100), transform).verdict == "pass"
    report = skewed(frame, frame.tail(100).with_columns(pl.col("temp") + 1), transform)
    assert report.column("feature.temp").parting.step == "the input"
    assert "serving was given other values of temp" in report.column("feature.temp").parting.reason
    assert report.column("feature.price").mismatch.count == 0


@pytest.mark.parametrize(
    ("feature", "text", "step", "told"),
    [
        ("mean_sold", TEXTS["mean_sold"].replace("3", "2"), "the row-wise columns", "with 2 for 3"),
        ("sold_before", TEXTS["sold_before"].replace("2", "1"), "the row-wise columns", "with 1 for 2"),
        ("price", "price", "the row-wise columns", "without the default of price"),
    ],
)
def test_another_expression_at_serving_is_named_by_the_variant_that_gives_its_values(feature, text, step, told):
    frame = raw()
    transform = fitted(frame)
    other = type(transform)(
        columns={**transform.columns, feature: text},
        steps=transform.steps,
        states=transform.states,
        output=transform.output,
        categorical=transform.categorical,
    )
    report = skewed(frame, log_of(frame, features(other, frame)), transform)
    column = report.column(f"feature.{feature}")
    assert report.verdict == "block"
    assert column.parting.step == step
    assert told in column.parting.reason
    assert f"they part at {step}" in report.reason
    assert not any(found.mismatch.count for found in report.columns if found.column != column.column)


@pytest.mark.parametrize(("left_out", "step"), [(0, "step 1, impute"), (1, "step 2, clip"), (2, "step 3, standardize")])
def test_a_step_that_serving_leaves_out_is_named(left_out, step):
    frame = raw()
    transform = fitted(frame)
    kept = [number for number in range(len(STEPS)) if number != left_out]
    other = type(transform)(
        columns=transform.columns,
        steps=tuple(transform.steps[number] for number in kept),
        states=tuple(transform.states[number] for number in kept),
        output=transform.output,
        categorical=transform.categorical,
    )
    report = skewed(frame, log_of(frame, features(other, frame)), transform)
    assert report.column("feature.temp").parting.step == step


def test_logged_intermediate_values_tell_the_step_where_no_variant_does():
    frame = raw()
    transform = fitted(frame)
    # Serving standardizes by another mean: no variant of the transform makes that.
    states = [dict(state) for state in transform.states]
    states[2] = {**states[2], "mean": {**states[2]["mean"], "temp": 3.0}}
    other = type(transform)(
        columns=transform.columns,
        steps=transform.steps,
        states=tuple(states),
        output=transform.output,
        categorical=transform.categorical,
    )
    made = features(other, frame)
    assert skewed(frame, log_of(frame, made), transform).column("feature.temp").parting is None
    stages = {"columns.temp": transform.rows(frame.lazy()).collect()["temp"]}
    between = transform.rows(frame.lazy()).collect()
    for number, (step, state) in enumerate(zip(other.steps, other.states, strict=True), start=1):
        between = between.with_columns(step.expressions(state))
        stages[f"step{number}.temp"] = between["temp"]
    log = log_of(frame.with_columns(series.alias(name) for name, series in stages.items()), made)
    parting = skewed(frame, log, transform).column("feature.temp").parting
    assert parting.step == "step 3, standardize"
    assert "the same up to step 2, clip" in parting.reason
    early = log.select(pl.exclude("step3.temp", "step4.temp"))
    assert skewed(frame, early, transform).column("feature.temp").parting.step == "a step after step 2, clip"


def test_variants_change_one_thing_each():
    found = {text: words for words, text in variants("COALESCE(x, 0) + LAG(y2, 1) OVER (ORDER BY at)")}
    assert found["x + LAG(y2, 1) OVER (ORDER BY at)"] == "without the default of x"
    assert found["COALESCE(x, 0) + LAG(y2, 2) OVER (ORDER BY at)"] == "with 2 for 1"
    assert not any("y3" in text for text in found)


@pytest.mark.parametrize(
    ("drop", "told"),
    [
        (("training", "sold"), "training: unknown column 'sold'"),
        (("serving", "shop"), "serving: unknown column 'shop'"),
        (("serving", "inputs"), "the log holds neither inputs .kind, price, sold, temp. nor features"),
    ],
)
def test_a_side_that_lacks_what_replay_needs_is_refused(drop, told):
    frame = raw()
    transform, side, what = fitted(frame), *drop
    log = frame.select("shop", "at") if what == "inputs" else frame.drop(what) if side == "serving" else frame
    with pytest.raises(ContractError, match=told):
        skewed(frame.drop(what) if side == "training" else frame, log, transform)
