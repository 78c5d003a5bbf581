"""`penstock run`: materialize a pipeline's partitions in this process."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.environment import prepare
from pipelines.cli.guard import BLOCKED, DONE, ERROR
from pipelines.cli.timings import Timings, process_age_s, sampled

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.running import Outcome
    from pipelines.spec import Pipeline
    from pipelines.summary import Summary


def run(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline; see `penstock list`.")],
    *,
    partition: Annotated[
        list[str] | None,
        typer.Option("--partition", "-p", metavar="KEY", help="Partition to run, such as 2012-01; may be repeated."),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="KEY", help="First partition of a range.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="KEY", help="Last partition of a range.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Do work again that was done before.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's own log.")] = False,
    timings: Annotated[bool, typer.Option("--timings", help="Tell where the wall time went.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> int:
    """Run a pipeline: ingest, check, preprocess, train, evaluate and, where the gate allows, deploy.

    Without --partition and --from/--to every partition is run that the source holds, in the order of time. Partitions
    of the training window that were never made are made first. Work that was done before is not done again.

    Exit codes: 0 done; 1 an error; 2 wrong usage; 3 a check or the gate said no; 130 stopped.
    """
    if partition and (first or last):
        raise typer.BadParameter("give either --partition or --from/--to, not both")
    age_s, measured = process_age_s(), Timings()
    prepare()
    if timings:
        with sampled(measured, start_up_s=age_s):
            outcomes, summary = _run(pipeline, partition or [], first, last, force=force, quiet=quiet, verbose=verbose)
    else:
        outcomes, summary = _run(pipeline, partition or [], first, last, force=force, quiet=quiet, verbose=verbose)
    if as_json:
        _print_json(outcomes, summary, measured if timings else None)
    else:
        _tell(outcomes, summary, measured if timings else None)
    return exit_code(outcomes)


def exit_code(outcomes: "list[Outcome]") -> int:
    """Return the exit code that `outcomes` deserve."""
    from pipelines.running import worst

    return {"failed": ERROR, "blocked": BLOCKED}.get(worst(outcomes), DONE)


def _run(
    name: str, partitions: list[str], first: str | None, last: str | None, *, force: bool, quiet: bool, verbose: bool
) -> "tuple[list[Outcome], Summary]":
    from pipelines.cli.follow import follow
    from pipelines.lookup import find
    from pipelines.planning import plan
    from pipelines.running import Runner, open_instance
    from pipelines.summary import summarise
    from resources.settings import load_settings
    from resources.workspace import open_workspace

    settings = load_settings()
    pipeline = find(name, settings)
    wanted = _wanted(pipeline, partitions, first, last, settings.scratch)
    workspace = open_workspace(settings)
    with open_instance() as instance:
        runner = Runner(pipeline, workspace, instance, force=force, quiet=not verbose)
        outcomes = follow(runner, plan(pipeline, wanted, made=runner.made()), quiet=quiet)
    return outcomes, summarise(workspace, name, [outcome.step.partition or "" for outcome in outcomes])


def _wanted(
    pipeline: "Pipeline", partitions: list[str], first: str | None, last: str | None, scratch: "Path"
) -> tuple[str, ...]:
    from pipelines.planning import between, chosen, held
    from resources.errors import SourceError

    if partitions:
        return chosen(pipeline, partitions)
    if first or last:
        return between(pipeline, first, last)
    found = held(pipeline, scratch)
    if pipeline.partitions is not None and not found:
        raise SourceError(
            f"the source of {pipeline.name} holds no complete partition: see `penstock show {pipeline.name}`"
        )
    return found


def _tell(outcomes: "list[Outcome]", summary: "Summary", timings: Timings | None) -> None:
    from pipelines.cli.console import seconds
    from pipelines.cli.tell import tell_outcomes, tell_reasons, tell_summary

    tell_outcomes(outcomes)
    print()
    tell_summary(summary, reasons=False)
    tell_reasons(outcomes)
    if timings is not None:
        print()
        shares = timings.shares()
        print(f"Wall time {seconds(sum(timings.seconds.values()))}:")
        for owner, share in shares.items():
            print(f"  {owner:<20} {seconds(timings.seconds[owner]):>12}  {share:5.1%}")


def _print_json(outcomes: "list[Outcome]", summary: "Summary", timings: Timings | None) -> None:
    from dataclasses import asdict

    from pipelines.cli.console import print_json

    value: dict[str, Any] = {"outcomes": [asdict(outcome) for outcome in outcomes], "summary": summary.to_json()}
    if timings is not None:
        value["timings_s"] = dict(timings.seconds)
    print_json(value)
