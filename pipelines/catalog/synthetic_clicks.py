"""Example at scale: is an impression clicked? Months of 5,000,000 generated impressions, of which the truth is known.

Nothing needs to be there before a partition runs: its file is generated when it is ingested, of `SYNTHETIC_CLICKS_ROWS`
rows. `SYNTHETIC_CLICKS_URL` names other files of the same columns, with `{partition}` in it. The least log loss that a
model can reach is in each generated file (`pipelines.samples.synthetic_clicks.truth_of`).
"""

from assets.evaluate import Evaluate
from assets.ingest import Ingest
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.train import Train
from pipelines.spec import Pipeline
from quality.contract import Column, Contract
from quality.gate import Gate
from resources.source import EventTime, Source
from resources.transform.steps import Ordinal

contract = Contract(
    columns={
        "impression": Column(type="int64", description="number of the impression"),
        "at": Column(type="timestamp[us, tz=UTC]", description="when it was shown"),
        "account_age_days": Column(type="int32", nullable=True, minimum=0, description="none: no account"),
        "visits": Column(type="int32", minimum=0, description="visits of the last 30 days"),
        "clicks_before": Column(type="int32", minimum=0, description="clicks of the last 30 days"),
        "recency_h": Column(type="float32", nullable=True, minimum=0, description="hours since the last visit"),
        "dwell_s": Column(type="float32", nullable=True, minimum=0, description="seconds on the page before"),
        "depth": Column(type="float32", minimum=0, maximum=1, description="share of the page above it"),
        "price": Column(type="float32", minimum=0, description="what is advertised costs, EUR"),
        "quality": Column(type="float32", minimum=0, maximum=1, description="score of the advert"),
        "device": Column(type="string", allowed=("desktop", "mobile", "tablet", "app")),
        "browser": Column(type="string"),
        "country": Column(type="string"),
        "publisher": Column(type="string", description="long-tailed, 2,000"),
        "campaign": Column(type="int32", minimum=0, description="long-tailed, 1,000"),
        "advert": Column(type="int32", minimum=0, description="long-tailed, 5,000"),
        "clicked": Column(type="int8", allowed=(0, 1)),
    },
    unique=("impression",),
    max_rejected=0.001,
)

synthetic_clicks = Pipeline(
    name="synthetic_clicks",
    description="Is an impression clicked? Retrained monthly on the month before; generated, with a known best loss.",
    partitions=Partitions(every="monthly", start="2025-01", end="2026-01"),
    ingest=Ingest(
        source=Source(
            url_env="SYNTHETIC_CLICKS_URL",
            sample="pipelines.samples.synthetic_clicks:write",
            sample_rows=5_000_000,
            sample_rows_env="SYNTHETIC_CLICKS_ROWS",
            format="parquet",
        ),
        contract=contract,
        event_time=EventTime(column="at"),
        expectations=(
            {
                "type": "expect_column_mean_to_be_between",
                "kwargs": {"column": "clicked", "min_value": 0.02, "max_value": 0.15},
                "severity": "critical",
            },
        ),
        max_age_s=86_400,
    ),
    features=Features(
        columns={
            "hour": "EXTRACT(HOUR FROM at)",
            "account_age_days": "account_age_days",
            "visits": "visits",
            "clicks_before": "clicks_before",
            "recency_h": "recency_h",
            "dwell_s": "dwell_s",
            "depth": "depth",
            "price": "price",
            "quality": "quality",
            "device": "device",
            "browser": "browser",
            "country": "country",
            "publisher": "publisher",
            "campaign": "campaign",
            "advert": "advert",
        },
        label="clicked",
        steps=(Ordinal(columns=("device", "browser", "country", "publisher", "campaign", "advert")),),
    ),
    train=Train(
        trainer="lightgbm",
        parameters={
            "objective": "binary",
            "num_iterations": 80,
            "learning_rate": 0.2,
            "num_leaves": 31,
            "min_data_in_leaf": 200,
            "cat_smooth": 50,
            "num_threads": 2,
        },
        seed=17,
        window=Window(partitions=1),
    ),
    evaluate=Evaluate(
        metrics=("log_loss", "auc", "brier"),
        gate=Gate(metric="log_loss", margin=0.0, unit="nats", min_rows=1_000),
        slices={"device": "device"},
    ),
    owners=("team:adverts",),
    tags={"domain": "advertising"},
)
