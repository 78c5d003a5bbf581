"""`penstock backtest`: replay the retraining policy through history."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.environment import prepare
from pipelines.cli.guard import DONE, ERROR

if TYPE_CHECKING:
    from pipelines.backtest import Replay
    from resources.workspace import Workspace


def backtest(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline; see `penstock list`.")],
    *,
    first: Annotated[str, typer.Option("--from", metavar="KEY", help="First partition to judge a model on.")],
    last: Annotated[str, typer.Option("--to", metavar="KEY", help="Last partition.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the backtest; FROM-to-TO by default.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's own log.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the backtest as JSON.")] = False,
) -> int:
    """Replay the retraining policy through history.

    It has a registry of its own, named backtest-NAME.

    Every partition gets its challenger, judged against the champion that the policy would have had then. The champion
    that serves, its log and its data stay untouched. A page with the picture is written below .penstock/reports.

    Exit codes: 0 done, refusals included; 1 an error; 2 wrong usage; 130 stopped: the same command goes on from there.
    """
    prepare()
    replay, page = _replay(pipeline, first, last, name, quiet=quiet, verbose=verbose)
    if as_json:
        from pipelines.cli.console import print_json

        print_json({**replay.to_json(), "page": str(page)})
    else:
        _tell(replay, page)
    return ERROR if "failed" in replay.counts else DONE


def _replay(
    name: str, first: str, last: str, given: str | None, *, quiet: bool, verbose: bool
) -> "tuple[Replay, Path]":
    import dagster as dg

    from pipelines.backtest import clear, held, registry_of, replayed
    from pipelines.cli.follow import follow
    from pipelines.cli.opened import workspace
    from pipelines.lookup import find
    from pipelines.planning import between, plan
    from pipelines.running import Runner
    from pipelines.summary import summarise
    from resources.errors import DeclarationError
    from resources.settings import load_settings
    from resources.storage.garbage.leases import leased

    pipeline = find(name, load_settings())
    if pipeline.partitions is None:
        raise DeclarationError(f"pipeline {name!r} has no time partitions: there is no history to replay")
    asked = between(pipeline, first, last)
    title = given or f"{first}-to-{last}"
    opened = workspace(registry_of(title))
    with (
        leased(opened.store, held(opened), job=f"backtest {title} of {name}"),
        dg.DagsterInstance.ephemeral() as instance,
    ):
        clear(opened, name)
        runner = Runner(pipeline, opened, instance, force=False, quiet=not verbose)
        outcomes = follow(runner, plan(pipeline, asked, made=runner.made()), quiet=quiet)
    gate = pipeline.evaluate.gate.model_dump(mode="json")
    replay = replayed(asked, outcomes, summarise(opened, name), name=title, gate=gate)
    return replay, _write(opened, replay)


def _write(opened: "Workspace", replay: "Replay") -> Path:
    from pipelines.backtest_report import page
    from resources.durable import write_text

    path = opened.settings.home / "reports" / f"{replay.pipeline}-backtest-{replay.name}.html"
    write_text(path, page(replay), remedy="free some room, or set PENSTOCK_HOME")
    return path


def _tell(replay: "Replay", page: Path) -> None:
    from pipelines.backtest import MODELS
    from pipelines.cli.console import interval, is_narrow, number, print_table, short
    from pipelines.cli.tell import stacked

    if any(item.look_alike for item in replay.ingested):
        print("The data is a generated look-alike: its numbers say nothing about the real world.")
    unit = f" in {replay.unit}" if replay.unit else ""
    narrow = is_narrow()
    told = stacked if narrow else interval
    rows = [
        (
            step.partition,
            step.action,
            step.judged.verdict if step.judged else "-",
            *(told(step.judged.estimate(model) if step.judged else None) for model in MODELS),
            *(() if narrow else (short(step.champion),)),
        )
        for step in replay.steps
    ]
    header = ("partition", "action", "verdict", "challenger", "champion then", "baseline", "champion after")
    print_table(header[: len(header) - narrow], rows, title=f"{replay.pipeline}: {replay.metric}{unit}, with intervals")
    for step in replay.steps:
        if step.action in ("refused", "blocked", "failed"):
            print(f"{step.partition} {step.action}: {step.reason}")
    print(
        f"{len(replay.steps)} partitions: {', '.join(f'{count} {action}' for action, count in replay.counts.items())}."
    )
    if replay.means:
        means = ", ".join(f"{model} {number(value)}" for model, value in replay.means.items())
        print(f"Mean {replay.metric}{unit} where all were measured: {means}.")
    print(f"Picture: {page}")
