"""Owns the checks that the shop's owner runs on a partition, one small adapter a family, and what they learn of the past."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from _verdicts_alarms import CATEGORICAL, DERIVED, KEYS, LABEL, Alarm, alarms_of, contract_of
from _verdicts_history import SEASON, Traits, trait_alarms
from _verdicts_orders import Shop, day_start, orders

from quality.contract import check_schema, split
from quality.dependence import Cuts, cuts, dependence, judge_dependence
from quality.drift import ColumnDrift, drift
from quality.history import Volume, judge_freshness, judge_volume
from quality.leakage import judge_leakage, single_feature_auc
from quality.references import judge_references
from quality.repeats import RowSketch, judge_repeats, sketch_rows
from quality.traits import traits
from resources.errors import ContractError, DeclarationError

DAYS = 4 * SEASON
DAY_S = 86_400.0
REFERENCE_ROWS = 100_000
EFFECT = 0.02
"""Tolerated distance of distributions."""
ROW_COLUMNS = ("email", "city", "postcode", "sku", "unit_price", "total", "weight_kg", "session_s", "prediction")
"""What an order says apart from its key and its times."""
_RULES = {
    "below minimum": "contract minimum",
    "above maximum": "contract maximum",
    "not one of": "contract allowed",
    "not of the form": "contract pattern",
    ": null": "contract null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a sound day leaves behind."""

    volume: Volume
    traits: Traits
    dependence: Mapping[tuple[str, str], float]
    leaks: Mapping[str, float]
    keys: RowSketch
    contents: RowSketch
    effects: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known when a day is judged: the days before it, the oldest first, and the rows of the last week."""

    shop: Shop
    day: int
    days: Sequence[Day]
    cuts: Cuts
    window: Sequence[pl.DataFrame]
    yesterday: pl.DataFrame
    reference: pl.DataFrame


def walk(shop: Shop, start: int, days: int) -> Iterator[Past]:
    """Yield what is known before each of `days` days from `start` on; every day is made, looked at and let go of."""
    first = orders(shop, start - DAYS)
    past = Past(
        shop=shop, day=start - DAYS, days=(), window=(), yesterday=first, reference=first,
        cuts=cuts(first.drop("order_id", "event_time", "arrival_time")),
    )  # fmt: skip
    while past.day < start + days:
        if past.day >= start:
            yield past
        past = _after(past, orders(shop, past.day))


def _after(past: Past, frame: pl.DataFrame) -> Past:
    window = (*past.window, _sampled(derived(frame)))[-SEASON:]
    effects = _drift(past.reference, frame) if len(past.window) == SEASON else ()
    seen = Day(
        volume=Volume(partition=f"day {past.day}", rows=frame.height, length_s=DAY_S),
        traits=traits(frame),
        dependence=dependence(frame, past.cuts),
        leaks=_leaks(frame),
        keys=sketch_rows(frame, ["order_id"]),
        contents=sketch_rows(frame, ROW_COLUMNS),
        effects={(test.column, test.test): test.effect for test in effects},
    )
    return replace(
        past, day=past.day + 1, days=(*past.days, seen)[-DAYS:], window=window, yesterday=frame,
        reference=pl.concat(window),
    )  # fmt: skip


def derived(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with the columns that the owner adds for the drift test, as far as it has what they are made of."""
    clocks = [frame.schema.get(name) for name in ("event_time", "arrival_time")]
    if not all(isinstance(kind, pl.Datetime) for kind in clocks):
        return frame
    delay = (pl.col("arrival_time") - pl.col("event_time")).dt.total_microseconds() / 1e6
    return frame.with_columns(event_hour=pl.col("event_time").dt.hour().cast(pl.Int64), delay_s=delay)


def _sampled(frame: pl.DataFrame) -> pl.DataFrame:
    share = REFERENCE_ROWS // SEASON
    return frame if frame.height <= share else frame.sample(share, seed=1)


# Adapters: each takes what is known of the past and a partition, and returns alarms.

Check = Callable[[Past, pl.DataFrame], list[Alarm]]


def contract_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return broken columns and types, and the rules that rows break."""
    contract = contract_of(past.day)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    try:
        check_schema(table.schema, contract)
        reasons = split(table, contract).reasons
    except ContractError as error:
        named = tuple(name for name in {*contract.columns, *frame.columns} if f"'{name}'" in str(error))
        return [Alarm(name="contract schema", columns=named, verdict="block", reason=str(error))]
    return [
        Alarm(name=_rule(reason), columns=(reason.split(":")[0],), verdict="block", reason=f"{count} rows: {reason}")
        for reason, count in reasons.items()
    ]


def _rule(reason: str) -> str:
    return next((name for words, name in _RULES.items() if words in reason), "contract type")


def history_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return an unusual number of rows, a stale end of the partition, unusual traits."""
    volume = Volume(partition="now", rows=frame.height, length_s=DAY_S)
    findings = [judge_volume(volume, [day.volume for day in past.days], season=SEASON)]
    if isinstance(frame.schema.get("event_time"), pl.Datetime):
        newest = frame.get_column("event_time").max()
        due = day_start(past.day + 1)
        findings.append(judge_freshness(newest, due=due, max_age_s=2 * 3600))  # pyright: ignore[reportArgumentType]
    return alarms_of(findings) + trait_alarms(traits(frame), [day.traits for day in past.days], frame.height)


def drift_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return columns that lie further from the week before than any sound day did."""
    found: list[Alarm] = []
    for test in _drift(past.reference, frame):
        usual = max((day.effects.get((test.column, test.test), 0.0) for day in past.days), default=0.0)
        if test.q <= 0.01 and test.low > EFFECT and test.effect > 1.5 * usual:
            name = f"drift {test.test}"
            column = {"event_hour": "event_time", "delay_s": "arrival_time"}.get(test.column, test.column)
            found.append(Alarm(name=name, columns=(column,), verdict="warn", reason=test.reason))
    return found


def _drift(reference: pl.DataFrame, frame: pl.DataFrame) -> tuple[ColumnDrift, ...]:
    extended = derived(frame)
    names = [name for name in reference.columns if name not in KEYS and name in extended.columns]
    alike = [name for name in names if _kind(reference.schema[name]) == _kind(extended.schema[name])]
    return drift(reference, extended, columns=alike, categorical=CATEGORICAL, tolerance=EFFECT)


def _kind(dtype: pl.DataType) -> str:
    return "number" if dtype.is_numeric() else str(dtype)


def repeat_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return keys and contents that the partition or an earlier one holds already."""
    found: list[Alarm] = []
    sketches = (
        ("keys", ("order_id",), [day.keys for day in past.days]),
        ("rows", ROW_COLUMNS, [day.contents for day in past.days]),
    )
    for what, columns, before in sketches:
        if set(columns) <= set(frame.columns):
            names = {f"day {past.day - len(before) + place}": sketch for place, sketch in enumerate(before)}
            findings = judge_repeats(sketch_rows(frame, columns), names, what=what)
            for alarm in alarms_of(findings):
                verdict = "block" if what == "keys" else "warn"
                found.append(Alarm(name=f"{what} {alarm.name}", columns=(), verdict=verdict, reason=alarm.reason))
    return found


def relation_alarms(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return unknown customers, arrivals before the event, dependences that changed, features that know the label."""
    found: list[Alarm] = []
    if "customer_id" in frame.columns:
        try:
            finding = judge_references(frame.get_column("customer_id"), past.shop.customers, table="customers")
            found += alarms_of([finding], ("customer_id",))
        except DeclarationError as error:
            found.append(Alarm(name="references", columns=("customer_id",), verdict="block", reason=str(error)))
    if all(isinstance(frame.schema.get(name), pl.Datetime) for name in ("event_time", "arrival_time")):
        early = frame.filter(pl.col("arrival_time") < pl.col("event_time")).height
        if early:
            clocks = ("event_time", "arrival_time")
            reason = f"{early} orders arrive before they are made"
            found.append(Alarm(name="order of times", columns=clocks, verdict="block", reason=reason))
    depend = [day.dependence for day in past.days]
    found += alarms_of(judge_dependence(dependence(frame, past.cuts), depend, rows=frame.height))
    found += [
        Alarm(name="leak", columns=(str(finding.numbers["column"]),), verdict="warn", reason=finding.reason)
        for finding in judge_leakage(_leaks(frame), [day.leaks for day in past.days])
    ]
    return found


def _leaks(frame: pl.DataFrame) -> dict[str, float]:
    if LABEL not in frame.columns:
        return {}
    names = [name for name in frame.columns if name not in (LABEL, "order_id", *DERIVED)]
    return single_feature_auc(frame, LABEL, names)


CHECKS: dict[str, Check] = {
    "contract": contract_alarms,
    "history": history_alarms,
    "drift": drift_alarms,
    "repeats": repeat_alarms,
    "relations": relation_alarms,
}
"""Family to adapter."""


def judge(past: Past, frame: pl.DataFrame) -> list[Alarm]:
    """Return all alarms of a partition."""
    return [alarm for check in CHECKS.values() for alarm in check(past, frame)]
