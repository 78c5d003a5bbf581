"""Owns the check of how old the newest row of a partition is."""

from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

import dagster as dg
import polars as pl

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.checks.past import time_window_of
from assets.checks.rows import collected
from assets.told import Told, of_finding
from quality.history import judge_freshness
from resources.errors import ContractError, DeclarationError
from resources.names import unknown_name


def freshness_check(
    asset: Asset, *, column: str, max_age: timedelta, **options: Unpack[CheckOptions]
) -> dg.AssetChecksDefinition:
    """Build the check that the newest row is near the end of its time partition, or near now; it warns.

    Dagster's own freshness policies ask when the asset was last materialized; this asks how new its data are.

    Args:
        asset: Asset that is checked, or its key.
        column: Event time; a clock without a zone counts as UTC.
        max_age: Largest tolerated time from the newest row to the end of the partition.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If `max_age` is not positive, or an option is wrong.
    """
    if max_age <= timedelta(0):
        raise DeclarationError(
            f"freshness: max_age is {max_age}, give a time longer than none, such as timedelta(hours=6)"
        )

    def judge(look: Look) -> Told:
        return of_freshness(newest_of(look, column), end=end_of(look), max_age_s=max_age.total_seconds())

    defaults = Defaults(name="freshness", description="The newest row is near the end of its partition.")
    return build_check(asset, judge, defaults, options)


def of_freshness(newest: datetime | None, *, end: datetime | None, max_age_s: float) -> Told:
    """Return what the age of the newest row tells.

    Args:
        newest: Newest event time, UTC.
        end: End of the partition; None without time partitions.
        max_age_s: Largest tolerated age in seconds.
    """
    now = datetime.now(UTC)
    return of_finding(judge_freshness(newest, due=min(end or now, now), max_age_s=max_age_s))


def end_of(look: Look) -> datetime | None:
    """Return the end of a partition, of several dimensions by the one of time; None where none is of time."""
    window = None if look.partition is None else time_window_of(look.partitions, look.partition)
    return None if window is None else window.end


def newest_of(look: Look, column: str) -> datetime | None:
    """Return the newest event time, UTC; None without rows.

    Raises:
        DeclarationError: If there is no such column.
        ContractError: If it holds no times.
    """
    given: Any = look.given()
    frame: pl.LazyFrame = given.lazy()
    schema = collected(frame.head(0), of=look.asset).schema
    if column not in schema:
        raise DeclarationError(unknown_name(f"column of {look.asset}", column, schema.names()))
    kind = schema[column]
    if not isinstance(kind, pl.Date | pl.Datetime):
        raise ContractError(f"{look.asset}: {column!r} is {kind}, its age needs dates or times: parse it")
    times = pl.col(column).cast(pl.Datetime("us", getattr(kind, "time_zone", None)))
    newest = collected(frame.select(times.max()), of=look.asset).item()
    if newest is None:
        return None
    return newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest.astimezone(UTC)
