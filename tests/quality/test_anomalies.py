"""Partitions against their own past: what is usual, what is not, what is too new to say."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.anomalies.budget import SAFETY, shares
from quality.anomalies.calendar import CADENCES, Span, phases
from quality.anomalies.judging import judge_past
from quality.anomalies.metrics import Metric
from quality.anomalies.predictors import Seasonal, middle
from quality.anomalies.repeats import repeated
from quality.anomalies.scan import Rule, scan
from quality.anomalies.tails import BELIEF, DEGREES, LAWS, WIDTHS, below, log_densities, quantiles
from resources.errors import DeclarationError

DAILY = CADENCES["daily"]
WEEK = (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.35)


def days(count, start=datetime(2025, 1, 6, tzinfo=UTC)):
    made = [start + timedelta(days=i) for i in range(count)]
    return [Span(key=f"{day:%Y-%m-%d}", start=day, end=day + timedelta(days=1)) for day in made]


def rows(count, *, noise=0.05, seed=0, week=WEEK, level=10_000):
    rng = np.random.default_rng(seed)
    return [round(level * week[i % 7] * math.exp(noise * rng.standard_normal())) for i in range(count)]


def judged(values, *, spans=None, kind="count", tolerance=0.5, name="rows", per_year=0.1, **more):
    metric = Metric(name=name, kind=kind, tolerance=tolerance, values=values)
    return judge_past([metric], spans or days(len(values)), DAILY, per_year=per_year, shown=1, **more)[0].finding


def test_a_young_pipeline_says_how_much_more_past_it_needs_and_never_warns():
    found = judged([*rows(5), 1])
    assert found.verdict == "pass"
    assert found.reason == "rows: 1 in 2025-01-11; too little history: needs 23 more partitions"
    assert judged([*rows(27), 1]).reason.endswith("needs 1 more partition")


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_half_and_twice_the_rows_are_odd_after_half_a_year(factor):
    values = rows(181)
    found = judged([*values[:-1], round(values[-1] * factor)])
    assert found.verdict == "warn"
    assert found.numbers["probability"] < found.numbers["budget"]


def test_a_quiet_sunday_is_usual_and_a_quiet_monday_is_not():
    values = rows(190)
    sunday = max(i for i in range(183, 190) if i % 7 == 6)
    monday = max(i for i in range(183, 190) if i % 7 == 0)
    assert judged(values[: sunday + 1]).verdict == "pass"
    assert judged([*values[:monday], values[sunday]]).verdict == "warn"


def test_the_same_day_is_found_across_gaps_in_the_history():
    spans = [span for i, span in enumerate(days(260)) if i % 11]
    values = [
        round(10_000 * WEEK[span.start.weekday()] * (1 + 0.02 * ((i * 7919) % 5 - 2))) for i, span in enumerate(spans)
    ]
    assert judged(values, spans=spans).verdict == "pass"
    assert judged([*values[:-1], values[-1] // 3], spans=spans).verdict == "warn"


def test_an_anomaly_in_the_past_neither_hides_a_new_one_nor_makes_the_next_day_odd():
    values = rows(181, week=(1.0,) * 7)
    values[-20] //= 4
    assert judged(values[:-19]).verdict == "warn"
    assert judged(values[:-18]).verdict == "pass"
    assert judged([*values[:-1], values[-1] // 4]).verdict == "warn"


def test_a_new_level_counts_as_usual_after_a_while():
    values = [*rows(120, week=(1.0,) * 7), *rows(30, week=(1.0,) * 7, level=3_000, seed=1)]
    verdicts = [judged(values[: 121 + day]).verdict for day in (0, 3, 29)]
    assert verdicts == ["warn", "warn", "pass"]


def test_a_change_that_is_tolerated_is_never_odd_however_regular_the_past():
    values = [1_000 + i % 2 for i in range(300)]
    assert judged([*values, 700]).verdict == "pass"
    assert judged([*values, 700], tolerance=0.2).verdict == "warn"


def test_five_points_more_nulls_are_odd_and_one_point_is_not():
    past = [0.1 + 0.002 * math.sin(i * i) for i in range(120)]
    assert judged([*past, 0.15], kind="share", tolerance=0.02).verdict == "warn"
    assert judged([*past, 0.11], kind="share", tolerance=0.02).verdict == "pass"
    assert "15 % in 2025-05-06, usual is" in judged([*past, 0.15], kind="share", tolerance=0.02).reason


def test_only_an_old_newest_row_is_odd():
    past = [600.0 + 60 * (i % 5) for i in range(100)]
    assert judged([*past, 40_000.0], kind="age", tolerance=0.1).verdict == "warn"
    assert judged([*past, 0.0], kind="age", tolerance=0.1).verdict == "pass"


def test_the_same_number_of_rows_again_and_again_is_a_frozen_feed():
    values = [round(10_000 + 700 * math.sin(i * i)) for i in range(120)]
    assert judged([*values, *[values[-1]] * 2]).verdict == "pass"
    frozen = judged([*values, *[values[-1]] * 3])
    assert frozen.verdict == "warn"
    assert "the same as in the 3 partitions before" in frozen.reason


def test_a_feed_that_is_always_the_same_is_not_frozen():
    assert judged([24] * 200).verdict == "pass"


def test_the_chance_of_a_run_follows_the_rule_of_succession():
    assert repeated([5, 7, 6, 9, 4, 4, 4]) == (2, (1 / 6) ** 2)
    assert repeated([1, 1, 2]) == (0, 1.0)
    assert repeated([3]) == (0, 1.0)


def test_judging_again_says_the_same_and_spends_nothing():
    values = rows(200)
    assert judged(values) == judged(values)
    later = judge_past(
        [Metric(name="rows", kind="count", tolerance=0.5, values=values)], days(200), DAILY, per_year=0.1
    )
    assert later[0].finding == judged(values)


def test_an_unknown_value_is_not_judged_and_an_unknown_past_does_not_count():
    assert judged([*rows(50), None]).reason == "rows: unknown in 2025-02-25"
    values = [None if i % 2 else value for i, value in enumerate(rows(40))]
    assert "needs 8 more partitions" in judged([*values, 10]).reason


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([5, -1], "count", "rows: value 2 of 2 is -1: a count is not negative"),
        ([0.5, 1.5], "share", "rows: value 2 of 2 is 1.5: a share lies between 0 and 1"),
        ([float("nan"), 1.0], "number", "rows: value 1 of 2 is nan: give None where it is unknown"),
        ([1.0, float("inf")], "age", "rows: value 2 of 2 is inf"),
    ],
)
def test_impossible_values_are_refused_by_name_and_place(values, kind, told):
    with pytest.raises(DeclarationError, match=told):
        Metric(name="rows", kind=kind, tolerance=1, values=values)


def test_a_metric_of_another_length_and_partitions_out_of_order_are_refused():
    metric = Metric(name="rows", kind="count", tolerance=0.5, values=[1, 2])
    with pytest.raises(DeclarationError, match="rows: 2 values for 3 partitions"):
        judge_past([metric], days(3), DAILY, per_year=0.1)
    with pytest.raises(DeclarationError, match="starts before"):
        judge_past([metric], days(2)[::-1], DAILY, per_year=0.1)
    with pytest.raises(DeclarationError, match="nothing to judge"):
        judge_past([], [], DAILY, per_year=0.1)


def test_a_year_of_days_spends_a_year_of_budget_and_so_does_a_year_of_months():
    for length_s, looks in ((86_400, 365.25), (86_400 * 365.25 / 12, 12), (3_600, 8_766)):
        spent = shares({"rows": 2, "age": 1}, per_year=0.3, length_s=length_s)
        assert sum(spent.values()) * looks == pytest.approx(0.3 / SAFETY)
        assert spent["rows"] == pytest.approx(2 * spent["age"])


def test_a_budget_without_sense_is_refused():
    with pytest.raises(DeclarationError, match="between 0 and 1, got 2"):
        shares({"rows": 1}, per_year=2, length_s=60)


def test_phases_follow_the_clock_on_the_wall():
    spans = days(9)
    assert phases(spans, "weekday").tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert phases(spans, "day").tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13]


@given(st.floats(-50, 50))
def test_the_closed_forms_of_students_law_are_those_of_scipy(value):
    from scipy import stats

    found, dense = below(np.array([value])), log_densities(np.array([value]))
    law = [(n, width) for n in DEGREES for width in WIDTHS]
    expected = [stats.t.cdf(value / width, n) for n, width in law]
    assert found[0] == pytest.approx(expected, abs=1e-12)
    assert dense[0] == pytest.approx([stats.t.logpdf(value / width, n) - math.log(width) for n, width in law])


def test_a_quantile_of_a_mixture_is_where_its_probability_is_reached():
    rng = np.random.default_rng(0)
    centres, weights = rng.normal(size=(3, 2)), rng.dirichlet(np.ones(2 * LAWS), 3).reshape(3, 2, LAWS)
    wanted = np.array([0.01, 0.5, 0.9999])
    found = quantiles(centres, weights, wanted)
    reached = (weights * below(found[:, None] - centres)).sum(axis=(1, 2))
    assert reached == pytest.approx(wanted, abs=1e-6)


def test_what_is_believed_of_tails_before_any_error_adds_up():
    assert len(BELIEF) == len(DEGREES)
    assert sum(BELIEF) == pytest.approx(1)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=30))
def test_the_middle_lies_within_the_known_values(values):
    known = [value for value in values if math.isfinite(value)]
    found = middle(np.array([values]))[0]
    if not known:
        assert math.isnan(found)
    else:
        assert min(known) - 1e-6 <= found <= max(known) + 1e-6


def test_the_middle_of_eight_is_the_mean_of_the_inner_four():
    assert middle(np.array([[9.0, 1, 2, 3, 4, 5, 6, 1000]]))[0] == 4.5


NOISES = {
    "normal": lambda rng, shape: 0.1 * rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: 0.1 * rng.standard_t(3, shape),
    "drifting level": lambda rng, shape: np.cumsum(0.05 * rng.standard_normal(shape), axis=1),
    "trend": lambda rng, shape: 0.1 * rng.standard_normal(shape) + 0.005 * np.arange(shape[1]),
}


@pytest.mark.parametrize("name", NOISES)
def test_few_pipelines_see_a_false_alarm_in_a_year_of_days(name):
    pipelines, length = 60, 28 + 365
    spans = days(length)
    week = np.log(np.array(WEEK))[phases(spans, "weekday")]
    values = (week + NOISES[name](np.random.default_rng(3), (pipelines, length))) / math.log(1.5)
    spent = shares({"rows": 1}, per_year=0.1, length_s=86_400)["rows"]
    rule = Rule(
        alpha=np.full(pipelines, spent), upper_only=np.zeros(pipelines, bool), warm_up=14, minimum=28, patience=7,
        levels=(1, 7, 28),
    )  # fmt: skip
    found = scan(values, [Seasonal.fresh("weekday", phases(spans, "weekday"), pipelines)], rule)
    # At a true share of 10 % more than 13 of 60 have a probability below 0.5 %.
    assert found.alarm.any(axis=1).sum() <= 13
    assert name == "heavy tails" or found.alarm.any(axis=1).sum() <= 2
