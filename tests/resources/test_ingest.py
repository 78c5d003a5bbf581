"""Ingest: a file becomes an immutable snapshot, its bad rows a quarantine, the same bytes the same version."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.contract import Column, Contract
from quality.profile import Profile, profile
from quality.suites.run import run_suite
from resources.canonical import digest_file, parse_json
from resources.errors import ContractError, DeclarationError, SourceError, StoreError
from resources.expectations import suite_result
from resources.source import EventTime
from resources.source.ingest import IngestReport, read_table
from resources.storage.datasets import read_frame
from resources.storage.manifest import read_manifest
from resources.storage.objects import get_object
from tests.resources.disks import tiny_disk
from tests.resources.ingesting import AT, FEBRUARY, JANUARY, RIDES, Workplace, csv_text, hours, workplace

__all__ = ["tiny_disk", "workplace"]


def test_rows_are_typed_kept_in_order_and_counted(workplace: Workplace):
    path = workplace.file("rides.csv", csv_text(hours(3)))
    done = workplace.ingest(path)
    assert [row["rides"] for row in workplace.rows(done)] == [0, 1, 2]
    assert workplace.rows(done)[0]["at"] == datetime(2011, 1, 30, tzinfo=UTC)
    assert (done.report.rows_read, done.report.rows_kept, done.report.rows_rejected) == (3, 3, 0)
    assert (done.ref.rows, done.quarantine) == (3, None)
    assert done.report.source_digest == digest_file(path)


def test_rows_that_break_the_contract_go_to_quarantine_with_reason_and_row_number(workplace: Workplace):
    rows = [*hours(3), ["x", "north", 1], ["2011-01-31T00:00:00Z", "west", -4]]
    done = workplace.ingest(workplace.file("rides.csv", csv_text(rows)))
    assert workplace.reasons(done) == {
        4: "at: 'x' is not timestamp[us, tz=UTC]",
        5: "zone: 'west' is not one of north, south; rides: -4 is below minimum 0",
    }
    assert workplace.rejected(done)[1]["rides"] == "-4"
    assert done.report.reasons == {
        "at: not timestamp[us, tz=UTC]": 1,
        "rides: below minimum 0": 1,
        "zone: not one of north, south": 1,
    }


def test_the_report_and_the_quarantine_are_named_by_the_snapshot(workplace: Workplace):
    done = workplace.ingest(workplace.file("rides.csv", csv_text([*hours(3), ["x", "north", 1]])))
    assert done.quarantine is not None
    assert done.ref.quarantine_digest == done.quarantine.digest
    assert done.ref.report_digest is not None
    assert IngestReport.from_json(json.loads(get_object(workplace.store, done.ref.report_digest))) == done.report


@pytest.mark.parametrize(("tolerated", "blocked"), [(0.0, True), (0.25, False), (0.2, True)])
def test_more_than_the_declared_share_of_rejected_rows_blocks(workplace: Workplace, tolerated: float, blocked: bool):
    path = workplace.file("rides.csv", csv_text([*hours(3), ["x", "north", 1]]))
    done = workplace.ingest(path, RIDES.model_copy(update={"max_rejected": tolerated}))
    assert done.report.rejected_share == 0.25
    assert done.report.blocked is blocked


def test_a_partition_takes_its_rows_of_a_file_that_holds_several(workplace: Workplace):
    path = workplace.file("rides.csv", csv_text(hours(72)))
    january = workplace.ingest(path, partition="2011-01", bounds=JANUARY, event_time=AT)
    february = workplace.ingest(path, partition="2011-02", bounds=FEBRUARY, event_time=AT)
    assert [row["rides"] for row in workplace.rows(january)] == list(range(48))
    assert [row["rides"] for row in workplace.rows(february)] == list(range(48, 72))
    assert (january.report.rows_read, january.report.rows_outside) == (72, 24)
    assert (february.report.oldest, february.report.newest) == (
        "2011-02-01T00:00:00+00:00",
        "2011-02-01T23:00:00+00:00",
    )
    assert february.ref.partitions == ("2011-02",)


def test_a_restated_row_changes_only_the_version_of_its_partition(workplace: Workplace):
    rows = hours(72)
    both = [("2011-01", JANUARY), ("2011-02", FEBRUARY)]

    def versions() -> list[str]:
        path = workplace.file("rides.csv", csv_text(rows))
        done = [workplace.ingest(path, partition=key, bounds=bounds, event_time=AT) for key, bounds in both]
        return [one.ref.digest for one in done]

    before = versions()
    rows[60][2] = 1000
    after = versions()
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_a_bad_row_with_a_time_is_rejected_in_its_own_partition_only(workplace: Workplace):
    rows = hours(72)
    rows[50][2] = -1
    path = workplace.file("rides.csv", csv_text(rows))
    january = workplace.ingest(path, partition="2011-01", bounds=JANUARY, event_time=AT)
    february = workplace.ingest(path, partition="2011-02", bounds=FEBRUARY, event_time=AT)
    assert workplace.reasons(january) == {}
    assert workplace.reasons(february) == {51: "rides: -1 is below minimum 0"}
    assert february.report.rows_unplaced == 0


@pytest.mark.parametrize(
    ("row", "in_january", "in_february"), [(10, True, False), (60, False, True), (48, True, True), (0, True, False)]
)
def test_a_row_without_a_time_goes_where_its_neighbours_are(
    workplace: Workplace, row: int, in_january: bool, in_february: bool
):
    rows = hours(72)
    rows[row][0] = "no time"
    path = workplace.file("rides.csv", csv_text(rows))
    january = workplace.ingest(path, partition="2011-01", bounds=JANUARY, event_time=AT)
    february = workplace.ingest(path, partition="2011-02", bounds=FEBRUARY, event_time=AT)
    assert (row + 1 in workplace.reasons(january)) is in_january
    assert (row + 1 in workplace.reasons(february)) is in_february
    assert (january.report.rows_unplaced, february.report.rows_unplaced) == (int(in_january), int(in_february))


def test_a_row_of_another_partition_in_a_file_of_its_own_is_rejected(workplace: Workplace):
    workplace.file("rides-2011-01.csv", csv_text(hours(50)))
    template = workplace.folder / "rides-{partition}.csv"
    done = workplace.ingest(template, partition="2011-01", bounds=JANUARY, event_time=AT)
    rule = "at: outside of the partition of its file"
    assert workplace.reasons(done) == {
        49: "at: 2011-02-01 00:00:00+00:00 is outside of the partition of its file",
        50: "at: 2011-02-01 01:00:00+00:00 is outside of the partition of its file",
    }
    assert done.report.reasons == {rule: 2}
    assert done.report.source_url.endswith("rides-2011-01.csv")


def test_repeated_keys_are_rejected_but_for_the_first_over_block_borders(workplace: Workplace):
    rows = hours(40)
    rows[30][0], rows[35][0] = rows[3][0], rows[31][0]
    contract = RIDES.model_copy(update={"unique": ("at",)})
    done = workplace.ingest(workplace.file("rides.csv", csv_text(rows)), contract, block_bytes=100)
    assert workplace.reasons(done) == dict.fromkeys((31, 36), "at: an earlier row has the same")
    assert done.report.reasons == {"at: not unique": 2}
    assert done.report.rows_kept == 38


def test_a_rejected_row_does_not_take_the_key_of_a_good_one(workplace: Workplace):
    rows = hours(4)
    rows[1][0], rows[1][2] = rows[2][0], -1
    contract = RIDES.model_copy(update={"unique": ("at",)})
    done = workplace.ingest(workplace.file("rides.csv", csv_text(rows)), contract)
    assert workplace.reasons(done) == {2: "rides: -1 is below minimum 0"}


bad_cells = st.sampled_from(
    [("x", "north", 1), ("2011-01-31T05:00:00Z", "west", 1), ("2011-01-31T05:00:00Z", "north", "z")]
)


@settings(max_examples=25, deadline=None)
@given(
    bad=st.dictionaries(st.integers(0, 59), bad_cells, max_size=12),
    block_bytes=st.integers(30, 3000),
    threads=st.integers(1, 4),
)
def test_the_outcome_does_not_depend_on_blocks_or_threads(
    bad: dict[int, tuple[object, ...]], block_bytes: int, threads: int
):
    rows = [list(bad.get(number, row)) for number, row in enumerate(hours(60))]
    with TemporaryDirectory() as folder:
        workplace = Workplace(Path(folder))
        path = workplace.file("rides.csv", csv_text(rows))
        options = {"partition": "2011-01", "bounds": JANUARY, "event_time": AT}
        whole = workplace.ingest(path, threads=1, **options)
        parts = workplace.ingest(path, threads=threads, block_bytes=block_bytes, **options)
        assert parts == whole
        report = whole.report
        assert report.rows_kept + report.rows_rejected + report.rows_outside == report.rows_read == 60
        assert len(workplace.rejected(whole)) == report.rows_rejected


def test_every_format_of_the_same_rows_gives_the_same_version(workplace: Workplace):
    frame = pl.DataFrame(
        {"at": [datetime(2011, 1, 1, tzinfo=UTC)] * 3, "zone": ["north", "south", "north"], "rides": [1, 2, 3]}
    )
    folder = workplace.folder
    frame.write_csv(folder / "a.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    frame.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_ndjson(folder / "a.jsonl")
    frame.write_parquet(folder / "a.parquet")
    frame.write_ipc(folder / "a.arrow")
    frame.write_ipc_stream(folder / "a.arrows")
    names = ["a.csv", "a.jsonl", "a.parquet", "a.arrow", "a.arrows"]
    assert len({workplace.ingest(folder / name).ref.digest for name in names}) == 1


def test_the_event_time_may_be_an_expression_over_typed_columns(workplace: Workplace):
    contract = Contract(
        columns={"day": Column(type="date32", format="%m/%d/%Y"), "hr": Column(type="int64", maximum=23)}
    )
    time = EventTime(column="ts", expression="STRPTIME(CONCAT(day, ' ', hr, ':00'), '%Y-%m-%d %H:%M')", timezone="UTC")
    path = workplace.file("rides.csv", "day,hr\n1/9/2011,5\n1/9/2011,99\nsomeday,3\n1/10/2011,0\n")
    done = workplace.ingest(path, contract.model_copy(update={"max_rejected": 0.5}), event_time=time)
    assert [row["ts"] for row in workplace.rows(done)] == [
        datetime(2011, 1, 9, 5, tzinfo=UTC),
        datetime(2011, 1, 10, tzinfo=UTC),
    ]
    assert workplace.reasons(done) == {2: "hr: 99 is above maximum 23", 3: "day: 'someday' is not date32"}


def test_local_event_times_that_a_change_of_clocks_skips_or_repeats_are_rejected(workplace: Workplace):
    contract = Contract(columns={"at": Column(type="timestamp[us]")}, max_rejected=0.9)
    time = EventTime(column="at", timezone="America/New_York")
    path = workplace.file("t.csv", "at\n2011-03-13 01:30:00\n2011-03-13 02:30:00\n2011-11-06 01:30:00\n")
    done = workplace.ingest(path, contract, event_time=time)
    assert [row["at"] for row in workplace.rows(done)] == [datetime(2011, 3, 13, 6, 30, tzinfo=UTC)]
    assert workplace.reasons(done) == {
        2: "at: 2011-03-13 02:30:00 does not exist in America/New_York",
        3: "at: 2011-11-06 01:30:00 is ambiguous in America/New_York",
    }


def test_event_times_beyond_the_calendar_are_rejected_however_they_came_about(workplace: Workplace):
    contract = Contract(columns={"day": Column(type="date32")}, max_rejected=0.9)
    time = EventTime(column="due", expression="day + INTERVAL '1000 days'", timezone="UTC")
    path = workplace.file("t.csv", "day\n0000-01-01\n9999-12-31\n2011-01-01\n")
    done = workplace.ingest(path, contract, event_time=time)
    assert [row["due"] for row in workplace.rows(done)] == [datetime(2013, 9, 27, tzinfo=UTC)]
    assert workplace.reasons(done) == {
        1: "day: '0000-01-01' is beyond the years 1 to 9999",
        2: "due: no event time",
    }


@pytest.mark.parametrize(
    ("column", "time", "message"),
    [
        (Column(type="timestamp[us]"), None, "contract.columns.at: timestamp\\[us\\] is a clock without a zone"),
        (Column(type="timestamp[us]"), EventTime(column="at"), "is a clock without a zone: set its timezone"),
        (Column(type="int64"), EventTime(column="at"), "'at' is int64: it must be a timestamp or date32"),
        (Column(type="date32"), EventTime(column="ts"), "'ts' is not in the contract"),
        (Column(type="date32"), EventTime(column="ts", expression="at"), "gives a clock without a zone"),
        (Column(type="int64"), EventTime(column="ts", expression="at + 1"), "it must give a date or a clock"),
        (Column(type="int64"), EventTime(column="ts", expression="STRPTIME(ta, '%Y')"), "did you mean 'at'"),
        (Column(type="int64"), EventTime(column="ts", expression="LAG(at, 1) OVER (ORDER BY at)"), "other rows"),
    ],
)
def test_a_clock_without_zone_or_an_event_time_that_fits_nothing_is_refused(
    workplace: Workplace, column: Column, time: EventTime | None, message: str
):
    path = workplace.file("t.csv", "at\n2011-01-01\n")
    with pytest.raises(DeclarationError, match=message):
        workplace.ingest(path, Contract(columns={"at": column}), event_time=time)


def test_a_partition_without_rows_is_an_error_that_says_what_the_file_has(workplace: Workplace):
    path = workplace.file("rides.csv", csv_text(hours(10)))
    bounds = (datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC))
    with pytest.raises(SourceError, match=r"no row of partition 2013-01: .* \(they go from 2011-01-30 00:00:00"):
        workplace.ingest(path, partition="2013-01", bounds=bounds, event_time=AT)


def test_a_column_that_changed_its_type_is_an_error_with_the_reason_and_an_example(workplace: Workplace):
    rows = [[at, zone, f"{rides} rides"] for at, zone, rides in hours(10)]
    with pytest.raises(
        ContractError, match=r"10 of 10 rows break .*rides: not int64 \(10 rows\).*'0 rides' is not int64"
    ):
        workplace.ingest(workplace.file("rides.csv", csv_text(rows)))


def test_a_file_that_changes_while_it_is_read_is_refused(workplace: Workplace, monkeypatch: pytest.MonkeyPatch):
    from resources.source import ingest as engine

    path = workplace.file("rides.csv", csv_text(hours(500)))
    taken: list[int] = []

    class Appending(engine.Intake):
        def add(self, judged):  # type: ignore[no-untyped-def]
            if not taken:
                with path.open("a") as file:
                    file.write("2011-01-31T00:00:00Z,north,1\n")
            taken.append(1)
            super().add(judged)

    monkeypatch.setattr(engine, "Intake", Appending)
    with pytest.raises(SourceError, match="changed while it was read"):
        workplace.ingest(path, block_bytes=500)


def test_nothing_is_left_behind_by_an_ingest_that_fails(workplace: Workplace):
    good = workplace.ingest(workplace.file("rides.csv", csv_text(hours(10))))
    with pytest.raises(ContractError):
        workplace.ingest(workplace.file("bad.csv", "at,zone\n1,2\n"))
    assert list(workplace.scratch.iterdir()) == []
    assert read_manifest(workplace.store, good.ref.digest).rows == 10


FOUND = (
    {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "rides", "min_value": 0}},
    {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "rides"}},
)


def test_an_ingest_that_fails_midway_leaves_no_shard_no_profile_and_no_result(workplace: Workplace):
    file = workplace.file("rides.csv", csv_text(hours(3_000)).encode() + b"2011-06-04T00:00:00Z,north,\xff\n")
    with pytest.raises(SourceError, match="encoding"):
        workplace.ingest(file, suite=FOUND, profiled=True, block_bytes=4_096)
    assert list(workplace.scratch.iterdir()) == []
    assert [path for path in (workplace.folder / "store").rglob("*") if path.is_file()] == []


def test_what_is_found_in_passing_does_not_depend_on_blocks_and_is_what_the_snapshot_says(workplace: Workplace):
    file = workplace.file("rides.csv", csv_text([*hours(500), ["2011-03-01T00:00:00Z", "east", 1]]))
    whole = workplace.ingest(file, suite=FOUND, profiled=True)
    remembered = suite_result(workplace.store, FOUND, whole.ref.digest)
    pieces = workplace.ingest(file, suite=FOUND, profiled=True, block_bytes=1_000, threads=3)
    assert pieces.ref == whole.ref
    rows = read_frame(workplace.store, whole.ref.digest)
    stored = Profile.from_json(parse_json(get_object(workplace.store, str(whole.ref.profile_digest))))
    assert stored == profile(rows)
    assert remembered.rows == run_suite(list(FOUND), rows).rows


def test_most_rows_being_wrong_ends_the_ingest_early(workplace: Workplace, monkeypatch: pytest.MonkeyPatch):
    from resources.source import placing

    monkeypatch.setattr(placing, "HOPELESS_ROWS", 20)
    rows = [["x", zone, rides] for _, zone, rides in hours(1000)]
    with pytest.raises(ContractError, match="rows break the contract") as error:
        workplace.ingest(workplace.file("rides.csv", csv_text([*hours(3), *rows])), block_bytes=500)
    assert "1,000 of" not in str(error.value)


def test_read_table_gives_all_rows_or_the_first_that_do_not_fit(workplace: Workplace):
    good = workplace.file("good.csv", csv_text(hours(3)))
    assert read_table(str(good), RIDES, scratch=workplace.scratch).num_rows == 3
    bad = workplace.file("bad.csv", csv_text([*hours(3), ["x", "north", 1]]))
    with pytest.raises(ContractError, match=r"1 of 4 rows break .* row 4: at: 'x' is not timestamp"):
        read_table(str(bad), RIDES, scratch=workplace.scratch)


def test_a_large_batch_of_one_row_group_is_read_in_parts(workplace: Workplace):
    table = pa.table({"x": pa.array(range(50_000), pa.int64())})
    path = workplace.folder / "x.parquet"
    pq.write_table(table, path, row_group_size=50_000)
    contract = Contract(columns={"x": Column(type="int64")})
    done = workplace.ingest(path, contract, block_bytes=8_000)
    assert done.ref == workplace.ingest(path, contract).ref
    assert workplace.rows(done)[-1] == {"x": 49_999}


def test_a_full_scratch_disk_is_named_and_the_last_version_stays(workplace: Workplace, tiny_disk: Path):
    good = workplace.ingest(workplace.file("rides.csv", csv_text(hours(10))))
    noise = pa.table({"b": pa.array([os.urandom(1000) for _ in range(3000)])})
    pq.write_table(noise, workplace.folder / "b.parquet")
    packed = workplace.file("b.parquet.gz", gzip.compress((workplace.folder / "b.parquet").read_bytes()))
    contract = Contract(columns={"b": Column(type="binary")})
    workplace.scratch = tiny_disk
    for path, message in ((workplace.folder / "b.parquet", "cannot write to"), (packed, "cannot copy the source to")):
        with pytest.raises(StoreError, match=f"{message} scratch folder .*/tiny: the disk is full"):
            workplace.ingest(path, contract)
    assert list(tiny_disk.iterdir()) == []
    assert read_manifest(workplace.store, good.ref.digest).rows == 10


def test_many_rows_without_a_time_wait_in_bounded_memory_and_are_not_lost(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
):
    from resources.source import placing

    monkeypatch.setattr(placing, "HOPELESS_ROWS", 20)
    untimed = [["no time", "north", 1]] * 100
    rows = [*hours(24), *untimed, *hours(24, "2011-02-01T00:00:00Z")]
    path = workplace.file("rides.csv", csv_text(rows))
    contract = RIDES.model_copy(update={"max_rejected": 0.99})
    options = {"bounds": FEBRUARY, "event_time": AT, "block_bytes": 200}
    done = workplace.ingest(path, contract, partition="2011-02", **options)
    assert (done.report.rows_kept, done.report.rows_unplaced) == (24, 100)
