"""Owns the end of runs whose process was killed.

A killed process never says so. Its run would count as running for ever, and so keep other runs waiting in the queue.
Runs that Dagster's daemon launched are not touched: the daemon watches over them itself.
"""

import dagster as dg

from resources.process import is_dead

PROCESS_TAG = "penstock/process"
"""Tag by which a run names the process that executes it."""
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def end_abandoned(instance: dg.DagsterInstance) -> list[str]:
    """Record runs as failed whose process is dead, and return their ids."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    dead = [run for run in runs if is_dead(run.tags.get(PROCESS_TAG, ""))]
    for run in dead:
        instance.report_run_failed(run, "its process was killed: run it again")
    return [run.run_id for run in dead]
