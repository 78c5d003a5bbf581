"""Owns the time partitions of a pipeline: keys, bounds and the training window before a key."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

import dagster as dg
from pydantic import Field, field_validator, model_validator

from quality.contract.types import zone_name
from resources.declaration import Declaration
from resources.errors import DeclarationError

Cadence = Literal["hourly", "daily", "weekly", "monthly"]
_FORMATS: dict[str, str] = {"hourly": "%Y-%m-%dT%H", "daily": "%Y-%m-%d", "weekly": "%Y-%m-%d", "monthly": "%Y-%m"}
_CRONS: dict[str, str] = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 0", "monthly": "0 0 1 * *"}


class Partitions(Declaration):
    """Half-open time partitions; a key names the start of its interval, such as `2012-01` for January 2012.

    Attributes:
        every: Length of one partition. Weeks start on Sunday.
        start: Key of the first partition.
        end: Key that ends the last partition, exclusive; without it partitions go on as time passes.
        timezone: IANA name of the zone in which days and months begin.
    """

    every: Cadence
    start: str
    end: str | None = None
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return zone_name(zone)

    @model_validator(mode="after")
    def _ordered_keys(self) -> "Partitions":
        first = self._parse("start", self.start)
        if self.end is not None and self._parse("end", self.end) <= first:
            raise DeclarationError(f"end {self.end!r} must come after start {self.start!r}: it is exclusive")
        return self

    def _parse(self, field: str, key: str) -> datetime:
        form = _FORMATS[self.every]
        try:
            first = datetime.strptime(key, form)
        except ValueError as error:
            example = datetime(2012, 1, 1).strftime(form)
            raise DeclarationError(f"{field} {key!r} is no {self.every} key; write it like {example!r}") from error
        sunday = _sunday(first)
        if self.every == "weekly" and first != sunday:
            raise DeclarationError(
                f"{field} {key!r} is a {first:%A}, weeks start on Sunday: write {sunday.strftime(form)!r} or "
                f"{(sunday + timedelta(days=7)).strftime(form)!r}"
            )
        return first

    def check_keys(self, field: str, keys: Iterable[str]) -> None:
        """Refuse keys of no partition.

        Raises:
            DeclarationError: Naming field, key and an example.
        """
        for key in keys:
            self._parse(field, key)

    def definition(self) -> dg.TimeWindowPartitionsDefinition:
        """Return the Dagster definition of these partitions."""
        return dg.TimeWindowPartitionsDefinition(
            start=self.start,
            end=self.end,
            fmt=_FORMATS[self.every],
            cron_schedule=_CRONS[self.every],
            timezone=self.timezone,
        )

    def bounds(self, key: str) -> tuple[datetime, datetime]:
        """Return the first instant of partition `key` and the first after it, zone-aware."""
        window = self.definition().time_window_for_partition_key(key)
        return window.start, window.end

    def key_of(self, instant: datetime) -> str:
        """Return the key of the partition that holds the zone-aware `instant`."""
        from zoneinfo import ZoneInfo

        local = instant.astimezone(ZoneInfo(self.timezone))
        if self.every == "weekly":
            local = _sunday(local)
        return local.strftime(_FORMATS[self.every])


def _sunday(day: datetime) -> datetime:
    """Return the same time on the Sunday that the week of `day` began with."""
    return day - timedelta(days=(day.weekday() + 1) % 7)


class Window(Declaration):
    """How many partitions before the judged one a model is trained on.

    Attributes:
        partitions: Length of the window, in partitions.
        minimum: Fewest partitions to train on; where history is shorter no model is made.
    """

    partitions: int = Field(ge=1)
    minimum: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _minimum_fits(self) -> "Window":
        if self.minimum > self.partitions:
            raise DeclarationError(f"minimum {self.minimum} must not exceed partitions {self.partitions}")
        return self

    def mapping(self) -> dg.TimeWindowPartitionMapping:
        """Return the mapping from partition p to the window before p; p itself is never in it."""
        return dg.TimeWindowPartitionMapping(
            start_offset=-self.partitions, end_offset=-1, allow_nonexistent_upstream_partitions=True
        )


def lookback(partitions: int) -> dg.TimeWindowPartitionMapping:
    """Return the mapping from partition p to p and the `partitions` before it."""
    return dg.TimeWindowPartitionMapping(start_offset=-partitions, allow_nonexistent_upstream_partitions=True)
