"""Owns the text of a new pipeline: a commented declaration that runs as it is.

Its data is made by a tiny generator in the same file.
"""

import keyword
import os
import re
from pathlib import Path

from pipelines.names import CATALOG
from resources.errors import DeclarationError, StoreError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PLACE = "PIPELINE_NAME"


def write(name: str, folder: Path = CATALOG) -> Path:
    """Write the starter of the pipeline `name` into `folder`, made if need be, and return its path.

    Raises:
        DeclarationError: If the name cannot be one, or is taken there.
        StoreError: If the file cannot be written.
    """
    check_name(name)
    path = folder / f"{name}.py"
    if path.exists() or (folder / name).exists():
        taken = path if path.exists() else folder / name
        raise DeclarationError(f"{taken} is there already: choose another name, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create(path, text(name))
    except FileExistsError:
        raise DeclarationError(f"{path} is there already: choose another name, or remove it") from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; choose another --folder") from error
    return path


def check_name(name: str) -> None:
    """Refuse a name that can be no pipeline's and no module's."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        plain = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_0123456789") or "my_pipeline"
        near = f"my_{plain}" if keyword.iskeyword(plain) else plain
        raise DeclarationError(
            f"{name!r} must be a lower-case letter followed by letters, digits and _; for instance {near!r}"
        )


def text(name: str) -> str:
    """Return the starter of the pipeline `name`, Python source."""
    return _TEMPLATE.replace(_PLACE, name)


def _create(path: Path, content: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(content, encoding="utf-8")
        os.link(aside, path)  # unlike a rename, never replaces what another process wrote meanwhile
    finally:
        aside.unlink(missing_ok=True)


_TEMPLATE = '''"""PIPELINE_NAME: a starter made by `penstock new`. It runs as it is; change it piece by piece.

    penstock run PIPELINE_NAME
    penstock summary PIPELINE_NAME

What it does: predicts how many coffees a café sells in an hour, retrained every month on the two months before.
"""

import csv
import math
import random
from datetime import datetime, timedelta
from pathlib import Path

from assets.evaluate import Evaluate
from assets.ingest import Ingest
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.train import Train
from pipelines.spec import Pipeline
from quality.contract import Column, Contract
from quality.gate import Gate
from resources.source import EventTime, Source

# What a row must be. Rows that are not go to quarantine with a reason; too many of them block the partition.
contract = Contract(
    columns={
        "at": Column(type="timestamp[us, tz=UTC]", description="begin of the hour"),
        "temperature": Column(type="float64", minimum=-30, maximum=50, description="degrees C"),
        "holiday": Column(type="bool"),
        "sold": Column(type="int32", minimum=0, description="coffees sold in the hour"),
    },
    unique=("at",),
    max_rejected=0.01,
)

PIPELINE_NAME = Pipeline(
    name="PIPELINE_NAME",
    description="Coffees sold per hour, from weather and calendar.",
    # Leave `partitions` out for data without time: rows are then split by a stable hash of their values.
    partitions=Partitions(every="monthly", start="2024-01", end="2024-07"),
    ingest=Ingest(
        source=Source(
            # Where the real data lies: any fsspec URL or path; `{partition}` in it means one file a partition.
            #   url="s3://bucket/sales/{partition}.parquet",
            # This variable overrides it; while it is unset too, the generator below writes a look-alike.
            url_env="PIPELINE_NAME_URL".upper(),
            sample=f"{__name__}:write_sample",
            format="csv",
        ),
        contract=contract,
        event_time=EventTime(column="at"),
        # A Great Expectations suite in its own form; it is slow to load, so the starter leaves it out.
        #   expectations=({"type": "expect_column_mean_to_be_between",
        #                  "kwargs": {"column": "sold", "min_value": 5, "max_value": 100}, "severity": "critical"},),
    ),
    # SQL over the columns above. The very same text computes features for training, batch scoring and serving.
    features=Features(
        columns={
            "hour": "EXTRACT(HOUR FROM at)",
            "weekday": "EXTRACT(ISODOW FROM at)",
            "temperature": "temperature",
            "holiday": "CASE WHEN holiday THEN 1 ELSE 0 END",
        },
        label="sold",
    ),
    # The model of a month is trained on the two months before it, and judged on that month.
    train=Train(
        trainer="lightgbm",  # or "sklearn", or "torch"
        parameters={"objective": "regression", "num_iterations": 60, "learning_rate": 0.1, "num_leaves": 15},
        seed=1,
        window=Window(partitions=2),
    ),
    # A challenger may replace the champion if it is not worse than by `margin`, with 95 % certainty.
    evaluate=Evaluate(
        metrics=("mae", "rmse", "r2"),
        gate=Gate(metric="mae", margin=0.5, unit="coffees"),
        slices={"day": "CASE WHEN weekday >= 6 THEN 'weekend' ELSE 'weekday' END"},
    ),
    # schedule="0 6 1 * *",            # cron: on the first of the month, for the month before
    # owners=("team:coffee",),
)


def write_sample(folder: Path) -> Path:
    """Write invented sales of half a year; the same bytes every time."""
    draw = random.Random(7)
    path = folder / "PIPELINE_NAME-lookalike.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(contract.columns)
        at = datetime(2024, 1, 1)
        while at < datetime(2024, 7, 1):
            if 7 <= at.hour < 19:
                warmth = 10 - 12 * math.cos(at.timetuple().tm_yday / 58) + draw.gauss(0, 3)
                holiday = (at.month, at.day) in ((1, 1), (5, 1), (5, 9))
                crowd = 30 + 15 * math.sin((at.hour - 4) / 3) - 0.5 * warmth - 12 * (at.weekday() >= 5) - 15 * holiday
                sold = max(0, round(crowd + draw.gauss(0, 3)))
                rows.writerow((f"{at:%Y-%m-%dT%H:%M:%S}Z", f"{warmth:.1f}", str(holiday).lower(), sold))
            at += timedelta(hours=1)
    return path
'''
