"""Measure false alarms and power of the checks against the past: anomalies.py [--quick] [--json FILE]

Claims: whatever the noise, few pipelines see any false alarm within a year of daily runs; halved and doubled rows, a
frozen feed and five points more nulls are found. Peers judge the very same histories: mean and three standard
deviations of all days before (as nannyml and most dashboards do), median and 3.5 MAD of the same weekday.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from _report import Row, compared, measured, parser, report
from numpy.typing import NDArray

from quality.anomalies.budget import shares
from quality.anomalies.calendar import CADENCES, Span, phases
from quality.anomalies.judging import REPEATS
from quality.anomalies.predictors import Seasonal
from quality.anomalies.repeats import repeated
from quality.anomalies.scan import Rule, scan

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]

DAILY = CADENCES["daily"]
YEAR = 365
TOLERANCE = math.log(1.5)
PER_YEAR, VOLUME_PART = 0.1, 0.4
WEEK = np.log(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.35]))
START = datetime(2025, 1, 6, tzinfo=UTC)
ALLOWED = 0.1
"""Largest share of pipelines with a false alarm: the declared budget."""


def spans(count: int) -> list[Span]:
    """Return so many days."""
    firsts = [START + timedelta(days=day) for day in range(count)]
    return [Span(key=f"{day:%Y-%m-%d}", start=day, end=day + timedelta(days=1)) for day in firsts]


def autocorrelated(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Floats:
    """Return standard normal values each of which remembers `share` of the one before."""
    values = rng.standard_normal(shape)
    for day in range(1, shape[1]):
        values[:, day] = share * values[:, day - 1] + (1 - share**2) ** 0.5 * values[:, day]
    return values


def week(days: int) -> Floats:
    """Return the logarithm of the usual rows of each day."""
    return WEEK[np.arange(days) % 7]


def noise(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return normal noise of 10 %."""
    return 0.1 * rng.standard_normal(shape)


def seasonal(more: Noise) -> Noise:
    """Return `more` around a week whose end is quiet."""
    return lambda rng, shape: week(shape[1]) + more(rng, shape)


def growing(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return noise around a level that grows by 0.5 % a day."""
    return noise(rng, shape) + 0.005 * np.arange(shape[1])


def waving(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return noise around a level that swings by half over a year."""
    return noise(rng, shape) + 0.5 * np.sin(np.arange(shape[1]) * 2 * np.pi / YEAR)


def walking(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return a level that moves by 5 % a day, for good."""
    return np.cumsum(0.05 * rng.standard_normal(shape), axis=1)


def uneven(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return noise of 7 % on working days and 30 % at their end."""
    return np.where(np.arange(shape[1]) % 7 > 4, 0.3, 0.07) * rng.standard_normal(shape)


HISTORIES: Mapping[str, Noise] = {
    "independent, 10 %": noise,
    "independent, 30 %": lambda rng, shape: 3 * noise(rng, shape),
    "weekly season": seasonal(noise),
    "weekly season, growing 0.5 % a day": seasonal(growing),
    "weekly season and a wave of a year": seasonal(waving),
    "weekly season, autocorrelated 0.9": seasonal(lambda rng, shape: 0.3 * autocorrelated(rng, shape, 0.9)),
    "weekly season, drifting level (random walk)": seasonal(walking),
    "weekly season, weekends noisier": seasonal(uneven),
    "weekly season, skewed (log of gamma 4)": seasonal(lambda rng, shape: np.log(rng.gamma(4, size=shape) / 4)),
    "weekly season, heavy tails (Laplace)": seasonal(lambda rng, shape: rng.laplace(0, 0.1, shape)),
    "weekly season, heavy tails (Student 5)": seasonal(lambda rng, shape: 0.1 * rng.standard_t(5, shape)),
    "weekly season, heavy tails (Student 3)": seasonal(lambda rng, shape: 0.1 * rng.standard_t(3, shape)),
    "weekly season, heavy tails (Student 2)": seasonal(lambda rng, shape: 0.1 * rng.standard_t(2, shape)),
}


def ours(values: Floats, *, tolerance: float = TOLERANCE, part: float = VOLUME_PART * (1 - REPEATS)) -> Bools:
    """Return the alarms of our check, as a pipeline with the defaults has them."""
    series, days = values.shape
    spent = shares({"one": 1}, per_year=PER_YEAR * part, length_s=86_400)["one"]
    rule = Rule(
        alpha=np.full(series, spent), upper_only=np.zeros(series, bool), warm_up=DAILY.warm_up, minimum=DAILY.minimum,
        patience=DAILY.patience, levels=DAILY.levels,
    )  # fmt: skip
    weekday = Seasonal.fresh("weekday", phases(spans(days), "weekday"), series)
    return scan(values / tolerance, [weekday], rule).alarm


def three_sigma(values: Floats) -> Bools:
    """Return the alarms of mean and three standard deviations of all earlier days."""
    return _against(values, lambda past: (past.mean(axis=1), 3 * past.std(axis=1, ddof=1)), step=1)


def same_weekday(values: Floats) -> Bools:
    """Return the alarms of median and 3.5 normal-scaled MAD of the same weekdays before."""

    def told(past: Floats) -> tuple[Floats, Floats]:
        centre = np.median(past, axis=1)
        return centre, 3.5 * 1.4826 * np.median(abs(past - centre[:, None]), axis=1)

    return _against(values, told, step=7)


def _against(values: Floats, told: Callable[[Floats], tuple[Floats, Floats]], *, step: int) -> Bools:
    alarm = np.zeros(values.shape, bool)
    for day in range(DAILY.minimum, values.shape[1]):
        centre, width = told(values[:, :day][:, ::-1][:, step - 1 :: step])
        alarm[:, day] = abs(values[:, day] - centre) > width
    return alarm


PEERS: Mapping[str, Callable[[Floats], Bools]] = {
    "mean and 3 sd": three_sigma,
    "weekday median and 3.5 MAD": same_weekday,
}


def false_alarms(pipelines: int, days: int) -> Iterator[Row]:
    """Yield the share of pipelines that see any false alarm in a year after the first four weeks."""
    for name, history in HISTORIES.items():
        values = history(np.random.default_rng([5, len(name)]), (pipelines, DAILY.minimum + days))
        share = float(ours(values).any(axis=1).mean())
        for peer, judge in PEERS.items():
            theirs = float(judge(values).any(axis=1).mean())
            yield compared(f"any false alarm in {days} days; {name}", "history", share, "share of pipelines",
                           peer=peer, peer_value=theirs, most=ALLOWED)  # fmt: skip


def frozen(values: Floats, days: Sequence[int]) -> float:
    """Return the share of series in which the third repetition of the rows of each day of `days` is an alarm."""
    spent = shares({"one": 1}, per_year=PER_YEAR * VOLUME_PART * REPEATS, length_s=86_400)["one"]
    counts = np.rint(10_000 * np.exp(values))
    found = [repeated([*row[:day], *[row[day - 1]] * 3])[1] < spent for row in counts for day in days]
    return sum(found) / len(found)


def power(pipelines: int) -> Iterator[Row]:
    """Yield the share of planted anomalies that are found on their first day."""
    for sd in (0.03, 0.05, 0.1):
        for day in (60, 120, 360, *((724,) if sd == 0.1 else ())):
            rng = np.random.default_rng([6, day])
            usual = week(day + 1) + sd * rng.standard_normal((pipelines, day + 1))
            for what, factor in (("halved", 0.5), ("doubled", 2.0)):
                values = usual.copy()
                values[:, day] += math.log(factor)
                found = float(ours(values)[:, day].mean())
                theirs = float(three_sigma(values)[:, day].mean())
                more = f", all {day} days looked at instead of {DAILY.window}" if day > DAILY.window else ""
                yield compared(f"rows {what} on day {day}, noise {sd:.0%}{more}", "history", found,
                               "share of days found", peer="mean and 3 sd", peer_value=theirs)  # fmt: skip
    feeds = week(200) + 0.05 * np.random.default_rng(8).standard_normal((pipelines, 200))
    yield measured("frozen feed: third repetition found, day 60 to 180", "history",
                   frozen(feeds[: min(pipelines, 200)], (60, 120, 180)), "share of feeds found")  # fmt: skip
    part = (1 - VOLUME_PART) / 20
    for sd in (0.002, 0.005):
        shares_of_nulls = 0.1 + sd * np.random.default_rng(9).standard_normal((pipelines, 121))
        shares_of_nulls[:, 120] += 0.05
        found = float(ours(shares_of_nulls, tolerance=0.02, part=part)[:, 120].mean())
        yield measured(f"nulls 5 points up on day 120, one of 20 columns, usual scatter {100 * sd:g} points", "history",
                       found, "share of days found")  # fmt: skip


def main() -> None:
    """Run all measurements and print them."""
    options = parser(__doc__ or "").parse_args()
    pipelines = 40 if options.quick else 300
    days = 120 if options.quick else YEAR
    report([*false_alarms(pipelines, days), *power(pipelines)], options.json)


if __name__ == "__main__":
    main()
