"""Owns the checks of where Dagster keeps its runs, and the search for runs whose process is gone.

A killed process cannot say that its run has ended. Until then Dagster counts such a run as running, and the queue
starts no other run of that pipeline.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.doctor.finding import Finding, of

if TYPE_CHECKING:
    from dagster import DagsterInstance

Environment = Mapping[str, str]


def database(environment: Environment) -> list[Finding]:
    """Look whether the PostgreSQL server that dagster.yaml names, if any, can be reached by what is installed."""
    from pipelines.database import server_fault, server_named

    home = Path(environment.get("DAGSTER_HOME") or "/")
    if server_named(home) is None:
        return [Finding("ok", "dagster.yaml names no PostgreSQL server for Dagster's runs")]
    fault = server_fault(home, environment)
    if fault is not None:
        return [Finding("broken", f"{home / 'dagster.yaml'}: {fault.what}", fault.remedy)]
    return [Finding("ok", f"the PostgreSQL server that {home / 'dagster.yaml'} names can be reached")]


def lost(environment: Environment) -> list[Finding]:
    """Look for unfinished runs in the instance of DAGSTER_HOME whose processes are gone."""
    from dagster import DagsterInstance

    from pipelines.database import server_named
    from pipelines.instance import state_folder

    home = environment.get("DAGSTER_HOME", "")
    if home and server_named(Path(home)) is not None:
        return [Finding("ok", "a server keeps the runs of several machines: which of them live this one cannot say")]
    # Only a database of this machine holds process ids of this machine; and a question must not make a database.
    if not home or not (state_folder(Path(home)) / "history" / "runs.db").is_file():
        return [Finding("ok", "no runs yet")]
    try:
        with DagsterInstance.from_config(home) as instance:
            runs = lost_runs(instance)
    except Exception as error:  # Dagster's own configuration and database errors have no common base
        return [of(error, remedy=f"correct {home}/dagster.yaml, or move its state folder away")]
    if not runs:
        return [Finding("ok", "every unfinished run has a living process")]
    what = f"{len(runs)} runs ended without a word (killed?) and hold up their pipeline: {', '.join(runs)}"
    remedy = "in the web UI: Runs, choose them, Terminate, Force termination; or: dagster run delete RUN_ID"
    return [Finding("note", what, remedy)]


def lost_runs(instance: "DagsterInstance") -> list[str]:
    """Return the ids of started runs none of whose processes lives on this machine."""
    from dagster import DagsterRunStatus, RunsFilter

    started = RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
    found = {run.run_id: _process_ids(instance, run.run_id) for run in instance.get_runs(started)}
    return [run_id for run_id, process_ids in found.items() if process_ids and not any(map(_lives, process_ids))]


def _process_ids(instance: "DagsterInstance", run_id: str) -> set[int]:
    from dagster._core.events import EngineEventData

    logged = [entry.get_dagster_event() for entry in instance.all_logs(run_id) if entry.is_dagster_event]
    data = [event.event_specific_data for event in logged]
    metadata = [item.metadata for item in data if isinstance(item, EngineEventData)]
    return {int(str(values["pid"].value)) for values in metadata if "pid" in values}


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)  # signal 0 asks only whether there is such a process
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


RUNS: Mapping[str, Callable[[Environment], list[Finding]]] = {"database": database, "lost runs": lost}
