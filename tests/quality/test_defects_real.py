"""Defects planted in real months of bike rentals are noticed, and months as they are raise nothing of the kind."""

import polars as pl
import pytest

from quality.defects import plant
from quality.dependence import cuts, dependence, judge_dependence
from quality.repeats import judge_repeats, sketch_rows
from quality.traits import traits

COLUMNS = ("instant", "dteday", "hr", "weathersit", "temp", "atemp", "hum", "windspeed", "cnt")


@pytest.fixture(scope="module")
def months(shared_data):
    hours = pl.read_csv(shared_data / "bike_sharing" / "hour.csv").select(COLUMNS)
    day = pl.col("dteday").str.split("/")
    month = (day.list.get(2) + "-" + day.list.get(0).str.zfill(2)).alias("month")
    parts = hours.with_columns(month).partition_by("month", maintain_order=True, include_key=False)
    assert len(parts) == 24
    return parts


def repeats(month, past):
    sketches = {str(place): sketch_rows(before, ["instant"]) for place, before in enumerate(past)}
    return [finding.verdict for finding in judge_repeats(sketch_rows(month, ["instant"]), sketches, what="keys")]


def test_months_as_they_are_repeat_nothing_and_a_duplicated_one_does(months):
    assert all(repeats(month, months[:place]) == ["pass", "pass"] for place, month in enumerate(months) if place)
    damaged = plant("duplicated_partition", months[9], magnitude=0.05, past=months[:9])
    assert repeats(damaged, months[:9]) == ["pass", "warn"]


def test_temperatures_shuffled_against_the_felt_ones_break_their_dependence(months):
    past, month = months[:12], months[12]
    columns = ["temp", "atemp", "hum", "windspeed"]
    by = cuts(pl.concat(past), columns=columns)
    before = [dependence(part, by) for part in past]
    shuffled = plant("shuffled_column", month, ["temp"])
    found = judge_dependence(dependence(shuffled, by), before, rows=month.height)
    assert ("temp", "atemp") in {tuple(finding.numbers["columns"]) for finding in found}
    sound = judge_dependence(dependence(month, by), before, rows=month.height)
    assert ("temp", "atemp") not in {tuple(finding.numbers["columns"]) for finding in sound}


@pytest.mark.parametrize(
    ("defect", "column", "trait", "magnitude"),
    [
        ("stuck_sensor", "temp", "repeated", 0.5),
        ("float32_cast", "temp", "float32", 1.0),
        ("unit_mix", "temp", "far", 0.05),
        ("clipped_outliers", "hum", "largest", 0.3),
        ("default_fill", "hum", "zero", 0.05),
    ],
)
def test_a_defect_moves_its_trait_beyond_all_months(months, defect, column, trait, magnitude):
    usual = max(traits(month)[column][trait] for month in months[3:])  # March 2011 has a day with a dead hygrometer
    damaged = plant(defect, months[5], [column], magnitude=magnitude)
    assert traits(damaged)[column][trait] > usual + 0.04
