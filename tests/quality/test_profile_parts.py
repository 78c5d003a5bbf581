"""The parts of a profile: each within the error that it states, merged or not, whatever the order of the rows."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quality.profile import Profile, merge, profile, profile_batches
from quality.profiles.counted import count_values
from quality.profiles.distinct import RELATIVE_ERROR, decode, encode, estimate, registers
from quality.profiles.frequent import LISTED
from quality.profiles.hashing import hash_texts
from quality.profiles.quantiles import merge_sketches, sketch
from resources.canonical import canonical_json
from resources.errors import ContractError

numbers = st.lists(st.integers(-50, 50) | st.floats(-1e6, 1e6), max_size=80)
words = st.lists(st.text(max_size=5), max_size=60)


def sketch_of(values, points=8):
    return sketch(count_values(np.array(values, np.float64)), points=points)


def same(one, two):
    return canonical_json(one.to_json()) == canonical_json(two.to_json())


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=4), st.floats(-1e6, 1e6))
def test_the_rank_of_any_value_is_right_within_the_error_that_a_sketch_states(parts, value):
    every = [number for part in parts for number in part]
    merged = merge_sketches([sketch_of(part) for part in parts], points=8)
    if not every:
        assert merged.rows == 0
        return
    assert merged.rows == len(every)
    below, upto, _ = merged.ranks().at(np.array([value]))
    allowed = merged.rank_error * len(every) + 1e-9
    assert abs(below[0] - sum(number < value for number in every)) <= allowed
    assert abs(upto[0] - sum(number <= value for number in every)) <= allowed


@settings(deadline=None)
@given(st.permutations([sketch_of(range(i, 90, i + 1)) for i in range(5)]))
def test_sketches_merge_to_the_same_in_any_order(parts):
    assert merge_sketches(parts) == merge_sketches(sorted(parts, key=lambda part: part.rows))


def test_a_sketch_of_few_values_is_exact_and_one_of_many_is_right_within_one_in_256():
    assert sketch_of([1, 1, 2], points=256).rank_error == 0
    skewed = np.random.default_rng(1).lognormal(0, 3, 50_000)
    assert 0 < sketch_of(skewed, points=256).rank_error <= 1.05 / 255


@settings(deadline=None)
@given(st.lists(words, min_size=2, max_size=4))
def test_the_profile_of_a_whole_and_the_merge_of_its_parts_agree_on_texts(parts):
    frames = [pl.DataFrame({"s": pl.Series(part, dtype=pl.String)}) for part in parts]
    merged, whole = merge(map(profile, frames)).columns["s"], profile(pl.concat(frames)).columns["s"]
    assert (merged.top, merged.top_error, merged.distinct) == (whole.top, 0, whole.distinct)
    assert merged.lengths == whole.lengths or (merged.lengths.sketch, merged.lengths.histogram) == (
        whole.lengths.sketch,
        whole.lengths.histogram,
    )


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 400), min_size=120, max_size=250), min_size=2, max_size=3), st.randoms())
def test_a_merge_lists_values_within_its_error_and_does_not_depend_on_the_order(parts, random):
    frames = [pl.DataFrame({"n": part}) for part in parts]
    profiles = [profile(frame) for frame in frames]
    merged = merge(profiles)
    column, counts = merged.columns["n"], pl.concat(frames)["n"].value_counts()
    true = {str(value): count for value, count in counts.iter_rows()}
    listed = dict(column.top)
    for value, count in true.items():
        assert listed.get(value, 0) <= count <= listed.get(value, 0) + column.top_error
    random.shuffle(profiles)
    assert same(merge(profiles), merged)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), min_size=2, max_size=4))
def test_merged_moments_are_scipys_of_the_whole(parts):
    merged = merge(profile(pl.DataFrame({"x": part})) for part in parts).columns["x"]
    whole = np.concatenate(parts)
    assert merged.mean == pytest.approx(whole.mean(), rel=1e-6, abs=1e-5)
    assert merged.std == pytest.approx(whole.std(ddof=1), rel=1e-5, abs=1e-5)
    if whole.std() > 1:
        assert merged.skewness == pytest.approx(stats.skew(whole), rel=1e-3, abs=1e-3)
        assert merged.kurtosis == pytest.approx(stats.kurtosis(whole), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("true", [1, 50, 3_000, 200_000])
def test_distinct_values_are_estimated_within_four_standard_errors(true):
    texts = pl.Series([f"user {i}" for i in range(true)])
    assert estimate(registers(hash_texts(texts))) == pytest.approx(true, rel=4 * RELATIVE_ERROR)


@settings(deadline=None)
@given(words)
def test_registers_of_a_union_are_the_union_of_registers_and_read_back(texts):
    half = len(texts) // 2
    parts = [registers(hash_texts(pl.Series(part, dtype=pl.String))) for part in (texts[:half], texts[half:], texts)]
    assert (np.maximum(parts[0], parts[1]) == parts[2]).all()
    assert (decode(encode(parts[2])) == parts[2]).all()


def test_the_distinct_count_of_merged_ids_is_estimated_and_says_so():
    parts = [profile(pl.DataFrame({"id": np.arange(start, start + 5_000)})) for start in (0, 2_500)]
    merged = merge(parts).columns["id"]
    assert merged.distinct == pytest.approx(7_500, rel=4 * RELATIVE_ERROR)
    assert merged.distinct_error == pytest.approx(RELATIVE_ERROR, rel=0.01)
    assert parts[0].columns["id"].distinct_error == 0


def test_frequent_texts_of_many_rows_are_found_among_hundreds_of_thousands_of_distinct_ones():
    texts = [f"rare {i}" for i in range(300_000)] + ["frequent"] * 5_000 + ["common"] * 3_000
    found = profile(pl.DataFrame({"s": texts})).columns["s"]
    assert found.top[:2] == (("frequent", 5_000), ("common", 3_000))
    assert found.top_error < 300
    assert found.distinct == pytest.approx(300_002, rel=4 * RELATIVE_ERROR)


def test_an_enormous_text_keeps_its_beginning_and_its_hash():
    texts = ["x" * 3_000_000 + end for end in "ab"]
    found = profile(pl.DataFrame({"s": [*texts, texts[0]]})).columns["s"]
    assert [count for _, count in found.top] == [2, 1]
    assert all(len(text) == 100 for text, _ in found.top)
    assert found.lengths.maximum == 3_000_001


def test_every_type_has_a_profile():
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "decimal": [Decimal("1.50"), Decimal("2.25"), None],
            "zoned": pl.Series([at, at, None]).dt.convert_time_zone("Asia/Tokyo"),
            "day": [date(2026, 1, 1), None, None],
            "clock": [time(1), time(2), None],
            "span": [timedelta(hours=1), timedelta(hours=3), None],
            "kind": pl.Series(["a", "b", None], dtype=pl.Categorical),
            "rank": pl.Series(["low", "high", None], dtype=pl.Enum(["low", "high"])),
            "large": pl.Series([2**63, 2**64 - 1, None], dtype=pl.UInt64),
            "bytes": [b"a", b"b", None],
            "nothing": [None, None, None],
        }
    )
    found = profile(frame).columns
    assert {name: column.kind for name, column in found.items()} == {
        "decimal": "number", "zoned": "time", "day": "time", "clock": "time", "span": "number", "kind": "category",
        "rank": "category", "large": "number", "bytes": "other", "nothing": "other",
    }  # fmt: skip
    assert (found["decimal"].mean, found["span"].mean) == (1.875, 7_200)
    assert found["zoned"].sketch.points == (at.timestamp(),)
    assert found["clock"].sketch.points == (3_600.0, 7_200.0)
    assert found["rank"].top == (("high", 1), ("low", 1))
    assert all(column.nulls >= 1 for column in found.values())
    assert same(Profile.from_json(json.loads(canonical_json(profile(frame).to_json()))), profile(frame))


def test_the_type_of_an_enumeration_of_many_values_is_told_by_their_digest():
    kinds = [pl.Enum([f"{start + i}" for i in range(1_000)]) for start in (0, 0, 1)]
    names = [profile(pl.DataFrame({"x": pl.Series(["7"], dtype=kind)})).columns["x"].type for kind in kinds]
    assert names[0] == names[1] != names[2]
    assert len(names[0]) < 60


def test_infinities_are_counted_by_side():
    found = profile(pl.DataFrame({"x": [1.0, float("inf"), float("-inf"), float("-inf")]})).columns["x"]
    assert (found.infinite, found.negative_infinite, found.count) == (3, 2, 1)


def test_the_order_of_rows_and_the_size_of_batches_do_not_show_in_a_profile():
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({"x": rng.normal(size=4_000), "s": rng.choice(list("abc"), 4_000)})
    table = frame.sample(fraction=1, shuffle=True, seed=1).to_arrow()
    assert same(profile_batches(table.to_batches(max_chunksize=77)), profile(frame))
    assert same(profile(frame.lazy()), profile(frame))


def test_a_column_takes_a_few_kilobytes():
    rng = np.random.default_rng(5)
    frame = pl.DataFrame({"x": rng.normal(size=50_000), "s": [f"text {i}" for i in range(50_000)]})
    assert len(canonical_json(profile(frame).to_json())) / 2 < 8_000


def test_thousands_of_columns_have_a_profile():
    frame = pl.DataFrame({f"c{i}": [i, i + 1] for i in range(5_000)})
    assert len(profile(frame).columns) == 5_000


def test_no_batch_at_all_and_a_profile_of_the_future_are_refused():
    with pytest.raises(ContractError, match="no batches to profile"):
        profile_batches([])
    with pytest.raises(ContractError, match=r"format 4.*upgrade Penstock"):
        Profile.from_json({"format": 4, "rows": 0, "columns": {}})


OLD = {
    "rows": 3,
    "columns": {
        "x": {
            "type": "Float64", "count": 3, "nulls": 0, "nans": 0, "infinite": 0, "minimum": 1.0, "maximum": 2.0,
            "mean": 1.5, "std": 0.5, "quantiles": {"0.5": 1.5}, "distinct": None, "top": [], "approximate": False,
            "histogram": {"exponent": -5, "first": 32, "counts": [1] + [0] * 31 + [2]},
        }
    },
}  # fmt: skip


def test_a_profile_of_the_first_format_is_read_and_knows_that_it_has_no_ranks():
    found = Profile.from_json(OLD)
    assert (found.columns["x"].kind, found.columns["x"].mean, found.comparable) == ("number", 1.5, False)
    assert merge([found, found]).columns["x"].count == 6


def test_distinct_values_that_were_counted_by_other_hashes_are_told_but_do_not_merge():
    value = profile(pl.DataFrame({"id": [f"user {i}" for i in range(300)], "few": ["a", "b", "c"] * 100})).to_json()
    old = Profile.from_json({**value, "format": 2})
    assert (old.columns["id"].distinct, old.columns["id"].registers) == (300, None)
    merged = merge([old, Profile.from_json(value)])
    assert (merged.columns["id"].distinct, merged.columns["id"].registers) == (None, None)
    assert merged.columns["id"].top_error == 2
    assert (merged.columns["few"].distinct, merged.columns["few"].top[0]) == (3, ("a", 200))
    again = merge([merged, Profile.from_json(value)]).columns["id"]
    assert (again.distinct, again.count) == (None, 900)


def test_lists_hold_at_most_a_hundred_values():
    found = profile(pl.DataFrame({"n": np.repeat(np.arange(300), np.arange(300) + 1)})).columns["n"]
    assert len(found.top) == LISTED
    assert found.top[0] == ("299", 300)
    assert found.top_error == 200
