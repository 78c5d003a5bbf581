"""The generated clicks: the same bytes every time, a truth that is one, and models that grow old."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.catalog.synthetic_clicks import synthetic_clicks as declared
from pipelines.samples import synthetic_clicks
from resources.source.ingest import ingest
from resources.storage.store import open_store

ROWS = 20_000


def written(folder: Path, month: str, rows: int = ROWS) -> Path:
    folder.mkdir(exist_ok=True)
    return synthetic_clicks.write(folder, month, rows)


def frame(path: Path) -> pl.DataFrame:
    found = pl.from_arrow(pq.read_table(path))
    assert isinstance(found, pl.DataFrame)
    return found


def test_the_same_month_and_rows_give_the_same_bytes_and_others_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic_clicks, "CHUNK_ROWS", 1_000)
    first, again, other = (
        written(tmp_path / name, month).read_bytes()
        for name, month in (("a", "2025-03"), ("b", "2025-03"), ("c", "2025-04"))
    )
    assert first == again
    assert first != other


def test_rows_are_a_month_in_the_order_of_time_with_numbers_of_their_own(tmp_path):
    rows = frame(written(tmp_path, "2025-02"))
    assert rows.height == ROWS
    assert rows["at"].is_sorted()
    assert rows["at"].dt.strftime("%Y-%m-%d").unique().sort().to_list() == [
        f"2025-02-{day:02d}" for day in range(1, 29)
    ]
    assert rows["impression"].n_unique() == ROWS
    evening = rows.filter(pl.col("at").dt.hour() == 20).height
    assert evening > 5 * rows.filter(pl.col("at").dt.hour() == 4).height


def test_what_is_missing_and_what_is_long_tailed_is_as_it_says(tmp_path):
    rows = frame(written(tmp_path, "2025-02"))
    shares = {name: rows[name].null_count() / ROWS for name in rows.columns if rows[name].null_count()}
    assert shares == pytest.approx(synthetic_clicks.MISSING, abs=0.01)
    counts = rows["advert"].value_counts(sort=True)["count"]
    assert counts[:50].sum() > 0.25 * ROWS
    assert (counts == 1).sum() > 200


def test_the_truth_is_that_of_the_rows(tmp_path):
    path = written(tmp_path, "2025-05", 100_000)
    truth, clicked = synthetic_clicks.truth_of(path), frame(path)["clicked"].to_numpy()
    rate = clicked.mean()
    of_rate = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert (truth.rows, truth.clicks) == (100_000, clicked.sum())
    # What is drawn strays from what is expected by chance only: a loss has a standard deviation below 1.
    assert abs(truth.drawn_log_loss - truth.bayes_log_loss) < 5 / np.sqrt(100_000)
    assert 0.7 * of_rate < truth.bayes_log_loss < 0.95 * of_rate


def test_a_model_of_the_month_before_beats_an_older_one_and_neither_beats_the_truth(tmp_path):
    """The models: a click rate for each campaign, drawn to the mean of all as if each had been shown 50 times more."""
    months = {key: frame(written(tmp_path, key, 100_000)) for key in ("2025-01", "2025-09", "2025-10")}
    judged = months["2025-10"]

    def loss(month: str) -> float:
        mean = months[month]["clicked"].mean()
        rates = months[month].group_by("campaign").agg((pl.col("clicked").sum() + 50 * mean) / (pl.len() + 50))
        p = judged.join(rates.rename({"clicked": "p"}), on="campaign", how="left")["p"].fill_null(mean).to_numpy()
        clicked = judged["clicked"].to_numpy()
        return float(-np.where(clicked == 1, np.log(p), np.log1p(-p)).mean())

    least = synthetic_clicks.truth_of(tmp_path / "2025-10.parquet").drawn_log_loss
    assert least < loss("2025-09") < loss("2025-01")


def test_the_devices_change_once(tmp_path):
    before, after, later = (
        frame(written(tmp_path, f"2025-{month:02d}"))["device"]
        .value_counts(normalize=True)
        .sort("device")["proportion"]
        for month in (6, 7, 8)
    )
    assert (before - after).abs().sum() / 2 == pytest.approx(0.2, abs=0.02)
    assert (later - after).abs().sum() / 2 < 0.02


def test_a_partition_is_generated_when_it_is_ingested_and_fits_the_contract(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHETIC_CLICKS_ROWS", "3000")
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    spec, key = declared.ingest, "2025-07"
    assert declared.partitions is not None
    done = ingest(
        spec.source,
        spec.contract,
        store=store,
        scratch=tmp_path / "scratch",
        partition=key,
        bounds=declared.partitions.bounds(key),
        event_time=spec.event_time,
    )
    assert (done.ref.rows, done.report.rows_rejected, done.report.sample) == (3_000, 0, True)
    assert [path.name for path in (tmp_path / "scratch/samples").rglob("*.parquet")] == [f"{key}.parquet"]
