"""Predicates: the rows that match and no others, shards that cannot match unread, and mistakes named."""

import operator
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import LoaderError
from resources.loader import Loader
from resources.loader.where import Range, Where
from resources.storage.datasets import write_table
from resources.storage.store import open_store
from tests.resources.loading import WORDS, ids, write_arrow, write_parquet

ROWS = [300, 1, 250, 449]
TOTAL = sum(ROWS)
OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, several: value in several,
    "not in": lambda value, several: value not in several,
}
VALUES = {
    "id": lambda number: number,
    "half": lambda number: number / 2,
    "holed": lambda number: None if number % 7 == 0 else float(number),
    "text": lambda number: WORDS[number % 4],
    "at": lambda number: datetime.fromtimestamp(number / 1e6, UTC).replace(tzinfo=None),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("where")
    return {
        "arrow": write_arrow(folder / "arrow", ROWS),
        "parquet": write_parquet(folder / "parquet", ROWS, group_rows=100),
    }


@st.composite
def comparisons(draw):
    column = draw(st.sampled_from(sorted(VALUES)))
    spelling = draw(st.sampled_from(sorted(OPERATORS)))
    value = st.integers(-1, TOTAL).map(lambda number: VALUES[column](number if number % 7 else number + 1))
    return (column, spelling, draw(st.lists(value, min_size=1, max_size=4) if "in" in spelling else value))


def matches(number: int, group) -> bool:
    values = [(VALUES[column](number), OPERATORS[spelling], value) for column, spelling, value in group]
    return all(mine is not None and compare(mine, value) for mine, compare, value in values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    filters=st.lists(st.lists(comparisons(), min_size=1, max_size=3), min_size=1, max_size=3),
    kind=st.sampled_from(["arrow", "parquet"]),
    order=st.sampled_from(["sequential", "run", "window", "exact"]),
    threads=st.integers(0, 2),
)
def test_just_the_rows_that_match_come_each_once(folders, filters, kind, order, threads):
    expected = [number for number in range(TOTAL) if any(matches(number, group) for group in filters)]
    loader = Loader(folders[kind], 64, where=filters, order=order, threads=threads)
    found = [
        (row["id"], row["text"], row["holed"], row["list"], row["long"])
        for batch in loader
        for row in batch.to_pylist()
    ]
    assert loader.rows == len(expected)
    assert sorted(row[0] for row in found) == expected
    for number, text, holed, several, long in found:
        assert (text, holed) == (VALUES["text"](number), VALUES["holed"](number))
        assert several == list(range(number % 5))
        assert long == bytes([number % 251]) * (1500 + number % 100)


@pytest.mark.parametrize("order", ["run", "window", "exact"])
def test_ranks_and_resume_see_the_same_rows_in_the_same_order(folders, order):
    arguments = {"where": [("half", ">", 20.0), ("text", "!=", "a")], "order": order, "seed": 3}
    whole = ids(Loader(folders["arrow"], 30, columns=["id"], **arguments))
    ranks = [Loader(folders["arrow"], 10, columns=["id"], rank=rank, world_size=3, **arguments) for rank in range(3)]
    batches = [[batch["id"].tolist() for batch in rank.numpy()] for rank in ranks]
    steps = max(map(len, batches))
    assert [
        one for step in range(steps) for rank in batches for one in (rank[step] if step < len(rank) else [])
    ] == whole
    first = Loader(folders["arrow"], 30, columns=["id"], **arguments)
    before = [number for batch in islice(first.numpy(), 5) for number in batch["id"].tolist()]
    del arguments["order"], arguments["seed"]
    after = ids(Loader.from_state(folders["arrow"], first.state(), 17, columns=["id"], **arguments))
    assert before + after == whole


def test_a_state_belongs_to_its_predicate(folders):
    state = Loader(folders["arrow"], 10, where=[("id", "<", 100)]).state()
    with pytest.raises(LoaderError, match="the state is of dataset"):
        Loader.from_state(folders["arrow"], state, 10, where=[("id", "<", 101)])
    with pytest.raises(LoaderError, match="the state is of dataset"):
        Loader.from_state(folders["arrow"], state, 10)


def test_a_predicate_that_nothing_meets_gives_empty_epochs(folders):
    loader = Loader(folders["arrow"], 10, where=[("id", "<", 0)])
    assert (loader.rows, len(loader), list(loader), loader.epoch) == (0, 0, [], 1)


def test_row_groups_that_cannot_match_are_not_read(tmp_path):
    table = pa.table({"id": np.arange(1000), "text": [f"{number:04d}" for number in range(1000)]})
    path = tmp_path / "sorted.parquet"
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    footer = pq.read_metadata(path)
    data = bytearray(path.read_bytes())
    for number in (0, 1, 2, 6, 7, 8, 9):  # whoever reads them fails
        column = footer.row_group(number).column(0)
        data[column.data_page_offset : column.data_page_offset + 40] = bytes(40)
    path.write_bytes(data)
    assert ids(Loader(path, 50, where=[("id", ">=", 300), ("text", "<", "0600")], order="sequential")) == [
        *range(300, 600)
    ]
    with pytest.raises(LoaderError, match=r"sorted\.parquet"):
        ids(Loader(path, 50, where=[("id", ">=", 299)], order="sequential"))


def test_shards_of_a_store_that_cannot_match_are_not_fetched(tmp_path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    table = pa.table({"id": np.arange(1000), "half": np.arange(1000) / 2})
    ref = write_table(store, table, scratch=tmp_path / "scratch", rows_per_shard=100)
    loader = Loader(ref, 50, where=[("id", "in", [5, 250, 251])], order="sequential", store=store)
    assert ids(loader) == [5, 250, 251]
    assert [shard for shard in range(10) if loader._feed.gatherer.views.has(shard)] == [0, 2]


def test_nan_meets_no_comparison_but_differs_from_every_value(tmp_path):
    values = pa.array([1.0, float("nan"), None, 2.0])
    pq.write_table(pa.table({"id": range(4), "x": values}), tmp_path / "nan.parquet")
    for filters, expected in (
        ([("x", "<", 9.0)], [0, 3]),
        ([("x", "!=", 1.0)], [1, 3]),
        ([("x", "not in", [1, 2])], [1]),
    ):
        assert ids(Loader(tmp_path / "nan.parquet", 4, where=filters, order="sequential")) == expected


def test_times_are_compared_with_texts_and_datetimes(folders):
    for value in ("1970-01-01T00:00:00.000100", datetime(1970, 1, 1, microsecond=100)):
        assert Loader(folders["parquet"], 10, where=[("at", "<", value)]).rows == 100


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([], r"where is \[\]: give a list of \(column, operator, value\)"),
        ("id > 3", "where is 'id > 3': give a list"),
        ([("id", ">")], "give a list of"),
        ([[]], r"where holds \[\]"),
        ([("idd", ">", 3)], "unknown column 'idd'; did you mean 'id'"),
        ([("float64", ">", 3)], "unknown column 'float64'"),
        ([("id", "=>", 3)], "unknown operator '=>'"),
        ([("id", ">", "many")], "'id' holds int64, with which 'many' cannot be compared"),
        ([("id", ">", 2.5)], "'id' holds int64, with which 2.5 cannot be compared"),
        ([("id", ">", True)], "'id' holds int64, with which True cannot be compared"),
        ([("at", ">", "yesterday")], "cannot be compared"),
        ([("id", "in", 3)], "id in 3: give a list of values"),
        ([("text", "in", "abc")], "text in 'abc': give a list of values"),
        ([("id", "in", [])], "id in nothing: give at least one value"),
        ([("id", "==", None)], "id is compared with None"),
        ([("list", "==", 3)], "'list' of type .* has no order"),
    ],
)
def test_mistakes_are_named(folders, filters, message):
    with pytest.raises(LoaderError, match=message):
        Loader(folders["arrow"], 10, where=filters)


def known(low, high, *, nulls=False) -> Range:
    return Range(low=pa.scalar(low), high=pa.scalar(high), has_nulls=nulls)


@given(
    spelling=st.sampled_from(sorted(OPERATORS)),
    values=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    held=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    nulls=st.booleans(),
    low=st.integers(0, 2),
    high=st.integers(0, 2),
)
def test_what_is_decided_by_a_range_holds_for_all_values_in_it(spelling, values, held, nulls, low, high):
    value = values if "in" in spelling else values[0]
    where = Where.of([("x", spelling, value)], pa.schema({"x": pa.int64()}))
    decided = where.decided({"x": known(min(held) - low, max(held) + high, nulls=nulls)})
    found = {OPERATORS[spelling](one, value) for one in held} | ({False} if nulls else set())
    assert decided is None or found == {decided}


def test_a_range_decides_what_it_can():
    where = Where.of([[("x", "<", 3), ("y", "==", 1)], [("x", ">", 10)]], pa.schema({"x": pa.int64(), "y": pa.int64()}))
    assert where.decided({"x": known(4, 9)}) is False
    assert where.decided({"x": known(11, 12)}) is True
    assert where.decided({"x": known(0, 2), "y": known(1, 1)}) is True
    assert where.decided({"x": known(0, 2)}) is None
    assert where.decided({}) is None


def test_a_predicate_imports_neither_pandas_nor_polars(folders):
    code = (
        "import sys; from resources.loader import Loader; "
        f"loader = Loader({str(folders['arrow'])!r}, 10, where=[('id', '<', 50), ('at', '<', '1970-01-02')]); "
        "assert sum(len(batch['id']) for batch in loader.numpy()) == 50; "
        "assert not {'pandas', 'polars', 'torch', 'dagster'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
