"""Owns the look-alike of the UCI Bike Sharing file: hourly rentals of two invented years.

Columns, types, date format and ranges are those of `hour.csv` (Fanaee-T & Gama 2013); the rows are drawn from the
formulas below with a fixed seed and say nothing about any real city. What they are made to show: commuting peaks on
working days, a hump on free ones, weather, growth, weeks of free rides in the first summer and the second autumn,
closed stations in the December between and new ones from the year's turn on, so that a model trained on a short window
is mostly better and sometimes clearly worse than its predecessor.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 20110101
FILE_NAME = "bike_demand-lookalike.csv"
COLUMNS = (
    "instant",
    "dteday",
    "season",
    "yr",
    "mnth",
    "hr",
    "holiday",
    "weekday",
    "workingday",
    "weathersit",
    "temp",
    "atemp",
    "hum",
    "windspeed",
    "casual",
    "registered",
    "cnt",
)
FIRST_DAY = np.datetime64("2011-01-01")
DAYS = 731
HOLIDAYS = (
    *("2011-01-17", "2011-02-21", "2011-04-15", "2011-05-30", "2011-07-04", "2011-09-05", "2011-10-10"),
    *("2011-11-11", "2011-11-24", "2011-12-26", "2012-01-02", "2012-01-16", "2012-02-20", "2012-04-16"),
    *("2012-05-28", "2012-07-04", "2012-09-03", "2012-10-08", "2012-11-12", "2012-11-22", "2012-12-25"),
)
"""Federal and local holidays of Washington, DC, a public calendar."""

STATIONS_CLOSED = (("2011-12-01", "2012-01-01"),)
RIDES_FREE = (("2011-06-06", "2011-07-01"), ("2012-09-08", "2012-10-01"))
STATIONS_ADDED = (("2012-01-01", "2013-01-01"),)
NO_RECORD = (("2011-01-26T16", "2011-01-27T16"), ("2011-08-27T18", "2011-08-28T08"), ("2012-10-29T01", "2012-10-30T11"))
"""Half-open stretches of days or hours; the real file has holes without a record too."""

BIKES = 1000
"""No hour has more rentals than there are bikes."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def write(folder: Path) -> Path:
    """Write the look-alike into `folder` unless it is there; return its path. The same bytes every time."""
    path = folder / FILE_NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(_csv(columns()))
        aside.replace(path)
    return path


def columns() -> dict[str, Integers | Floats | NDArray[np.str_]]:
    """Return the columns of the look-alike by name, in the order of the file."""
    rng = np.random.default_rng(SEED)
    calendar = _calendar()
    weather = _weather(rng, calendar["day_of_year"], calendar["hr"])
    casual, registered = _rentals(rng, calendar, weather)
    names = ("season", "yr", "mnth", "hr", "holiday", "weekday", "workingday")
    table = {"dteday": _us_dates(), **{name: calendar[name] for name in names}, **weather}
    table |= {"casual": casual, "registered": registered, "cnt": casual + registered}
    recorded = (casual + registered > 0) & ~_in_any(_hours(), NO_RECORD)
    kept = {name: values[recorded] for name, values in table.items()}
    return {"instant": np.arange(1, recorded.sum() + 1), **kept}


def _hours() -> NDArray[np.datetime64]:
    return FIRST_DAY.astype("datetime64[h]") + np.arange(DAYS * 24)


def _days() -> NDArray[np.datetime64]:
    return FIRST_DAY + np.arange(DAYS)


def _us_dates() -> NDArray[np.str_]:
    dates = [day.item() for day in _days()]
    return np.repeat(np.array([f"{day.month}/{day.day}/{day.year}" for day in dates]), 24)


def _calendar() -> dict[str, Integers]:
    days = _days()
    months = days.astype("datetime64[M]")
    month = (months - days.astype("datetime64[Y]").astype("datetime64[M]")).astype(int) + 1
    month_day = month * 100 + (days - months.astype("datetime64[D]")).astype(int) + 1
    holiday = np.isin(days, np.array(HOLIDAYS, dtype="datetime64[D]")).astype(int)
    weekday = (days.astype(int) + 4) % 7  # 1970-01-01 was a Thursday; 0 is Sunday
    of_days = {
        "season": np.searchsorted([321, 621, 923, 1221], month_day, side="right") % 4 + 1,
        "yr": days.astype("datetime64[Y]").astype(int) - 41,
        "mnth": month,
        "holiday": holiday,
        "weekday": weekday,
        "workingday": ((weekday % 6 != 0) & (holiday == 0)).astype(int),
        "day_of_year": (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(int),
        "day": np.arange(DAYS),
    }
    return {**{name: np.repeat(values, 24) for name, values in of_days.items()}, "hr": np.tile(np.arange(24), DAYS)}


def _persistent(rng: np.random.Generator, size: int, *, memory: float) -> Floats:
    """Return a stationary series of unit variance whose correlation falls by `memory` a step."""
    weights = memory ** np.arange(int(7 / (1 - memory)))
    series = np.convolve(rng.standard_normal(size + len(weights)), weights)[len(weights) : len(weights) + size]
    return series * np.sqrt(1 - memory**2)


def _weather(rng: np.random.Generator, day_of_year: Integers, hour: Integers) -> dict[str, Integers | Floats]:
    """Return the weather columns: temperatures over 41 and 50 degrees C, humidity over 100, wind over 67 km/h."""
    spell = np.repeat(_persistent(rng, DAYS, memory=0.75), 24)
    wetness = 0.8 * _persistent(rng, DAYS * 24, memory=0.93) + 0.6 * _persistent(rng, DAYS * 24, memory=0.5)
    gusts = _persistent(rng, DAYS * 24, memory=0.85)
    celsius = 19.5 - 11.5 * np.cos(2 * np.pi * (day_of_year - 18) / 365.25) + 3.4 * spell
    celsius += 3.6 * np.cos(2 * np.pi * (hour - 15) / 24) - 1.2 * np.clip(wetness, 0, None)
    humidity = 0.62 + 0.14 * wetness - 0.13 * np.cos(2 * np.pi * (hour - 15) / 24) + 0.03 * spell
    wind = np.clip(12.7 + 8.2 * gusts, 0, 57)
    wind[wind < 5] = 0.0  # the anemometer does not turn below 5 km/h
    feels = celsius - 0.06 * wind + 4 * np.clip(humidity - 0.6, 0, None)
    return {
        "weathersit": np.searchsorted([0.42, 1.45, 3.45], wetness) + 1,
        "temp": np.clip(np.round(celsius / 41 * 50) / 50, 0.02, 1.0),
        "atemp": np.round(np.clip(np.round(feels / 50 * 66), 1, 66) / 66, 4),
        "hum": np.round(np.clip(humidity, 0.08, 1.0), 2),
        "windspeed": np.round(np.round(wind) / 67, 4),
    }


def _bump(hour: Integers, centre: float, width: float) -> Floats:
    return np.exp(-(((hour - centre) / width) ** 2))


def _rentals(
    rng: np.random.Generator, calendar: dict[str, Integers], weather: dict[str, Integers | Floats]
) -> tuple[Integers, Integers]:
    """Return rentals of casual and of registered riders: Poisson counts at rates that vary by day and hour."""
    hour, working = calendar["hr"], calendar["workingday"] == 1
    awake = 0.03 + _bump(hour, 14.0, 6.0)
    commute = 0.55 * awake + 1.75 * _bump(hour, 8.0, 1.1) + 1.9 * _bump(hour, 17.4, 1.7) + 0.35 * _bump(hour, 20.0, 2.5)
    leisure = 0.1 + 1.25 * _bump(hour, 14.0, 4.6) + 0.35 * _bump((hour + 12) % 24, 12.5, 2.2)
    mild = weather["temp"] - 1.6 * np.clip(weather["temp"] - 0.72, 0, None)
    dampen = np.array([1.0, 0.93, 0.5, 0.25])[weather["weathersit"].astype(int) - 1]
    dampen = dampen * (1 - 0.35 * np.clip(weather["hum"] - 0.6, 0, None)) * (1 - 0.25 * weather["windspeed"])
    day_mood = np.repeat(np.exp(0.08 * rng.standard_normal(DAYS)), 24)
    level = _level(calendar["day"]) * dampen * day_mood
    registered = level * np.where(working, commute, 0.9 * leisure) * (0.25 + 1.1 * mild) * 190
    casual = level * np.where(working, 0.32 * leisure + 0.12 * commute, leisure) * (0.05 + 1.6 * mild**1.5) * 132
    casual, registered = (rate * rng.gamma(25, 1 / 25, rate.size) for rate in (casual, registered))
    share = _at_most(casual + registered, 0.85 * BIKES) / (casual + registered)
    return rng.poisson(casual * share), rng.poisson(registered * share)


def _level(day: Integers) -> Floats:
    """Return how much demand there is on a day, 1 at the start: growth and events."""
    growth = 1 + 0.75 * (1 - np.exp(-day / 260)) + 0.12 * day / DAYS
    factors = ((STATIONS_CLOSED, 0.4), (RIDES_FREE, 1.6), (STATIONS_ADDED, 1.4))
    return growth * np.prod([np.where(_in_any(FIRST_DAY + day, dates), by, 1.0) for dates, by in factors], axis=0)


def _at_most(rate: Floats, limit: float) -> Floats:
    return limit * np.tanh(rate / limit)


def _in_any(hours: NDArray[np.datetime64], stretches: tuple[tuple[str, str], ...]) -> NDArray[np.bool_]:
    pairs = [(np.datetime64(start), np.datetime64(end)) for start, end in stretches]
    return np.any([(hours >= start) & (hours < end) for start, end in pairs], axis=0)


def _csv(table: dict[str, Integers | Floats | NDArray[np.str_]]) -> str:
    texts = [
        [f"{value:g}" if values.dtype == float else str(value) for value in values.tolist()]
        for values in table.values()
    ]
    lines = [",".join(COLUMNS), *map(",".join, zip(*texts, strict=True))]
    return "\n".join(lines) + "\n"
