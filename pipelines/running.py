"""Owns the running of planned steps: one Dagster run a step, in this process, on the person's own Dagster instance.

The runs are ordinary ones: the web UI shows them under the pipeline's job, with partition and tags. Nothing is printed;
whoever wants to see progress passes a listener.
"""

import errno
import logging
import os
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from assets.stage import FORCE_TAG
from pipelines.abandoned import PROCESS_TAG, end_abandoned
from pipelines.build import build
from pipelines.database import server_fault
from pipelines.events import CheckOutcome, StageOutcome, Watch
from pipelines.planning import Step, window_of
from pipelines.spec import Pipeline
from pipelines.sqlite import quick_commits
from resources.errors import SettingsError, StoreError
from resources.process import this_process
from resources.stages import STAGES
from resources.storage import refs
from resources.workspace import Workspace

Status = Literal["done", "short", "blocked", "failed"]
STATUSES: tuple[Status, ...] = ("failed", "blocked", "short", "done")
"""From bad to good."""
Listener = Callable[[Step, str], None]
"""Is told the step and what it now does: the name of a stage, or of a check."""

LOCATION_TAG = ".dagster/repository"
"""Dagster's own tag by which the web UI lists a run on the page of its job; not exported by name."""
_ECHO = "Not executing."
"""Ends Dagster's errors about the steps after a failed one."""
_REMARKS = "dagster._core.execution.plan.active"
"""Logger that remarks on checks which did not run because history is too short for a model."""
_NO_CAPTURE = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one step.

    Attributes:
        step: The step.
        run_id: The Dagster run, empty if none was needed.
        status: `done`; `short`: history is too short for a model; `blocked`: a check or the gate said no, or a
            partition of the training window is blocked; `failed`: an error.
        stages: Its stages, in order.
        checks: Its checks, in order.
        reasons: Why it is not `done`, in plain words.
        seconds: Wall time.
    """

    step: Step
    run_id: str
    status: Status
    stages: tuple[StageOutcome, ...]
    checks: tuple[CheckOutcome, ...]
    reasons: tuple[str, ...]
    seconds: float


@contextmanager
def open_instance() -> Generator[dg.DagsterInstance]:
    """Open the Dagster instance of DAGSTER_HOME, without its capture of stdout and stderr.

    The capture costs a run three more processes, and would keep what is printed off the terminal. Runs whose process
    was killed are recorded as failed.

    Raises:
        SettingsError: If DAGSTER_HOME is no folder, or the server that its dagster.yaml names cannot be used.
        StoreError: If Dagster cannot write, now or while the instance is in use.
    """
    from dagster._core.instance.ref import InstanceRef  # `DagsterInstance.get` takes no overrides

    home = Path(os.environ.get("DAGSTER_HOME", "")).expanduser()
    if not home.is_absolute() or not home.is_dir():
        raise SettingsError(f"DAGSTER_HOME={str(home)!r} is no absolute path of a folder: correct it, or unset it")
    with _plain_storage_errors(), quick_commits():
        try:
            instance = dg.DagsterInstance.from_ref(
                InstanceRef.from_dir(str(home), overrides={"compute_logs": _NO_CAPTURE})
            )
        except (dg.DagsterInvalidConfigError, dg.DagsterInvariantViolationError) as error:
            raise SettingsError(f"{home / 'dagster.yaml'}: {error}; correct it") from error
        except Exception as error:  # of packages, drivers and servers that are not there: they have no common base
            fault = server_fault(home, os.environ)
            if fault is None:
                raise
            raise SettingsError(f"{home / 'dagster.yaml'}: {fault.what}; {fault.remedy}") from error
        with instance:
            end_abandoned(instance)
            yield instance


@contextmanager
def _plain_storage_errors() -> Generator[None]:
    """Turn what Dagster's databases raise on a full or read-only disk into an error that says so."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        reason = str(error.orig)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        reason = f"{error.filename}: {error.strerror}"
    else:
        return
    raise StoreError(
        f"Dagster cannot keep its runs ({reason}): free some space and make PENSTOCK_HOME writable, or set it to a "
        "folder of another disk"
    )


class Runner:
    """Runs steps of one pipeline.

    Args:
        pipeline: The pipeline.
        workspace: Its workspace; the registry it names is the one that is judged and deployed in.
        instance: Dagster instance that keeps the runs.
        force: Whether to do work again that was done before.
        quiet: Whether to keep Dagster's own log off the terminal, but for warnings and errors of assets.
    """

    def __init__(
        self, pipeline: Pipeline, workspace: Workspace, instance: dg.DagsterInstance, *, force: bool, quiet: bool
    ) -> None:
        self.pipeline = pipeline
        self._workspace = workspace
        self._instance = instance
        self._force = force
        self._quiet = quiet

    @cached_property
    def job(self) -> dg.JobDefinition:
        """The pipeline's job, the same that the web UI launches; no other pipeline is loaded."""
        definitions = build(self.pipeline, registry=self._workspace.registry_name)
        return definitions.resolve_job_def(self.pipeline.name)

    def made(self) -> dict[str, list[str]]:
        """Return stage to the partition keys for which it has a value."""
        store, registry = self._workspace.store, self._workspace.registry_name
        return {stage: refs.partitions(store, registry, (self.pipeline.name, stage)) for stage in STAGES}

    def run(self, steps: Sequence[Step], listener: Listener) -> Generator[Outcome]:
        """Run `steps` in order, yielding what became of each.

        A block stops nothing but what depends on it, nor does the failure of a step that was not asked for; the failure
        of one that was asked for ends the run.
        """
        withheld: set[str] = set()
        for step in steps:
            outcome = self._run_one(step, withheld & window_of(self.pipeline, step.partition), listener)
            if step.partition is not None and not outcome_made(outcome, "features"):
                withheld.add(step.partition)
            yield outcome
            if outcome.status == "failed" and step.asked:
                return

    def _run_one(self, step: Step, lacking: Collection[str], listener: Listener) -> Outcome:
        if not lacking:
            return self._execute(step, listener)
        possible = tuple(stage for stage in step.stages if stage in ("raw", "features"))
        outcome = self._execute(replace(step, stages=possible), listener)
        if outcome.status != "done" or possible == step.stages:
            return replace(outcome, step=step)
        reason = (
            f"its training window holds {', '.join(sorted(lacking))}, which has no features for the reason told there"
        )
        rest = tuple(StageOutcome(stage=stage, state="withheld") for stage in step.stages if stage not in possible)
        return replace(outcome, step=step, status="blocked", stages=(*outcome.stages, *rest), reasons=(reason,))

    def _execute(self, step: Step, listener: Listener) -> Outcome:
        from dagster._core.utils import make_new_run_id  # the run's id must be known before its first event

        run_id = make_new_run_id()
        before = self._digests(step)
        watch = Watch(self.pipeline.name, step.stages, before, lambda what: listener(step, what))
        self._instance.add_event_listener(run_id, watch.see)
        with _quiet_dagster(self._quiet):
            self.job.execute_in_process(
                instance=self._instance,
                partition_key=step.partition,
                asset_selection=None if step.stages == STAGES else self._keys(step),
                tags=self._tags(),
                run_id=run_id,
                raise_on_error=False,
            )
        if watch.interrupted:  # Dagster took the signal, recorded it and went on
            raise KeyboardInterrupt
        return outcome_of(step, run_id, watch)

    def _keys(self, step: Step) -> list[dg.AssetKey]:
        return [dg.AssetKey([self.pipeline.name, stage]) for stage in step.stages]

    def _digests(self, step: Step) -> dict[str, str]:
        """Return stage to the digest of its value now, of those that have one."""
        found: dict[str, str] = {}
        for stage in step.stages:
            asset = (self.pipeline.name, stage)
            with suppress(StoreError):
                ref = refs.load(self._workspace.store, self._workspace.registry_name, asset, step.partition)
                found[stage] = ref.digest
        return found

    def _tags(self) -> dict[str, str]:
        tags = {LOCATION_TAG: "__repository__@penstock", PROCESS_TAG: this_process()}
        return tags | ({FORCE_TAG: "true"} if self._force else {})


def outcome_of(step: Step, run_id: str, watch: Watch) -> Outcome:
    """Return what became of `step`, as the events of its run tell."""
    stages, checks = watch.stages(), watch.checks()
    failed = [item for item in stages if item.state == "failed"]
    refused = [item for item in stages if item.state == "refused"]
    blocking = [item for item in checks if item.blocks]
    status: Status = "done"
    reasons: tuple[str, ...] = ()
    if failed or watch.errors:
        status, reasons = "failed", (*(item.message for item in failed), *watch.errors)
    elif blocking or refused:
        status, reasons = "blocked", (*(item.reason for item in blocking), *(item.message for item in refused))
    elif any(item.state == "skipped" for item in stages):
        status, reasons = "short", ("history is too short for a model",)
    return Outcome(
        step=step, run_id=run_id, status=status, stages=stages, checks=checks, reasons=reasons, seconds=watch.seconds
    )


def outcome_made(outcome: Outcome, stage: str) -> bool:
    """Return whether `stage` has a value now, so that later partitions may read it."""
    states = {item.stage: item.state for item in outcome.stages}
    return states.get(stage, "made") in ("made", "reused", "unchanged")


def worst(outcomes: Iterable[Outcome]) -> Status:
    """Return the worst status of `outcomes`."""
    found = {outcome.status for outcome in outcomes}
    for status in STATUSES:
        if status in found:
            return status
    return "done"


class _QuietLogger(logging.Logger):
    """A logger that keeps Dagster's events off the terminal; they are in the event log, and we tell them better."""

    def handle(self, record: logging.LogRecord) -> None:
        meta: Any = getattr(record, "dagster_meta", None)  # Any: Dagster's own dictionary
        ours = meta is None or (meta["dagster_event"] is None and record.levelno >= logging.WARNING)
        if ours and not record.getMessage().endswith(_ECHO):
            super().handle(record)


@contextmanager
def _quiet_dagster(quiet: bool) -> Generator[None]:
    """Give the console loggers that Dagster makes meanwhile a filter; it offers no setting but the run's config."""
    if not quiet:
        yield
        return
    before, remarks = logging.getLoggerClass(), logging.getLogger(_REMARKS)
    level = remarks.level
    logging.setLoggerClass(_QuietLogger)
    remarks.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.setLoggerClass(before)
        remarks.setLevel(level)
