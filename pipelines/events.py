"""Owns the reading of a run's events: what was made, reused, refused or withheld, and what the checks said.

It starts nothing. Dagster's events name steps and asset keys; here they become stages and checks of one pipeline.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dagster as dg

from resources import errors

State = Literal["made", "reused", "unchanged", "skipped", "withheld", "refused", "failed"]
REFUSALS = ("GateError", "SignatureError")
"""Errors by which `deployment` refuses a model: a verdict, not a breakdown."""
_INTERRUPTED = "DagsterExecutionInterruptedError"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """What became of one stage.

    Attributes:
        stage: Name of the stage.
        state: `made`; `reused`: the same work was done before; `unchanged`: made again, with the same result;
            `skipped`: an earlier stage yielded nothing;
            `withheld`: a check stopped the run before it; `refused`: `deployment` said no; `failed`: an error.
        digest: Data version of its value, if it has one.
        seconds: Wall time.
        message: Why, where it was refused or failed.
    """

    stage: str
    state: State
    digest: str = ""
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """What one check said.

    Attributes:
        stage: Stage it looks at.
        name: Name of the check.
        passed: Whether it passed.
        blocks: Whether it failed and stops later stages.
        reason: Why, in plain words.
    """

    stage: str
    name: str
    passed: bool
    blocks: bool
    reason: str


class Watch:
    """Sees the events of one run as they happen.

    Args:
        pipeline: Name of the pipeline.
        stages: Stages that the run was asked for.
        before: Stage to the data version that it had before.
        tell: Is told the name of each stage or check as it starts.
    """

    def __init__(
        self, pipeline: str, stages: Sequence[str], before: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self._pipeline = pipeline
        self._asked = tuple(stages)
        self._before = before
        self._tell = tell
        self._started = time.monotonic()
        self._ended = self._started
        self._seconds: dict[str, float] = {}
        self._made: dict[str, StageOutcome] = {}
        self._failed: dict[str, StageOutcome] = {}
        self._checks: list[CheckOutcome] = []
        self.errors: list[str] = []
        self.interrupted = False

    @property
    def seconds(self) -> float:
        """Wall time from the first event to the last."""
        return self._ended - self._started

    def see(self, entry: Any) -> None:  # Any: an EventLogEntry, which Dagster does not export for annotations here
        """Take note of one event."""
        self._ended = time.monotonic()
        event = entry.dagster_event
        if event is None:
            return
        match event.event_type:
            case dg.DagsterEventType.STEP_START:
                self._tell(self._stage(event.step_key))
            case dg.DagsterEventType.STEP_SUCCESS:
                self._seconds[self._stage(event.step_key)] = event.step_success_data.duration_ms / 1000
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                self._see_value(event.step_materialization_data.materialization)
            case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                self._see_check(event.asset_check_evaluation_data)
            case dg.DagsterEventType.STEP_FAILURE:
                self._see_failure(self._stage(event.step_key), event.step_failure_data)
            case dg.DagsterEventType.RUN_FAILURE:
                self._see_run_failure(event)
            case _:
                pass

    def stages(self) -> tuple[StageOutcome, ...]:
        """Return what became of each stage that the run was asked for."""
        blocked = any(check.blocks for check in self._checks) or bool(self._failed)
        missing = "withheld" if blocked else "skipped"
        found = [
            self._failed.get(stage) or self._made.get(stage) or StageOutcome(stage=stage, state=missing)
            for stage in self._asked
        ]
        return tuple(replace(item, seconds=self._seconds.get(item.stage, 0.0)) for item in found)

    def checks(self) -> tuple[CheckOutcome, ...]:
        """Return what the checks said, in the order they ran."""
        return tuple(self._checks)

    def _stage(self, step: str) -> str:
        return step.removeprefix(f"{self._pipeline}__").removeprefix(f"{self._pipeline}_")

    def _see_value(self, value: Any) -> None:  # Any: an AssetMaterialization
        stage = value.asset_key.path[-1]
        reused = value.metadata.get("reused")
        digest = (value.tags or {}).get("dagster/data_version", "")
        state: State = "unchanged" if digest and digest == self._before.get(stage) else "made"
        if reused is not None and reused.value:
            state = "reused"
        self._made[stage] = StageOutcome(stage=stage, state=state, digest=digest)

    def _see_check(self, value: Any) -> None:  # Any: an AssetCheckEvaluation
        blocks = not value.passed and bool(value.blocking) and value.severity == dg.AssetCheckSeverity.ERROR
        reason = value.description or f"check {value.check_name} failed"
        stage = value.asset_key.path[-1]
        self._checks.append(
            CheckOutcome(stage=stage, name=value.check_name, passed=value.passed, blocks=blocks, reason=reason)
        )

    def _see_failure(self, stage: str, data: Any) -> None:  # Any: a StepFailureData
        error = data.error
        if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
            return  # the check itself was seen
        if error is not None and error.cls_name == _INTERRUPTED:
            self.interrupted = True
            return
        told = data.user_failure_data
        kind = told.metadata.get("error") if told is not None else None
        refused = stage == "deployment" and told is not None and (kind is None or kind.value in REFUSALS)
        message = told.description if told is not None and told.description else _words(error)
        if stage in self._asked:
            state: State = "refused" if refused else "failed"
            self._failed[stage] = StageOutcome(stage=stage, state=state, message=message)
        else:
            self.errors.append(f"{stage}: {message}")

    def _see_run_failure(self, event: Any) -> None:  # Any: a DagsterEvent
        error = event.job_failure_data.error if event.job_failure_data else None
        if error is not None and error.cls_name == _INTERRUPTED:
            self.interrupted = True
            return
        seen = self._failed or any(check.blocks for check in self._checks) or self.errors
        if error is not None and not seen:
            self.errors.append(_words(error))


def _words(error: Any) -> str:  # Any: a SerializableErrorInfo
    """Return the message of our own error in the chain, or of any other its traceback outside Dagster."""
    if error is None:
        return "unknown error"
    link = error
    while True:
        if isinstance(getattr(errors, link.cls_name or "", None), type):
            return link.message.partition(": ")[2].strip()
        if link.cause is None:
            break
        link = link.cause
    frames = [frame for frame in link.stack if "site-packages/dagster" not in frame]
    return "".join([link.message, *frames]).strip()
