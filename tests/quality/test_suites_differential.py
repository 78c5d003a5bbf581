"""Every compiled expectation against Great Expectations' own pandas engine: equal in each field of the result."""

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from quality.suites.compiled import COMPILED, evaluate
from quality.suites.format import Format
from quality.suites.plain import plain
from quality.suites.source import Source
from tests.quality.upstream import SPECIAL_FLOATS, WORDS, alike, expectations, frame_of, oracle, unordered

_FLOATS = st.sampled_from(SPECIAL_FLOATS) | st.floats(-5, 5)
_ROW = st.tuples(
    st.integers(-5, 7) | st.integers(-60, 60),
    _FLOATS,
    st.sampled_from(WORDS) | st.text(max_size=3),
    st.sampled_from([0, 255]) | st.integers(0, 255),
)
_ARGUMENTS = {
    "rows": st.lists(_ROW, max_size=25),
    "number": st.sampled_from([0, 1, 3, 6]),
    "mostly": st.sampled_from([1, 0.5, 0.75, 0]),
    "low": st.sampled_from([0, 1, -1, 0.5, 2]),
    "high": st.sampled_from([1, 2, 3]),
    "strict": st.booleans(),
    "chance": st.randoms(use_true_random=False),
}
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


def differences(rows, entries, result_format="SUMMARY"):
    """Return what the compiled suite and the library say of the expectations in which they differ, and what ran."""
    frame = frame_of(rows)
    found = evaluate(Source.of(frame), entries, Format.of(result_format))
    compiled = sorted(found.outcomes)
    theirs = oracle([entries[place] for place in compiled], frame, result_format)
    wrong = []
    for place, told in zip(compiled, theirs, strict=True):
        ours, arguments = found.outcomes[place], entries[place]["kwargs"]
        tolerance = 1e-5 if "h" in str([arguments.get(name) for name in ("column", "column_A", "column_B")]) else 1e-9
        same = isinstance(told, tuple) and ours.success == told[0]
        if not same or not alike(unordered(plain(ours.result)), unordered(told[1]), tolerance):
            wrong.append((entries[place], ours, told))
    return wrong, {entries[place]["type"] for place in compiled}


def entries_of(number, mostly, low, high, strict):
    made = expectations(number, mostly, low, high, strict)
    return [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in made]


@pytest.mark.slow  # loads Great Expectations, eight seconds of CPU
@settings(max_examples=3, deadline=None, suppress_health_check=_SLOW)
@given(**_ARGUMENTS)
def test_some_expectations_on_any_rows_say_what_the_library_says(rows, number, mostly, low, high, strict, chance):
    entries = chance.sample(entries_of(number, mostly, low, high, strict), 60)
    assert differences(rows, entries)[0] == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("result_format", ["BOOLEAN_ONLY", "BASIC", "SUMMARY", "COMPLETE"])
@settings(max_examples=50, deadline=None, suppress_health_check=_SLOW)
@given(**_ARGUMENTS)
def test_expectations_of_all_types_on_any_rows_say_what_the_library_says(
    result_format, rows, number, mostly, low, high, strict, chance
):
    entries = chance.sample(entries_of(number, mostly, low, high, strict), 300)
    assert differences(rows, entries, result_format)[0] == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_compiled_type_is_compared_on_ordinary_rows():
    rows = [(1, 0.5, "a", 0), (2, 1.5, "ab", 0), (2, float("nan"), "a", 255), (-1, 3.0, "Ä", 0), (7, 0.5, "12", 170)]
    wrong, compared = differences(rows, entries_of(3, 0.5, 1, 2, True))
    assert wrong == []
    assert compared == set(COMPILED)


@pytest.mark.slow
def test_times_that_are_missing_are_counted_beside_others_as_often_as_they_are():
    rows = [(-1, 3.0, "", 0), (-1, 3.0, "", 0), (-11, 0.0, "", 100), (-11, 0.0, "", 53)]
    unique = {"column_list": ["t", "d"], "ignore_row_if": "never"}
    assert differences(rows, [{"type": "expect_compound_columns_to_be_unique", "kwargs": unique}])[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("few", [0, 2, {"result_format": "BASIC", "partial_unexpected_count": 1}])
def test_fewer_examples_may_be_asked_for(few):
    rows = [(number, 1.0, "a", 0) for number in (1, 2, 2, 3, 3, 3)]
    entries = [
        {"type": f"expect_column_values_to_be_{kind}", "kwargs": {"column": "i", **more}}
        for kind, more in (("unique", {}), ("null", {}), ("between", {"min_value": 3}), ("in_set", {"value_set": [1]}))
    ]
    form = few if isinstance(few, dict) else {"result_format": "SUMMARY", "partial_unexpected_count": few}
    assert differences(rows, entries, form)[0] == []
