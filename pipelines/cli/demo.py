"""`penstock demo`: the main job on an example, with promotions and refusals to look at."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.environment import PROJECT_ROOT, prepare
from pipelines.cli.guard import DONE, ERROR

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.running import Outcome
    from pipelines.spec import Pipeline

SPANS = {"bike_demand": ("2011-09", "2012-04"), "synthetic_clicks": ("2025-01", "2025-03")}
"""Example to the partitions that show promotions and refusals."""
REPORTS_URL = "http://127.0.0.1:3001"
"""Where `make dev`, which the demo ends with, serves the reports."""
LATEST = 6
"""Partitions of any other pipeline, the newest."""


def demo(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")] = "bike_demand",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> int:
    """Run the main job on an example and tell what came of it.

    Exit codes: 0 done, models that the gate refused included; 1 an error.
    """
    prepare()
    os.environ["PENSTOCK_REPORTS_URL"] = os.environ.get("PENSTOCK_REPORTS_URL") or REPORTS_URL
    outcomes = _run(pipeline, quiet=quiet)
    _tell(pipeline, outcomes)
    return ERROR if any(outcome.status == "failed" for outcome in outcomes) else DONE


def _run(name: str, *, quiet: bool) -> "list[Outcome]":
    from pipelines.cli.follow import follow
    from pipelines.cli.opened import workspace
    from pipelines.lookup import find
    from pipelines.planning import plan
    from pipelines.running import Runner, open_instance

    opened = workspace()
    pipeline = find(name, opened.settings)
    with open_instance() as instance:
        runner = Runner(pipeline, opened, instance, force=False, quiet=True)
        return follow(runner, plan(pipeline, _span(pipeline, opened.settings.scratch), made=runner.made()), quiet=quiet)


def _span(pipeline: "Pipeline", scratch: "Path") -> tuple[str, ...]:
    from pipelines.planning import between, held

    if pipeline.name in SPANS:
        return between(pipeline, *SPANS[pipeline.name])
    return held(pipeline, scratch)[-LATEST:]


def _tell(name: str, outcomes: "list[Outcome]") -> None:
    from pipelines.cli.opened import workspace
    from pipelines.cli.tell import tell_outcomes, tell_reasons, tell_summary
    from pipelines.summary import summarise

    tell_outcomes(outcomes)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    tell_reasons(failed)
    if not failed:
        print()
        tell_summary(summarise(workspace(), name, [outcome.step.partition or "" for outcome in outcomes]))
    print()
    print("Look at it in the web UI, http://127.0.0.1:3000, with one command:")
    print(f"  {'' if _is_here() else f'cd {PROJECT_ROOT} && '}make dev")


def _is_here() -> bool:
    from pathlib import Path

    return Path.cwd() == PROJECT_ROOT
