"""Owns the look-alike of the flights file: delays of invented flights, as Arrow IPC.

Columns and types are those of `flights-200k.arrow` (vega-datasets, from the US Department of Transportation); the rows
are drawn from the formulas below with a fixed seed. What they are made to show: delays that build up over the day, long
ones after midnight, a long right tail, and hardly anything that distance explains.
"""

import os
from pathlib import Path

import numpy as np

SEED = 20010101
ROWS = 50_000
FILE_NAME = "flight_delays-lookalike.arrow"


def write(folder: Path) -> Path:
    """Write the look-alike into `folder` unless it is there; return its path. The same bytes every time."""
    import pyarrow as pa

    path = folder / FILE_NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        table = pa.table(columns())
        with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        aside.replace(path)
    return path


def columns() -> dict[str, np.ndarray]:
    """Return delay (minutes, int16), distance (miles, int16) and time (local hour of day, float32)."""
    rng = np.random.default_rng(SEED)
    hour = _departures(rng)
    distance = np.clip(np.round(np.exp(6.3 + 0.75 * rng.standard_normal(ROWS))), 30, 4962)
    since_morning = (hour - 5) % 24  # the airlines' day starts at five
    expected = -3.5 + 0.75 * since_morning + 1.1 * np.clip(since_morning - 17, 0, None) ** 1.6 - 0.001 * distance
    late = rng.random(ROWS) < 0.08 + 0.012 * since_morning
    delay = expected + 9 * rng.standard_normal(ROWS) + np.where(late, rng.exponential(42, ROWS), -4)
    return {
        "delay": np.clip(np.round(delay), -86, 1444).astype(np.int16),
        "distance": distance.astype(np.int16),
        "time": (np.floor(hour * 60) / 60).astype(np.float32),
    }


def _departures(rng: np.random.Generator) -> np.ndarray:
    """Return hours of day: busy from six to ten in the evening, nearly none at night."""
    traffic = np.array([3, 2, 1, 0.2, 0.2, 4, *[55] * 14, 48, 34, 24, 9])
    hours = np.searchsorted(np.cumsum(traffic / traffic.sum()), rng.random(ROWS), side="right")
    return hours + rng.random(ROWS)
