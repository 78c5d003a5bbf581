"""Owns the running of steps under the eyes of a person: progress while they run, a line for each that is finished."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.cli.console import seconds
from pipelines.cli.progress import progress

if TYPE_CHECKING:
    from pipelines.planning import Step
    from pipelines.running import Outcome, Runner


def follow(runner: "Runner", steps: "Sequence[Step]", *, quiet: bool) -> "list[Outcome]":
    """Run `steps` and return what became of each."""
    outcomes: list[Outcome] = []
    with progress(len(steps), quiet=quiet) as shown:

        def listen(step: "Step", what: str) -> None:
            shown.doing(step.partition or "", what)

        for outcome in runner.run(steps, listen):
            outcomes.append(outcome)
            shown.done(_line(runner.pipeline.name, outcome))
    return outcomes


def _line(pipeline: str, outcome: "Outcome") -> str:
    stages = ", ".join(f"{item.stage} {item.state}" for item in outcome.stages)
    where = f"{pipeline} {outcome.step.partition or ''}".strip()
    why = f": {outcome.reasons[0].splitlines()[0]}" if outcome.reasons and outcome.status != "short" else ""
    return f"{where} {outcome.status} in {seconds(outcome.seconds)} ({stages}){why}"
