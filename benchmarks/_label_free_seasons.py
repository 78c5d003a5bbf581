"""Owns the walk of label_free.py through partitions of seasonal data: what is said before labels come, what they show.

A model is trained on twelve weeks (three months) and judged on the next; what it learns there is asked of the one after
that. Each partition is judged twice: as it is, and with a planted change that shows in the features: seven of eight
rows come from the half where the model errs most. *Before* is the estimate alone, *after* with the experience of
earlier partitions.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from _report import Row, measured
from numpy.typing import NDArray

from quality.evaluation import evaluate
from quality.label_free.calibration_drift import FALSE_ALARM, calibration_drift
from quality.label_free.classification import expect_classifier, fit_classifier
from quality.label_free.expectation import Expectation
from quality.label_free.experience import Foretold, with_experience
from quality.label_free.regression import expect_regressor, fit_regressor

Floats = NDArray[np.float64]
METRIC = {"regression": "mae", "binary": "log_loss"}
LATEST = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Rows in the order of time.

    Attributes:
        name: Told in the table.
        features: Column to values, shape ``(rows,)``.
        label: Shape ``(rows,)``.
        day: Day of each row.
        part: Partition of each row.
        window: Partitions to train on.
    """

    name: str
    features: Mapping[str, Floats]
    label: Floats
    day: NDArray[np.int64]
    part: NDArray[np.int64]
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One partition: what is expected of it and of its planted twin, what labels show, and showed on the one before."""

    found: Expectation
    planted: Expectation
    real: float
    planted_real: float
    reference: float


def made(seed: int = 0, weeks: int = 80) -> Series:
    """Return hourly demand over a year and a half, its level and noise by temperature, which the season drives."""
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * 168)
    day = hours // 24
    warmth = np.sin(2 * np.pi * day / 365.25) + np.repeat(0.4 * rng.standard_normal(weeks * 7), 24)
    clock = np.sin(2 * np.pi * (hours % 24) / 24)
    level = 60 * (1.5 + warmth / 2) * (1.3 + clock) * (1 + day / 1500)
    label = level + level * (0.15 + 0.05 * np.tanh(warmth)) * rng.standard_normal(len(hours))
    return Series(
        name="synthetic season, weeks",
        features={"temperature": warmth, "hour": (hours % 24).astype(float), "weekday": (day % 7).astype(float)},
        label=label, day=day, part=day // 7, window=12,
    )  # fmt: skip


def many_months(seeds: int, months: int = 36) -> list[Series]:
    """Return as many series of months of 30 days, each as `made` makes it: more partitions than real data have."""
    series = [made(seed, weeks=-(-30 * months // 7)) for seed in range(1, seeds + 1)]
    name = f"{seeds} synthetic seasons, months"
    return [replace(one, name=name, part=one.day // 30, window=3) for one in series]


def rides() -> Iterator[Series]:
    """Yield the hourly rides of Washington by week and by month; nothing without PENSTOCK_TEST_DATA."""
    folder = os.environ.get("PENSTOCK_TEST_DATA")
    file = Path(folder or "") / "bike_sharing" / "hour.csv"
    if not folder or not file.is_file():
        print(f"no real data: {file} is not there (PENSTOCK_TEST_DATA)")
        return
    frame = pl.read_csv(file).with_columns(pl.col("dteday").str.to_date("%m/%d/%Y"))
    names = ("hr", "weekday", "workingday", "holiday", "weathersit", "temp", "atemp", "hum", "windspeed")
    day = (frame["dteday"] - frame["dteday"].min()).dt.total_days().to_numpy()
    month = (frame["dteday"].dt.year() * 12 + frame["dteday"].dt.month()).to_numpy().astype(np.int64)
    features = {name: frame[name].cast(pl.Float64).to_numpy() for name in names}
    whole = Series(name="rides, weeks", features=features, label=frame["cnt"].cast(pl.Float64).to_numpy(), day=day,
                   part=day // 7, window=12)  # fmt: skip
    yield whole
    yield replace(whole, name="rides, months", part=month - month.min(), window=3)


def shifted(series: Series, starts: int = 10) -> list[Series]:
    """Return a series cut into months of 30 days from each of so many days on: many months of few years, dependent."""
    name = f"{series.name.split(',')[0]}, months from {starts} days on"
    return [
        replace(series, name=name, part=(series.day + 30 * start // starts) // 30, window=3) for start in range(starts)
    ]


def steps(series: Series, task: str) -> Iterator[Step]:
    """Yield each partition that can be judged, oldest first; of a classifier the label is whether it is above 200."""
    label = (series.label > 200).astype(np.float64) if task == "binary" else series.label
    table = np.stack(list(series.features.values()), axis=1)
    fit, expect = (fit_classifier, expect_classifier) if task == "binary" else (fit_regressor, expect_regressor)
    rng = np.random.default_rng(1)
    for key in range(series.window, int(series.part.max())):
        known, batch = np.flatnonzero(series.part == key), np.flatnonzero(series.part == key + 1)
        train = (series.part < key) & (series.part >= key - series.window)
        if min(len(known), len(batch)) < 100 or not 0 < label[known].mean() < label[known].max():
            continue
        predict = _trained(table[train], label[train], task)
        score: Any = fit(label[known], predict(table[known]), features=_of(series, known), clusters=series.day[known])
        unsure = _unsure(predict(table[batch]), task)
        twin = batch[rng.choice(len(batch), len(batch), p=(unsure + 0.5) / (unsure + 0.5).sum())]
        told = [
            expect(score, predict(table[rows]), features=_of(series, rows), tolerated=1.0) for rows in (batch, twin)
        ]
        real = [_truth(task, label[rows], predict(table[rows])) for rows in (batch, twin, known)]
        yield Step(found=told[0], planted=told[1], real=real[0], planted_real=real[1], reference=real[2])


def rows_of(series: Sequence[Series], task: str) -> Iterator[Row]:
    """Yield abstention, coverage and alarms, before and after, of all partitions of series that have one name."""
    metric = METRIC[task]
    walks = [list(steps(one, task)) for one in series]
    walked = [step for walk in walks for step in walk]
    named = f"{series[0].name}, {'classifier' if task == 'binary' else 'regressor'}"
    told = {
        "before": [_pair(step, ()) for step in walked],
        "after": [pair for walk in walks for pair in _experienced(walk, metric)],
    }
    for when, pairs in told.items():
        said = [(one.metrics[metric], step) for (one, _), step in zip(pairs, walked, strict=True) if one.metrics]
        share = 1 - len(said) / len(walked)
        yield measured(f"{named}, {when}: abstains on {len(walked)} partitions", "label_free", share, "share")
        if not said:
            continue
        held = sum(_low(one) <= step.real <= _high(one) for one, step in said) / len(said)
        yield measured(f"{named}, {when}: {metric} in its 95 % interval, of {len(said)}", "label_free", held, "share")
        wide = float(np.median([np.log(_high(one) / max(_low(one), 1e-9)) for one, _ in said]))
        yield measured(f"{named}, {when}: upper end over lower end, median", "label_free", float(np.exp(wide)), "ratio")
        alarms = sum(_low(one) > step.reference for one, step in said if step.real <= step.reference)
        calm = sum(step.real <= step.reference for step in walked)
        yield measured(f"{named}, {when}: alarm although no worse", "label_free", alarms / max(1, calm), "share")
        worse = [at for at, step in enumerate(walked) if step.planted_real > 1.25 * step.reference]
        found = sum(
            bool(pairs[at][1].metrics) and _low(pairs[at][1].metrics[metric]) > walked[at].reference for at in worse
        )
        yield measured(f"{named}, {when}: found, of {len(worse)} partitions worse by a quarter and more", "label_free",
                       found / max(1, len(worse)), "share")  # fmt: skip


def _experienced(walk: Sequence[Step], metric: str) -> Iterator[tuple[Expectation, Expectation]]:
    """Yield what is expected of each partition of one series with the experience of those before it."""
    past: list[Foretold] = []
    for step in walk:
        yield _pair(step, past[-LATEST:])
        if not step.found.abstains:
            value = step.found.metrics[metric].value or 0.0
            past.append(Foretold(outside=step.found.outside, expected={metric: value}, real={metric: step.real}))


def _pair(step: Step, past: Sequence[Foretold]) -> tuple[Expectation, Expectation]:
    return with_experience(step.found, past), with_experience(step.planted, past)


def calibration_rows(repeats: int) -> Iterator[Row]:
    """Yield how often calibration is said to have drifted, where it has not and where a model became overconfident."""
    for days in (7, 28):
        for sharp, what in ((1.0, "no drift"), (1.5, "logits 1.5 times too large now")):
            hits = 0
            for seed in range(repeats):
                before = [_days(seed, part, days, 1.0) for part in range(3)]
                drifted = calibration_drift(before, _days(seed, 9, days, sharp))
                hits += drifted is not None and drifted.p < FALSE_ALARM
            told = f"calibration, {days} days of 100 rows that err alike, {what}: significant"
            most = FALSE_ALARM if sharp == 1.0 and repeats >= 100 else None
            yield measured(told, "label_free", hits / repeats, "share of partitions", most=most)


def _days(seed: int, part: int, days: int, sharp: float) -> Any:
    rng = np.random.default_rng([seed, part, days])
    day = np.repeat(np.arange(days), 100)
    logit = 1.1 * rng.standard_normal(len(day)) - 0.4
    truth = 1 / (1 + np.exp(-(logit + 0.3 * rng.standard_normal(days)[day])))
    label = (rng.random(len(day)) < truth).astype(np.float64)
    return fit_classifier(label, 1 / (1 + np.exp(-sharp * logit)), clusters=day)


def _trained(table: Floats, label: Floats, task: str) -> Any:  # Any: rows to predictions
    import lightgbm

    parameters = {"objective": task, "learning_rate": 0.1, "num_leaves": 15, "num_threads": 1, "verbosity": -1,
                  "seed": 7, "deterministic": True}  # fmt: skip
    model = lightgbm.train(parameters, lightgbm.Dataset(table, label), 60)
    return lambda rows: np.asarray(model.predict(rows, num_threads=1), np.float64)


def _of(series: Series, rows: NDArray[np.int64]) -> dict[str, Floats]:
    return {name: values[rows] for name, values in series.features.items()}


def _unsure(prediction: Floats, task: str) -> Floats:
    """Return 1 for the half of the rows on which the model errs most, by its own word."""
    doubt = -abs(prediction - 0.5) if task == "binary" else prediction
    return 3 * (doubt > np.median(doubt)).astype(np.float64)


def _truth(task: str, label: Floats, prediction: Floats) -> float:
    found = evaluate(label, {"challenger": prediction}, metrics=[METRIC[task]], resamples=200)
    return float(found.overall.metrics["challenger"][METRIC[task]].value or 0)


def _low(estimate: Any) -> float:
    return float(estimate.low)


def _high(estimate: Any) -> float:
    return float(estimate.high)
