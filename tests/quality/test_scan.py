"""One reading for contract, split, suite and profile: each part says what it says alone."""

import subprocess
import sys

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quality import scan as scanning
from quality.contract import Column, Contract
from quality.contract.rows import split
from quality.profile import profile
from quality.scan import scan
from quality.suites import gathered, narrowing
from quality.suites.engine import answer
from quality.suites.run import run_suite
from resources.errors import ContractError, DeclarationError, SourceError
from tests.quality.upstream import alike


def expect(kind, **kwargs):
    return {"type": f"expect_{kind}", "kwargs": kwargs}


CONTRACT = Contract(
    columns={
        "id": Column(type="int64", minimum=-40),
        "count": Column(type="int32", nullable=True, maximum=25),
        "price": Column(type="float64", nullable=True),
        "word": Column(type="string", nullable=True, allowed=("a", "b", "", "Ä", "ab")),
        "yes": Column(type="bool", nullable=True),
        "at": Column(type="timestamp[us]", timezone="Europe/Berlin"),
    }
)
EACH = [
    (kind, {"column": name})
    for name in ("id", "count", "price", "word", "yes")
    for kind in ("column_values_to_not_be_null", "column_values_to_be_unique")
]
SUITE = [
    *(expect(kind, **kwargs) for kind, kwargs in EACH),
    expect("table_row_count_to_be_between", min_value=3),
    expect("table_columns_to_match_ordered_list", column_list=list(CONTRACT.columns)),
    *(expect("column_values_to_be_between", column=name, min_value=-5, max_value=9) for name in ("id", "price")),
    expect("column_values_to_be_between", column="count", min_value=-5, max_value=9),
    expect("column_values_to_be_between", column="id", min_value=-40),
    expect("column_values_to_be_between", column="id", min_value=-40, strict_min=True),
    expect("column_values_to_be_between", column="count", max_value=25.5),
    expect("column_values_to_be_between", column="count", min_value=-5, max_value=25),
    expect("column_values_to_be_in_set", column="word", value_set=["a", "b", "", "Ä", "ab", "c"]),
    expect("column_values_to_not_be_in_set", column="word", value_set=["a", "b", "", "Ä", "ab", "c"]),
    *(expect("column_mean_to_be_between", column=name, max_value=3) for name in ("count", "price")),
    *(expect("column_stdev_to_be_between", column=name, max_value=3) for name in ("count", "price")),
    *(expect("column_sum_to_be_between", column=name, max_value=3) for name in ("id", "count", "price")),
    *(expect("column_max_to_be_between", column=name, max_value=3) for name in ("count", "price")),
    expect("column_min_to_be_between", column="at", min_value="2020-03-29T00:30+00:00"),
    *(expect("column_median_to_be_between", column=name, max_value=1) for name in ("count", "price")),
    *(expect("column_unique_value_count_to_be_between", column=name, max_value=2) for name in ("id", "word", "yes")),
    expect("column_values_to_be_in_set", column="word", value_set=["a", "b"], row_condition="id > 0",
           condition_parser="pandas"),
    expect("column_value_lengths_to_equal", column="word", value=1, mostly=0.5),
    expect("column_values_to_match_regex", column="word", regex="^[a-z]$"),
    expect("column_distinct_values_to_equal_set", column="word", value_set=["a", "x"]),
    expect("column_values_to_be_increasing", column="id"),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="price", column_B="count", or_equal=True),
    expect("column_most_common_value_to_be_in_set", column="count", value_set=[1]),
    expect("compound_columns_to_be_unique", column_list=["word", "count"]),
    expect("column_values_to_be_null", column="price"),
    expect("column_values_to_not_be_outliers", column="price", multiplier=0.2),
]  # fmt: skip
_CELLS = st.tuples(
    st.integers(-50, 50),
    st.none() | st.integers(-30, 30),
    st.sampled_from([None, 0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e300]) | st.floats(-9, 9),
    st.sampled_from([None, "a", "b", "", "Ä", "bad"]),
    st.sampled_from([None, True, False]),
    st.integers(0, 200),
)


def frame_of(rows):
    schema = {"id": pl.Int64, "count": pl.Int32, "price": pl.Float64, "word": pl.String, "yes": pl.Boolean}
    minutes = pl.Series("at", [row[5] for row in rows], pl.Int64) * 60_000_000 + 1_585_440_000_000_000
    return pl.DataFrame([row[:5] for row in rows], schema, orient="row").with_columns(minutes.cast(pl.Datetime("us")))


@pytest.fixture
def small(monkeypatch):
    """Let a handful of rows be several batches, and more than is held."""
    monkeypatch.setattr(scanning, "BATCH_ROWS", 3)
    monkeypatch.setattr(gathered, "LARGE_ROWS", 4)
    monkeypatch.setattr(gathered, "_HELD", 2)
    monkeypatch.setattr(narrowing, "_MOST", 3)
    monkeypatch.setattr(narrowing, "_ROOM", 2)
    monkeypatch.setattr(narrowing, "_THIN", 2)


def told(result):
    """Return what a result says of each expectation, zeros without their sign."""
    parts = [(item["success"], item["result"]) for item in result.genuine["results"]]
    return [[met, _signless(value)] for met, value in parts]


def _signless(value):
    if isinstance(value, dict):
        return {key: _signless(item) for key, item in value.items() if key != "partial_missing_list"}
    if isinstance(value, list):
        return [_signless(item) for item in value]
    return value + 0.0 if isinstance(value, float) else value


def same(scanned, kept):
    alone = run_suite(SUITE, kept)
    differ = [
        (entry, ours, theirs)
        for entry, ours, theirs in zip(SUITE, told(scanned.suite), told(alone), strict=True)
        if not alike(ours, theirs, 1e-9)
    ]
    assert not differ
    assert scanned.suite.success == alone.success
    assert scanned.profile == profile(kept)
    return True


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_CELLS, max_size=25))
def test_each_part_says_what_it_says_alone(rows, small):
    frame = frame_of(rows)
    kept, rejected = [], []
    scanned = scan(frame.lazy(), CONTRACT, suite=SUITE, keep=kept.append, reject=rejected.append)
    apart = split(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), CONTRACT)
    schema = CONTRACT.polars_schema()
    fitting = pl.concat([pl.DataFrame(schema=schema), *kept])
    assert fitting.equals(pl.DataFrame(apart.kept), null_equal=True)
    refused = pl.concat([pl.DataFrame(apart.rejected).clear(), *map(pl.DataFrame, rejected)])
    assert refused.equals(pl.DataFrame(apart.rejected))
    assert (scanned.rows, scanned.kept, scanned.reasons) == (len(rows), fitting.height, apart.reasons)
    assert same(scanned, fitting)


def test_repeated_keys_are_rejected_over_borders_of_batches_and_rejected_rows_take_no_key(small):
    contract = CONTRACT.model_copy(update={"unique": ("id",)})
    ids = (1, 2, 3, 4, 5, 1, 3, 3)
    cells = [(number, 99 if row == 2 else 1, 0.5, "a", True, 5) for row, number in enumerate(ids)]
    rejected = []
    scanned = scan(frame_of(cells), contract, suite=SUITE, reject=rejected.append)
    refused = pl.concat(map(pl.DataFrame, rejected))
    assert refused["_row"].to_list() == [3, 6, 8]
    assert scanned.reasons == {"id: not unique": 2, "count: above maximum 25": 1}
    kept = frame_of([(number, 1, 0.5, "a", True, 5) for number in (1, 2, 4, 5, 3)])
    assert same(scanned, kept.with_columns(_berlin()))


def _berlin():
    return pl.col("at").dt.replace_time_zone("Europe/Berlin").dt.convert_time_zone("UTC")


_WHOLE = ("to_be_unique", "increasing", "most_common", "to_be_null", "outliers", "equal_set")
PLAIN = [entry for entry in SUITE if not any(word in entry["type"] for word in _WHOLE)]


def test_a_suite_that_can_be_gathered_needs_no_second_reading(monkeypatch):
    asked = []

    def spied(source, needs):
        asked.append(needs)
        return answer(source, needs)

    monkeypatch.setattr("quality.suites.folding.answer", spied)
    frame = frame_of([(number, None if number % 3 else 1, 0.5, "a", True, 5) for number in range(20)])
    scanned = scan(frame, CONTRACT, suite=PLAIN)
    assert asked == []
    assert len(scanned.suite.rows) == len(PLAIN)
    assert not scanned.suite.success  # with examples of what failed


def test_columns_that_are_not_the_contract_and_a_wrong_suite_are_refused_before_a_row_is_read():
    def never(_):
        raise AssertionError("a row was read")

    rows = pl.LazyFrame({"id": [1]}).map_batches(never, schema={"id": pl.Int64})
    with pytest.raises(ContractError, match="'count' is missing"):
        scan(rows, CONTRACT)
    with pytest.raises(DeclarationError, match="column in expectation 0"):
        scan(rows, CONTRACT, suite=[expect("column_values_to_be_unique", column="ids")])


@pytest.mark.slow  # imports Great Expectations
def test_a_suite_that_cannot_be_evaluated_is_an_error_that_names_it():
    whole = frame_of([(1, 1, 0.5, "a", True, 5)] * 3)
    with pytest.raises(DeclarationError, match="expect_column_mean_to_be_between on word, cannot be evaluated"):
        scan(whole, CONTRACT, suite=[expect("column_mean_to_be_between", column="word", min_value=0)])


def test_a_damaged_file_is_an_error_with_its_remedy(tmp_path):
    file = tmp_path / "rides.parquet"
    frame_of([(number, 1, 0.5, "a", True, 5) for number in range(5_000)]).write_parquet(file)
    content = bytearray(file.read_bytes())
    content[40:400] = b"\xff" * 360
    file.write_bytes(content)
    with pytest.raises(SourceError, match="write the files anew"):
        scan(pl.scan_parquet(file), CONTRACT, suite=SUITE)


_PEAK = """
import sys
import polars as pl
from quality.contract import Column, Contract
from quality.scan import scan
numbers = {name: Column(type="float64", minimum=0) for name in "ab"}
contract = Contract(columns={"id": Column(type="int64"), **numbers})
kinds = ["column_values_to_be_unique", "column_median_to_be_between", "column_mean_to_be_between"]
suite = [{"type": f"expect_{kind}", "kwargs": {"column": name, **({} if kind.endswith("unique") else {"min_value": 0})}}
         for kind in kinds for name in "ab"][1:]
scan(pl.scan_parquet(sys.argv[1]), contract, suite=suite)
lines = open("/proc/self/status").read().splitlines()
print(next(line for line in lines if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak(rows):
        file = tmp_path / f"{rows}.parquet"
        writer = None
        for start in range(0, rows, 500_000):
            ids = pl.int_range(start, start + 500_000, eager=True)
            some = pl.DataFrame(
                {"id": ids, "a": (ids * 7 % 1_000).cast(pl.Float64), "b": ids.cast(pl.Float64)}
            ).to_arrow()
            writer = writer or pq.ParquetWriter(file, some.schema)
            writer.write_table(some, row_group_size=100_000)
        writer.close()
        done = subprocess.run([sys.executable, "-c", _PEAK, str(file)], capture_output=True, text=True, check=True)
        return int(done.stdout.split()[-1]) * 1024

    small, large = peak(2_000_000), peak(7_000_000)
    print(small, large)
    assert large - small < 5_000_000 * 24 * 0.75  # of what the further rows take
