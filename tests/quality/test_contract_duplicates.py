"""Repeated keys: found over any number of tables, the first row of each kept."""

import random
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.contract.duplicates import SeenKeys

keys = st.one_of(st.none(), st.text(max_size=2), st.sampled_from(["a", "b"]))


def repeated(
    tables: list[list[tuple[Any, ...]]], names: tuple[str, ...], types: tuple[pa.DataType, ...]
) -> list[list[int]]:
    seen = SeenKeys(names)
    schema = pa.schema(zip(names, types, strict=True))
    return [
        seen.repeated(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema))
        for rows in tables
    ]


def expected(tables: list[list[tuple[Any, ...]]]) -> list[list[int]]:
    seen: set[tuple[Any, ...]] = set()
    found = []
    for rows in tables:
        again = []
        for number, row in enumerate(rows):
            if row in seen:
                again.append(number)
            seen.add(row)
        found.append(again)
    return found


@settings(deadline=None)
@given(tables=st.lists(st.lists(st.tuples(st.integers(-5, 5)), max_size=20), max_size=6))
def test_repeated_integers_are_found(tables: list[list[tuple[int]]]):
    assert repeated(tables, ("k",), (pa.int64(),)) == expected(tables)


@settings(deadline=None)
@given(tables=st.lists(st.lists(st.tuples(keys, st.integers(0, 3)), max_size=20), max_size=6))
def test_repeated_keys_of_several_columns_are_found_missing_values_alike(tables: list[list[tuple[Any, ...]]]):
    assert repeated(tables, ("a", "b"), (pa.string(), pa.int8())) == expected(tables)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.uint64(), [2**64 - 1, 0, 2**63, 2**64 - 1]),
        (pa.int64(), [-1, -(2**63), 2**63 - 1, -1]),
        (pa.timestamp("us", tz="UTC"), [datetime(2011, 1, day, tzinfo=UTC) for day in (1, 2, 3, 1)]),
        (pa.date32(), [datetime(2011, 1, day).date() for day in (1, 2, 3, 1)]),
    ],
)
def test_every_type_of_key_is_told_apart_exactly(kind: pa.DataType, values: list[Any]):
    assert repeated([[(value,) for value in values]], ("k",), (kind,)) == [[3]]


def test_many_keys_over_many_tables_are_told_apart():
    numbers = [random.Random(1).randrange(2**62) for _ in range(1)] + list(range(60_000))
    random.Random(2).shuffle(numbers)
    seen = SeenKeys(["k"])
    tables = [pa.table({"k": pa.array(numbers[at : at + 1000])}) for at in range(0, len(numbers), 1000)]
    assert [seen.repeated(table) for table in tables] == [[]] * len(tables)
    assert all(seen.repeated(table) == list(range(len(table))) for table in tables)
