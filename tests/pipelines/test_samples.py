"""The look-alikes have the shape of the real files, the same bytes every time, and their own invented numbers."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from pipelines.samples import bike_demand, flight_delays


def _flights(path: Path) -> pl.DataFrame:
    with pa.ipc.open_file(path) as reader:
        return pl.DataFrame(pl.from_arrow(reader.read_all()))


@pytest.mark.parametrize("sample", [bike_demand, flight_delays])
def test_a_look_alike_has_the_same_bytes_every_time_and_says_so_in_its_name(sample, tmp_path):
    first = sample.write(tmp_path / "first")
    second = sample.write(tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()
    assert "lookalike" in first.name
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_a_look_alike_that_is_there_is_left_alone_so_that_sensors_see_no_change(tmp_path):
    before = bike_demand.write(tmp_path).stat()
    after = bike_demand.write(tmp_path).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_the_bike_look_alike_reads_like_the_real_file(shared_data, tmp_path):
    real = pl.read_csv(shared_data / "bike_sharing" / "hour.csv")
    ours = pl.read_csv(bike_demand.write(tmp_path))
    assert ours.schema == real.schema
    assert ours["dteday"].unique().sort().to_list() == real["dteday"].unique().sort().to_list()
    assert ours.height == pytest.approx(real.height, rel=0.01)
    for column in ("season", "yr", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit"):
        assert set(ours[column]) == set(real[column]), column


def test_the_bike_look_alike_agrees_with_the_real_calendar(shared_data, tmp_path):
    calendar = ["dteday", "season", "yr", "mnth", "holiday", "weekday", "workingday"]
    real = pl.read_csv(shared_data / "bike_sharing" / "hour.csv").select(calendar).unique()
    ours = pl.read_csv(bike_demand.write(tmp_path)).select(calendar).unique()
    assert ours.join(real, on=calendar, how="anti").height == 0


def test_no_row_of_the_bike_look_alike_is_a_row_of_the_real_file(shared_data, tmp_path):
    drawn = ["dteday", "hr", "temp", "hum", "windspeed", "casual", "registered"]
    real = pl.read_csv(shared_data / "bike_sharing" / "hour.csv").select(drawn)
    ours = pl.read_csv(bike_demand.write(tmp_path)).select(drawn)
    assert ours.join(real, on=drawn, how="inner").height == 0


def test_rentals_of_the_bike_look_alike_are_the_sum_of_both_kinds_of_riders(tmp_path):
    rows = pl.read_csv(bike_demand.write(tmp_path))
    assert (rows["casual"] + rows["registered"] == rows["cnt"]).all()
    assert 0 < rows["cnt"].min() <= rows["cnt"].max() <= bike_demand.BIKES  # pyright: ignore


def test_the_bike_look_alike_has_commuting_peaks_on_working_days_only(tmp_path):
    rows = pl.read_csv(bike_demand.write(tmp_path))
    mean = rows.group_by("workingday", "hr").agg(pl.col("cnt").mean()).sort("hr")
    working, free = (mean.filter(pl.col("workingday") == day)["cnt"].to_list() for day in (1, 0))
    assert working[8] > 2 * working[11]
    assert working[17] > 2 * working[11]
    assert max(range(24), key=free.__getitem__) in range(12, 17)


def test_the_bike_look_alike_grows_from_year_to_year(tmp_path):
    mean = pl.read_csv(bike_demand.write(tmp_path)).group_by("yr").agg(pl.col("cnt").mean()).sort("yr")["cnt"]
    assert mean[1] > 1.3 * mean[0]


def test_the_flight_look_alike_reads_like_the_real_file(shared_data, tmp_path):
    real = _flights(shared_data / "flights" / "flights-200k.arrow")
    ours = _flights(flight_delays.write(tmp_path))
    assert ours.schema == real.schema
    assert ours.height == flight_delays.ROWS
    for column in ("delay", "distance", "time"):
        assert real[column].min() <= ours[column].min() < ours[column].max() <= real[column].max()  # pyright: ignore


def test_delays_of_the_flight_look_alike_build_up_over_the_day(tmp_path):
    rows = _flights(flight_delays.write(tmp_path))
    mean = {hour: rows.filter(pl.col("time").floor() == hour)["delay"].mean() for hour in (6, 12, 18, 22)}
    assert mean[6] < mean[12] < mean[18] < mean[22]
