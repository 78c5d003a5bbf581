"""Detectors that a pipeline asks for, as its own stages run them."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.evaluate import Evaluate
from assets.ingest import Ingest, References
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.train import Train
from pipelines.build import build, version_of
from pipelines.spec import Pipeline
from quality.contract import Contract
from quality.gate import Gate
from resources import wiring
from resources.errors import DeclarationError
from resources.source import EventTime, Source

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning", "ignore:.*is deprecated and will be removed"
    ),
]


def key(month):
    return f"2025-{month + 1:02}"


def rows_of(month, *, count=300, shift=0.0):
    rng = np.random.default_rng(month)
    amount = rng.normal(20 + shift, 5, count)
    start = datetime(2025, month + 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "order": np.arange(count) + 1_000 * month,
            "at": pl.datetime_range(start, start + timedelta(hours=2 * count - 2), "2h", eager=True),
            "customer": rng.integers(0, 9, count),
            "amount": amount,
            "weight": amount + rng.normal(0, 1, count),
            "paid": (rng.random(count) < 1 / (1 + np.exp(-(amount - 20) / 3))).astype(int),
        }
    )


def pipeline(folder, *, raw=("repeats", "traits", "dependence"), features=("dependence", "leakage"), **changes):
    return Pipeline(
        name="orders",
        partitions=Partitions(every="monthly", start="2025-01"),
        ingest=Ingest(
            source=Source(url=f"{folder}/{{partition}}.parquet"),
            contract=Contract.from_schema(rows_of(0).to_arrow().schema, unique=("order",)),
            event_time=EventTime(column="at"),
            detect=raw,
            references={"customer": References(url=f"{folder}/customers.parquet", column="id")},
        ),
        features=Features(columns={"amount": "amount", "weight": "weight"}, label="paid", detect=features),
        train=Train(
            window=Window(partitions=2, minimum=1),
            parameters={"objective": "binary", "num_iterations": 5, "num_leaves": 4},
        ),
        evaluate=Evaluate(metrics=("log_loss",), gate=Gate(metric="log_loss", margin=0.5, beat_baseline=False)),
        **changes,
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    wiring._opened.cache_clear()
    pl.DataFrame({"id": range(10)}).write_parquet(tmp_path / "customers.parquet")
    yield tmp_path
    wiring._opened.cache_clear()


def run(declared, month, frame, *, only=None):
    folder = declared.ingest.source.url.rsplit("/", 1)[0]
    frame.write_parquet(f"{folder}/{key(month)}.parquet")
    made = build(declared)
    if only:
        chosen = dg.AssetSelection.assets(*[[declared.name, stage] for stage in only])
        made = dg.Definitions.merge(made, dg.Definitions(jobs=[dg.define_asset_job("some", selection=chosen)]))
    job = made.resolve_job_def("some" if only else declared.name)
    done = job.execute_in_process(partition_key=key(month), raise_on_error=False)
    failed = [one.step_failure_data.error.to_string() for one in done.get_step_failure_events()]
    assert done.success or all("blocking asset check failed" in one for one in failed), failed
    return {found.check_name: found for found in done.get_asset_check_evaluations()}


@pytest.mark.slow
def test_detectors_learn_from_the_months_before_and_tell_of_a_bad_one(home):
    declared = pipeline(home)
    for month in range(6):
        found = run(declared, month, rows_of(month), only=("raw", "features"))
    assert all(found[name].passed for name in ("repeats", "traits", "references", "leakage", "dependence"))
    assert found["traits"].description == "too little history: needs 7 more partitions"
    bad = rows_of(2).with_columns(
        pl.col("at").dt.offset_by("4mo"), weight=pl.col("weight").shuffle(seed=1), customer=99
    )
    found = run(declared, 6, bad, only=("raw", "features"))
    assert found["repeats"].description.startswith("100.00% of the keys came before, in 2025-03")
    assert found["references"].severity is dg.AssetCheckSeverity.ERROR
    assert (found["references"].passed, found["references"].blocking) == (False, True)
    assert "amount and weight depend less on each other" in found["dependence"].description


@pytest.mark.slow
def test_the_champions_predictions_are_compared_with_those_on_its_training_window(home):
    declared = pipeline(home, raw=(), features=("multivariate_drift", "prediction_drift"))
    first = run(declared, 0, rows_of(0))
    assert first["prediction_drift"].description == "nothing is predicted yet: there is no champion"
    assert first["multivariate_drift"].description == "nothing to compare with: no earlier features"
    for month in (1, 2):
        run(declared, month, rows_of(month))
    calm = run(declared, 3, rows_of(3), only=("raw", "features"))
    assert calm["prediction_drift"].passed
    assert calm["multivariate_drift"].description.startswith("too little history: needs 6 more partitions; ")
    assert calm["prediction_drift"].metadata["champion"].value
    moved = run(declared, 4, rows_of(4, shift=15), only=("raw", "features"))["prediction_drift"]
    assert (moved.passed, moved.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert moved.description.startswith("prediction: distribution moved by ")


def test_no_detector_is_there_unless_declared_and_none_changes_what_is_made(home):
    plain, asked = pipeline(home, raw=(), features=()), pipeline(home)
    names = {spec.name for checks in build(plain).asset_checks for spec in checks.check_specs}
    assert not names & {"repeats", "traits", "dependence", "leakage", "multivariate_drift", "prediction_drift"}
    for stage in ("raw", "features", "model"):
        assert version_of(plain, stage) == version_of(asked, stage)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"partitions": None}, "prediction_drift compares with earlier time partitions; remove it"),
        (
            {"train": {"window": {"partitions": 2}, "parameters": {"objective": "regression"}}},
            "leakage needs a label of 0 and 1",
        ),
    ],
)
def test_what_cannot_be_detected_is_refused_when_declared(home, change, told):
    declared = pipeline(home, features=("leakage", "prediction_drift")).model_dump()
    if "train" in change:
        declared["evaluate"] |= {"metrics": ("mae",), "gate": {"metric": "mae", "margin": 1}}
    if "partitions" in change:
        declared["train"]["window"] = None
        declared["ingest"]["source"]["url"] = str(home / "all.parquet")
    with pytest.raises(DeclarationError, match=told):
        Pipeline.parse(declared | change)


def test_a_reference_names_a_column_of_the_contract(home):
    declared = pipeline(home).ingest.model_dump()
    declared["references"] = {"custmer": {"url": "customers.parquet"}}
    with pytest.raises(DeclarationError, match="did you mean 'customer'"):
        Ingest.parse(declared)
