"""Owns what starts a pipeline by itself: a cron schedule, a sensor on the source, an automation condition."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pipelines.spec import Pipeline
from resources.errors import PenstockError
from resources.settings import load_settings
from resources.source.lookout import Lookout
from resources.source.watch import Look, changed_partitions
from resources.source.watched import Watched

PATIENCE_S = 40.0
"""How long a tick waits for a look; Dagster ends a sensor after 60 s. A longer look serves the next tick."""
CLOCK_MARGIN = timedelta(hours=1)
"""How far the clock of Dagster's storage may be behind: the run store is asked from that long before the last look."""
MAX_RECALLED_RUNS = 10_000


def upstream_changed() -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition: upstream data or own code changed, or missing, and upstream's blocking checks passed.

    `AutomationCondition.eager()` alone would request `deployment` after a failed gate, and again for data that did
    not change.
    """
    condition: Any = dg.AutomationCondition  # Any: its own methods disagree on the kind of key
    changed = (
        condition.any_deps_match(condition.data_version_changed())
        | condition.code_version_changed()
        | condition.missing()
    )
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
        keys = definition.get_partition_keys(current_time=tick)
        if not keys:
            return dg.SkipReason(f"no partition is complete at {tick:%Y-%m-%d %H:%M}")
        key = keys[-1]
        if _long_over(definition, key, tick):
            end = definition.time_window_for_partition_key(key).end
            return dg.SkipReason(f"the last partition, {key}, ended at {end:%Y-%m-%d}")
        return dg.RunRequest(run_key=f"{key}@{tick.isoformat()}", partition_key=key)

    return [on_tick]


def _long_over(definition: dg.TimeWindowPartitionsDefinition, key: str, tick: datetime) -> bool:
    """Whether a bounded pipeline has ended: the partition after its last one would be complete by now too."""
    window = definition.time_window_for_partition_key(key)
    return definition.end is not None and tick > window.end + (window.end - window.start)


def sensors(pipeline: Pipeline, job: Any) -> list[dg.SensorDefinition]:  # Any: an unresolved asset job
    """Return the sensor that requests the partitions whose source is new or changed, each change exactly once.

    Its cursor holds what was seen of every partition. What was requested but not remembered, because the daemon was
    killed in between or someone reset the cursor, is recalled from Dagster's own runs, so that it is neither lost nor
    doubled.
    """
    lookout: Lookout[Look] = Lookout()

    @dg.sensor(
        name=f"{pipeline.name}_source",
        job=job,
        minimum_interval_seconds=pipeline.watch_s,
        description="Requests the partitions whose source is new or changed.",
    )
    def on_look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        remembered = Watched.from_cursor(context.cursor)
        seen = remembered.with_requested(_requested(context, f"{pipeline.name}_source", remembered.looked_at_s))
        try:
            look = lookout.look(seen, lambda: _look(pipeline, seen), patience_s=PATIENCE_S)
        except PenstockError as error:
            return dg.SkipReason(str(error))
        if look is None:
            return dg.SkipReason(f"the source takes longer than {PATIENCE_S:g} s; the look goes on for the next tick")
        return _result(pipeline, look, context)

    return [on_look]


def _requested(context: dg.SensorEvaluationContext, sensor: str, since_s: int) -> Sequence[str]:
    """Return the run keys of the runs that the sensor has launched since its last remembered look, oldest first."""
    after = datetime.fromtimestamp(since_s, UTC) - CLOCK_MARGIN if since_s else None
    origin = context.code_location_origin
    wanted = dg.RunsFilter(tags={"dagster/sensor_name": sensor}, created_after=after)
    runs = context.instance.get_runs(wanted, limit=MAX_RECALLED_RUNS)
    return [
        run.tags["dagster/run_key"]
        for run in reversed(runs)
        # A run that was created but never launched is launched when its key is requested again.
        if run.status != dg.DagsterRunStatus.NOT_STARTED
        and "dagster/run_key" in run.tags
        and (origin is None or _is_from(run, origin.location_name))
    ]


def _is_from(run: dg.DagsterRun, location: str) -> bool:
    job = run.remote_job_origin
    return job is None or job.repository_origin.code_location_origin.location_name == location


def _look(pipeline: Pipeline, seen: Watched) -> Look:
    partitions = pipeline.partitions
    return changed_partitions(
        pipeline.ingest.source,
        pipeline.ingest.contract,
        event_time=pipeline.ingest.event_time,
        key_of=partitions.key_of if partitions else None,
        keys=partitions.definition().get_partition_keys() if partitions else None,
        seen=seen,
        scratch=load_settings().scratch,
    )


def _result(pipeline: Pipeline, look: Look, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    for note in look.notes:
        context.log.info(note)
    requests = [
        dg.RunRequest(run_key=change.run_key, partition_key=change.partition, tags={"penstock/pipeline": pipeline.name})
        for change in look.changes
    ]
    skip = None if requests else "; ".join((f"nothing new in {len(look.seen.partitions)} partitions", *look.notes))
    return dg.SensorResult(
        run_requests=requests, skip_reason=dg.SkipReason(skip) if skip else None, cursor=look.seen.to_cursor()
    )
