"""Owns the checks of any asset against its own past: rows, nulls, age, traits and numbers of one's own.

The statistics are `quality.anomalies`'. What each partition measured is kept for later ones (`assets.checks.past`), or
read from the metadata of the asset's materializations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

import dagster as dg
import polars as pl

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.checks.freshness import end_of, newest_of
from assets.checks.past import last_materializations, newest_materializations, time_window_of
from assets.checks.rows import collected
from assets.history import History, metrics_of, of_history
from assets.told import Told
from quality.anomalies.calendar import CADENCES, Cadence, Season, Span
from quality.anomalies.metrics import Kind, Metric
from resources.errors import DeclarationError
from resources.names import choose

if TYPE_CHECKING:
    from resources.past import Measured

_LONGEST = (("hourly", 2), ("daily", 48), ("weekly", 240))
"""Cadence to the hours up to which a partition is one of it; a longer one is monthly."""
_ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A number in the metadata of materializations that is compared with its past.

    Attributes:
        kind: "count" of rows, "share" from 0 to 1, or any "number".
        tolerance: Tolerated change: relative for a count, in points / 100 for a share, in its own unit for a number.
    """

    kind: Kind = "number"
    tolerance: float


def history_check(
    asset: Asset,
    *,
    history: History | None = None,
    volume_tolerance: float = 0.5,
    event_time: str | None = None,
    every: str | None = None,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that rows, nulls, age and numbers of one's own are as the asset's past predicts; it warns.

    Args:
        asset: Asset that is checked, or its key.
        history: What is compared, and how often that may be wrong.
        volume_tolerance: Tolerated relative change of the rows, either way: 0.5 tolerates a factor of 1.5.
        event_time: Column of times, if the age of the newest row is watched; needs time partitions.
        every: hourly, daily, weekly or monthly; by default what the time partitions are, else daily.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, a name unknown, or an option wrong.
    """
    declared = history or History()
    _check(every, {"volume_tolerance": volume_tolerance})

    def judge(look: Look) -> Told:
        measured = _measured(look, declared, event_time)
        spans, numbers = _past(look, asdict(measured), every)
        values = [_parsed(one, declared) for one in numbers]
        named = metrics_of(declared, list(zip(spans, values, strict=True)), volume_tolerance=volume_tolerance)
        metrics = [metric for of in named.values() for metric in of]
        return _judged(
            look, metrics, spans, per_year=declared.false_alarms_per_year, seasons=declared.seasons, every=every,
            measured=asdict(measured),
        )  # fmt: skip

    defaults = Defaults(
        name="history", description="Rows, nulls and watched numbers are in the range that the asset's past predicts."
    )
    return build_check(asset, judge, defaults, options)


def traits_check(
    asset: Asset,
    *,
    columns: Sequence[str] | None = None,
    tolerance: float = 0.05,
    false_alarms_per_year: float = 0.1,
    every: str | None = None,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that traits of columns, such as the share of whole numbers, are as the past predicts; it warns.

    See `quality.traits.traits` for which there are: rounding, clipping, stuck values, padded, cut or misread texts.

    Args:
        asset: Asset that is checked, or its key.
        columns: Columns to look at; None takes all.
        tolerance: Tolerated change of a share, in points / 100.
        false_alarms_per_year: Largest expected number of false alarms of all traits together in a year.
        every: As in `history_check`.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    _check(every, {"tolerance": tolerance}, false_alarms_per_year)

    def judge(look: Look) -> Told:
        from quality.traits import traits

        frame = look.frame()
        for name in columns or ():
            choose("traits: columns", name, frame.columns)
        found = traits(frame, columns)
        spans, numbers = _past(look, found, every)
        metrics = trait_metrics(numbers, tolerance=tolerance)
        return _judged(look, metrics, spans, per_year=false_alarms_per_year, every=every, measured=found)

    defaults = Defaults(name="traits", description="Traits of the columns are in the range that their past predicts.")
    return build_check(asset, judge, defaults, options)


def trait_metrics(past: Sequence[Mapping[str, Mapping[str, float]]], *, tolerance: float) -> list[Metric]:
    """Return one metric for each trait that the last partition has.

    Args:
        past: Column to trait to share, one a partition, oldest first.
        tolerance: Tolerated change of a share.
    """
    return [
        Metric(name=f"{trait} of {column}", kind="share", tolerance=tolerance,
               values=[one.get(column, {}).get(trait) for one in past])
        for column, of in past[-1].items()
        for trait in of
    ]  # fmt: skip


def recorded_history_check(
    asset: Asset,
    *,
    metrics: Mapping[str, Recorded],
    false_alarms_per_year: float = 0.1,
    seasons: Sequence[Season] | None = None,
    every: str | None = None,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that numbers in the metadata of materializations are as their past predicts; it warns.

    It reads no rows, and knows the past from before the check was there.

    Args:
        asset: Asset that is checked, or its key.
        metrics: Key of metadata, such as `dagster/row_count`, to how it is compared.
        false_alarms_per_year: Largest expected number of false alarms of all numbers together in a year.
        seasons: What may make partitions alike; by default what suits their length.
        every: As in `history_check`.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    _check(every, {name: one.tolerance for name, one in metrics.items()}, false_alarms_per_year)
    if not metrics:
        raise DeclarationError(
            "recorded_history: metrics is empty; name a key of metadata, such as 'dagster/row_count'"
        )

    def judge(look: Look) -> Told:
        keys, found = _recorded(look, CADENCES[_every(look, every)].window)
        spans = _spans(look, keys)
        made = [
            Metric(name=name, kind=one.kind, tolerance=one.tolerance, values=[_number(of, name) for of in found])
            for name, one in metrics.items()
        ]
        return _judged(look, made, spans, per_year=false_alarms_per_year, seasons=seasons, every=every)

    defaults = Defaults(
        name="recorded_history", description="Recorded numbers are in the range that the asset's past predicts."
    )
    return build_check(asset, judge, defaults, options, reads=False)


def _check(every: str | None, tolerances: Mapping[str, float], per_year: float = 0.1) -> None:
    if every is not None:
        choose("every", every, CADENCES)
    for name, value in tolerances.items():
        if not value > 0:
            raise DeclarationError(f"{name}: a tolerated change is positive, got {value}")
    if not 0 < per_year < 1:
        raise DeclarationError(f"false_alarms_per_year must lie between 0 and 1, got {per_year}")


def _measured(look: Look, history: History, event_time: str | None) -> "Measured":
    from resources.past import Measured, means_of

    if event_time is not None and end_of(look) is None:
        raise DeclarationError(
            f"history: event_time={event_time!r} is watched against the end of time partitions: remove it"
        )
    newest = newest_of(look, event_time) if event_time is not None else None
    frame: Any = look.given()
    rows: pl.LazyFrame = frame.lazy()
    counting = rows.select(pl.len().alias("rows"), pl.all().null_count().name.prefix("nulls "))
    counts = collected(counting, of=look.asset).row(0, named=True)
    return Measured(
        dataset="",
        rows=counts["rows"],
        newest=None if newest is None else newest.isoformat(),
        nulls={name.removeprefix("nulls "): count for name, count in counts.items() if name != "rows"},
        means=means_of(rows, history.expressions) if counts["rows"] else dict.fromkeys(history.expressions),
    )


def _parsed(value: Mapping[str, Any], history: History) -> "Measured":  # Any: JSON values
    from resources.past import Measured

    fields: dict[str, Any] = {**value, "means": {name: value["means"].get(name) for name in history.expressions}}
    return Measured(**fields)


def _past(look: Look, own: Any, every: str | None) -> tuple[list[Span], list[Any]]:  # Any: JSON values
    """Return the spans up to this one, and what was measured in each, this one's included."""
    earlier = look.past(CADENCES[_every(look, every)].window)
    return _spans(look, [key for key, _ in earlier]), [*(value for _, value in earlier), own]


def _spans(look: Look, earlier: Sequence[str]) -> list[Span]:
    """Return the spans of the earlier partitions and of this one; what is not of time counts as days in a row."""
    keys = [*earlier, look.partition or look.where]
    if _window(look) is None:
        return [
            Span(key=key, start=_ANY_DAY + timedelta(days=place), end=_ANY_DAY + timedelta(days=place + 1))
            for place, key in enumerate(keys)
        ]
    windows = ((key, time_window_of(look.partitions, key)) for key in keys)
    return [Span(key=key, start=window.start, end=window.end) for key, window in windows if window is not None]


def _every(look: Look, every: str | None) -> str:
    if every is not None:
        return every
    window = _window(look)
    if window is None:
        return "daily"
    hours = (window.end - window.start).total_seconds() / 3600
    return next((name for name, most in _LONGEST if hours <= most), "monthly")


def _window(look: Look) -> dg.TimeWindow | None:
    return None if look.partition is None else time_window_of(look.partitions, look.partition)


def _judged(
    look: Look,
    metrics: Sequence[Metric],
    spans: Sequence[Span],
    *,
    per_year: float,
    seasons: Sequence[Season] | None = None,
    every: str | None,
    measured: object = None,
) -> Told:
    from quality.anomalies.judging import judge_past

    if not metrics:
        return Told(verdict="pass", reason="nothing is watched: there are no columns", measured=measured)
    cadence: Cadence = CADENCES[_every(look, every)]
    chosen = () if _window(look) is None else seasons
    return of_history(judge_past(metrics, spans, cadence, per_year=per_year, seasons=chosen), measured=measured)


def _recorded(look: Look, limit: int) -> tuple[list[str], list[Mapping[str, Any]]]:  # Any: Dagster metadata
    """Return the keys of earlier partitions, and the metadata of the newest materialization of each and of this one."""
    asset, own = look.check.asset_key, look.partition
    if own is None or look.partitions is None:
        records = last_materializations(look.instance, asset, limit=limit + 1)
        found = [(datetime.fromtimestamp(one.timestamp, UTC).isoformat(timespec="seconds"), one) for one in records]
        ordered = list(reversed(found))
        return [key for key, _ in ordered[:-1]], [_metadata(one) for _, one in ordered]
    newest = newest_materializations(look.instance, asset, own, look.partitions, limit=limit)
    last = newest.pop(own, None)
    return list(newest), [_metadata(one) for one in (*newest.values(), last)]


def _metadata(record: Any) -> Mapping[str, Any]:  # Any: Dagster's record and metadata
    event = record.asset_materialization if record is not None else None
    return event.metadata if event is not None else {}


def _number(metadata: Mapping[str, Any], name: str) -> float | None:  # Any: Dagster metadata
    value = metadata[name].value if name in metadata else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
