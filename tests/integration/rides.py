"""Owns small pipelines for the tests of a whole installation, as a user would declare them in a folder of their own."""

from pathlib import Path

BIKES = '''
"""Three months of the bike look-alike with few iterations: every stage, in seconds."""

from assets.partitions import Partitions, Window
from pipelines.catalog import bike_demand as example
from pipelines.spec import Pipeline
from resources.source import Source

whole = example.bike_demand

bikes = Pipeline(
    name="bikes",
    partitions=Partitions(every="monthly", start="2011-01", end="2011-04"),
    ingest=whole.ingest.model_copy(
        update={"source": Source(url_env="BIKES_URL", sample="pipelines.samples.bike_demand:write", format="csv")}
    ),
    features=whole.features,
    train=whole.train.model_copy(
        update={
            "window": Window(partitions=2),
            "parameters": {"objective": "regression", "num_iterations": 20, "num_leaves": 7},
        }
    ),
    # Twenty iterations do not beat last week's rides; here all three months shall be deployed.
    evaluate=whole.evaluate.model_copy(
        update={"gate": whole.evaluate.gate.model_copy(update={"beat_baseline": False})}
    ),
    schedule="0 6 1 * *",
    watch_s=1,
)
'''
BIKES_PARTITIONS = ("2011-01", "2011-02", "2011-03")

COUNTS = '''
"""One small file a day and no history long enough for a model: what is left is ingest and features, and automation."""

from assets.evaluate import Evaluate
from assets.ingest import Ingest
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.train import Train
from pipelines.spec import Pipeline
from quality.contract import Column, Contract
from quality.gate import Gate
from resources.source import EventTime, Source

counts = Pipeline(
    name="counts",
    partitions=Partitions(every="daily", start="2011-01-01", end="2011-02-01"),
    ingest=Ingest(
        source=Source(url_env="COUNTS_URL"),
        contract=Contract(columns={"at": Column(type="timestamp[us]"), "count": Column(type="int64", minimum=0)}),
        event_time=EventTime(column="at", timezone="UTC"),
    ),
    features=Features(columns={"hour": "EXTRACT(hour FROM at)"}, label="count"),
    train=Train(window=Window(partitions=20, minimum=20)),
    evaluate=Evaluate(metrics=("mae",), gate=Gate(metric="mae", margin=1.0)),
    watch_s=1,
)
'''


def declare(folder: Path, name: str, text: str) -> Path:
    """Write a pipeline module into `folder` and return the folder, for `PENSTOCK_PIPELINES`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text.lstrip())
    return folder


def count_day(folder: Path, day: int, *, count: int = 1) -> str:
    """Write the file of one day of January 2011 for the pipeline `counts`; return its partition key."""
    key = f"2011-01-{day:02}"
    rows = "".join(f"{key}T{hour:02}:00:00,{count + hour}\n" for hour in range(24))
    aside = folder / f".{key}"
    aside.write_text(f"at,count\n{rows}")
    aside.rename(folder / f"{key}.csv")
    return key
