"""What quarantine holds of rows: texts of any size legibly, and the number by which each row is found in the source."""

import polars as pl
import pytest

from tests.resources.ingesting import Workplace, csv_text, hours, workplace

__all__ = ["workplace"]


@pytest.mark.parametrize("name", ["rides.csv", "rides.jsonl", "rides.parquet"])
def test_of_an_enormous_cell_the_quarantine_holds_the_beginning_and_its_row_leads_back_to_the_source(
    workplace: Workplace, name: str
):
    frame = pl.DataFrame(hours(4), schema=["at", "zone", "rides"], orient="row")
    frame = frame.with_columns(pl.col("zone").replace("north", "é" * 3_000_000))
    frame = pl.concat([frame[1:2], frame[:1], frame[3:]])
    path = workplace.folder / name
    typed = frame.with_columns(pl.col("at").str.to_datetime(time_zone="UTC"))
    {"rides.csv": frame.write_csv, "rides.jsonl": frame.write_ndjson, "rides.parquet": typed.write_parquet}[name](path)
    done = workplace.ingest(path)
    [bad] = workplace.rejected(done)
    assert bad["zone"] == "é" * 9_900 + "… (3000000 characters)"
    assert bad["rides"] == "0"
    assert len(bad["_reason"]) < 200
    assert frame.row(bad["_row"] - 1)[1:] == ("é" * 3_000_000, 0)
    assert done.quarantine is not None
    assert done.quarantine.size_bytes < 100_000


def test_of_an_enormous_row_that_cannot_be_parsed_the_quarantine_holds_the_beginning(workplace: Workplace):
    path = workplace.file("rides.csv", csv_text([*hours(3), ["x", "y" * 3_000_000]]))
    [bad] = workplace.rejected(workplace.ingest(path))
    assert bad["_text"] == "x," + "y" * 9_898 + "… (3000002 characters)"


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_rows_of_an_arrow_file_as_polars_writes_it_go_to_quarantine(workplace: Workplace, kind: type[pl.DataType]):
    frame = pl.DataFrame(hours(3), schema=["at", "zone", "rides"], orient="row")
    frame = frame.with_columns(pl.col("at").str.to_datetime(time_zone="UTC"), pl.lit("west").cast(kind).alias("zone"))
    frame = pl.concat([frame, frame.with_columns(pl.lit("north").cast(kind).alias("zone"))])
    path = workplace.folder / "rides.arrow"
    frame.write_ipc(path)
    assert workplace.reasons(workplace.ingest(path)) == dict.fromkeys(
        (1, 2, 3), "zone: 'west' is not one of north, south"
    )
