"""Owns what the shop keeps of sound days, and the walk through its days: each is made, looked at and let go of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from _verdicts_alarms import CATEGORICAL, DERIVED, EFFECT, KEYS, LABEL, ROW_COLUMNS
from _verdicts_history import SEASON, Traits
from _verdicts_orders import Shop, orders

from quality.dependence import Cuts, cuts, dependence
from quality.drift import ColumnDrift, drift
from quality.drift import Past as PastDrift
from quality.leakage import single_feature_auc
from quality.profile import Profile, merge, profile
from quality.repeats import RowSketch, sketch_rows
from quality.traits import traits

DAYS = 4 * SEASON
"""Earlier days that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a sound day leaves behind."""

    rows: int
    profile: Profile
    traits: Traits
    dependence: Mapping[tuple[str, str], float]
    leaks: Mapping[str, float]
    keys: RowSketch
    contents: RowSketch
    effects: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known when a day is judged: the days before it, oldest first, their last week, the rows of the last."""

    shop: Shop
    day: int
    days: Sequence[Day]
    week: Profile | None = None
    cuts: Cuts
    yesterday: pl.DataFrame


def walk(shop: Shop, start: int, days: int, *, kept: int = DAYS) -> Iterator[Past]:
    """Yield what is known before each of `days` days from `start` on, from `kept` days before on."""
    first = orders(shop, start - kept)
    by = cuts(first.drop("order_id", "event_time", "arrival_time"))
    past = Past(shop=shop, day=start - kept, days=(), cuts=by, yesterday=first)
    while past.day < start + days:
        if past.day >= start:
            yield past
        past = _after(past, orders(shop, past.day))


def _after(past: Past, frame: pl.DataFrame) -> Past:
    described = described_day(frame)
    effects = drifted(past, described)
    seen = Day(
        rows=frame.height,
        profile=described,
        traits=traits(frame),
        dependence=dependence(frame, past.cuts),
        leaks=leaks(frame),
        keys=sketch_rows(frame, ["order_id"]),
        contents=sketch_rows(frame, ROW_COLUMNS),
        effects={(test.column, test.test): test.effect for test in effects},
    )
    days = (*past.days, seen)[-DAYS:]
    week = merge(day.profile for day in days[-SEASON:]) if len(days) >= SEASON else None
    return replace(past, day=past.day + 1, days=days, week=week, yesterday=frame)


def described_day(frame: pl.DataFrame) -> Profile:
    """Return the profile of a day with the columns that the owner adds, as far as it has what they are made of."""
    clocks = [frame.schema.get(name) for name in ("event_time", "arrival_time")]
    delay = (pl.col("arrival_time") - pl.col("event_time")).dt.total_microseconds() / 1e6
    hour = pl.col("event_time").dt.hour().cast(pl.Int64)
    added = {"event_hour": hour, "delay_s": delay} if all(isinstance(kind, pl.Datetime) for kind in clocks) else {}
    return profile(frame.with_columns(**added).drop(KEYS, strict=False))


def drifted(past: Past, described: Profile) -> tuple[ColumnDrift, ...]:
    """Return the drift of a day against the week before it, judged by how far earlier days lay from theirs."""
    if past.week is None:
        return ()
    effects: dict[tuple[str, str], list[float]] = {}
    for day in past.days:
        for key, effect in day.effects.items():
            effects.setdefault(key, []).append(effect)
    known = PastDrift(effects=effects)
    return drift(past.week, described, categorical=CATEGORICAL, tolerance=EFFECT, past=known)


def leaks(frame: pl.DataFrame) -> dict[str, float]:
    """Return how well each column alone tells the label, nothing where there is none."""
    if LABEL not in frame.columns:
        return {}
    return single_feature_auc(
        frame, LABEL, [name for name in frame.columns if name not in (LABEL, "order_id", *DERIVED)]
    )
