"""`penstock run`: materialize a pipeline's partitions in this process."""

import os
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command ran: outcomes, what the registry holds of them now, and the champion before."""

    outcomes: "list[Outcome]"
    summary: "Summary"
    before: str | None

    @property
    def champion(self) -> str | None:
        """Digest of the champion now."""
        entry = self.summary.champion
        return entry.model.digest if entry is not None else None


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
    """Run a pipeline, from raw files to a promoted model.

    Ingest, check, preprocess, train, evaluate and, where the gate allows, deploy.

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
            done = _run(pipeline, partition or [], first, last, force=force, quiet=quiet, verbose=verbose)
    else:
        done = _run(pipeline, partition or [], first, last, force=force, quiet=quiet, verbose=verbose)
    if as_json:
        _print_json(done, measured if timings else None)
    else:
        _tell(done, measured if timings else None)
    return exit_code(done.outcomes)


def exit_code(outcomes: "list[Outcome]") -> int:
    """Return the exit code that `outcomes` deserve."""
    from pipelines.running import worst

    return {"failed": ERROR, "blocked": BLOCKED}.get(worst(outcomes), DONE)


def _run(
    name: str, partitions: list[str], first: str | None, last: str | None, *, force: bool, quiet: bool, verbose: bool
) -> Done:
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
    before = workspace.registry(name).champion()
    with open_instance() as instance:
        runner = Runner(pipeline, workspace, instance, force=force, quiet=not verbose)
        outcomes = follow(runner, plan(pipeline, wanted, made=runner.made()), quiet=quiet)
    summary = summarise(workspace, name, [outcome.step.partition or "" for outcome in outcomes])
    return Done(outcomes=outcomes, summary=summary, before=before.model.digest if before else None)


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
        source = pipeline.ingest.source
        made_then = source.sample_rows and not os.environ.get(source.url_env or "")
        raise SourceError(
            f"the source of {pipeline.name} holds no complete partition: "
            + ("name one by --partition, it is generated then" if made_then else f"see `penstock show {pipeline.name}`")
        )
    return found


def _tell(done: Done, timings: Timings | None) -> None:
    from pipelines.cli.console import seconds, short
    from pipelines.cli.tell import tell_outcomes, tell_reasons, tell_summary

    tell_outcomes(done.outcomes)
    print()
    tell_summary(done.summary, reasons=False)
    changed = done.champion != done.before
    before = short(done.before) if done.before else "none"
    print(f"  champion before this command: {before}{'' if changed else ', unchanged'}")
    tell_reasons(done.outcomes)
    if timings is not None:
        print()
        shares = timings.shares()
        print(f"Wall time {seconds(sum(timings.seconds.values()))}:")
        for owner, share in shares.items():
            print(f"  {owner:<20} {seconds(timings.seconds[owner]):>12}  {share:5.1%}")


def _print_json(done: Done, timings: Timings | None) -> None:
    from dataclasses import asdict

    from pipelines.cli.console import print_json

    value: dict[str, Any] = {
        "outcomes": [asdict(outcome) for outcome in done.outcomes],
        "summary": done.summary.to_json(),
        "champion_before": done.before,
        "champion_after": done.champion,
    }
    if timings is not None:
        value["timings_s"] = dict(timings.seconds)
    print_json(value)
