"""Owns what starts a pipeline by itself: a cron schedule, a sensor on the source, an automation condition."""

from datetime import datetime
from typing import Any

import dagster as dg

from pipelines.spec import Pipeline
from resources.errors import PenstockError
from resources.source.watch import Watched, changed_partitions


def upstream_changed() -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition: upstream data or own code changed, or missing, and upstream's blocking checks passed.

    `AutomationCondition.eager()` alone would request `deployment` after a failed gate, and again for data that did not change.
    """
    condition = dg.AutomationCondition
    changed = condition.any_deps_match(condition.data_version_changed()) | condition.code_version_changed() | condition.missing()
    return (
        changed.since_last_handled()
        & condition.all_deps_blocking_checks_passed()
        & ~condition.any_deps_missing()
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
    ).with_label("penstock_upstream_changed")


def schedules(pipeline: Pipeline, job: Any) -> list[dg.ScheduleDefinition]:  # Any: an unresolved asset job
    """Return the cron schedule, or none: each tick requests the latest complete partition, or the whole data."""
    if pipeline.schedule is None:
        return []
    definition = pipeline.partitions.definition() if pipeline.partitions else None

    @dg.schedule(
        name=f"{pipeline.name}_schedule",
        cron_schedule=pipeline.schedule,
        job=job,
        execution_timezone=pipeline.partitions.timezone if pipeline.partitions else "UTC",
        description="Requests the latest complete partition.",
    )
    def on_tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time
        if definition is None:
            return dg.RunRequest(run_key=tick.isoformat())
        key = definition.get_last_partition_key(current_time=tick)
        if key is None:
            return dg.SkipReason(f"no partition is complete at {tick:%Y-%m-%d %H:%M}")
        if _long_over(definition, key, tick):
            return dg.SkipReason(f"the last partition, {key}, ended at {definition.time_window_for_partition_key(key).end:%Y-%m-%d}")
        return dg.RunRequest(run_key=f"{key}@{tick.isoformat()}", partition_key=key)

    return [on_tick]


def _long_over(definition: dg.TimeWindowPartitionsDefinition, key: str, tick: datetime) -> bool:
    """Whether a bounded pipeline has ended: the partition after its last one would be complete by now too."""
    window = definition.time_window_for_partition_key(key)
    return definition.end is not None and tick > window.end + (window.end - window.start)


def sensors(pipeline: Pipeline, job: Any) -> list[dg.SensorDefinition]:  # Any: an unresolved asset job
    """Return the sensor that requests the partitions whose source is new or changed, each change exactly once.

    Its cursor holds what was seen of every partition; a run key holds the partition, its content and how often the content
    changed, so that neither a restart between request and cursor nor a return to former content loses or doubles a run.
    """
    partitions, event_time = pipeline.partitions, pipeline.ingest.event_time

    @dg.sensor(
        name=f"{pipeline.name}_source",
        job=job,
        minimum_interval_seconds=pipeline.watch_s,
        description="Requests the partitions whose source is new or changed.",
    )
    def on_look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = Watched.from_cursor(context.cursor)
        try:
            changes, now_seen = changed_partitions(
                pipeline.ingest.source,
                pipeline.ingest.contract,
                event_time=event_time,
                key_of=partitions.key_of if partitions else None,
                keys=partitions.definition().get_partition_keys() if partitions else None,
                seen=seen,
            )
        except PenstockError as error:
            return dg.SkipReason(f"the source cannot be read: {error}")
        requests = [
            dg.RunRequest(run_key=change.run_key, partition_key=change.partition, tags={"penstock/pipeline": pipeline.name})
            for change in changes
        ]
        skip = None if requests else dg.SkipReason(f"nothing new in {len(now_seen.partitions)} partitions")
        return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=now_seen.to_cursor())

    return [on_look]
