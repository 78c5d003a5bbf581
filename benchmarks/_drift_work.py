"""Do one tool's work on two Parquet files and print what it took: _drift_work.py TOOL WORK REFERENCE CURRENT

TOOL is penstock, evidently, nannyml, whylogs or tfdv; WORK is profile (of the first file), scan (the same without ever
holding all its rows, penstock only) or drift. It runs in the tool's own environment, so it imports nothing but the
tool. Importing is timed apart.
"""

import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # or the package quality would be benchmarks/quality.py
warnings.simplefilter("ignore")
os.environ |= {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}
TIMES, TEXTS = ["created", "updated"], ["session", "email"]


def frames(paths, *, drop=()):
    import pandas as pd

    for path in paths:
        try:
            frame = pd.read_parquet(path)
        except ImportError:  # pyarrow has no wheel for the old numpy that whylogs needs
            import polars as pl

            frame = pd.DataFrame({column.name: column.to_numpy() for column in pl.read_parquet(path)})
        frame = frame.drop(columns=list(drop))
        yield frame.assign(is_new=frame["is_new"].astype(str)) if "is_new" in frame else frame


def penstock(work, paths):
    import polars as pl

    from quality.drift import drift
    from quality.profile import profile

    yield
    if work == "profile":
        yield profile(pl.read_parquet(paths[0])).rows
    elif work == "scan":
        yield profile(pl.scan_parquet(paths[0])).rows
    else:
        found = drift(*map(pl.read_parquet, paths), columns=pl.read_parquet_schema(paths[0]).keys(), tolerance=0.005)
        yield sorted({test.column for test in found if test.flagged})


def evidently(work, paths):
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    yield
    data = list(frames(paths, drop=["id", "day", *TIMES, *TEXTS]))
    texts = ["country", "city", "brand", "is_new"]
    named = DataDefinition(
        numerical_columns=[name for name in data[0].columns if name not in texts], categorical_columns=texts
    )
    sets = [Dataset.from_pandas(frame, named) for frame in data]
    if work == "profile":
        yield len(Report([DataSummaryPreset()]).run(sets[0], None).dict()["metrics"])
    else:
        yield _evidently_flags(Report([DataDriftPreset()]).run(sets[1], sets[0]).dict()["metrics"])


def _evidently_flags(metrics):
    names = []
    for metric in metrics:
        settings = metric.get("config", {})
        if "column" in settings and "threshold" in settings:
            small = "p_value" in str(settings.get("method", ""))
            value = float(metric["value"])
            if (value < settings["threshold"]) if small else (value >= settings["threshold"]):
                names.append(settings["column"])
    return sorted(names)


def nannyml(work, paths):
    import nannyml as nml

    yield
    before, after = frames(paths, drop=["id", "day", *TIMES, *TEXTS])
    texts = ["country", "city", "brand", "is_new"]
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(before.columns),
        treat_as_categorical=texts,
        chunk_number=10,
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon", "wasserstein"],
        categorical_methods=["chi2", "jensen_shannon", "l_infinity"],
    )
    calculator.fit(before)
    yield len(calculator.calculate(after).filter(period="analysis").to_df())


def whylogs(work, paths):
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    yield
    if work == "profile":
        yield why.log(next(frames(paths[:1]))).view().get_column("id") is not None
    else:
        before, after = (why.log(frame).view() for frame in frames(paths))
        scores = calculate_drift_scores(target_view=after, reference_view=before, with_thresholds=True)
        yield sorted(name for name, score in scores.items() if score and score["drift_category"] == "DRIFT")


def tfdv(work, paths):
    import tensorflow_data_validation as tf

    yield
    data = frames(paths, drop=["id", "day", *TIMES])
    before = tf.generate_statistics_from_dataframe(next(data), n_jobs=1)
    if work == "profile":
        yield before.datasets[0].num_examples
        return
    after = tf.generate_statistics_from_dataframe(next(data), n_jobs=1)
    schema = tf.infer_schema(before)
    for feature in schema.feature:
        comparator = feature.drift_comparator
        (comparator.infinity_norm if feature.type == 1 else comparator.jensen_shannon_divergence).threshold = 0.01
    found = tf.validate_statistics(after, schema, previous_statistics=before)
    yield sorted(found.anomaly_info)


def main():
    tool, work, *paths = sys.argv[1:]
    started = time.perf_counter()
    steps = globals()[tool](work, paths)
    next(steps)
    imported, processor = time.perf_counter(), time.process_time()
    answer = next(steps)
    print(
        json.dumps(
            {
                "import_s": imported - started,
                "work_s": time.perf_counter() - imported,
                "cpu_s": time.process_time() - processor,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "answer": answer,
            }
        )
    )


if __name__ == "__main__":
    main()
