"""Runs what the schedule of a pipeline requests at ticks of the past, as a daemon of that time would have done.

python -m tests.integration.ticks PIPELINE 2011-02-01T06:00 ...
"""

import sys
from datetime import UTC, datetime

import dagster as dg

from pipelines.definitions import defs


def main(pipeline: str, *ticks: str) -> None:
    """Evaluate the schedule of `pipeline` at each of `ticks`, UTC, and execute the runs that it requests."""
    repository = defs().get_repository_def()
    schedule, job = repository.get_schedule_def(f"{pipeline}_schedule"), repository.get_job(pipeline)
    with dg.DagsterInstance.get() as instance:
        for tick in ticks:
            context = dg.build_schedule_context(
                instance, datetime.fromisoformat(tick).replace(tzinfo=UTC), repository_def=repository
            )
            for request in schedule.evaluate_tick(context).run_requests or []:
                job.execute_in_process(instance=instance, partition_key=request.partition_key, tags=request.tags)


if __name__ == "__main__":
    main(*sys.argv[1:])
