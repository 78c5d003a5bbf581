"""What a suite asks is gathered of batches that threads evaluate at once, and not asked where a contract settles it."""

from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import polars as pl
import polars.selectors as cs
import pytest
from hypothesis import HealthCheck, given, settings

from quality.suites import gathered, narrowing
from quality.suites.compiled import evaluate
from quality.suites.declared import entries_of
from quality.suites.folding import Folding
from quality.suites.format import Format
from quality.suites.plain import plain
from quality.suites.run import run_folded, run_suite
from quality.suites.source import Assured, Source
from tests.quality.upstream import SPECIAL_FLOATS, WORDS, alike, expectations, frame_of, unordered


def expect(kind, **kwargs):
    return {"type": f"expect_{kind}", "kwargs": kwargs}


ROWS = 40_000
FRAME = pl.DataFrame(
    {
        "id": range(ROWS),
        "shop": [("north", "south", "east", None)[row * 7 % 4] for row in range(ROWS)],
        "code": [f"{row % 5_003:04x}" for row in range(ROWS)],
        "price": [None if row % 97 == 0 else (row * 31 % 1_009) / 8 for row in range(ROWS)],
        "pieces": [row % 11 for row in range(ROWS)],
    }
)
SUITE = [
    *(expect("column_values_to_be_unique", column=name) for name in ("id", "code")),
    *(expect("column_values_to_not_be_null", column=name) for name in FRAME.columns),
    *(expect("column_unique_value_count_to_be_between", column=name, max_value=9) for name in ("shop", "code", "id")),
    expect("column_values_to_be_in_set", column="shop", value_set=["north", "south", "east"]),
    expect("column_values_to_be_in_set", column="shop", value_set=["north", "south"], mostly=0.5),
    expect("column_values_to_match_regex", column="shop", regex="^[a-z]+$"),
    expect("column_values_to_match_regex", column="shop", regex="th$"),
    expect("column_values_to_not_match_regex_list", column="shop", regex_list=["^e", "x"]),
    expect("column_values_to_match_regex", column="code", regex="^[0-9a-e]{4}$"),
    expect("column_value_lengths_to_equal", column="code", value=4),
    expect("column_values_to_be_between", column="pieces", min_value=0, max_value=10),
    expect("column_values_to_be_between", column="price", min_value=0.5, max_value=200),
    *(expect(f"column_{what}_to_be_between", column="price", max_value=3) for what in ("mean", "stdev", "median")),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="id", column_B="price"),
]


def never():
    raise AssertionError("rows were read again")


def told(result):
    return [[item["success"], item["result"]] for item in result.genuine["results"]]


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_that_threads_evaluate_and_one_takes_in_order_say_what_all_rows_say(threads):
    suite = [entry for entry in SUITE if entry["kwargs"] != {"column": "code"}]
    folding = Folding(entries_of(suite), FRAME.schema)
    batches = [FRAME[start : start + 1_500] for start in range(0, ROWS, 1_500)]
    with ThreadPoolExecutor(threads) as pool:
        for evaluated in pool.map(folding.evaluate, batches):
            folding.take(evaluated)
    found = run_folded(suite, folding, never)
    differ = [pair for pair in zip(told(found), told(run_suite(suite, FRAME)), strict=True) if not alike(*pair, 1e-9)]
    assert not differ


def test_few_texts_that_turn_many_are_judged_and_counted_all_the_same():
    texts = ["a"] * 3_000 + [str(row) for row in range(3_000)] + ["b", None] * 1_500
    frame = pl.DataFrame({"x": texts})
    suite = [
        expect("column_values_to_match_regex", column="x", regex="^[a0-9]"),
        expect("column_unique_value_count_to_be_between", column="x", max_value=9),
    ]
    folding = Folding(suite, frame.schema)
    for start in range(0, len(texts), 2_000):
        folding.add(frame[start : start + 2_000])
    assert told(run_folded(suite, folding, never)) == told(run_suite(suite, frame))


def test_what_is_assured_is_not_asked_of_the_rows_and_what_goes_beyond_it_is():
    assured = {
        "shop": Assured(allowed=("north", "south", "east")),
        "price": Assured(lowest=0.0, highest=130.0),
        "pieces": Assured(lowest=0, highest=10),
    }
    settled = [
        expect("column_values_to_be_between", column="pieces", min_value=0, max_value=10),
        expect("column_values_to_be_between", column="price", max_value=200),
        expect("column_values_to_be_in_set", column="shop", value_set=["north", "south", "east", "west"]),
        expect("column_values_to_not_be_null", column="price", mostly=0.9),
    ]
    beyond = [
        expect("column_values_to_be_between", column="pieces", min_value=0, max_value=10, strict_max=True),
        expect("column_values_to_be_between", column="price", min_value=1),
        expect("column_values_to_be_in_set", column="shop", value_set=["north", "south"]),
    ]
    suite = settled + beyond
    folding = Folding(suite, FRAME.schema, assured=assured)
    folding.add(FRAME)
    found = run_folded(suite, folding, never)
    assert told(found) == told(run_suite(suite, FRAME))
    assert [row.success for row in found.rows] == [True] * 4 + [False] * 3
    assert found.genuine["meta"]["engine"]["without_reading"] == 3


@pytest.fixture
def small(monkeypatch):
    """Let a handful of rows be more than is held, and two different values few."""
    monkeypatch.setattr(gathered, "LARGE_ROWS", 6)
    monkeypatch.setattr(gathered, "_HELD", 3)
    monkeypatch.setattr(gathered, "_MERGED", 2)
    monkeypatch.setattr(gathered, "_FEW_SHARE", 0.7)
    monkeypatch.setattr(narrowing, "_MOST", 4)
    monkeypatch.setattr(narrowing, "_ROOM", 2)


_ROW = st.tuples(
    st.integers(-5, 7), st.sampled_from(SPECIAL_FLOATS), st.sampled_from(WORDS[:6]), st.sampled_from([0, 0, 255, 85])
)


@pytest.mark.parametrize("assured", [False, True])
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(_ROW, min_size=1, max_size=20), chance=st.randoms(use_true_random=False), strict=st.booleans())
def test_expectations_of_all_types_say_of_batches_what_they_say_of_all_rows(rows, chance, strict, assured, small):
    frame = frame_of(rows)
    rules = {}
    if assured:
        frame = frame.with_columns(cs.float().fill_nan(None))
        rules = {name: Assured() for name, kind in frame.schema.items() if kind.is_float()}
    made = chance.sample(list(expectations(3, 0.5, 1, 2, strict)), 150)
    entries = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in made]
    folding = Folding(entries, frame.schema, assured=rules)
    for start in range(0, len(rows), 4):
        folding.add(frame[start : start + 4])
    assert not folding.failed
    form = Format.of("SUMMARY")
    folded = evaluate(folding.source(frame.lazy()), entries, form, answering=folding.answer)
    whole = evaluate(Source.of(frame), entries, form)
    assert folded.unsettled == whole.unsettled
    for place, theirs in whole.outcomes.items():
        ours = folded.outcomes[place]
        tolerance = 1e-5 if "h" in str(entries[place]["kwargs"].get("column")) else 1e-9
        assert ours.success == theirs.success, entries[place]
        assert alike(unordered(plain(ours.result)), unordered(plain(theirs.result)), tolerance), entries[place]
