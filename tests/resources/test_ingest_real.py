"""Ingest of real files, compared with what Python's own csv module and pyarrow say is in them."""

import csv
import zipfile
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from quality.contract import Column, Contract
from resources.source import EventTime
from tests.resources.ingesting import Workplace, workplace

__all__ = ["workplace"]

COUNTS = ("season", "yr", "mnth", "holiday", "weekday", "workingday", "weathersit", "casual", "registered")
BIKES = Contract(
    columns={
        "instant": Column(type="int64", minimum=1),
        "dteday": Column(type="date32", format="%m/%d/%Y"),
        **{name: Column(type="int64", minimum=0) for name in COUNTS[:3]},
        "hr": Column(type="int64", minimum=0, maximum=23),
        **{name: Column(type="int64", minimum=0) for name in COUNTS[3:7]},
        **{name: Column(type="float64", minimum=0, maximum=1) for name in ("temp", "atemp", "hum", "windspeed")},
        **{name: Column(type="int64", minimum=0) for name in (*COUNTS[7:], "cnt")},
    },
    unique=("dteday", "hr"),
)
RIDDEN_AT = EventTime(
    column="ts", expression="STRPTIME(CONCAT(dteday, ' ', hr, ':00'), '%Y-%m-%d %H:%M')", timezone="UTC"
)
NEW_YORK = "America/New_York"


def months() -> list[tuple[str, tuple[datetime, datetime]]]:
    starts = [datetime(2011 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(25)]
    return [(start.strftime("%Y-%m"), (start, end)) for start, end in pairwise(starts)]


def test_the_months_of_the_bike_rides_hold_every_row_once(workplace: Workplace, shared_data: Path):
    path = shared_data / "bike_sharing" / "hour.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = Counter(datetime.strptime(row["dteday"], "%m/%d/%Y").strftime("%Y-%m") for row in rows)
    rides: Counter[str] = Counter()
    for row in rows:
        rides[datetime.strptime(row["dteday"], "%m/%d/%Y").strftime("%Y-%m")] += int(row["cnt"])
    for key, bounds in months():
        done = workplace.ingest(path, BIKES, partition=key, bounds=bounds, event_time=RIDDEN_AT)
        assert (done.report.rows_kept, done.report.rows_rejected) == (expected[key], 0)
        assert sum(row["cnt"] for row in workplace.rows(done)) == rides[key]
        assert {row["ts"].hour - row["hr"] for row in workplace.rows(done)} == {0}


def test_the_bike_rides_are_read_from_their_archive_as_published(workplace: Workplace, shared_data: Path):
    path = shared_data / "bike_sharing" / "hour.csv"
    archive = workplace.folder / "bike+sharing+dataset.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(path, "hour.csv")
    key, bounds = months()[12]
    options = {"partition": key, "bounds": bounds, "event_time": RIDDEN_AT}
    plain = workplace.ingest(path, BIKES, **options)
    assert workplace.ingest(f"zip://hour.csv::file://{archive}", BIKES, **options).ref.digest == plain.ref.digest


def test_the_flights_are_those_of_the_arrow_file(workplace: Workplace, shared_data: Path):
    path = shared_data / "flights" / "flights-200k.arrow"
    contract = Contract(
        columns={"delay": Column(type="int16"), "distance": Column(type="int16"), "time": Column(type="float32")}
    )
    done = workplace.ingest(path, contract)
    expected = pl.from_arrow(pa.ipc.open_file(path).read_all())
    assert isinstance(expected, pl.DataFrame)
    assert pl.DataFrame(workplace.rows(done), schema=expected.schema).equals(expected)


def test_the_raw_taxi_trips_lose_exactly_the_rows_that_break_the_rules(workplace: Workplace, shared_data: Path):
    path = shared_data / "taxis" / "raw.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: Column(type="float64", nullable=True) for name in rows[0]}
    clock = Column(type="timestamp[us]", timezone=NEW_YORK)
    columns |= {
        "tpep_pickup_datetime": clock,
        "tpep_dropoff_datetime": clock,
        "store_and_fwd_flag": Column(type="string", nullable=True),
        "color": Column(type="string", allowed=("yellow", "green")),
        "passenger_count": Column(type="int64", minimum=1),
        "total_amount": Column(type="float64", maximum=150),
    }
    done = workplace.ingest(
        path, Contract(columns=columns, max_rejected=0.1), event_time=EventTime(column="tpep_pickup_datetime")
    )
    bad = {
        number
        for number, row in enumerate(rows, 1)
        if not row["passenger_count"] or int(row["passenger_count"]) < 1 or float(row["total_amount"]) > 150
    }
    assert set(workplace.reasons(done)) == bad
    assert done.report.rows_kept == len(rows) - len(bad)


def test_one_restated_hour_gives_a_new_version_of_its_month_only(workplace: Workplace, shared_data: Path):
    text = (shared_data / "bike_sharing" / "hour.csv").read_text()
    restated = workplace.file("restated.csv", text.replace("\n9646,2/11/2012,", "\n9646,2/11/2012,", 1))
    changed = workplace.file("changed.csv", _with_one_more_ride(text, "2/11/2012"))
    for key, bounds in months()[12:15]:
        options = {"partition": key, "bounds": bounds, "event_time": RIDDEN_AT}
        same = (
            workplace.ingest(restated, BIKES, **options).ref.digest
            == workplace.ingest(changed, BIKES, **options).ref.digest
        )
        assert same is (key != "2012-02")


def _with_one_more_ride(text: str, day: str) -> str:
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if f",{day}," in line)
    cells = lines[at].split(",")
    lines[at] = ",".join([*cells[:-1], str(int(cells[-1]) + 1)])
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("block_bytes", [5_000, 300_000])
def test_the_version_of_a_real_month_does_not_depend_on_blocks(
    workplace: Workplace, shared_data: Path, block_bytes: int
):
    path = shared_data / "bike_sharing" / "hour.csv"
    key, bounds = months()[3]
    options = {"partition": key, "bounds": bounds, "event_time": RIDDEN_AT}
    assert workplace.ingest(path, BIKES, **options, block_bytes=block_bytes) == workplace.ingest(path, BIKES, **options)
