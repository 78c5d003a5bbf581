"""Owns what keeps the store itself in order: the asset of the life cycle, its job, and a schedule that is off."""

import dagster as dg

from assets.lifecycle import GROUP, KEY, lifecycle_asset
from pipelines.build import shared_resources
from pipelines.retention import RETENTION

SCHEDULE = "30 2 * * *"
"""Every night, when the schedule is switched on in the web UI."""


def upkeep() -> dg.Definitions:
    """Return the life cycle of all versions as Dagster definitions; `pipelines.retention` says how long they stay."""
    job = dg.define_asset_job(
        f"{GROUP}_lifecycle", selection=dg.AssetSelection.assets(KEY), executor_def=dg.in_process_executor
    )
    schedule = dg.ScheduleDefinition(
        name=f"{GROUP}_lifecycle_schedule",
        job=job,
        cron_schedule=SCHEDULE,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Archives what is cold and deletes what has expired.",
    )
    return dg.Definitions(
        assets=[lifecycle_asset(RETENTION)], jobs=[job], schedules=[schedule], resources=shared_resources("")
    )
