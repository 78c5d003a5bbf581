"""Rows that came before: in the partition itself, or in an earlier one."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.repeats import SIZE, RowSketch, judge_repeats, overlap, sketch_rows
from resources.errors import ContractError, DeclarationError


def keys(first, count):
    return pl.DataFrame({"id": np.arange(first, first + count)})


@given(one=st.sets(st.integers(0, 200), min_size=1), two=st.sets(st.integers(0, 200), min_size=1))
def test_the_overlap_of_small_partitions_is_exact(one, two):
    sketches = [sketch_rows(pl.DataFrame({"id": sorted(side)}, schema={"id": pl.Int64})) for side in (one, two)]
    share, seen = overlap(*sketches)
    assert seen == len(one)
    assert share == pytest.approx(len(one & two) / len(one))


@settings(max_examples=10)
@given(shared=st.integers(0, 40_000), first=st.integers(0, 2**40))
def test_the_overlap_of_large_partitions_is_told_to_a_few_hundredths(shared, first):
    one, two = keys(first, 40_000), keys(first + 40_000 - shared, 60_000)
    share, seen = overlap(sketch_rows(one), sketch_rows(two))
    assert seen > SIZE / 3
    # Five standard deviations of a sample of `seen` rows.
    assert share == pytest.approx(shared / 40_000, abs=5 * 0.5 / seen**0.5)


def test_a_sound_partition_repeats_nothing():
    found = judge_repeats(sketch_rows(keys(1_000, 500)), {"yesterday": sketch_rows(keys(0, 1_000))})
    assert [finding.verdict for finding in found] == ["pass", "pass"]


def test_rows_of_an_earlier_partition_are_found_and_it_is_named():
    past = {"monday": sketch_rows(keys(0, 1_000)), "tuesday": sketch_rows(keys(1_000, 1_000))}
    found = judge_repeats(sketch_rows(keys(1_900, 1_000)), past, what="keys")
    assert found[1].verdict == "warn"
    assert found[1].reason == "10.00% of the keys came before, in tuesday, 0.10% tolerated"


def test_rows_that_repeat_within_the_partition_are_counted():
    twice = pl.concat([keys(0, 100), keys(0, 10)])
    found = judge_repeats(sketch_rows(twice), {})
    assert found[0].verdict == "warn"
    assert found[0].reason == "9.09% of 110 rows repeat rows of the partition, 0.10% tolerated"


def test_the_order_of_rows_does_not_matter():
    assert np.array_equal(sketch_rows(keys(0, 100)).digests, sketch_rows(keys(0, 100).reverse()).digests)


def test_an_empty_partition_repeats_nothing():
    found = judge_repeats(sketch_rows(keys(0, 0)), {"yesterday": sketch_rows(keys(0, 10))})
    assert {finding.verdict for finding in found} == {"pass"}


def test_a_sketch_survives_json():
    sketch = sketch_rows(keys(0, 20_000))
    again = RowSketch.from_json(json.loads(json.dumps(sketch.to_json())))
    assert overlap(sketch, again) == (1.0, SIZE)


def test_sketches_of_other_columns_are_refused():
    one = sketch_rows(keys(0, 10))
    two = sketch_rows(keys(0, 10).rename({"id": "key"}))
    with pytest.raises(ContractError, match=r"\['id'\] and \['key'\] cannot be compared"):
        overlap(one, two)


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(DeclarationError, match="'idd'; did you mean 'id'"):
        sketch_rows(keys(0, 10), ["idd"])
