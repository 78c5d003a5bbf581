"""Example with time partitions: hourly bike rentals of Washington DC, 2011-2012, a demand that grows as it is learned.

The data is the UCI Bike Sharing set (Fanaee-T and Gama, 2013, CC BY 4.0). `BIKE_DEMAND_URL` names its `hour.csv`;
without it a seeded look-alike is generated, so that nothing needs a network.
"""

from assets.evaluate import Evaluate
from assets.ingest import Ingest
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.train import Train
from pipelines.spec import Pipeline
from quality.contract import Column, Contract
from quality.gate import Gate, Limit
from resources.source import EventTime, Source

contract = Contract(
    columns={
        "instant": Column(type="int64", minimum=1, description="record number"),
        "dteday": Column(type="date32", format="%m/%d/%Y", description="day, US order"),
        "season": Column(type="int8", allowed=(1, 2, 3, 4)),
        "yr": Column(type="int8", allowed=(0, 1), description="0: 2011, 1: 2012"),
        "mnth": Column(type="int8", minimum=1, maximum=12),
        "hr": Column(type="int8", minimum=0, maximum=23),
        "holiday": Column(type="int8", allowed=(0, 1)),
        "weekday": Column(type="int8", minimum=0, maximum=6),
        "workingday": Column(type="int8", allowed=(0, 1)),
        "weathersit": Column(type="int8", allowed=(1, 2, 3, 4), description="1: clear ... 4: storm"),
        "temp": Column(type="float64", minimum=0, maximum=1, description="share of 41 degrees C"),
        "atemp": Column(type="float64", minimum=0, maximum=1, description="felt, share of 50 degrees C"),
        "hum": Column(type="float64", minimum=0, maximum=1, description="relative humidity"),
        "windspeed": Column(type="float64", minimum=0, maximum=1, description="share of 67 km/h"),
        "casual": Column(type="int32", minimum=0),
        "registered": Column(type="int32", minimum=0),
        "cnt": Column(type="int32", minimum=0, description="rides begun in the hour"),
    },
    unique=("dteday", "hr"),
    max_rejected=0.01,
)

bike_demand = Pipeline(
    name="bike_demand",
    description="Rides per hour from calendar and weather, retrained every month on the three months before.",
    partitions=Partitions(every="monthly", start="2011-01", end="2013-01"),
    ingest=Ingest(
        source=Source(url_env="BIKE_DEMAND_URL", sample="pipelines.samples.bike_demand:write", format="csv"),
        contract=contract,
        # The file's clock has no zone. Washington's wall clock is read as UTC, so that every hour of every day
        # stays a row of its own across the changes of clocks.
        event_time=EventTime(
            column="at", expression="CAST(dteday AS TIMESTAMP) + hr * INTERVAL '1 hour'", timezone="UTC"
        ),
        expectations=(
            {
                "type": "expect_column_pair_values_a_to_be_greater_than_b",
                "kwargs": {"column_A": "cnt", "column_B": "casual", "or_equal": True},
                "severity": "critical",
            },
            {
                "type": "expect_column_mean_to_be_between",
                "kwargs": {"column": "cnt", "min_value": 10, "max_value": 600},
                "severity": "warning",
            },
            {
                "type": "expect_compound_columns_to_be_unique",
                "kwargs": {"column_list": ["dteday", "hr"]},
                "severity": "critical",
            },
        ),
        max_age_s=86_400,
    ),
    features=Features(
        columns={
            "hour": "hr",
            "weekday": "weekday",
            "workingday": "workingday",
            "holiday": "holiday",
            "month": "mnth",
            "weather": "weathersit",
            "temperature": "temp",
            "felt": "atemp",
            "humidity": "hum",
            "wind": "windspeed",
            "rush": "CASE WHEN workingday = 1 AND hr IN (7, 8, 17, 18) THEN 1 ELSE 0 END",
        },
        label="cnt",
        drift_ignore=("month",),  # moves with every partition, as it should
    ),
    train=Train(
        trainer="lightgbm",
        parameters={"objective": "regression", "num_iterations": 300, "learning_rate": 0.06, "num_leaves": 31},
        seed=7,
        window=Window(partitions=3),
    ),
    evaluate=Evaluate(
        metrics=("mae", "rmse", "r2", "bias"),
        gate=Gate(metric="mae", margin=2.0, unit="rides/h", limits={"bias": Limit(minimum=-80, maximum=80)}),
        slices={
            "day": "CASE WHEN workingday = 1 THEN 'working day' ELSE 'day off' END",
            "weather": "CASE WHEN weather = 1 THEN 'clear' WHEN weather = 2 THEN 'mist' ELSE 'rain or snow' END",
        },
    ),
    schedule="0 6 1 * *",
    owners=("team:demand",),
    tags={"domain": "mobility"},
)
