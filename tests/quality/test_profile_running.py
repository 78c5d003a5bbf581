"""Tests of profiles of more rows than are held: what is told of all rows, and what of a sample."""

import math
from collections import Counter
from datetime import datetime
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality import profile as module
from quality.drift import drift
from quality.profile import Profile, merge, profile, profile_batches
from quality.profiles.columns import column_profile
from quality.profiles.counted import count_values
from quality.profiles.distinct import HyperLogLog, registers
from quality.profiles.hashing import hash_numbers
from quality.profiles.keys import KeyCounts
from quality.profiles.powers import row_powers
from quality.profiles.sample import Sample
from quality.profiles.scaled import Scaled
from quality.profiles.tallies import FEW
from resources.canonical import canonical_json

HELD = 20_000
ROWS = 150_000


@pytest.fixture(autouse=True)
def few_rows_are_held(monkeypatch):
    monkeypatch.setattr(module, "ROWS", HELD)
    monkeypatch.setattr(module, "_LEAST", HELD)
    monkeypatch.setattr(module, "_PIECE", 1_000)


def made(rows=ROWS, seed=1):
    rng = np.random.default_rng(seed)
    odd = rng.normal(size=rows)
    odd[:3] = [np.nan, np.inf, -np.inf]
    gone = rng.random(rows) < 0.1
    frame = pl.DataFrame(
        {
            "row": np.arange(rows) * 3 + 2**40,
            "small": rng.poisson(3, rows),
            "wide": rng.choice(np.array([-(2**62), 0, 5, 2**62]), rows),
            "fraction": odd,
            "single": rng.gamma(2, 1, rows).astype(np.float32),
            "half": np.round(rng.normal(size=rows), 1),
            "huge": rng.lognormal(0, 1, rows) * 1e200,
            "kind": rng.choice(["red", "green", "a name longer than twelve bytes"], rows),
            "token": pl.Series([f"{i * 7_919:x}" for i in range(rows)]),
            "mixed": pl.Series([f"user {i}" if i > rows // 2 else "nobody" for i in range(rows)]),
            "at": datetime(2026, 1, 1) + pl.Series(rng.permutation(rows)).cast(pl.Duration("us")) * 1_000_003,
            "day": pl.Series(rng.integers(20_000, 20_010, rows)).cast(pl.Date),
            "yes": rng.random(rows) < 0.3,
            "class": pl.Series(rng.choice(["x", "y"], rows), dtype=pl.Enum(["x", "y", "z"])),
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            "list": [[1]] * rows,
        }
    )
    return frame.with_columns(pl.when(pl.Series(gone)).then(None).otherwise(pl.col("single", "kind")).name.keep())


def test_what_is_told_of_all_rows_is_what_it_is_of_rows_held_together():
    frame = made()
    found = profile(frame).columns
    for name, column in found.items():
        exact = column_profile(frame[name])
        for field in ("type", "kind", "count", "nulls", "nans", "infinite", "negative_infinite", "minimum", "maximum"):
            assert getattr(column, field) == getattr(exact, field), (name, field)
        for field in ("mean", "std", "skewness", "kurtosis"):
            told, expected = getattr(column, field), getattr(exact, field)
            assert told == expected or told == pytest.approx(expected, rel=1e-7, abs=1e-7), (name, field)
        if not column.sampled:
            assert column == exact, name
    assert {name for name, column in found.items() if column.sampled} == {
        "row", "fraction", "single", "huge", "token", "mixed", "at",
    }  # fmt: skip


def test_distinct_values_are_counted_among_all_rows():
    frame = made()
    found = profile(frame).columns
    for name in ("row", "fraction", "single", "token", "mixed", "at"):
        present = frame[name].drop_nulls().drop_nans() if frame[name].dtype.is_float() else frame[name].drop_nulls()
        assert found[name].distinct == pytest.approx(present.n_unique(), rel=4 * found[name].distinct_error)
    numbers = frame["row"].to_numpy()
    together, parts = HyperLogLog(), HyperLogLog()
    together.add(hash_numbers(numbers))
    for part in np.array_split(numbers, 7):
        parts.add(hash_numbers(part))
    assert (parts.registers == together.registers).all()
    assert (registers(hash_numbers(numbers)) == together.registers).all()


def test_ranks_of_a_sample_are_right_within_the_error_that_is_stated():
    frame = made()
    found = profile(frame).columns
    for name in ("row", "fraction", "single", "huge"):
        column, values = found[name], np.sort(frame[name].drop_nulls().to_numpy())
        values = values[np.isfinite(values)]
        ranks = column.sketch.ranks()
        assert (ranks.upto[-1], ranks.points[0], ranks.points[-1]) == (len(values), values[0], values[-1])
        assert np.all(np.diff(ranks.upto) >= 0)
        error = np.abs(ranks.upto - np.searchsorted(values, ranks.points, "right")) / len(values)
        assert error.max() <= column.sampling_error
        assert column.sampling_error == math.sqrt(math.log(200) / 2 / column.sampled)
        assert sum(column.histogram.counts) == column.count
        true = np.searchsorted(values, [column.quantiles["0.25"], column.quantiles["0.95"]]) / len(values)
        assert true == pytest.approx([0.25, 0.95], abs=2 * column.sampling_error)


def test_frequent_values_of_a_sample_are_told_as_such():
    found = profile(made()).columns["mixed"]
    assert found.top[0][0] == "nobody"
    assert found.top[0][1] == pytest.approx(ROWS / 2, rel=0.05)
    assert 0 < found.top_error < 0.01 * ROWS
    assert found.lengths.minimum == 6
    assert found.lengths.maximum == len(f"user {ROWS}")
    assert not found.lengths.sampled


@pytest.mark.parametrize("size", [1_700, 7_001, ROWS])
def test_the_sizes_of_batches_do_not_show(size):
    frame = made(60_000)
    pieces = [frame[start : start + size] for start in range(0, frame.height, size)]
    assert canonical_json(profile_batches(pieces).to_json()) == canonical_json(profile(frame.lazy()).to_json())


@settings(max_examples=150)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60),
    st.sampled_from([1.0, 1e-12, 1e40]),
    st.sampled_from([0.0, 3e5, -1e9]),
    st.floats(-1e9, 1e9),
)
def test_powers_are_those_about_the_mean_whatever_they_are_taken_near(values, scale, offset, near):
    numbers = np.array(values) * scale + offset
    exact = [Fraction(value) for value in numbers.tolist()]
    mean = sum(exact) / len(exact)
    found, ends = row_powers(numbers, near=near)
    assert ends == (numbers.min(), numbers.max())
    assert found.rows == len(exact)
    spread = float(sum((value - mean) ** 2 for value in exact) / len(exact)) ** 0.5
    rounding = 1e-12 * (max(abs(numbers)) + abs(near))
    assert found.mean == pytest.approx(float(mean), abs=rounding + 1e-9 * spread)
    if spread > 1e6 * rounding:
        for power, told in ((2, found.second), (3, found.third), (4, found.fourth)):
            expected = float(sum((value - mean) ** power for value in exact))
            assert told == pytest.approx(expected, abs=1e-6 * len(exact) * spread**power * len(exact))


def test_powers_of_what_is_not_finite_are_none():
    for odd in (np.nan, np.inf, -np.inf):
        assert row_powers(np.array([1.0, odd, 2.0])) is None


def test_numbers_that_become_huge_have_no_moments_and_all_else():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(size=60_000), rng.normal(size=60_000) * 1e200, [1.5e308, 1.6e308]])
    found = profile(pl.DataFrame({"n": values})).columns["n"]
    assert (found.count, found.minimum, found.maximum) == (len(values), values.min(), values.max())
    assert (found.std, found.skewness, found.kurtosis) == (None, None, None)
    assert found.distinct == pytest.approx(len(values), rel=0.1)


def test_a_sampled_profile_is_kept_as_json():
    found = profile(made(30_000))
    assert canonical_json(Profile.from_json(found.to_json()).to_json()) == canonical_json(found.to_json())


def test_a_column_whose_values_become_many_late_is_told_right():
    late = np.concatenate([np.zeros(50_000), np.random.default_rng(3).normal(size=50_000)])
    whole = np.concatenate([np.arange(50_000) % 7, np.arange(50_000) * 1_000])
    frame = pl.DataFrame({"late": late, "whole": whole, "text": whole.astype(str)})
    found = profile(frame).columns
    assert all(column.sampled for column in found.values())
    assert (found["late"].minimum, found["late"].maximum) == (late.min(), late.max())
    assert found["late"].top[0][0] == "0.0"
    assert found["late"].top[0][1] == pytest.approx(50_000, rel=0.1)
    for name in frame.columns:
        assert found[name].distinct == pytest.approx(50_000, rel=0.1)
    assert found["whole"].mean == pytest.approx(whole.mean())


def sampled(frames, most):
    sample = Sample(frames[0].schema, most)
    for frame in frames:
        choice = sample.choose([frame.height])
        for name in frame.columns:
            sample.take(name, [frame[name]], choice)
    return {name: sample.values(name) for name in frames[0].columns}


def test_more_rows_are_sampled_whatever_their_order():
    frames = [pl.DataFrame({"n": np.arange(start, min(start + 333, 100_000))}) for start in range(0, 100_000, 333)]
    kept = sampled(frames, 1_000)["n"].to_numpy()
    assert 400 <= len(kept) <= 1_000
    assert len(set(kept)) == len(kept)
    assert np.abs((np.arange(len(kept)) + 0.5) / len(kept) - kept / 100_000).max() < 1.63 / len(kept) ** 0.5
    even = np.count_nonzero(kept % 2 == 0)
    assert abs(even - len(kept) / 2) < 4 * len(kept) ** 0.5 / 2


def test_a_sample_holds_the_same_rows_of_each_column_whatever_its_type_and_the_pieces():
    row = np.arange(20_000)
    frame = pl.DataFrame(
        {
            "row": row,
            "short": row.astype(np.uint32),
            "single": row.astype(np.float32),
            "at": pl.Series(row).cast(pl.Datetime("ns", "Europe/Berlin")),
            "long": pl.Series(row).cast(pl.Duration("ms")),
            "time": pl.Series(row * 1_000).cast(pl.Time),
            "day": pl.Series(row).cast(pl.Date),
            "price": pl.Series(row).cast(pl.Decimal(12, 2)),
            "large": pl.Series(row).cast(pl.Int128),
            "text": [f"the text of row {i}" for i in row],
        }
    )
    gaps = {f"{name} or null": pl.when(pl.col("row") % 3 > 0).then(pl.col(name)) for name in frame.columns}
    frame = frame.with_columns(**gaps)
    pieces = [frame[:5], frame[5:5], pl.concat([frame[5:7_000], frame[7_000:7_001]], rechunk=False), frame[7_001:]]
    found = sampled(pieces, 1_000)
    kept = found["row"].to_list()
    for name in frame.columns:
        assert found[name].to_list() == frame[name].gather(kept).drop_nulls().to_list(), name
        assert found[name].dtype == frame[name].dtype


def test_texts_of_a_sample_do_not_keep_those_beside_them():
    texts = pl.DataFrame({"t": [f"a text of more than twelve bytes {i}" for i in range(2_000)]})
    found = sampled([texts.select(pl.col("t") + "!") for _ in range(200)], 1_000)["t"]
    array = found.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    assert sum(buffer.size for buffer in array.buffers()[2:] if buffer) < 20 * texts.estimated_size()


def test_merging_states_the_rows_that_samples_are_worth():
    parts = [profile(made(30_000, seed)) for seed in (1, 2)]
    sizes = [part.columns["fraction"].sampled for part in parts]
    merged = merge(parts).columns["fraction"]
    assert merged.sampled == pytest.approx(4 / sum(1 / size for size in sizes), rel=0.01)
    assert merged.count == sum(part.columns["fraction"].count for part in parts)
    small = profile(made(1_000, 3))
    assert small.columns["fraction"].sampled == 0
    assert merge([parts[0], small]).columns["fraction"].sampled > sizes[0]


def test_drift_takes_a_sample_for_as_many_rows_as_it_has():
    rng = np.random.default_rng(9)
    low = 0
    for _ in range(50):
        sides = [pl.DataFrame({"x": rng.normal(size=40_000)}) for _ in range(2)]
        found = drift(*sides, tolerance=0.0)[0]
        assert found.effective_current == profile(sides[1]).columns["x"].sampled < 40_000 == found.rows_current
        low += found.p < 0.05
    assert low <= 8  # of 2.5 expected
    moved = drift(pl.DataFrame({"x": rng.normal(size=40_000)}), pl.DataFrame({"x": rng.normal(0.5, size=40_000)}))
    assert moved[0].flagged


def test_a_constant_of_many_rows_has_no_sample():
    found = profile(pl.DataFrame({"x": np.full(50_000, 0.1), "s": ["a"] * 50_000})).columns
    assert (found["x"].distinct, found["x"].std, found["x"].sampled) == (1, 0.0, 0)
    assert found["s"].top == (("a", 50_000),)


def test_wide_tables_are_held_in_fewer_rows(monkeypatch):
    monkeypatch.setattr(module, "_LEAST", 100)
    monkeypatch.setattr(module, "_CELLS", 200_000)
    frame = pl.DataFrame({f"c{i}": np.arange(1_000) % 17 for i in range(500)})
    assert profile(frame).columns["c3"] == column_profile(frame["c3"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(1, 40)), min_size=1, max_size=4), st.integers(0, 2**63))
def test_keys_are_counted(pieces, seed):
    counts, expected = KeyCounts(), Counter()
    for distinct, times in pieces:
        keys = np.random.default_rng((seed, distinct)).integers(0, 2**63, min(distinct * times, 50_000), np.uint64)
        keys %= np.uint64(distinct)
        new = counts.add(keys)
        assert sorted(keys[new].tolist()) == sorted(set(keys.tolist()) - set(expected))
        expected.update(keys.tolist())
    assert len(counts) == len(expected)
    assert dict(zip(*(part.tolist() for part in counts.counted()), strict=True)) == dict(expected)


def test_keys_are_counted_with_their_numbers():
    counts = KeyCounts()
    keys = np.arange(30_000, dtype=np.uint64) * np.uint64(2**32)
    for _ in range(2):
        counts.add(keys, np.arange(30_000) + 1)
    found = dict(zip(*(part.tolist() for part in counts.counted()), strict=True))
    assert found == {int(key): 2 * (place + 1) for place, key in enumerate(keys)}


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=50), st.integers(1, 1_000))
def test_scaled_ranks_rise_from_nothing_to_all(values, more):
    rows = len(values) + more
    scaled = Scaled(found=count_values(np.array(values, float)), rows=rows, ends=(-60.0, 60.0))
    points = np.arange(-62.0, 63.0)
    below, upto = scaled.below(points), scaled.upto(points)
    assert (below[0], upto[0], below[-1], upto[-1]) == (0, 0, rows, rows)
    assert np.all(np.diff(below) >= 0)
    assert np.all(below <= upto)
    found, low, high = scaled.at_ranks(np.arange(1, rows + 1))
    assert (found[0], found[-1]) == (-60.0, 60.0) if rows > 1 else found[0] == -60.0
    assert np.all(np.diff(found) >= 0)
    assert np.all(low < high)


def test_few_is_the_number_of_distinct_values_however_rows_are_cut():
    values = np.random.default_rng(2).permutation(np.repeat(np.arange(FEW) * 1.5, 10))
    for extra, sampled in ((0, False), (1, True)):
        frame = pl.DataFrame({"x": np.concatenate([values, np.arange(extra) + 0.25])})
        for size in (999, 5_000, 50_000):
            pieces = [frame[start : start + size] for start in range(0, frame.height, size)]
            assert bool(profile_batches(pieces).columns["x"].sampled) == sampled
