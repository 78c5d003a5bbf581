"""Tests of the counts of few keys: each row is counted for the key that owns its slot, or handed back."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.profiles.counted import Counted, _count_few
from quality.profiles.distinct import HyperLogLog, registers
from quality.profiles.hashing import hash_numbers
from quality.profiles.owners import MULTIPLIERS, Owners
from quality.profiles.tallies import FEW, NumberTally

word = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1])
KINDS = [(1, MULTIPLIERS[0]), (1, MULTIPLIERS[1]), (1, None), (2, MULTIPLIERS[0])]
EDGES = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 2, 2**63 - 1]


def told(owners, pieces):
    """Add pieces, and return by key the rows that are counted and those that were handed back, checking what is new."""
    odd, order = Counter(), []
    for rows in pieces:
        keys = [np.array(word, np.uint64) for word in zip(*rows, strict=True)]
        new, others = owners.add(keys)
        order += [rows[row] for row in new.tolist()]
        odd.update(rows[row] for row in others.tolist())
    keys, counts = owners.counted()
    assert list(zip(*keys.tolist(), strict=True)) == order
    return dict(zip(order, counts.tolist(), strict=True)), odd


@pytest.mark.parametrize(("words", "multiplier"), KINDS)
@settings(deadline=None)
@given(data=st.data(), bits=st.integers(1, 6))
def test_each_row_is_counted_for_its_key_or_handed_back(words, multiplier, data, bits):
    keys = st.tuples(*[word] * words)
    some = data.draw(st.lists(keys, min_size=1, max_size=40))
    pieces = data.draw(st.lists(st.lists(st.sampled_from(some) | keys, min_size=1, max_size=60), max_size=4))
    owners = Owners(bits, words=words, multiplier=multiplier)
    counted, odd = told(owners, pieces)
    assert not counted.keys() & odd.keys()
    assert Counter(counted) + odd == Counter(row for rows in pieces for row in rows)
    assert len(counted) == len(owners)
    few = Owners(bits, words=words, multiplier=multiplier)
    every = [np.array(word, np.uint64) for word in zip(*sum(pieces, some), strict=True)]
    new, _ = few.add_few(lambda rows: [word[rows] for word in every], len(every[0]), 1 << bits)
    assert len(new) == len(few)
    for most in range(max(1, len(few) - 2), len(few) + 2):
        again = Owners(bits, words=words, multiplier=multiplier)
        found = again.add_few(lambda rows: [word[::-1][rows] for word in every], len(every[0]), most)
        assert (found is None) == (len(few) > most)


def test_keys_past_the_first_rows_get_the_slots_that_are_left():
    keys = np.concatenate([np.zeros(20_000), np.arange(5_000)]).astype(np.uint64) << np.uint64(48)
    owners = Owners(16, multiplier=None)
    new, odd = owners.add([keys])
    assert sorted(keys[new].tolist()) == [key << 48 for key in range(5_000)]
    assert len(odd) == 0
    found = {key: counts for (key,), counts in zip(owners.counted()[0].T.tolist(), owners.counted()[1], strict=True)}
    assert found == {key << 48: 20_001 if key == 0 else 1 for key in range(5_000)}


def test_keys_are_counted_as_often_as_they_came():
    keys = [np.array([1 << 63, 5, 5, 1 << 63, 6], np.uint64)]
    owners = Owners(1, multiplier=None)
    for new in (2, 0):
        found, odd = owners.add(keys, np.array([1, 2, 3, 4, 5]))
        assert len(found) == new
        assert keys[0][odd].tolist() in ([6], [5, 5])  # which of the two has the slot is open
    assert owners.counted()[1].tolist() == [10, 10]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint32])
def test_few_numbers_are_counted_wherever_the_many_come(kind):
    rng = np.random.default_rng(1)
    few = (rng.integers(0, 12_000, 600_000) * (1e5 if kind == np.uint32 else 1)).astype(kind)
    few[-9_000:] = few[:9_000] / kind(3) if np.issubdtype(kind, np.floating) else 7
    found = _count_few(few)
    assert isinstance(found, Counted)
    values, counts = np.unique(few, return_counts=True)
    assert found.values.dtype == kind
    assert (found.values.tolist(), found.counts.tolist()) == (values.tolist(), counts.tolist())
    many = np.concatenate([few[:300_000], np.arange(100_000).astype(kind)])
    assert _count_few(many) is None
    assert _count_few(many[::-1]) is None


@settings(deadline=None)
@given(
    st.sampled_from([np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32]),
    st.lists(
        st.lists(st.integers(-300, 300) | st.integers(-(2**18), 2**18) | st.sampled_from(EDGES), min_size=1),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0, 0, 5_000, -(2**63), 2**63 - 600]),
)
def test_whole_numbers_are_counted_whatever_their_range(kind, pieces, around):
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    tally, expected = NumberTally(), Counter()
    for piece in pieces:
        numbers = np.clip(np.array([number + around for number in piece], object), least, most).astype(kind)
        assert tally.add(numbers) == len(numbers)
        expected.update(numbers.tolist())
    found = tally.counted()
    assert dict(zip(found.values.tolist(), found.counts.tolist(), strict=True)) == dict(expected)
    assert found.values.tolist() == sorted(expected)
    assert not tally.is_full


def test_whole_numbers_of_a_wide_range_are_too_many_only_by_their_number():
    for extra, full in ((0, False), (1, True)):
        tally = NumberTally()
        tally.add(np.arange(FEW + extra - 2))
        tally.add(np.array([-(2**63), 2**63 - 1]))
        assert tally.is_full == full


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60_000), st.integers(1, 300_000)), min_size=1, max_size=5))
def test_registers_do_not_depend_on_how_hashes_come(pieces):
    hashes = [hash_numbers(np.arange(rows) % distinct) for rows, distinct in pieces]
    counter = HyperLogLog()
    for piece in hashes:
        counter.add(piece)
    every = np.unique(np.concatenate(hashes))
    bits = np.array([(int(one) & (2**21 - 1)).bit_length() for one in every])
    expected = np.zeros(2_048, np.int64)
    np.maximum.at(expected, (every >> np.uint32(21)).astype(np.int64), 22 - bits)
    assert counter.registers.tolist() == expected.tolist()
    assert registers(np.concatenate(hashes)).tolist() == expected.tolist()


def test_keys_of_which_some_come_late_have_their_own_rows():
    keys = np.zeros(600_000, np.uint64)
    keys[-1_000:] = np.arange(1_000, dtype=np.uint64) << np.uint64(53)
    owners = Owners(11, multiplier=None)
    new, odd = owners.add_few(lambda rows: [keys[rows]], len(keys), 1_000)
    assert keys[new].tolist() == owners.counted()[0][0].tolist()
    assert sorted(keys[new].tolist()) == keys[-1_000:].tolist()
    assert len(odd) == 0


def test_small_whole_numbers_below_zero_are_not_large_ones():
    tally = NumberTally()
    for numbers in ([3, 100], [-1, 3], [-128, 127]):
        tally.add(np.array(numbers, np.int8))
    assert tally.counted().values.tolist() == [-128, -1, 3, 100, 127]
